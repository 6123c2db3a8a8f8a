/* SPDX-License-Identifier: MIT */
/* How often a session was refused on queues that it has lost.
 *
 * poll() goes on saying that a message is there after the queue was taken away, so an event loop
 * asks, is refused and asks again, as fast as it is answered. What is asked so often is answered
 * later, so that such a loop does not take a processor. */
#pragma once

#include <stdint.h>

#include "include/limits.h"

struct refusals {
	struct {
		uint32_t count;
		uint64_t latest;  /* CLOCK_MONOTONIC, microseconds */
	} of[SESSION_QUEUES_MAX]; /* by the place of the queue in struct queues */
};

/* Counts one more. By how many microseconds it is to be answered later: 0 for the first
 * REFUSALS_AT_ONCE, then growing up to REFUSAL_DELAY_MAX_USEC. REFUSALS_FORGET_USEC after the
 * latest one the count begins anew. Queues that are asked for like that at the same time share the
 * delay. */
uint64_t refusals_count(struct refusals *refusals, uint32_t queue, uint64_t now);
