/* SPDX-License-Identifier: MIT */
/* What is counted of the calls of a session's programs, in memory that its session process writes
 * and the manager reads while it does: looking wakes nobody. There is one writer at a time. A call
 * counts before it is answered; one that is in hand when a session process dies may count twice. */
#pragma once

#include <stdint.h>

#include "include/limits.h"
#include "include/request.h"

/* Grow only. Calls that the kernel carries out count when they are given back to it: what becomes
 * of them nobody is told. */
struct counters {
	uint64_t calls;    /* each once, however long it waits */
	uint64_t denied;   /* of them */
	uint64_t refused;  /* of them, by the kernel, though they were allowed */
	uint64_t sent;     /* messages */
	uint64_t received; /* messages */
	uint64_t bytes;    /* of the messages sent */
	uint64_t waits;    /* calls that had to wait in the session process */
};

/* By the plug, or of its own slots the slot, that gives what the call was about. */
struct counted {
	char ref[REF_MAX + 1]; /* "package:name"; "": nothing gives it, or that cannot be told */
	struct counters counters;
};
#define COUNTED_MAX (1 + 2 * SESSION_PLUGS_MAX)

/* How long changes took: upper bounds in microseconds; what took longer is counted in one more. */
#define DURATION_BOUNDS \
	1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 5000000
#define DURATION_BOUNDS_COUNT 12

struct durations {
	uint64_t counts[DURATION_BOUNDS_COUNT + 1];
	uint64_t usec; /* of all together */
};

static inline void counter_add(uint64_t *counter, uint64_t count)
{
	__atomic_store_n(counter, *counter + count, __ATOMIC_RELAXED);
}

/* What was counted by one is added to sum. */
void counters_add(struct counters *sum, const struct counters *counters);

/* A call that was carried out, of a message of that size; other calls have none. */
void counters_message(struct counters *counters, enum mq_call call, uint64_t size);

/* What a call that has waited came back with: a result, or a negative errno. */
void counters_outcome(struct counters *counters, enum mq_call call, uint64_t size, long result);
