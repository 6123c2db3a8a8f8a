/* SPDX-License-Identifier: MIT */
/* Records to the manager, at most so many a second; the others are counted, and none is forgotten.
 */
#include "supervisor.h"

#include "include/verdict.h"

static uint64_t cost(const struct recorder *recorder)
{
	return 1000000 / recorder->rate;
}

static void refill(struct recorder *recorder)
{
	uint64_t now = now_usec();

	recorder->tokens_usec = MIN(
		recorder->tokens_usec + (now - recorder->last_usec), RECORD_BURST * cost(recorder));
	recorder->last_usec = now;
}

static bool send_record(struct recorder *recorder, int channel, struct session_message *record)
{
	if (recorder->tokens_usec < cost(recorder))
		return false;
	record->record.suppressed = recorder->suppressed;
	if (message_send(channel, record, sizeof(*record), NULL, 0) < 0)
		return false;
	recorder->tokens_usec -= cost(recorder);
	recorder->suppressed = 0;
	return true;
}

bool recorder_has_room(struct recorder *recorder)
{
	refill(recorder);
	return recorder->tokens_usec >= cost(recorder);
}

void recorder_note(struct recorder *recorder, int channel, const struct session_message *record)
{
	struct session_message copy = *record;

	refill(recorder);
	if (send_record(recorder, channel, &copy))
		return;
	recorder->held = *record;
	recorder->suppressed++;
}

void recorder_repeat(struct recorder *recorder)
{
	recorder->suppressed++;
}

void recorder_flush(struct recorder *recorder, int channel)
{
	if (recorder->suppressed == 0)
		return;
	refill(recorder);
	/* The one that is sent is not one of those that were not. */
	recorder->suppressed--;
	if (!send_record(recorder, channel, &recorder->held))
		recorder->suppressed++;
}

int recorder_timeout(const struct recorder *recorder)
{
	return recorder->suppressed > 0 ? (int)(cost(recorder) / 1000) + 1 : -1;
}

/* A process that is about to be killed. */
void record_killing(void *context, pid_t tid)
{
	struct supervisor *supervisor = context;
	struct session_message message = {.type = SESSION_RECORD,
		.record = {.call = MQ_CALL_COUNT, .reason = REASON_KILLED, .tid = tid}};
	_cleanup_(credentials_clear) struct credentials identity = CREDENTIALS_NONE;
	_cleanup_free_ char *status = NULL;
	struct target target;

	if (target_open(tid, &target) < 0)
		return;
	/* No more than that: the rest may have to be waited for. */
	if (target_status(&target, &status) == 0 && credentials_parse(status, &identity) == 0) {
		message.record.tgid = identity.tgid;
		message.record.uid = identity.real_uid;
		memcpy(message.record.command, identity.command, sizeof(message.record.command));
	}
	target_close(&target);
	/* Whatever the rate: the session may end with it. */
	if (message_send(supervisor->channel, &message, sizeof(message), NULL, 0) < 0)
		recorder_note(&supervisor->recorder, supervisor->channel, &message);
}
