/* SPDX-License-Identifier: MIT */
/* Having a thread of an app remove its process's registration: mq_notify(fd, NULL).
 *
 * A registration for notification belongs to the process that made it, and the kernel lets nobody
 * else remove it. So one of its threads has to, without noticing. */
#pragma once

#include "detour.h"
#include "disturb.h"

/* Waits for patience microseconds for the thread to stop, and for about twice as many for it to
 * begin; for the call itself FORCE_DEADLINE_USEC. *ret_late: the thread was asked to stop, did not
 * yet, and has to be let go of when it does. */
enum force_result force_removal(
	pid_t tid, int fd, const struct force_hooks *hooks, uint64_t patience, bool *ret_late);
