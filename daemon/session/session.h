/* SPDX-License-Identifier: MIT */
/* The loop that answers a session's calls. */
#pragma once

#include "daemon/session/call/supervisor.h"

/* Serves until the last process of the session is gone or the manager is: 0. Negative errno: fatal.
 */
int session_run(struct supervisor *session);

/* channel.c: one message of the manager. 1: go on. 0: there will be no other. Negative errno:
 * fatal.
 */
int session_take_message(struct supervisor *session);

/* channel.c: whether an acknowledgement is owed, and giving it once it can be. 0 or negative errno:
 * fatal. To be called every few milliseconds while it is owed. */
bool session_owes(const struct supervisor *session);
int session_pay(struct supervisor *session);
