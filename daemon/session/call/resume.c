/* SPDX-License-Identifier: MIT */
/* Calls that were taken up before: by an earlier session process, or that have waited. */
#include "resume.h"

#include "include/log.h"
#include "include/syscalls.h"
#include "serve.h"

/* Takes a call that waited in hand. */
static void begin_again(struct inflight *inflight, struct seccomp_notif *waiting)
{
	inflight_begin(inflight);
	inflight->notification = *waiting;
	waiting->id = 0;
}

/* A call that waited in an earlier session process: from the start, but for receiving it. */
static void take_up(struct supervisor *supervisor, struct seccomp_notif *waiting)
{
	struct inflight *inflight = supervisor->inflight;

	begin_again(inflight, waiting);
	if (notify_is_valid(supervisor->listener, inflight->notification.id))
		serve(supervisor, true);
	inflight_end(inflight);
}

void resume_due(struct supervisor *supervisor)
{
	struct inflight *inflight = supervisor->inflight;
	struct seccomp_notif *waiting;
	struct request request;

	while (waiters_take_due(&supervisor->waiters, &waiting, &request)) {
		begin_again(inflight, waiting);
		serve_again(supervisor, &request);
		inflight_end(inflight);
	}
}

static struct seccomp_notif *find_noted(struct inflight *inflight, uint64_t id)
{
	const struct seccomp_notif *noted;

	for (uint32_t i = 0; (noted = inflight_noted(inflight, i)) && noted->id != id; i++)
		;
	return (struct seccomp_notif *)noted;
}

/* Every one, at once and by ourselves: who has read it knows which messages may be missing or come
 * twice. */
static void log_uncertain(struct supervisor *supervisor, struct target *target,
	const struct seccomp_notif *noted, enum mq_call call)
{
	struct descriptor descriptor;
	uint32_t place = SESSION_QUEUES_MAX;
	const struct queues *queues = &supervisor->inflight->queues;
	char queue[4 * QUEUE_NAME_MAX + 1];

	if (target_descriptor(target, (int)noted->data.args[0], &descriptor) == 0)
		place = queues_find(&supervisor->inflight->queues, descriptor.key);
	log_warning("uncertain %s /%s of thread %d: the session process was killed in the middle "
		    "of it; it may have been carried out, and was answered with EIO",
		mq_call_to_string(call),
		escape(place < SESSION_QUEUES_MAX ? queues->entries[place].name : "", queue,
			sizeof(queue)),
		(int)noted->pid);
}

/* Whoever cannot be looked at gets an answer all the same. */
static void answer_outcome(struct supervisor *supervisor, const struct seccomp_notif *noted,
	enum mq_call call, long outcome)
{
	_cleanup_(target_close) struct target target = TARGET_CLOSED;
	struct data_call data = data_call_decode(noted, call);
	bool opened = target_open((pid_t)noted->pid, &target) == 0;
	struct answer answer;

	if (!notify_is_valid(supervisor->listener, noted->id))
		return;
	if (!opened)
		outcome = -EIO;
	if (outcome == -EIO)
		log_uncertain(supervisor, &target, noted, call);
	answer = answer_of(outcome < 0
				   ? outcome
				   : emulate_hand_out(&target, &data, &supervisor->inflight->done));
	(void)notify_reply(supervisor->listener, noted->id, &answer);
}

/* A call that an earlier session process has carried out, or was carrying out, and perhaps not
 * answered. If it has done nothing it is one like the others that are noted. */
static void settle_done(struct supervisor *supervisor)
{
	struct done_call *done = &supervisor->inflight->done;
	struct seccomp_notif *noted = find_noted(supervisor->inflight, done->id);
	const struct intercepted_call *row =
		noted ? intercepted_call_find(noted->data.arch, noted->data.nr) : NULL;
	long outcome = row ? emulate_outcome(done, row->call) : 0;

	if (row && outcome != -EINPROGRESS)
		answer_outcome(supervisor, noted, row->call, outcome);
	if (noted && outcome != -EINPROGRESS)
		__atomic_store_n(&noted->id, 0, __ATOMIC_SEQ_CST);
	emulate_answered(done);
}

void resume_all(struct supervisor *supervisor)
{
	struct inflight *inflight = supervisor->inflight;

	__atomic_store_n(&inflight->head.since, now_usec(), __ATOMIC_SEQ_CST);
	if (inflight->done.id != 0)
		settle_done(supervisor);
	if (inflight->notification.id != 0) {
		if (notify_is_valid(supervisor->listener, inflight->notification.id))
			serve(supervisor, false);
	}
	inflight_end(inflight);
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id != 0)
			take_up(supervisor, &inflight->waiting[i]);
}
