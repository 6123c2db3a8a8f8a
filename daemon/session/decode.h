/* SPDX-License-Identifier: MIT */
/* Notification → request: copies what pointers name, once, with bounds. */
#pragma once

#include <linux/seccomp.h>

#include "include/request.h"

/* How the app's memory is read; a parameter, so that tests bring their own. */
struct app_memory {
	/* Exactly size bytes. 0; -EFAULT if the app could not read them either; any other negative
	 * errno if we could not. */
	int (*read)(void *context, uint64_t address, void *buffer, size_t size);
	void *context;
};

/* 0: complete (request->refusal says whether the arguments could be copied; request->queue is
 * QUEUE_UNKNOWN for calls on a descriptor, until someone proves better). -ENOSYS: not a call of
 * ours. Any other negative errno: memory could not be looked at. */
int request_decode(const struct seccomp_notif *notification, const struct app_memory *memory,
	struct request *ret);

/* True for the calls that take a descriptor. */
bool request_has_descriptor(const struct request *request);
