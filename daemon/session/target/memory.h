/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* How the app's memory is read; a parameter, so that tests bring their own. */
struct app_memory {
	/* Exactly size bytes. 0; -EFAULT if the app could not read them either; any other negative
	 * errno if we could not. */
	int (*read)(void *context, uint64_t address, void *buffer, size_t size);
	void *context;
};
