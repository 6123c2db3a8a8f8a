/* SPDX-License-Identifier: MIT */
/* A verdict: allow or deny, with the reason; what decide() returns. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "include/grants.h"
#include "include/request.h"

enum reason {
	REASON_UNDECIDED = 0, /* the initial state: deny */
	REASON_GRANTED,
	REASON_MALFORMED,     /* copying the arguments already failed, as it would unconfined */
	REASON_NOT_GRANTED,   /* verdict.missing says what */
	REASON_UNKNOWN_QUEUE, /* a descriptor from elsewhere whose queue cannot be proved */
	REASON_NO_QUEUE,      /* the kernel will refuse this descriptor itself */
	REASON_HARMLESS,      /* removing a registration takes nothing */
	REASON_FAILED,        /* something of ours failed, therefore denied */
	REASON_TOO_LONG,      /* not granted, a name that no queue can have */
	REASON_REFUSED,       /* granted, and the kernel has refused it: record.refusal says why */
	/* Of a container that is served without a wall, and leaves a way to message queues open: */
	REASON_CONTAINER_MQUEUE,     /* a message queue file system */
	REASON_CONTAINER_ADMIN,      /* CAP_SYS_ADMIN */
	REASON_CONTAINER_PRIVILEGES, /* no no_new_privs */
	REASON_CONTAINER_PIDS,       /* processes of others in its PID namespace */
	REASON_CONTAINER_ELSEWHERE,  /* or the caller is in other namespaces than it */
	REASON_CONTAINER_REFUSED,    /* of a container that was found wrong at the start */
	REASON_KILLED, /* no verdict: the process was killed, to take back what it had */
};

struct verdict {
	bool allow;
	int error; /* errno for the app, positive, if denied */
	enum reason reason;
	uint32_t missing; /* permissions, if REASON_NOT_GRANTED */
};

/* The state before anything is known, and after anything went wrong. */
#define VERDICT_DENY ((struct verdict){.allow = false, .error = EACCES, .reason = REASON_UNDECIDED})

/* The pure decision: no descriptor, no log, no clock, no allocation. The session, mqctl explain and
 * the tests call this very function. granted: permissions on the queue of the request. */
struct verdict decide(uint32_t granted, const struct request *request);

/* The permissions that a request needs. 0: needs none. */
uint32_t request_needs(const struct request *request);

/* "permission not granted", …; never NULL. */
const char *reason_to_string(enum reason reason);
