/* SPDX-License-Identifier: MIT */
/* The loop that answers a session's calls. */
#pragma once

#include <poll.h>

#include "daemon/session/call/supervisor.h"

/* Serves until the last process of the session is gone or the manager is: 0. Negative errno: fatal.
 */
int session_run(struct supervisor *session);

/* The same in parts, for whoever has more to wait for. Once, at the beginning; what poll() is to
 * wait for, and how long at most (-1: for ever); and what is to be done then. 1: go on. 0: the last
 * process of the session, or the manager, is gone. Negative errno: fatal. */
#define SESSION_POLLED_MAX (3 + SESSION_WAITING_MAX)
void session_begin(struct supervisor *session);
size_t session_wants(struct supervisor *session, struct pollfd fds[static SESSION_POLLED_MAX],
	int *ret_timeout_ms);
int session_go_on(struct supervisor *session, const struct pollfd fds[static SESSION_POLLED_MAX]);

/* channel.c: one message of the manager. 1: go on. 0: there will be no other. Negative errno:
 * fatal.
 */
int session_take_message(struct supervisor *session);

/* channel.c: whether an acknowledgement is owed, and giving it once it can be. 0 or negative errno:
 * fatal. To be called every few milliseconds while it is owed. */
bool session_owes(const struct supervisor *session);
int session_pay(struct supervisor *session);
