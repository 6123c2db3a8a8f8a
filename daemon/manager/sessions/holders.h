/* SPDX-License-Identifier: MIT */
/* Holders queries: who still holds what was taken. */
#pragma once

#include "include/limits.h"
#include "state.h"

struct holders_options {
	bool kill;          /* ends the sessions that do */
	uint64_t wait_usec; /* before, for them to let go */
};

struct holders_result {
	uint32_t sessions, processes;          /* that hold, or are registered */
	uint32_t holders, registrants;         /* of these processes */
	uint32_t unknown;                      /* processes of which it cannot be told */
	uint32_t killed, left;                 /* processes; left: could not be */
	char left_pids[HOLDERS_PIDS_MAX * 14]; /* the first of these, as text */
	uint32_t failed;                       /* sessions that could not be looked at */
};

struct holders_query;

/* As struct change_asker. */
struct holders_asker {
	void (*done)(const struct holders_result *result, void *userdata);
	void (*drop)(void *userdata);
	void *userdata;
};

struct holders_query {
	struct holders_query *previous, *next;
	struct manager *manager;
	struct holders_options options;
	char *plug; /* of the sessions to be asked; "": all */
	char *who;
	int scope; /* sealed memfd: the queues in question */
	size_t scope_size;

	struct holders_asker asker;
	sd_event_source *deadline_source;
	uint64_t wait_end; /* for holders to let go */
	size_t pending;    /* requests, and 1 while it is started */
	struct holders_result result;
};

/* As mqctl disconnect names them; second may be "". who asked is for the log. 0 or negative errno.
 */
int holders_query_new(struct manager *manager, const char *first, const char *second,
	const struct holders_options *options, const char *who, struct holders_query **ret);
struct holders_query *holders_query_free(struct holders_query *query);
DEFINE_CLEANUP(struct holders_query *, holders_query_free);

/* When what was disconnected is in force everywhere. Tells the asker and frees the query when every
 * session has answered, perhaps at once. Takes asker's userdata. */
void holders_query_start(struct holders_query *query, const struct holders_asker *asker);

/* message is a SESSION_HOLDERS_FOUND. */
void holders_query_answer(struct session *session, const struct session_message *message);
/* It has another session process, which is asked what the last one has not answered. */
void holders_query_ask_again(struct session *session);
/* All of its processes are gone: there is nobody to be asked about. */
void holders_query_session_gone(struct session *session);
/* They live, but it gets no session process any more that could look at them. */
void holders_query_session_lost(struct session *session);
