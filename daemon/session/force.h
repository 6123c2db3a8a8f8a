/* SPDX-License-Identifier: MIT */
/* Having a thread of an app make one call of ours: mq_notify(fd, NULL). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What the door does meanwhile. */
struct force_hooks {
	void *context;
	/* Serves what has arrived at the listener, the thread's call among it, and does not wait.
	 * Negative errno: fatal. */
	int (*serve)(void *context);
	/* If the thread, which was asked to stop, waits inside the door: answers it so that it
	 * makes its call again. */
	void (*release)(void *context, pid_t tid);
};

enum force_result {
	FORCE_DONE,   /* the call was made, and succeeded */
	FORCE_FAILED, /* it was made, and failed; the thread goes on as if nothing had been */
	FORCE_GONE,   /* there is no such thread any more */
	FORCE_LATER,  /* nothing was done: it is in the midst of something; try again */
	FORCE_NEVER,  /* nothing was done: it is traced, or of an architecture unknown here */
	FORCE_BROKEN, /* it cannot be put back: its process must be killed */
};

/* True if the thread waits in a call that fails with EINTR when it is stopped. Such a call is made
 * again, its timeout from the beginning; threads in others should be taken first. */
bool force_disturbs(int proc);

/* At most until the deadline (CLOCK_MONOTONIC, microseconds). *ret_late: the thread was asked to
 * stop, did not yet, and has to be let go of when it does. */
enum force_result force_removal(
	pid_t tid, int fd, const struct force_hooks *hooks, uint64_t deadline, bool *ret_late);
