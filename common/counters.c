/* SPDX-License-Identifier: MIT */
/* Adding up what was counted. */
#include "include/counters.h"

#include <errno.h>
#include <string.h>

#include "include/inflight.h"
#include "include/util.h"

static void add(uint64_t *sum, const uint64_t *counter)
{
	*sum += __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void counters_add(struct counters *sum, const struct counters *counters)
{
	add(&sum->calls, &counters->calls);
	add(&sum->denied, &counters->denied);
	add(&sum->refused, &counters->refused);
	add(&sum->sent, &counters->sent);
	add(&sum->received, &counters->received);
	add(&sum->bytes, &counters->bytes);
	add(&sum->waits, &counters->waits);
}

/* A larger one no queue takes. */
void counters_message(struct counters *counters, enum mq_call call, uint64_t size)
{
	if (call == MQ_CALL_RECEIVE)
		counter_add(&counters->received, 1);
	if (call != MQ_CALL_SEND || size > SESSION_MESSAGE_MAX)
		return;
	counter_add(&counters->sent, 1);
	counter_add(&counters->bytes, size);
}

/* Not having waited, or for long enough, is what the program has asked for. */
static bool is_refusal(long result)
{
	return result < 0 && result != -EAGAIN && result != -ETIMEDOUT && result != -EINTR;
}

void counters_outcome(struct counters *counters, enum mq_call call, uint64_t size, long result)
{
	if (is_refusal(result))
		counter_add(&counters->refused, 1);
	else if (result >= 0)
		counters_message(counters, call, size);
}

uint32_t inflight_counted_count(const struct inflight_head *head)
{
	return MIN(__atomic_load_n(&head->counted_count, __ATOMIC_ACQUIRE), (uint32_t)COUNTED_MAX);
}

bool inflight_counted_ref(
	const struct inflight_head *head, uint32_t i, char ret[static REF_MAX + 1])
{
	memcpy(ret, head->counted[i].ref, REF_MAX + 1);
	return memchr(ret, '\0', REF_MAX + 1);
}
