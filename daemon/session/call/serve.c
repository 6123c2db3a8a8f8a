/* SPDX-License-Identifier: MIT */
/* The way of a call: receive → look → decide → act → reply → record.
 *
 * This file is the door. An app's thread is blocked in a message-queue call, and the kernel asks us
 * what to do about it. From then on:
 *
 * - receive: the notification goes straight into memory that outlives us (inflight.h).
 *
 * - look: everything that will be needed is read through one descriptor of /proc/TID: whose call
 *   it is, the name and the attributes from the app's memory (once; decode.c), which queue its
 *   descriptor is (which-queue.c). Then the kernel is asked whether the notification is still
 *   valid. Only if it is, what was read was the caller's. Where only the answer follows, giving it
 *   is that question: the kernel refuses an answer to a call that is gone.
 *
 * - decide: a pure function of the grants and the copy.
 *
 * - act: opening and deleting are done by us, as the caller and on our copy of the name
 *   (by-name.c). Calls on a descriptor are given back to the kernel (CONTINUE; by-descriptor.c).
 *   That decision rests on registers alone: which queue a descriptor is was asked of the kernel,
 *   not of the app's memory.
 *
 * - reply: exactly one answer. The verdict starts as deny, and every failure leaves it at that.
 *
 * - record: what was denied goes to the manager. A call is counted before it is answered: whoever
 *   has its answer finds it counted.
 *
 * What is kept from one call to the next says where to look, never what was seen: the directory in
 * /proc of a thread that called lately (cache.h), and which of the files opened here a descriptor
 * was last (opened.h). The kernel is asked anew each time, so nothing of it can be out of date.
 * With it a call on a descriptor takes five system calls: poll, RECV, kcmp, one to see whose thread
 * it is, SEND; six if it is not the first thread of its process; one more once the session has lost
 * something, and nine for a send that is carried out here; and every 10 ms one more, to see whether
 * the thread is a real-time one (urgency.h). mq_open takes 21 for a caller with our own ids, 30 for
 * another; one that creates 32 and 44; mq_unlink 16 and 25; a denied mq_open 13.
 *
 * Three things can go wrong. Fatal: this process ends, and the manager starts another. Refused: the
 * app gets an errno. Gone: the app was killed meanwhile, and the call is dropped.
 *
 * Between our look at a descriptor and the kernel's use of it another thread of the app may put
 * another one in its place: any that the app has. So a call is given back only in a session none of
 * whose descriptors does more than it may. Those that were opened here did not when they were
 * opened, and a file's access mode never changes; so none does until the session loses a
 * permission. The wall lets no other queue in, but somebody outside may send one, of whatever mode,
 * and mq-run may let one in that was open before. Those mq-run shows before the command begins.
 * Each descriptor that is not one of the files opened here is therefore compared with the grants
 * whenever it is used, even if its queue was opened here. The first that does more, or whose queue
 * is unknown, makes the session tainted. So does a loss. From then on a call on a descriptor is not
 * given back but carried out here, on the file that was checked (emulate.c), unless the caller is
 * alone.
 *
 * Alone is a process of one thread, those counted that the kernel makes for io_uring, in a session
 * none of whose processes has ever shared its descriptor table: no other task has that table. A
 * table is shared by clone(2) with CLONE_FILES. The filter tells of it, and it is noted before it
 * happens; exec, by which the app began, makes a table of one's own. Threads are counted before the
 * descriptor is looked at: one that exchanges it and ends has then done so before, or was counted.
 * While the one thread waits for our answer it makes none, and nobody else changes its table: to
 * receive a descriptor it would have to run, the kernel knows one listener for a thread, which is
 * ours, and a tracer reaches a thread that waits in its door only when it has left it. So what was
 * read of its descriptor is what the kernel will use. Whether it was the caller's is asked by
 * giving the answer, as above.
 *
 * What is left is a descriptor that somebody outside has sent and that was not shown to us when it
 * came to lie behind the number. Queue and mode are two looks, between which it may be exchanged;
 * but an app that manages that had no need to show it. It is an outsider's gift, who could as well
 * pass the messages on. */
