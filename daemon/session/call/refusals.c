/* SPDX-License-Identifier: MIT */
/* How often a session was refused on queues that it has lost. */
#include "refusals.h"

#include "include/util.h"

#define STEP_USEC 1000
#define STEP      10 /* so many refusals until the delay grows by STEP_USEC */

static bool is_repeated(const struct refusals *refusals, uint32_t queue, uint64_t now)
{
	return refusals->of[queue].count > REFUSALS_AT_ONCE &&
	       now - refusals->of[queue].latest < REFUSALS_FORGET_USEC;
}

/* One loop may ask for many queues in turn, and is to come round in time for those that it still
 * has: the delays of all of them are one delay. But each is twenty times of what a refusal
 * takes of a processor. */
static uint64_t share_of(const struct refusals *refusals, uint64_t delay, uint64_t now)
{
	uint64_t repeated = 0, share;

	for (uint32_t i = 0; i < SESSION_QUEUES_MAX; i++)
		repeated += is_repeated(refusals, i, now);
	share = repeated > 0 ? delay / repeated : delay;
	share = MAX(share, REFUSAL_DELAY_LEAST_USEC);
	return MIN(share, delay);
}

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
	return share_of(refusals,
		MIN((uint64_t)(*count - REFUSALS_AT_ONCE + STEP - 1) / STEP * STEP_USEC,
			REFUSAL_DELAY_MAX_USEC),
		now);
}
