/* SPDX-License-Identifier: MIT */
/* What one process's filters say of it. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A process that lives, or did a moment ago. pidfd was opened first, and everything else was then
 * found out about that very process: a signal sent through it hits this process or nobody. */
struct member {
	pid_t pid;
	int proc; /* /proc/PID */
	int pidfd;
	uint64_t identity; /* of process_open() */
};

/* Opens a process. 0, -ESRCH, or another negative errno. Is to be closed in any case. */
int member_open(pid_t pid, struct member *ret);
void member_close(struct member *member);

/* False once all its threads are dead. */
bool member_lives(const struct member *member);

/* False also once its only thread has left its last system call; true if that cannot be told. */
bool member_may_fork(const struct member *member);

enum membership {
	MEMBERSHIP_NONE,
	MEMBERSHIP_PROVED,
	MEMBERSHIP_UNKNOWN, /* it cannot be told: somebody else traces it, it does not stop, it has
			       more filters than are read, or the kernel shows us none */
};

struct examination {
	const struct member *member;
	bool hurry;             /* rather disturbs than takes its time */
	uint64_t patience_usec; /* with a thread that waits for a processor */
	/* Called for each filter, the oldest first, until one proves it. */
	bool (*proves)(void *context, const struct sock_filter *program, size_t length);
	/* True if the thread has just made a call that came to the session's listener: proof enough
	 * without stopping it, which inside the door it cannot be. NULL: none has. */
	bool (*notifies)(void *context, pid_t tid);
	/* Called when it is proved, while the thread cannot go on. May be NULL. */
	void (*look)(void *context);
	void *context;   /* of all */
	bool unreadable; /* set if we may read nobody's filters */
	bool traced;     /* set if somebody else traces one of the threads */
	bool late; /* set if a thread was asked to stop and does not: only our end lets go of it */
};

/* Reads the filters of one of its threads, which is stopped for a moment (some 50 microseconds) and
 * does not notice; one is chosen that would not see EINTR, if there is one. Not to be called again
 * by a process to which it said late. Waits while the process executes a program: a step of a
 * disposable child's (child.h). */
enum membership examine(struct examination *examination);
