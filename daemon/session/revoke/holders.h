/* SPDX-License-Identifier: MIT */
/* The processes of a session that still have descriptors of what was taken from it. */
#pragma once

#include "container-filter.h"
#include "daemon/session/target/inflight.h"
#include "daemon/session/target/own.h"
#include "daemon/session/target/urgency.h"
#include "include/grants.h"
#include "include/protocol.h"
#include "include/syscalls.h"

/* Where to look. */
struct holder_search {
	int channel, listener;
	const struct inflight *inflight;
	const struct own_identity *own;
	const struct urgency *urgency;
	struct filter_mark filter; /* of the session's processes */
	uid_t user;                /* who has launched it */
	enum mediation mediation;
	pid_t children[HOLDER_LOOKS_MAX]; /* each looks; 0: none */
};

/* Answers a SESSION_HOLDERS message, later and by a child: the session process goes on serving.
 * scope is sealed. The answer comes in any case. */
void holders_look(struct holder_search *search, const struct session_message *query,
	const struct grants *scope);

/* Ends the whole session, in the same way; what comes of it is told as the answer to question 0. */
void holders_end_all(struct holder_search *search);

/* Waits for the looks under way, which know their deadlines and end when the manager closes the
 * channel. */
void holders_finish(struct holder_search *search);
