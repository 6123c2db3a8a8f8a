/* SPDX-License-Identifier: MIT */
/* The launcher's conversation with mqgated: hello, answer, handover, the word. */
#pragma once

#include <stdint.h>

#include "include/protocol.h"
#include "include/syscalls.h"

/* Each step waits at most until a deadline that begins with client_connect(). All return 0, or a
 * negative errno with a message (see refuse.h). */
struct client {
	int socket; /* close-on-exec */
	uint64_t deadline;
	char *path; /* of the socket, for messages; NULL: it is mqgate-alone's */
};

int client_connect(const char *runtime_dir, struct client *ret, char **ret_message);
void client_close(struct client *client);

/* Of a run without mqgated: takes the socket to mqgate-alone. */
void client_take(int socket, struct client *ret);

/* Says which plugs, slots and apps; does not wait. */
int client_hello(
	struct client *client, const struct launch_ref *refs, size_t ref_count, char **ret_message);

/* Learns what the session's filter is to be. */
int client_answer(struct client *client, uint64_t *ret_filter_id, enum mediation *ret_mediation,
	char **ret_message);

/* Hands over a copy of the listener and waits for the word. The caller keeps, and closes, its own.
 * ret_notice: what mqgated has to say to the person, to be freed, or NULL. */
int client_handover(struct client *client, int listener, char **ret_notice, char **ret_message);
