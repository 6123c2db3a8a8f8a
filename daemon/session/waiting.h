/* SPDX-License-Identifier: MIT */
/* Calls that this process carries out and that have to wait: for a message, or for room. */
#pragma once

#include <poll.h>

#include "carry.h"
#include "include/grants.h"
#include "inflight.h"
#include "revoke.h"

struct waiter {
	struct seccomp_notif *note; /* in inflight->waiting */
	struct target target;
	struct carried carried;
	uint32_t needs; /* permissions */
	char name[QUEUE_NAME_MAX + 1];
};

struct waiters {
	struct waiter *items[SESSION_WAITING_MAX]; /* in the order they came */
	size_t count;
	uint64_t bytes;     /* of the messages that they wait to send */
	uint64_t next_look; /* CLOCK_MONOTONIC: when signals and deaths are looked for again */
};

/* Takes over target and carried. 0; -ENOSPC if SESSION_WAITING_MAX calls wait already, or it would
 * be more than SESSION_WAITING_BYTES_MAX; -ENOMEM. */
int waiters_add(struct waiters *waiters, struct inflight *inflight, struct target *target,
	struct carried *carried, const char *name, uint32_t needs);

/* Fills one entry for each waiter. */
void waiters_poll(const struct waiters *waiters, struct pollfd *fds);

/* How long poll() may wait, in milliseconds; -1: for ever. */
int waiters_timeout(const struct waiters *waiters);

/* Tries those whose queue is ready, oldest first; ends those that are late, gone or have a signal
 * to handle. fds as filled by waiters_poll(), after poll(). */
void waiters_serve(struct waiters *waiters, struct revoker *revoker, int listener,
	const struct pollfd *fds, struct done_call *done);

/* Refuses those that the new grants no longer allow. */
void waiters_revise(struct waiters *waiters, int listener, const struct grants *grants);

/* A thread that was asked to stop: if it waits here, it is answered so that it makes its call
 * again when it goes on. */
void waiters_release(struct waiters *waiters, int listener, pid_t tid);
