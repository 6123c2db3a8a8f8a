/* SPDX-License-Identifier: MIT */
/* A request: one intercepted call, copied once and completely out of the app.
 *
 * After request_copy() has filled it (daemon/session/call/decode.c), nothing looks again at what it
 * was copied from. */
#pragma once

#include <mqueue.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/limits.h"

enum mq_call {
	MQ_CALL_OPEN,
	MQ_CALL_UNLINK,
	MQ_CALL_SEND,
	MQ_CALL_RECEIVE,
	MQ_CALL_NOTIFY,
	MQ_CALL_GETSETATTR,
	MQ_CALL_COUNT,
};

/* What a call on a descriptor is about. */
enum queue_identity {
	QUEUE_NAMED,   /* name is proved */
	QUEUE_UNKNOWN, /* a message queue whose name cannot be proved: denied */
	QUEUE_NONE,    /* not open, or no message queue: the kernel's own error is due */
};

struct request {
	uint64_t id; /* of the notification */
	pid_t tid;   /* calling thread, as the notification says; valid only while id is */
	enum mq_call call;

	/* errno (positive) that copying the arguments itself yields, as the kernel would; 0 if the
	 * copy is complete. Nothing after the place of the fault is filled. */
	int refusal;

	/* mq_open */
	int oflag;
	mode_t mode;
	bool has_attributes;
	struct mq_attr attributes;

	/* calls on a descriptor */
	int fd;
	enum queue_identity queue;
	bool removes_notification; /* mq_notify with NULL */

	/* Without the slash that the C library strips. mq_open and mq_unlink: what the program
	 * says, from the app's memory; which queue it means, the grants say. Others: the queue's
	 * own name, proved, if queue is QUEUE_NAMED. Last: it is long, and a call need not begin by
	 * clearing it. */
	char name[PATH_MAX];
};

/* "mq_open", "mq_unlink", "mq_timedsend", …; never NULL. */
const char *mq_call_to_string(enum mq_call call);