#include "serve.h"

#include <fcntl.h>

#include "by-descriptor.h"
#include "by-name.h"
#include "counting.h"
#include "daemon/session/target/contained.h"
#include "decode.h"
#include "which-queue.h"
#include "why.h"

#define REPEATED_USEC 10000

/* --- look ---------------------------------------------------------------------------------- */

static int look_at_limits(struct call *call)
{
	struct target_limits limits;
	int r = target_limits(&call->target, &limits);

	if (r < 0)
		return r;
	call->identity.queue_bytes = limits.queue_bytes.rlim_cur;
	call->limits = limits;
	r = target_table_is_full(&call->target, limits.descriptors.rlim_cur);
	if (r < 0)
		return r;
	call->table_full = r;
	return 0;
}

/* All looks at the caller. -ENOSYS: not a call of ours. */
static int look_at_request(struct supervisor *supervisor, struct call *call)
{
	struct app_memory memory = target_memory(&call->target);
	struct request *request = &call->request;
	int r;

	if (request_begin(call->notification, request) < 0)
		return -ENOSYS;
	if (request_has_descriptor(request))
		return identify_queue(supervisor, call);
	r = call_know_caller(supervisor, call);
	if (r < 0)
		return r;
	r = request_copy(call->notification, &memory, request);
	if (r < 0 || request->refusal != 0)
		return r;
	/* Before anything is created it must be known whether there is room for it. */
	return request->call == MQ_CALL_OPEN && request->oflag & O_CREAT ? look_at_limits(call) : 0;
}

/* An exec may have brought another program into the container. Data calls are decided by the queue
 * alone, wherever the descriptor was opened; but somebody must be looked at before the container is
 * watched again, after a session process has been replaced. */
static int look(struct supervisor *supervisor, struct call *call)
{
	struct contained *contained = &supervisor->contained;
	int r = look_at_request(supervisor, call);

	if (r < 0 || !contained->is ||
		(contained->watched && request_has_descriptor(&call->request)))
		return r;
	call->contained = call_know_target(call) < 0 ? REASON_FAILED
						     : contained_look(contained, &call->target);
	return call->contained == REASON_GRANTED ? r : -EACCES;
}

/* --- decide -------------------------------------------------------------------------------- */

static struct verdict verdict_on_failure(int error)
{
	struct verdict verdict = VERDICT_DENY;

	/* A filter that is not ours may send us anything; it is told that there is no such call. */
	if (error == -ENOSYS)
		verdict = (struct verdict){.error = ENOSYS, .reason = REASON_MALFORMED};
	else
		verdict.reason = REASON_FAILED;
	return verdict;
}

/* --- act ----------------------------------------------------------------------------------- */

/* A loop that goes on asking for what the session has lost, or was given from outside and may not
 * use, is answered later and later. Nothing else waits for that: it waits in its own notification.
 */
static void delay_what_is_repeated(struct supervisor *supervisor, struct call *call)
{
	const struct verdict *verdict = &call->verdict;
	uint64_t now, delay;
	uint32_t queue;

	if (!supervisor->inflight->tainted || verdict->reason != REASON_NOT_GRANTED)
		return;
	queue = queues_find_lost(
		&supervisor->inflight->queues, call->request.name, verdict->missing);
	if (queue == SESSION_QUEUES_MAX)
		return;
	now = now_usec();
	delay = refusals_count(&supervisor->refusals, queue, now);
	call->waits = delay > 0 &&
		      waiters_delay(&supervisor->waiters, supervisor->inflight, now + delay) == 0;
}

