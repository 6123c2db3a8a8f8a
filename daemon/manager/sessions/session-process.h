/* SPDX-License-Identifier: MIT */
/* Session processes: has them started, feeds them and has them killed. */
#pragma once

#include "state.h"

/* The spare if there is one, else a new one. */
int session_process_take(struct manager *manager, struct session_process **ret);
int session_process_new(struct manager *manager, struct session_process **ret);

/* Hands over a session: listener, in-flight memfd, and grants as the policy is now. On failure the
 * caller kills the process. */
int session_process_attach(struct session_process *process, struct session *session);
int session_process_send_grants(
	struct session_process *process, int grants, size_t size, uint64_t generation);

/* Takes some of what it has said so far. True: there may be more. */
bool session_process_hear(struct session_process *process);

/* It is to read to the end of its socket and to exit; after a deadline it is killed. */
void session_process_dismiss(struct session_process *process);
/* The same for all, waited for, so that each finishes, notes and answers the call that it has in
 * hand. The manager ends. */
void session_processes_end(struct manager *manager);
void session_process_kill(struct session_process *process, const char *reason);
/* Its process is killed if it still lives, and reaped by the spawner. */
struct session_process *session_process_free(struct session_process *process);
