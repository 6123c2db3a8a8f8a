/* SPDX-License-Identifier: MIT */
/* Bringing threads back out of calls that were given back to the kernel. */
#pragma once

#include "target.h"
#include "threads.h"

/* Threads that were asked to stop and have gone elsewhere meanwhile; they stop when they come back
 * from there. */
#define REVOKE_LATE_MAX 64

struct revoker {
	pid_t late[REVOKE_LATE_MAX];
	size_t late_count;
	unsigned killed; /* processes that could not be brought back */
	/* Called before a process is killed, while it can be looked at. */
	void (*tell_killing)(void *context, pid_t tid);
	void *context;
};

/* When it returns 0, every thread noted is out of any call on a descriptor that it was in, and
 * whatever it does next comes through the door. Threads blocked elsewhere are not touched, nor
 * those in except (they are inside the door). At most REVOKE_DEADLINE_USEC, and READY_DEADLINE_USEC
 * more if the machine is busy. Negative errno: some thread may still be inside; then it must not be
 * acknowledged. */
int revoke_bring_back(struct revoker *revoker, const struct threads *threads, const pid_t *except,
	size_t except_count);

/* Kills the process of a thread that is certainly the one noted, and waits until that thread is
 * dead. 0 or negative errno. */
int revoke_kill(struct revoker *revoker, const struct thread *thread, uint64_t deadline);

/* Lets go of those that have stopped since. To be called every few milliseconds while late_count >
 * 0. */
void revoke_let_go_late(struct revoker *revoker);

/* Lets go of whoever else we trace and is stopped or dead: a thread that executes a program while
 * it is seized takes the number of the first thread of its process; one that is killed then is
 * nobody's to wait for but ours. To be called every few milliseconds while seize_may_hold(), and
 * not while a thread is meant to be stopped. */
void revoke_let_go_strays(void);

/* Brings one thread that waits inside the door out of it, to handle a signal: it must be answered
 * with -ERESTARTSYS by the caller's answer() between the request to stop and the wait for it. 0 or
 * negative errno; -EPERM: somebody else traces it, and it has not been answered. */
int revoke_bounce(struct revoker *revoker, const struct target *target, uint32_t arch,
	int (*answer)(void *context), void *context);

/* Answers a call that is given back to the kernel, and waits until the thread has made it. 0: made,
 * or the thread is gone. -EPERM: somebody else traces it, and it has not been answered. -ETIMEDOUT:
 * it was answered, and may be inside. */
int revoke_watch(struct revoker *revoker, const struct target *target, uint32_t arch,
	int (*answer)(void *context), void *context);
