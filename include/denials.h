/* SPDX-License-Identifier: MIT */
/* What a session was denied: the last SESSION_DENIALS_MAX of different queues or permissions, each
 * once, in memory that its session process writes and the manager reads while it does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "include/limits.h"

struct denial {
	uint32_t sequence; /* odd while it is written */
	uint32_t missing;  /* permissions */
	uint64_t count;
	uint64_t first, last; /* seconds of CLOCK_REALTIME */
	/* Of who was denied it last; as struct subject has it. */
	uint32_t subject_pid, uid;
	int32_t pid;
	uint32_t call; /* enum mq_call */
	char command[16];
	char name[QUEUE_NAME_MAX + 1]; /* without slash */
};

struct denials {
	uint32_t count;
	uint32_t newest; /* where the last one is */
	struct denial items[SESSION_DENIALS_MAX];
};

/* One more; of a new kind, the one that is oldest makes room. denial->name, missing and who. */
void denials_note(struct denials *denials, const struct denial *denial);

/* False: there is none, or it is being written, or it is none that a session process of ours would
 * have written. To be asked below denials_count(). */
bool denials_read(const struct denials *denials, uint32_t i, struct denial *ret);
uint32_t denials_count(const struct denials *denials);

/* What other memory has counts what is in this one, too. */
bool denial_is_same(const struct denial *denial, const struct denial *other);
void denial_add(struct denial *denial, const struct denial *other);
