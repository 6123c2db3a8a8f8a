/* SPDX-License-Identifier: MIT */
/* The way to the manager: one call on the control bus. */
#pragma once

#include "mqctl.h"

/* Connects, calls one method of the manager and waits for the answer, all within timeout_usec.
 * types and what follows are the arguments as in sd_bus_message_append(). Every failure is
 * reported on stderr here, and nowhere else: 0, or a negative errno. */
int manager_call(const struct arguments *arguments, uint64_t timeout_usec,
	sd_bus_message **ret_reply, const char *member, const char *types, ...);

/* Connects only, for what the manager sends by itself. Reports its failures. */
int manager_connect(const struct arguments *arguments, uint64_t timeout_usec, sd_bus **ret);

/* Reads a dictionary: take() reads or skips the value of each key. 0, what take() failed with, or
 * another negative errno. */
int reply_read(sd_bus_message *reply,
	int (*take)(sd_bus_message *reply, const char *key, void *context), void *context);
