/* SPDX-License-Identifier: MIT */
/* The processes of a session that may be inside a call, and ending them. */
#pragma once

#include "state.h"

/* A process that is about to be given a call back. Takes pidfd; -EBADF: there was no room for it.
 * -EBADMSG if no session process of ours would have told so many. */
int session_keep_process(struct session *session, pid_t pid, int *pidfd);
void session_forget_processes(struct session *session);
/* The command of the process that has not stopped, escaped. Returns buffer. */
char *session_unstopped_command(
	const struct session *session, char buffer[static COMMAND_STRING_MAX]);
/* Whether no further process is kept. */
bool processes_are_full(size_t count, size_t of_user);

/* Something is being taken back from now on. Unless that ends in time, or when a second session
 * process fails, all kept processes are killed. */
void session_guard(struct session *session);
void session_guard_failed(struct session *session);
void session_guard_end(struct session *session);
struct killing *killing_free(struct killing *killing);
