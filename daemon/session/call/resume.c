/* SPDX-License-Identifier: MIT */
/* Calls that were taken up before: by an earlier session process, or that have waited. */
#include "resume.h"

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
		serve(supervisor, false);
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

/* A call that an earlier session process has carried out and perhaps not answered. */
static void answer_done(struct supervisor *supervisor)
{
	struct done_call *done = &supervisor->inflight->done;
	struct seccomp_notif *noted = find_noted(supervisor->inflight, done->id);
	const struct intercepted_call *row =
		noted ? intercepted_call_find(noted->data.arch, noted->data.nr) : NULL;
	struct target target;
	struct data_call call;
	struct answer answer;

	__atomic_store_n(&supervisor->inflight->head.since, now_usec(), __ATOMIC_SEQ_CST);
	if (row && target_open((pid_t)noted->pid, &target) == 0) {
		call = data_call_decode(noted, row->call);
		if (notify_is_valid(supervisor->listener, done->id)) {
			answer = answer_of(emulate_hand_out(&target, &call, done));
			(void)notify_reply(supervisor->listener, done->id, &answer);
		}
		target_close(&target);
	}
	if (noted)
		__atomic_store_n(&noted->id, 0, __ATOMIC_SEQ_CST);
	emulate_answered(done);
}

void resume_all(struct supervisor *supervisor)
{
	struct inflight *inflight = supervisor->inflight;

	if (inflight->done.id != 0)
		answer_done(supervisor);
	if (inflight->notification.id != 0) {
		__atomic_store_n(&inflight->head.since, now_usec(), __ATOMIC_SEQ_CST);
		if (notify_is_valid(supervisor->listener, inflight->notification.id))
			serve(supervisor, true);
	}
	inflight_end(inflight);
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id != 0)
			take_up(supervisor, &inflight->waiting[i]);
}
