/* SPDX-License-Identifier: MIT */
/* Serving real-time callers as such: this process runs with the highest real-time priority of the
 * living threads that call, and on their processors, so that ordinary load does not hold them up.
 *
 * All of this may be asked for by a hostile app. What it gets is no more than it has:
 *
 * - The priority is one that a thread of the session has while it is used: whatever is done here at
 *   that priority, that thread could do itself. When it ends or lowers it, so do we, the next time
 *   that we wake up, 10 ms after the last look; asleep there is nothing that we would do.
 * - A number lends nobody the priority of another thread: a thread is read through its /proc/TID,
 *   kept open, and taken in only if its call was valid after the reading.
 * - Its processors are those on which its threads may run. A thread that spins there with that
 *   priority holds up its own session, and none of the manager's business for long: when the
 *   manager's patience is over the spawner makes this process an ordinary one again, and kills it.
 * - Flooding with threads makes it forget some, those of the lowest priority. They are served like
 *   the others while these live. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "include/limits.h"
#include "inflight.h"

struct scheduling {
	int policy;
	int priority; /* real-time, 0: none */
	cpu_set_t processors;
};

struct urgent_caller {
	pid_t tid;
	int proc; /* /proc/TID */
	struct scheduling scheduling;
};

/* Begins as all zero. */
struct urgency {
	uint64_t round;                  /* CLOCK_MONOTONIC: when it began */
	pid_t seen[SESSION_CALLERS_MAX]; /* in this round */
	struct urgent_caller callers[SESSION_URGENT_MAX];
	size_t count;
	struct scheduling own; /* as this process began; known once there was a caller */
	struct scheduling now; /* as it is, or should be if the kernel had let it */
	bool known, failed;    /* own and now; that it did not let it */
};

/* A call is in hand. An ordinary thread's costs a system call every 10 ms, further ones none. */
void urgency_follow(struct urgency *urgency, const struct inflight *inflight, int listener);

/* Awake, for whatever reason. Costs nothing as long as there is no real-time caller. */
void urgency_review(struct urgency *urgency);

/* In a child whose work no caller waits for: it is as this process began. The others keep what they
 * inherit, or a real-time caller would wait for an ordinary process. */
void urgency_leave(const struct urgency *urgency);
