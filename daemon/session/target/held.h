/* SPDX-License-Identifier: MIT */
/* Queues that are held open here while calls on them are carried out.
 *
 * kcmp(2) tells that a caller's descriptor is a file of which a descriptor is kept here; then this
 * one is used, and whatever the caller puts behind its number does not matter. What was remembered
 * only says which file to compare with. A file that is held lives on although the app has closed
 * it, so it is let go of soon after the last call on it, and whenever the session makes or deletes
 * a queue. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "include/limits.h"
#include "queues.h"

#define HELD_HINTS 64

/* What never changes about an open queue. */
struct queue_file {
	int fd;
	int access; /* O_RDONLY, O_WRONLY or O_RDWR */
	uint64_t message_size;
	struct queue_key key;
};

struct held_file {
	struct queue_file file;
	uint64_t used; /* when, CLOCK_MONOTONIC in microseconds; 0: nothing is held here */
};

/* Begins as all zero. */
struct held {
	pid_t self;
	struct held_file files[SESSION_HELD_MAX];
	uint8_t hints[HELD_HINTS]; /* by thread and descriptor: the file to compare with */
};

/* The file that this descriptor of the thread is; NULL: it is not the one that was hinted. Valid
 * until the next held_add() or held_drop(). */
const struct queue_file *held_find(struct held *held, pid_t tid, int fd);

/* Holds a queue, which is what this descriptor of the thread was; past SESSION_HELD_MAX the least
 * recently used is let go of. Takes queue if it succeeds. 0 or negative errno. */
int held_add(struct held *held, pid_t tid, int fd, int *queue, struct queue_key key,
	const struct queue_file **ret);

/* Lets go of what has not been used for so many microseconds; 0: of all. */
void held_drop(struct held *held, uint64_t unused_usec);

/* Milliseconds until there is something to let go of; -1: nothing is held. */
int held_timeout(const struct held *held);
