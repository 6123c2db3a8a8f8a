/* SPDX-License-Identifier: MIT */
/* What an emulated call has done. */
#pragma once

#include <mqueue.h>
#include <stdint.h>

#include "include/limits.h"

/* As result: the kernel is being asked, and what it has done by now is to be seen below. */
#define DONE_TRYING INT64_MIN

/* What an emulated call has done, from before the kernel is asked until it is answered. Outlives
 * this process: the next one must not do it again, and has the message that was taken. */
struct done_call {
	uint64_t id;               /* of its notification, written last; 0: none */
	int64_t result;            /* as the app gets it */
	struct mq_attr attributes; /* before they were set */
	uint32_t priority;
	uint32_t used; /* bytes of message that may take memory */
	char message[SESSION_MESSAGE_MAX];
};

/* The call is answered. */
void emulate_answered(struct done_call *done);