static struct answer act(struct supervisor *supervisor, struct call *call)
{
	if (!call->verdict.allow) {
		delay_what_is_repeated(supervisor, call);
		return answer_error(call->verdict.error);
	}
	switch (call->request.call) {
	case MQ_CALL_OPEN:
		return act_on_open(supervisor, call);
	case MQ_CALL_UNLINK:
		return act_on_unlink(supervisor, call);
	case MQ_CALL_NOTIFY:
		return act_on_notify(supervisor, call);
	case MQ_CALL_SEND:
	case MQ_CALL_RECEIVE:
	case MQ_CALL_GETSETATTR:
		return act_on_data(supervisor, call);
	case MQ_CALL_COUNT:
		break;
	}
	return answer_error(EACCES);
}

/* --- reply --------------------------------------------------------------------------------- */

static int reply(struct supervisor *supervisor, const struct call *call)
{
	return notify_reply(supervisor->listener, call->notification->id, &call->answer);
}

static bool is_to_be_watched(const struct supervisor *supervisor, const struct call *call)
{
	const struct inflight *inflight = supervisor->inflight;

	return (inflight->tainted || inflight->watching) && !call->alone &&
	       request_registers(&call->request) && call->answer.kind == ANSWER_CONTINUE;
}

/* 0, or a negative errno: nobody was answered. */
static int answer(struct supervisor *supervisor, struct call *call)
{
	if (is_to_be_watched(supervisor, call)) {
		if (give_back_watched(supervisor, call, reply) == 0)
			return 0;
		call->answer = answer_error(EACCES);
	}
	return reply(supervisor, call);
}

/* --- record -------------------------------------------------------------------------------- */

static bool worth_a_record(const struct supervisor *supervisor, const struct call *call)
{
	switch (call->verdict.reason) {
	case REASON_NOT_GRANTED:
	case REASON_UNKNOWN_QUEUE:
	case REASON_FAILED:
	case REASON_UNDECIDED:
	case REASON_TOO_LONG:
	case REASON_CONTAINER_MQUEUE:
	case REASON_CONTAINER_ADMIN:
	case REASON_CONTAINER_PRIVILEGES:
	case REASON_CONTAINER_PIDS:
	case REASON_CONTAINER_ELSEWHERE:
	case REASON_CONTAINER_REFUSED:
	case REASON_KILLED:
		return true;
	case REASON_GRANTED:
		return supervisor->recorder.allowed && !request_has_descriptor(&call->request);
	case REASON_MALFORMED:
	case REASON_NO_QUEUE:
	case REASON_HARMLESS:
	case REASON_REFUSED:
		break;
	}
	return false;
}

/* The name that the program uses, and the queue's own if that is another one. */
static void record_names(const struct supervisor *supervisor, const struct call *call,
	struct session_message *message)
{
	const struct queues *queues = &supervisor->inflight->queues;
	const char *name = call->request.name, *queue = "";

	if (call->entry < SESSION_QUEUES_MAX && queues->entries[call->entry].alias[0]) {
		queue = name;
		name = queues->entries[call->entry].alias;
	} else if (call->granted.permissions != 0 && !streq(call->granted.queue, name)) {
		queue = call->granted.queue;
	}
	memcpy(message->record.name, name, strnlen(name, QUEUE_NAME_MAX));
	memcpy(message->record.queue, queue, strnlen(queue, QUEUE_NAME_MAX));
}

static void record(struct supervisor *supervisor, const struct call *call)
{
	const struct request *request = &call->request;
	struct session_message message = {.type = SESSION_RECORD,
		.record = {.call = request->call,
			.reason = call->verdict.reason,
			.error = call->answer.kind == ANSWER_ERROR ? call->answer.error : 0,
			.missing = call->verdict.missing,
			.oflag = request->oflag,
			.tid = request->tid,
			.tgid = call->identity.tgid,
			.uid = call->identity.real_uid}};

	/* What is held back now is another one than what may be repeated. */
	if (call->verdict.reason != REASON_NOT_GRANTED)
		supervisor->repeated.tid = 0;
	memcpy(message.record.command, call->identity.command, sizeof(message.record.command));
	record_names(supervisor, call, &message);
	if (!call->verdict.allow && strlen(request->name) > QUEUE_NAME_MAX) {
		message.record.reason = REASON_TOO_LONG;
		message.record.missing = 0;
	}
	if (call->refused) {
		message.record.reason = REASON_REFUSED;
		if (recorder_has_room(&supervisor->recorder))
			find_why(supervisor, call, &message.record.refusal);
	}
	recorder_note(&supervisor->recorder, supervisor->channel, &message);
}

