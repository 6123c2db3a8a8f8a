/* SPDX-License-Identifier: MIT */
/* Calls that wait in this process: those that it carries out, for a message or for room; mq_open,
 * for the end of a lease; and refusals that are to be answered later (refusals.h). */
#pragma once

#include <poll.h>

#include "emulate.h"
#include "include/grants.h"
#include "daemon/session/target/inflight.h"

/* What a call needs to be granted. */
struct wanted {
	const char *name;
	uint32_t spaces; /* it is the queue's, there; 0: it is the program's */
	struct subject subject;
	uint32_t needs;            /* permissions */
	struct counters *counters; /* where its outcome counts */
};

struct waiter {
	struct seccomp_notif *note; /* in inflight->waiting */
	struct target target;
	uint64_t refuse_at; /* CLOCK_MONOTONIC: a refusal that is answered then. 0: it is none */
	struct emulated emulated;
	struct request *open; /* an mq_open: the copy of it. NULL: it is none */
	bool due;             /* it is to be tried again */
	struct wanted wanted; /* its name is the next */
	char name[QUEUE_NAME_MAX + 1];
};

struct waiters {
	struct waiter *items[SESSION_WAITING_MAX]; /* in the order they came */
	size_t count;
	size_t delayed;     /* of them refusals */
	uint64_t bytes;     /* of the messages that they wait to send */
	uint64_t newest;    /* CLOCK_MONOTONIC: when the last one came */
	uint64_t next_look; /* CLOCK_MONOTONIC: when signals and deaths are looked for again */
};

/* Takes over target and emulated. 0; -ENOSPC if SESSION_WAITING_MAX calls wait already, or it would
 * be more than SESSION_WAITING_BYTES_MAX; -ENOMEM. */
int waiters_add(struct waiters *waiters, struct inflight *inflight, struct target *target,
	struct emulated *emulated, const struct wanted *wanted);

/* The mq_open in hand is to be tried again every few milliseconds. Takes over target. 0; -ENOSPC if
 * SESSION_WAITING_MAX calls wait already; -ENOMEM. */
int waiters_add_open(struct waiters *waiters, struct inflight *inflight, struct target *target,
	const struct request *request, const struct wanted *wanted);

/* The next mq_open that is to be tried again: it waits no longer. True: it is in *ret_note, to be
 * taken up and then forgotten there (id 0), and in *ret. */
bool waiters_take_due(
	struct waiters *waiters, struct seccomp_notif **ret_note, struct request *ret);

/* The call in hand is refused (EACCES) at that time. 0; -ENOSPC if REFUSALS_DELAYED_MAX are to be
 * already, or SESSION_WAITING_MAX calls wait; -ENOMEM. */
int waiters_delay(struct waiters *waiters, struct inflight *inflight, uint64_t refuse_at);

/* Fills one entry for each waiter. */
void waiters_poll(const struct waiters *waiters, struct pollfd *fds);

/* How long poll() may wait, in milliseconds; -1: for ever. */
int waiters_timeout(const struct waiters *waiters);

/* Tries those whose queue is ready, oldest first; ends those that are late, gone or have a signal
 * to handle, and refusals whose time has come; says which mq_open is due. fds as filled by
 * waiters_poll(), after poll(). */
void waiters_serve(
	struct waiters *waiters, int listener, const struct pollfd *fds, struct done_call *done);

/* Refuses those that the new grants no longer allow, and whoever was to be refused later: it may
 * ask again at once. */
void waiters_revise(struct waiters *waiters, int listener, const struct grants *grants);
