/* SPDX-License-Identifier: MIT */
/* The processes of a session that still have descriptors of what was taken from it. */
#pragma once

#include "include/grants.h"
#include "include/protocol.h"

struct session;

/* Looks under way, each in a child of the session process: 0: none. */
struct holder_looks {
	pid_t children[HOLDER_LOOKS_MAX];
};

/* Answers a WORKER_HOLDERS message, later and by a child: the session process goes on serving.
 * scope is sealed. The answer comes in any case. */
void holders_look(
	struct session *session, const struct worker_message *question, const struct grants *scope);

/* Waits for the looks under way, which know their deadlines and end when the manager closes the
 * channel. */
void holders_finish(struct session *session);