/* Whatever the rate of records: mqctl learn asks for it. Like a count before the answer, after
 * which the session may be over. */
static void note_denial(struct supervisor *supervisor, const struct call *call)
{
	const struct request *request = &call->request;
	struct denial denial = {.missing = call->verdict.missing,
		.call = request->call,
		.uid = call->identity.real_uid,
		.pid = call->identity.tgid};

	if (call->verdict.reason != REASON_NOT_GRANTED || !call->identity_known ||
		strlen(request->name) > QUEUE_NAME_MAX)
		return;
	denial.subject_pid = call_subject(supervisor, call).pid;
	memcpy(denial.command, call->identity.command, sizeof(denial.command));
	(void)strcpy(denial.name, request->name);
	denials_note(&supervisor->inflight->head.denials, &denial);
	supervisor->repeated =
		(struct repeated){supervisor->inflight->head.since, request->tid, denial};
}

/* A loop that asks for the same again and again: who that is was looked at lately, and the record
 * would be held back. It costs little more than a call that is allowed. */
static bool is_repeated(struct supervisor *supervisor, const struct call *call)
{
	const struct repeated *last = &supervisor->repeated;
	const struct request *request = &call->request;

	return call->verdict.reason == REASON_NOT_GRANTED && request_has_descriptor(request) &&
	       last->tid == request->tid && last->denial.call == request->call &&
	       last->denial.missing == call->verdict.missing &&
	       supervisor->inflight->head.since - last->since < REPEATED_USEC &&
	       streq(last->denial.name, request->name) && supervisor->recorder.suppressed > 0 &&
	       !supervisor->observe && !recorder_has_room(&supervisor->recorder);
}

/* --- one call ------------------------------------------------------------------------------ */

/* Answering asks the kernel by itself whether the notification is still valid, and does nothing if
 * it is not. So if the answer is all that follows, what was read is the caller's without asking
 * twice. What is carried out on a queue that is held here is asked about once the app's memory has
 * been looked at as well (by-descriptor.c). */
static bool does_more_than_answer(const struct supervisor *supervisor, const struct call *call)
{
	if (!call->verdict.allow)
		return false;
	return !request_has_descriptor(&call->request) ||
	       (supervisor->inflight->tainted && !call->alone && !call->held);
}

/* Of a queue behind a descriptor it is known. */
static void find_granted(const struct supervisor *supervisor, struct call *call)
{
	if (request_has_descriptor(&call->request) || call->request.refusal != 0)
		return;
	call->subject = call_subject(supervisor, call);
	call->granted = grants_find(supervisor->grants, &call->subject, call->request.name);
	call->counted = supervisor->counted[call->granted.giver];
	/* That one is too long the kernel says; what it means is not. */
	if (strlen(call->request.name) > QUEUE_NAME_MAX)
		call->granted.queue = call->request.name;
	/* The manager sees to it that it does not come to this. */
	if (call->granted.host && !supervisor->own.has_host)
		call->granted = (struct granted){0};
}

static struct verdict decide_on(const struct supervisor *supervisor, struct call *call)
{
	find_granted(supervisor, call);
	return decide(call->granted.permissions, &call->request);
}

