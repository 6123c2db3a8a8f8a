/* SPDX-License-Identifier: MIT */
/* Notification → request: copies what pointers name, once, with bounds. */
#pragma once

#include <linux/seccomp.h>

#include "daemon/session/target/memory.h"
#include "include/request.h"

/* What the registers say: everything about a call on a descriptor (request->queue is QUEUE_UNKNOWN
 * until someone proves better), and which call by name it is. 0. -ENOSYS: not a call of ours; then
 * request->call is MQ_CALL_COUNT. */
int request_begin(const struct seccomp_notif *notification, struct request *ret);

/* What they point to: name and attributes of a call by name, which has begun. 0: complete, and
 * request->refusal says whether the arguments could be copied. Another negative errno: memory could
 * not be looked at. */
int request_copy(const struct seccomp_notif *notification, const struct app_memory *memory,
	struct request *request);

/* True for the calls that take a descriptor. */
bool request_has_descriptor(const struct request *request);
