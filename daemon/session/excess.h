/* SPDX-License-Identifier: MIT */
/* Descriptors that let a program do more than its session's grants do. */
#pragma once

#include <dirent.h>

#include "queues.h"
#include "target.h"

/* A descriptor with an access mode that goes beyond. */
struct excess {
	int number;
	struct queue_key key;
	uint32_t kept;   /* what of read and write is still granted */
	bool nonblock;   /* O_NONBLOCK */
	bool close_exec; /* O_CLOEXEC */
};

/* By the permissions that queues holds, so of queues that the session has opened. */
bool excess_look(
	const struct queues *queues, const struct target *target, int number, struct excess *ret);

/* The next one in the thread's table, which the caller has opened (target_open_table); false: there
 * is none. */
bool excess_next(
	const struct queues *queues, const struct target *target, DIR *table, struct excess *ret);