/* What follows the look, which had this result. */
static void decide_and_answer(struct supervisor *supervisor, struct call *call, int looked)
{
	bool repeated;

	if (supervisor->inflight->broken) {
		call->contained = REASON_CONTAINER_MQUEUE;
		looked = -EACCES;
	}
	call->verdict = looked < 0 ? verdict_on_failure(looked) : decide_on(supervisor, call);
	if (looked < 0 && call->contained != REASON_GRANTED)
		call->verdict.reason = call->contained;
	if ((does_more_than_answer(supervisor, call) || call->too_wide) &&
		!call_is_valid(supervisor, call))
		return;
	if (call->too_wide)
		supervisor->inflight->tainted = 1;
	repeated = is_repeated(supervisor, call);
	if (worth_a_record(supervisor, call) && !repeated)
		(void)call_know_identity(supervisor, call);
	call->answer = act(supervisor, call);
	count_call(supervisor, call);
	if (repeated)
		denials_note(&supervisor->inflight->head.denials, &supervisor->repeated.denial);
	else
		note_denial(supervisor, call);
	if (!call->waits && answer(supervisor, call) < 0)
		return;
	if (call->waits && call->verdict.allow)
		return;
	if (supervisor->observe)
		supervisor->observe(supervisor->observer, call);
	if (repeated)
		recorder_repeat(&supervisor->recorder);
	else if (worth_a_record(supervisor, call) || why_is_news(&supervisor->told, call))
		record(supervisor, call);
	if (call->answer.kind == ANSWER_VALUE)
		why_forget(&supervisor->told, call);
}

static void call_begin(struct supervisor *supervisor, struct call *ret)
{
	urgency_follow(&supervisor->urgency, supervisor->inflight, supervisor->listener);
	memset(ret, 0, offsetof(struct call, request.name));
	ret->request.name[0] = '\0';
	ret->notification = &supervisor->inflight->notification;
	ret->target = TARGET_CLOSED;
	ret->target.tid = (pid_t)ret->notification->pid;
	ret->identity = CREDENTIALS_NONE;
	ret->contained = REASON_GRANTED;
	ret->queue = -EBADF;
	ret->subject = SUBJECT_NOBODY;
	ret->entry = SESSION_QUEUES_MAX;
	ret->verdict = VERDICT_DENY;
	ret->answer = answer_error(EACCES);
}

/* A process is to share its descriptor table: nobody in the session is alone any more. */
static bool is_told_only(struct supervisor *supervisor, struct call *call)
{
	const struct seccomp_data *data = &call->notification->data;

	if (!call_shares_table(data->arch, data->nr, data->args[0]))
		return false;
	__atomic_store_n(&supervisor->inflight->shares_tables, 1, __ATOMIC_SEQ_CST);
	call->answer = (struct answer){.kind = ANSWER_CONTINUE};
	(void)reply(supervisor, call);
	return true;
}

void serve(struct supervisor *supervisor, bool again)
{
	_cleanup_(call_clear) struct call call;

	call_begin(supervisor, &call);
	if (is_told_only(supervisor, &call))
		return;
	call.again = again;
	decide_and_answer(supervisor, &call, look(supervisor, &call));
}

/* Who asks has not changed since: nobody else can change that. */
void serve_again(struct supervisor *supervisor, const struct request *request)
{
	_cleanup_(call_clear) struct call call;
	int r;

	call_begin(supervisor, &call);
	call.request = *request;
	call.again = true;
	r = call_know_caller(supervisor, &call);
	if (r == 0 && request->oflag & O_CREAT)
		r = look_at_limits(&call);
	decide_and_answer(supervisor, &call, r);
}

int serve_next(struct supervisor *supervisor)
{
	struct inflight *inflight = supervisor->inflight;
	int r;

	inflight_begin(inflight);
	r = notify_receive(supervisor->listener, &inflight->notification);
	if (r == 0)
		serve(supervisor, false);
	inflight_end(inflight);
	return r == -ENOENT || r == -EINTR ? 0 : r;
}
