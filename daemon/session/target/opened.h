/* SPDX-License-Identifier: MIT */
/* Telling that a caller's descriptor is a file that was opened here, without looking through /proc.
 *
 * Each queue that is opened for the app is watched by an epoll set of its own before it is put
 * there. A watch does not keep the file open: it ends with the file's last descriptor, so no queue
 * lives longer for it. kcmp(2) compares a caller's descriptor with the watched file. What is the
 * same is, at that moment, the very file that was opened here, whichever number it has; nothing
 * that was remembered is believed, it only says which file to compare with. What is not the same is
 * looked at as any other descriptor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/limits.h"
#include "queues.h"

#define OPENED_HINTS 256

struct opened_file {
	int watch;  /* the epoll set; -EBADF: none */
	int number; /* what the file's descriptor was here when it was watched */
	struct queue_key key;
};

/* Begins as all zero. */
struct opened {
	pid_t self;
	uint32_t count; /* of all that were ever watched */
	struct opened_file files[SESSION_WATCHED_MAX];
	uint8_t hints[OPENED_HINTS]; /* by thread and descriptor: the file to compare with */
};

/* A queue was opened, with this descriptor here. Past SESSION_WATCHED_MAX the oldest is no longer
 * watched. Its place, for opened_hint(); -1 if it is not watched. */
int opened_watch(struct opened *opened, int queue, struct queue_key key);

/* This thread will call with this descriptor for that file. */
void opened_hint(struct opened *opened, pid_t tid, int fd, int place);

/* The queue that the descriptor of this thread is; false if it is none of the files, or not the one
 * that was hinted. */
bool opened_find(const struct opened *opened, pid_t tid, int fd, struct queue_key *ret);

/* The same, when the queue is known by other means: among the latest files of that queue, to hint
 * it. */
void opened_learn(struct opened *opened, pid_t tid, int fd, struct queue_key key);
