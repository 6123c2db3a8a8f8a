/* SPDX-License-Identifier: MIT */
/* One turn of the loop: what session.c and perform.c share about the request in hand. */
#pragma once

#include "include/verdict.h"
#include "notify.h"
#include "session.h"
#include "identity.h"

/* Everything about the request in hand but the request itself. */
struct turn {
	struct target target;
	struct identity identity;
	bool identity_known;
	bool table_full;      /* the app has no room for another descriptor */
	bool resumed;         /* an earlier session process had it in hand before */
	bool created;         /* the queue is this call's own */
	int queue;            /* opened for the app, to be injected */
	struct queue_key key; /* of the descriptor that was looked at */
	bool too_wide;        /* it does more than the session may, or perhaps does */
	uint32_t place;       /* of the process that is about to register (processes.h) */
	bool waits;           /* no answer yet: it is among the waiters */
	struct verdict verdict;
	struct answer answer;
};
#define TURN_START                              \
	((struct turn){.target = TARGET_CLOSED, \
		.identity = IDENTITY_NONE,      \
		.queue = -EBADF,                \
		.verdict = VERDICT_DENY,        \
		.answer = {.kind = ANSWER_ERROR, .error = EACCES}})

void turn_clear(struct turn *turn);

/* Reads the caller's identity, once. 0 or negative errno. */
int turn_know_identity(struct session *session, struct turn *turn);

/* Opens what all looks at the caller go through, unless it is open. 0 or negative errno. */
int turn_know_target(struct turn *turn);

/* Remembers the queue of the request in hand, whose caller's identity is known. */
void session_remember(
	struct session *session, const struct turn *turn, const struct descriptor *descriptor);

/* True for mq_notify, but for removing a registration. */
bool request_registers(const struct request *request);

/* Does what the verdict allows, or nothing. The answer to be given, unless turn->waits. */
struct answer session_act(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn);

static inline struct answer answer_error(int error)
{
	return (struct answer){.kind = ANSWER_ERROR, .error = error};
}
