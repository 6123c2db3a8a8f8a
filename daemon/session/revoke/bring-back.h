/* SPDX-License-Identifier: MIT */
/* Bringing threads back out of calls that were given back to the kernel, or ending their processes.
 */
#pragma once

#include "include/task.h"
#include "daemon/session/target/processes.h"
#include "daemon/session/target/target.h"
#include "daemon/session/target/threads.h"

struct revoker {
	struct threads *threads;
	struct processes *processes;
	struct process_handles handles;
	/* Called before a process is killed, while it can be looked at. */
	void (*tell_killing)(void *context, pid_t pid);
	void *context;
	unsigned killed; /* processes that could not be brought back */
	/* Of them those that have been killed last; while unstopped > 0 some of these may go on
	 * with a call. */
	struct victim victims[SESSION_PROCESSES_MAX];
	uint32_t places[SESSION_PROCESSES_MAX]; /* theirs */
	size_t victim_count, unstopped;
};

/* When it returns 0, every thread noted is out of any call on a descriptor that it was in, and
 * whatever it does next comes through the door. Threads blocked elsewhere are not touched, nor
 * those in except, which are inside the door. The process of one that does not come back by
 * REVOKE_DEADLINE_USEC, or READY_DEADLINE_USEC more if the machine is busy, is killed. -EBUSY: one
 * that was killed is not seen to have stopped; until revoke_look_again() says so, nothing must be
 * acknowledged. */
int revoke_bring_back(struct revoker *revoker, const pid_t *except, size_t except_count);

/* True if all that were killed have stopped. */
bool revoke_look_again(struct revoker *revoker);

/* One that has not, to be named; 0: all have. */
pid_t revoke_unstopped(const struct revoker *revoker);

/* Kills the process at this place. 0, or -EBUSY as above. */
int revoke_kill(struct revoker *revoker, uint32_t place);

/* Brings one thread that waits inside the door out of it, to handle a signal: it must be answered
 * with -ERESTARTSYS by the caller's answer() between the request to stop and the wait for it. 0: it
 * was answered, unless its notification is still valid. -EPERM: it could not be asked, and has not
 * been answered. */
int revoke_bounce(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context);

/* Answers a call that is given back to the kernel, and waits until the thread has made it. 0: made,
 * or the thread is gone. -EPERM: it could not be asked to stop, and has not been answered.
 * -ETIMEDOUT: it was answered, unless its notification is still valid, and may be inside. */
int revoke_watch(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context);
