/* SPDX-License-Identifier: MIT */
#include "counting.h"

#include "include/util.h"

/* --- who gives what ------------------------------------------------------------------------- */

/* Complete before it counts. */
static uint16_t find_or_add(struct inflight_head *head, const char *ref)
{
	uint32_t place = 1;

	while (place < head->counted_count && !streq(head->counted[place].ref, ref))
		place++;
	if (place == COUNTED_MAX)
		return 0;
	if (place == head->counted_count) {
		(void)strcpy(head->counted[place].ref, ref);
		__atomic_store_n(&head->counted_count, place + 1, __ATOMIC_RELEASE);
	}
	return (uint16_t)place;
}

void counting_begin(struct supervisor *supervisor)
{
	const struct grants *grants = supervisor->grants;

	for (size_t i = 0; i < grants->giver_count; i++)
		supervisor->counted[i + 1] =
			find_or_add(&supervisor->inflight->head, grants->givers[i]);
}

/* --- what becomes of a call ----------------------------------------------------------------- */

static bool is_denial(const struct verdict *verdict)
{
	return !verdict->allow && verdict->reason != REASON_MALFORMED;
}

void count_call(const struct supervisor *supervisor, const struct call *call)
{
	struct counters *counters = call_counters(supervisor, call);

	if (!call->again)
		counter_add(&counters->calls, 1);
	if (is_denial(&call->verdict))
		counter_add(&counters->denied, 1);
	else if (call->waits && !call->again)
		counter_add(&counters->waits, 1);
	else if (call->refused)
		counter_add(&counters->refused, 1);
	else if (call->verdict.reason == REASON_GRANTED && call->answer.kind != ANSWER_ERROR)
		counters_message(counters, call->request.call, call->notification->data.args[2]);
}
