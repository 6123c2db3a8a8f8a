/* SPDX-License-Identifier: MIT */
/* What was granted and the kernel has refused: why, in numbers. A number that could not be found
 * out is 0. */
#pragma once

#include <stdint.h>

#include "include/limits.h"

enum kernel_why {
	KERNEL_WHY_OTHER,     /* the errno says it */
	KERNEL_WHY_NOTHING,   /* mq_maxmsg or mq_msgsize is not positive */
	KERNEL_WHY_TOO_LARGE, /* mq_maxmsg: wanted; fs.mqueue.msg_max: limit; and the other two */
	KERNEL_WHY_BYTES,     /* the new queue: wanted; RLIMIT_MSGQUEUE: limit; its user's: used */
	KERNEL_WHY_TABLE,     /* RLIMIT_NOFILE: limit */
	KERNEL_WHY_QUEUES,    /* fs.mqueue.queues_max: limit; that there are: queues */
	KERNEL_WHY_HOST,      /* not the kernel: HOST_QUEUES_MAX */
	KERNEL_WHY_OWNER,     /* the queue's owner and mode; PERMISSION_…: wanted */
	KERNEL_WHY_COUNT,
};

struct kernel_queue {
	char name[QUEUE_NAME_MAX + 1]; /* "": none */
	uint64_t bytes;
};

struct kernel_refusal {
	uint32_t why; /* enum kernel_why */
	uint32_t uid, gid, mode;
	uint32_t has_owner; /* 1: the three before are known */
	uint32_t class; /* of the mode, that counts for the caller: 'u', 'g' or 'o'; 0 if not known
			 */
	uint32_t elsewhere; /* 1: in an IPC namespace that is not mqgated's */
	uint32_t caller_gid;
	uint64_t wanted, limit, used;
	uint64_t queues; /* that what is used is in; 0: not known */
	uint64_t most;   /* bytes that a program of this session gets, whatever its own limit */
	uint64_t hard;   /* of limit, if it is a process's */
	uint64_t size_wanted, size_limit;                    /* mq_msgsize; fs.mqueue.msgsize_max */
	struct kernel_queue largest[KERNEL_QUEUES_TOLD_MAX]; /* of what is used */
};
