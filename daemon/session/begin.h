/* SPDX-License-Identifier: MIT */
/* Whether a session may begin. */
#pragma once

#include "daemon/session/call/supervisor.h"
#include "include/protocol.h"

/* Examines the process of a SESSION_ATTACH message: pidfd is its, and root that of a container's
 * runtime (negative: it is no container); both are closed. Sets session->contained, and tells how
 * deep its PID namespace is. confined is 0 if the session may begin; otherwise a container's begins
 * all the same, and refuses everything. Waits without a bound. */
struct examined session_examine(struct supervisor *session, const struct session_message *message,
	int pidfd, int root, uint32_t *ret_pid_depth);
