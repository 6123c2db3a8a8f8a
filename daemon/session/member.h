/* SPDX-License-Identifier: MIT */
/* Which processes belong to a session: those that run under its filter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/limits.h"

#define MEMBERS_LATE_MAX 64

/* A process that lives, or did a moment ago. pidfd was opened first, and everything else was then
 * found out about that very process: a signal sent through it hits this process or nobody. */
struct member {
	pid_t pid;
	int proc; /* /proc/PID */
	int pidfd;
};

/* Opens a process. 0, -ESRCH, or another negative errno. */
int member_open(pid_t pid, struct member *ret);
void member_close(struct member *member);

/* False once all its threads are dead. */
bool member_lives(const struct member *member);

enum membership {
	MEMBERSHIP_NONE,
	MEMBERSHIP_PROVED,
	MEMBERSHIP_UNKNOWN, /* it cannot be told: somebody else traces it, it does not stop, or the
			       kernel shows us no filters */
};

/* One session's processes. Zero but for the first when new, and the caller's to fill up to
 * follows. */
struct members {
	uint64_t constant; /* of the session's filter */
	/* Threads that were asked to stop and did not yet. */
	pid_t late[MEMBERS_LATE_MAX];
	size_t late_count;
	uint64_t deadline; /* CLOCK_MONOTONIC, microseconds; nothing is begun later */
	/* True if the thread has just made a call that came to the session's listener: proof enough
	 * without stopping it, which inside the door it cannot be. NULL: none has. */
	bool (*notifies)(void *context, pid_t tid);
	void *context;
	bool follows;    /* from each that is proved on to its youngest child, at once */
	pid_t heir;      /* that child; 0: none */
	size_t vanished; /* in the latest pass: gone before they could be looked at */
	/* What was found out before holds for ever: a filter is never taken off, and since the
	 * launcher has handed over the listener a process gets this one by birth only. */
	struct {
		pid_t pid;
		enum membership membership;
		uint64_t start;
	} known[MEMBERS_KNOWN_MAX];
	size_t known_count; /* grows; the place of the next one is its remainder */
};

/* Proves it by the filter of one of its threads, which is stopped for a moment (some 50
 * microseconds) and does not notice; one is chosen that would not see EINTR, if there is one. */
enum membership member_prove(struct members *members, const struct member *member);

struct member_visitor {
	void *context;
	/* A look that disturbs nothing: is it worth proving? Called for processes under any filter.
	 * NULL: all are. */
	bool (*wants)(void *context, const struct member *member);
	/* Called for each that is proved, and for each that cannot be. It runs, or is about to;
	 * member is closed afterwards. */
	void (*visit)(void *context, const struct member *member, enum membership membership);
};

/* One pass over /proc, the newest processes first. A process that is born meanwhile may be missed:
 * where that matters, pass again until a pass has nothing to do and none has vanished. 0; -ETIME if
 * the deadline cut it short; another negative errno: some process could not be looked at. */
int members_for_each(struct members *members, const struct member_visitor *visitor);

/* Looks at the process that was born last, whatever it is, and visits it if it is proved. To be
 * repeated for one that forks and ends, again and again: in a list it is always gone already. */
void members_chase(struct members *members, const struct member_visitor *visitor);
