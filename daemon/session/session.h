/* SPDX-License-Identifier: MIT */
/* One session: its listener, its grants, and the loop that answers its calls. */
#pragma once

#include <stdint.h>

#include "act.h"
#include "callers.h"
#include "holders.h"
#include "include/grants.h"
#include "include/protocol.h"
#include "include/syscalls.h"
#include "inflight.h"
#include "opened.h"
#include "refusals.h"
#include "revoke.h"
#include "waiting.h"

/* What may be recorded, and what was held back. */
struct recorder {
	uint32_t rate;        /* a second; RECORD_BURST at once */
	bool allowed;         /* also allowed opens and deletes */
	uint64_t tokens_usec; /* time saved up; a record costs 1 s / rate */
	uint64_t last_usec;
	uint64_t suppressed;
	struct worker_message held; /* the latest of the suppressed ones */
};

struct session {
	int channel;  /* to the manager */
	int listener; /* -EBADF before attach */
	struct inflight *inflight;
	struct grants *grants; /* NULL before the first message of them: nothing is answered */
	struct own_identity own;
	uint64_t constant; /* in the filter of its processes */
	uid_t user;        /* who has launched it */
	enum mediation mediation;
	struct callers callers;
	struct opened opened;
	struct recorder recorder;
	struct waiters waiters;
	struct refusals refusals;
	struct holder_looks looks;
	struct revoker revoker;
	uint64_t owed; /* generation that is acknowledged when those who were killed have stopped */
	struct request request; /* in hand; here because it is large */
};

/* Serves until the last process of the session is gone or the manager is: 0. Negative errno: fatal.
 */
int session_run(struct session *session);

/* The next notification from beginning to end. 0 or negative errno: fatal. */
int session_serve_next(struct session *session);

/* Carries on what an earlier session process had in hand. */
void session_resume(struct session *session);

/* channel.c: one message of the manager. 1: go on. 0: the manager is gone. Negative errno: fatal.
 */
int session_take_message(struct session *session);

/* channel.c: whether an acknowledgement is owed, and giving it once it can be. 0 or negative errno:
 * fatal. To be called every few milliseconds while it is owed. */
bool session_owes(const struct session *session);
int session_pay(struct session *session);

/* record.c: notes a record, sends it or holds it back; sends what was held back once there is room.
 * The recorder's time until then in milliseconds, -1 if nothing is held back. */
void recorder_note(struct recorder *recorder, int channel, const struct worker_message *record);
void recorder_flush(struct recorder *recorder, int channel);
int recorder_timeout(const struct recorder *recorder);
