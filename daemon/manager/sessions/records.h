/* SPDX-License-Identifier: MIT */
/* Records are told to the journal or to stderr, and to whoever listens on the control bus. The last
 * ones of each user are kept, also of sessions that have ended, for who asks afterwards. Nobody can
 * push out another user's but by being one of LAST_RECORDS_USERS_MAX; root's stay. */
#pragma once

#include "daemon/manager/core/manager.h"
#include "include/denials.h"
#include "record.h"

/* Of a session that has ended, for one of its plugs. */
struct ended_denial {
	char plug[REF_MAX + 1];
	struct denial denial;
	uint64_t number; /* the least is the oldest */
};

struct last_records {
	struct last_records *previous, *next;
	uid_t uid;                  /* whose sessions */
	struct ended_denial *ended; /* ENDED_DENIALS_PER_USER_MAX, or NULL */
	size_t ended_count;
	uint64_t ended_number; /* of the last one that was put there */
	struct record items[LAST_RECORDS_PER_USER_MAX];
	size_t count, oldest;
	uint64_t changed; /* CLOCK_REALTIME, microseconds */
	uint64_t second;  /* CLOCK_MONOTONIC: since then so many were sent */
	unsigned sent;
};

struct session;
struct session_message;

/* message is a SESSION_RECORD of this session's process. 0; -EBADMSG if no session process of ours
 * would have sent it. */
int records_handle(struct session *session, const struct session_message *message);

/* Whether one may be sent to one more peer: CONTROL_RECORDS_PER_USER_MAX a second of the sessions
 * of one user. Sending costs, and nobody's records are to crowd out another's. */
bool records_may_send(struct manager *manager, const struct record *record);

/* Takes the record, which is empty afterwards. */
void last_records_add(struct manager *manager, struct record *record);
void last_records_free(struct manager *manager);

/* The i'th of a user's, the oldest first; NULL: there are no more. */
const struct record *last_records_at(const struct last_records *records, size_t i);

/* Remembers what a session that has ended was denied. */
void last_records_keep(struct session *session);

/* Calls take() with each denial that sessions with this plug have or had, of users that the viewer
 * may see. Until it returns something else than 0: that; or 0. */
typedef int (*take_denial_t)(const struct denial *denial, void *userdata);
int last_records_denials(const struct manager *manager, const char *plug,
	bool (*may_see)(const void *viewer, uid_t uid), const void *viewer, take_denial_t take,
	void *userdata);
