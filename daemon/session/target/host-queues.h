/* SPDX-License-Identifier: MIT */
/* The queues that a session has created in our IPC namespace on behalf of callers in others, where
 * the kernel's limit is not theirs. One counts as long as it has its name or is open in a file that
 * was opened here: what is deleted while it is open takes its place in the namespace all the same.
 * Nothing here keeps a queue open. */
#pragma once

#include "include/limits.h"
#include "queues.h"

struct own_identity;

/* Outlives a session process. */
struct host_queues {
	uint32_t count; /* items 0…count-1 have been used: what is not looked at takes no memory */
	struct {
		struct queue_key key;          /* 0: perhaps not created */
		char name[QUEUE_NAME_MAX + 1]; /* "": no entry */
	} items[HOST_QUEUES_MAX];
};

/* Does not: of what an earlier session process has opened only the names count. For each queue an
 * epoll set of its open files, of which each leaves it with its last descriptor. Begins as all
 * zero. 0: nothing was opened; -1: something that could not be watched, and so counts. */
struct host_files {
	int sets[HOST_QUEUES_MAX];
};

/* Before one is created: its place; or -ENOSPC, there are HOST_QUEUES_MAX that count. A session
 * process that dies on the way leaves it counted. */
int host_queues_begin(struct host_queues *queues, struct host_files *files,
	const struct own_identity *own, const char *name);

/* After that. queue: a descriptor of the one that was created; -EBADF: none was. */
void host_queues_end(struct host_queues *queues, int place, int queue);

/* A queue in our namespace was opened. */
void host_queues_opened(const struct host_queues *queues, struct host_files *files, int queue);
