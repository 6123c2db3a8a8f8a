/* SPDX-License-Identifier: MIT */
/* What outlives a session process: the request it has in hand, and the queues it opened.
 *
 * Any SIGKILL may fall between any two stores, so every store leaves a state from which the next
 * session process can go on. */
#pragma once

#include <assert.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

#include "done.h"
#include "host-queues.h"
#include "include/inflight.h"
#include "include/limits.h"
#include "processes.h"
#include "queues.h"
#include "threads.h"

enum inflight_phase {
	INFLIGHT_RECEIVED,  /* nothing was done to any queue: may be handled again from the start */
	INFLIGHT_ACTING,    /* about to create or delete, perhaps done */
	INFLIGHT_ACTED,     /* created or deleted, with this result */
	INFLIGHT_INJECTING, /* the queue is open, and its descriptor perhaps in the app, with
			       ACT_OPEN_FLAGS */
	INFLIGHT_INJECTED,  /* it is in the app as this number; these may be gone already */
};

struct inflight {
	struct inflight_head head;
	uint32_t phase;   /* enum inflight_phase */
	int32_t result;   /* ACTED: 0 or negative errno; INJECTED: the number */
	uint32_t existed; /* ACTING, deleting: the queue was there before */
	/* RECV writes here, so there is no moment at which a notification was taken but not noted.
	 * id 0: none. */
	struct seccomp_notif notification;
	/* Calls taken up before, that wait in the session process (waiting[]); id 0: none. Beyond
	 * this none ever did: what is not looked at takes no memory. */
	uint32_t waiting_used;
	uint64_t in_force;      /* fingerprint of the grants that were acknowledged last */
	uint32_t tainted;       /* 1: the session has lost something; it stays so */
	uint32_t watching;      /* 1: it may open what it may not read: each mq_notify is watched */
	uint32_t shares_tables; /* 1: processes may share a descriptor table; it stays so */
	uint32_t pid_depth;     /* of the PID namespace in which the session began; 0: not known */
	/* Of a container, otherwise 0: in which all its processes are; and 1: a message queue file
	 * system has come to it, so nothing is granted any more, and its processes are killed. */
	uint64_t pid_namespace;
	uint32_t broken;
	uint32_t returning; /* 1: threads are being brought back, and perhaps not all of them */
	struct threads threads;
	struct seccomp_notif waiting[SESSION_WAITING_MAX];
	struct processes processes;
	struct queues queues;
	struct host_queues host_queues;
	/* Last: what no message ever needed takes no memory. */
	struct done_call done;
};

static_assert(sizeof(struct inflight) <= INFLIGHT_SIZE, "it has room");

/* Maps the memfd; checks its size, its version, and that what it counts and names is within it. 0,
 * -EBADMSG, -EPROTONOSUPPORT or another negative errno. */
int inflight_map(int fd, struct inflight **ret);

/* Makes this process the only one that writes there, until it exits or closes the descriptor. A
 * session process of an earlier manager that has not noticed its end is killed: two would act
 * twice. 0; -EBUSY if it is not gone within CLAIM_DEADLINE_USEC; or another negative errno. */
int inflight_claim(int fd);

/* Before RECV: nothing noted, the clock runs. The caller then receives into inflight->notification.
 */
void inflight_begin(struct inflight *inflight);

/* The i'th notification noted: the one in hand, then those that wait. NULL: there are no more. An
 * entry may have id 0. */
const struct seccomp_notif *inflight_noted(const struct inflight *inflight, uint32_t i);

/* Before and after an act that creates or deletes. */
void inflight_acting(struct inflight *inflight, bool existed);
void inflight_acted(struct inflight *inflight, int result);

/* Around the injection of a descriptor. */
void inflight_injecting(struct inflight *inflight);
void inflight_injected(struct inflight *inflight, int number);

/* Answered or gone. */
void inflight_end(struct inflight *inflight);
