/* SPDX-License-Identifier: MIT */
/* How often a session was refused on queues that it has lost. */
#include "refusals.h"

#include "include/util.h"

#define STEP_USEC 1000
#define STEP      10 /* so many refusals until the delay grows by STEP_USEC */

uint64_t refusals_count(struct refusals *refusals, uint32_t queue, uint64_t now)
{
	uint32_t *count = &refusals->of[queue].count;

	if (now - refusals->of[queue].latest >= REFUSALS_FORGET_USEC)
		*count = 0;
	refusals->of[queue].latest = now;
	if (*count < REFUSALS_AT_ONCE + STEP * REFUSAL_DELAY_MAX_USEC / STEP_USEC)
		(*count)++;
	if (*count <= REFUSALS_AT_ONCE)
		return 0;
	return MIN((uint64_t)(*count - REFUSALS_AT_ONCE + STEP - 1) / STEP * STEP_USEC,
		REFUSAL_DELAY_MAX_USEC);
}
