/* SPDX-License-Identifier: MIT */
/* The way of a request: receive → decode → decide → act → reply → record.
 *
 * This file is the door. An app's thread is blocked in a message-queue call, and the kernel asks us
 * what to do about it. From then on:
 *
 * - receive: the notification goes straight into memory that outlives us (inflight.h).
 *
 * - look: everything that will be needed is read through one descriptor of /proc/TID: the thread's
 *   identity, the name and the attributes from the app's memory (once; decode.c), which queue its
 *   descriptor is (target.c). Then the kernel is asked whether the notification is still valid.
 *   Only if so, what was read was the caller's. Where nothing follows but the answer, giving it is
 *   that question: the kernel refuses an answer to what is no longer valid, and nothing has
 *   happened.
 *
 * - decide: a pure function of the grants and the copy.
 *
 * - act (perform.c): opening and deleting are done by us, with the caller's identity, on our copy
 *   of the name. Calls on a descriptor are given back to the kernel (CONTINUE); that decision rests
 *   on registers alone, since which queue a descriptor is was asked of the kernel and not of the
 *   app's memory.
 *
 * - reply: exactly one answer. The verdict starts as deny, and every failure leaves it at that.
 *
 * - record: what was denied goes to the manager.
 *
 * What is kept from one call to the next says where to look, never what was seen: the directory in
 * /proc of a thread that called lately (callers.h), and which of the files opened here a descriptor
 * was last (opened.h). The kernel is asked anew each time, so nothing of it has to be forgotten in
 * time. With it a call on a descriptor takes six system calls: poll, RECV, kcmp, two to see whose
 * thread it is, SEND. mq_open takes 21 for a caller with our own ids, 30 for another; one that
 * creates 32 and 44; mq_unlink 16 and 25; a denied mq_open 13.
 *
 * Three things can go wrong: fatal ends the process (the manager starts another), refused goes to
 * the app as an errno, gone (the app was killed meanwhile) is dropped silently.
 *
 * Between our look at a descriptor and the kernel's use of it another thread of the app may put
 * another one in its place: any that the app has. So a call is given back only in a session of
 * which no descriptor does more than it may. Those that were opened here did not when they were
 * opened, and a file's access mode never changes; so none does until the session loses a
 * permission. The wall lets no other queue in, but somebody outside may send one, of whatever mode.
 * Each descriptor that is not one of the files opened here, also of a queue that was opened here,
 * is therefore compared with the grants whenever it is used, and the first that does more, or whose
 * queue is unknown, makes the session tainted. So does a loss. Then calls on descriptors are not
 * given back but carried out here, on the file that was checked (carry.c).
 *
 * What is left is a descriptor that somebody outside has sent and that was not shown to us when it
 * came to lie behind the number. Queue and mode are two looks, between which it may be exchanged;
 * but an app that manages that had no need to show it. It is an outsider's gift, who could as well
 * pass the messages on. */
#include "session.h"

#include <fcntl.h>
#include <poll.h>

#include "decode.h"
#include "include/syscalls.h"
#include "registrations.h"
#include "trace.h"
#include "turn.h"

#define LOOK_AGAIN_MS 20

void turn_clear(struct turn *turn)
{
	target_close(&turn->target);
	identity_clear(&turn->identity);
	turn->queue = safe_close(turn->queue);
}

/* --- look ---------------------------------------------------------------------------------- */

int turn_know_target(struct turn *turn)
{
	return turn->target.proc >= 0 ? 0 : target_open(turn->target.tid, &turn->target);
}

int turn_know_identity(struct session *session, struct turn *turn)
{
	int r;

	if (turn->identity_known)
		return 0;
	r = turn_know_target(turn);
	if (r == 0)
		r = target_identity(&turn->target, &session->own.namespaces, &turn->identity);
	turn->identity_known = r == 0;
	return r;
}

/* The first look at a thread that calls by name. What an earlier call of the thread has left open
 * saves opening it; it has gone with its thread if the number is somebody else's now. */
static int know_caller(struct session *session, struct turn *turn)
{
	pid_t tid = turn->target.tid;
	int r;

	callers_lend(&session->callers, tid, &turn->target);
	r = turn_know_identity(session, turn);
	if (r == -ESRCH && turn->target.lent) {
		turn->target = TARGET_CLOSED;
		turn->target.tid = tid;
		r = turn_know_identity(session, turn);
	}
	if (r == 0)
		callers_keep(&session->callers, &turn->target);
	return r;
}

/* A descriptor that this session did not open: its link names it. A bind mount elsewhere can forge
 * the link, so the name must, in the caller's IPC namespace, lead to the same queue on the same
 * mount: the internal one, that no file system tree reaches. */
static bool link_is_true(struct session *session, struct turn *turn,
	const struct descriptor *descriptor, const char *name)
{
	_cleanup_close_ int fd = -EBADF;
	struct descriptor named;

	if (turn_know_identity(session, turn) < 0 ||
		!notify_is_valid(session->listener, session->request.id))
		return false;
	fd = act_look_up(&session->own, &turn->identity, name);
	if (fd < 0 || own_descriptor(fd, &named) < 0)
		return false;
	return named.key.device == descriptor->key.device &&
	       named.key.inode == descriptor->key.inode && named.mount != 0 &&
	       named.mount == descriptor->mount;
}

void session_remember(
	struct session *session, const struct turn *turn, const struct descriptor *descriptor)
{
	struct queues *queues = &session->inflight->queues;
	uint32_t victim = queues_find_victim(queues, descriptor->key);
	_cleanup_close_ int queue = -EBADF;

	if (victim < SESSION_QUEUES_MAX)
		queue = registrations_open(queues, victim, &session->own, &turn->identity);
	if (queue >= 0 || (victim < SESSION_QUEUES_MAX && queue != -ENOENT))
		queues->hidden = 1;
	queues_remember(queues, descriptor->key, session->request.name,
		grants_lookup(session->grants, session->request.name));
}

static enum queue_identity identify_stranger(
	struct session *session, struct turn *turn, const struct descriptor *descriptor)
{
	struct request *request = &session->request;
	char link[QUEUE_NAME_MAX + 2];

	if (target_descriptor_link(&turn->target, request->fd, link, sizeof(link)) == 0 &&
		link[0] == '/' && !strchr(link + 1, '/') &&
		link_is_true(session, turn, descriptor, link + 1)) {
		(void)strcpy(request->name, link + 1);
		session_remember(session, turn, descriptor);
		return QUEUE_NAMED;
	}
	return target_may_be_queue(&turn->target, request->fd, descriptor->mount) ? QUEUE_UNKNOWN
										  : QUEUE_NONE;
}

/* Of what is not one of the files opened here. Once a session is tainted it makes no difference. */
static int compare_with_grants(struct session *session, struct turn *turn)
{
	const struct request *request = &session->request;
	uint32_t access = 0;
	int r = 0;

	if (session->inflight->tainted)
		return 0;
	if (request->queue == QUEUE_NAMED)
		r = target_descriptor_access(&turn->target, request->fd, &access);
	turn->too_wide =
		request->queue == QUEUE_UNKNOWN ||
		(access | PERMISSION_OPEN) & ~grants_lookup(session->grants, request->name);
	return r;
}

/* By its device and inode, among the queues that this session has opened; or by its name. -EBADF:
 * it is none. */
static int identify_by_key(struct session *session, struct turn *turn)
{
	struct request *request = &session->request;
	struct descriptor descriptor;
	const char *name;
	int r = turn_know_target(turn);

	if (r < 0)
		return r;
	r = target_descriptor(&turn->target, request->fd, &descriptor);
	if (r < 0)
		return r;
	if (!descriptor.regular)
		return -EBADF;
	turn->key = descriptor.key;
	name = queues_find(&session->inflight->queues, descriptor.key);
	if (name) {
		(void)strcpy(request->name, name);
		request->queue = QUEUE_NAMED;
		opened_learn(&session->opened, request->tid, request->fd, descriptor.key);
	} else {
		request->queue = identify_stranger(session, turn, &descriptor);
	}
	return request->queue == QUEUE_NONE ? -EBADF : compare_with_grants(session, turn);
}

static int identify_queue(struct session *session, struct turn *turn)
{
	struct request *request = &session->request;
	const char *name;
	int r;

	if (!session->inflight->tainted &&
		opened_find(&session->opened, request->tid, request->fd, &turn->key)) {
		name = queues_find(&session->inflight->queues, turn->key);
		if (name) {
			(void)strcpy(request->name, name);
			request->queue = QUEUE_NAMED;
			return 0;
		}
	}
	r = identify_by_key(session, turn);
	if (r == -EBADF)
		request->queue = QUEUE_NONE;
	return r == -EBADF ? 0 : r;
}

static int look_at_limits(struct turn *turn)
{
	struct target_limits limits;
	int r = target_limits(&turn->target, &limits);

	if (r < 0)
		return r;
	turn->identity.queue_bytes = limits.queue_bytes;
	r = target_table_is_full(&turn->target, limits.descriptors);
	if (r < 0)
		return r;
	turn->table_full = r;
	return 0;
}

/* All looks at the caller. -ENOSYS: not a call of ours. */
static int look(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	struct app_memory memory = target_memory(&turn->target);
	struct request *request = &session->request;
	int r;

	if (request_begin(notification, request) < 0)
		return -ENOSYS;
	if (request_has_descriptor(request))
		return identify_queue(session, turn);
	r = know_caller(session, turn);
	if (r < 0)
		return r;
	r = request_copy(notification, &memory, request);
	if (r < 0 || request->refusal != 0)
		return r;
	/* Before anything is created it must be known whether there is room for it. */
	return request->call == MQ_CALL_OPEN && request->oflag & O_CREAT ? look_at_limits(turn) : 0;
}

/* --- record -------------------------------------------------------------------------------- */

static bool worth_a_record(const struct session *session, const struct verdict *verdict)
{
	switch (verdict->reason) {
	case REASON_NOT_GRANTED:
	case REASON_UNKNOWN_QUEUE:
	case REASON_FAILED:
	case REASON_UNDECIDED:
	case REASON_KILLED:
		return true;
	case REASON_GRANTED:
		return session->recorder.allowed && !request_has_descriptor(&session->request);
	case REASON_MALFORMED:
	case REASON_NO_QUEUE:
	case REASON_HARMLESS:
		break;
	}
	return false;
}

static void record(struct session *session, const struct turn *turn)
{
	const struct request *request = &session->request;
	struct worker_message message = {.type = WORKER_RECORD,
		.record = {.call = request->call,
			.reason = turn->verdict.reason,
			.error = turn->answer.kind == ANSWER_ERROR ? turn->answer.error : 0,
			.missing = turn->verdict.missing,
			.oflag = request->oflag,
			.tid = request->tid,
			.tgid = turn->identity.tgid,
			.uid = turn->identity.real_uid}};

	memcpy(message.record.command, turn->identity.command, sizeof(message.record.command));
	memcpy(message.record.name, request->name, strnlen(request->name, QUEUE_NAME_MAX));
	recorder_note(&session->recorder, session->channel, &message);
}

/* A process that is about to be killed. */
static void record_killing(void *context, pid_t tid)
{
	struct session *session = context;
	struct worker_message message = {.type = WORKER_RECORD,
		.record = {.call = MQ_CALL_COUNT, .reason = REASON_KILLED, .tid = tid}};
	_cleanup_(identity_clear) struct identity identity = IDENTITY_NONE;
	_cleanup_free_ char *status = NULL;
	struct target target;

	if (target_open(tid, &target) < 0)
		return;
	/* No more than that: the rest may have to be waited for. */
	if (target_status(&target, &status) == 0 && identity_parse(status, &identity) == 0) {
		message.record.tgid = identity.tgid;
		message.record.uid = identity.real_uid;
		memcpy(message.record.command, identity.command, sizeof(message.record.command));
	}
	target_close(&target);
	/* Whatever the rate: the session may end with it. */
	if (message_send(session->channel, &message, sizeof(message), NULL, 0) < 0)
		recorder_note(&session->recorder, session->channel, &message);
}

/* --- the loop ------------------------------------------------------------------------------ */

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

struct given_back {
	int listener;
	uint64_t id;
};

static int answer_continue(void *context)
{
	struct given_back *call = context;

	return notify_reply(call->listener, call->id, &(struct answer){.kind = ANSWER_CONTINUE});
}

/* Which queue it registers on is what lies behind the number when the kernel looks, and that may
 * have been exchanged. In a session that may hold a queue that it may not read, those queues are
 * asked before and after, through the same descriptors. Whoever is registered there who was not has
 * cheated, and is killed; a message that comes in between is told to it. What cannot be asked
 * before is no reason to kill anybody: then the call is refused. */
static int give_back_and_look(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	struct given_back call = {.listener = session->listener, .id = notification->id};
	static struct lookout lookout;
	int r = turn_know_identity(session, turn);

	if (r < 0)
		return r;
	r = lookout_begin(&lookout, &session->inflight->queues, &session->own, &turn->identity,
		&turn->target);
	if (r == 0)
		r = revoke_watch(&turn->target, notification->data.arch, answer_continue, &call);
	if (r == -ETIMEDOUT && notify_is_valid(session->listener, notification->id))
		r = -EPERM;
	if (r == -ETIMEDOUT || (r == 0 && lookout_sees(&lookout, turn->identity.tgid))) {
		(void)revoke_kill(&session->revoker, turn->place);
		r = 0;
	}
	lookout_end(&lookout);
	return r;
}

static int reply(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	const struct inflight *inflight = session->inflight;

	if ((inflight->tainted || inflight->watching) && request_registers(&session->request) &&
		turn->answer.kind == ANSWER_CONTINUE) {
		if (give_back_and_look(session, notification, turn) == 0)
			return 0;
		turn->answer = answer_error(EACCES);
	}
	return notify_reply(session->listener, notification->id, &turn->answer);
}

/* Answering asks the kernel by itself whether the notification is still valid, and does nothing if
 * it is not. So if the answer is all that follows, what was read is the caller's without asking
 * twice. */
static bool does_more_than_answer(const struct session *session, const struct verdict *verdict)
{
	return verdict->allow &&
	       (!request_has_descriptor(&session->request) || session->inflight->tainted);
}

/* What follows the look, which had this result. */
static void decide_and_answer(struct session *session, const struct seccomp_notif *notification,
	struct turn *turn, int looked)
{
	bool recorded;

	turn->verdict = looked < 0 ? verdict_on_failure(looked)
				   : decide(session->grants, &session->request);
	if ((does_more_than_answer(session, &turn->verdict) || turn->too_wide) &&
		!notify_is_valid(session->listener, notification->id))
		return;
	if (turn->too_wide)
		session->inflight->tainted = 1;
	recorded = worth_a_record(session, &turn->verdict);
	if (recorded)
		(void)turn_know_identity(session, turn);
	turn->answer = session_act(session, notification, turn);
	if (turn->waits ? turn->verdict.allow : reply(session, notification, turn) < 0)
		return;
	if (recorded)
		record(session, turn);
}

static void serve(struct session *session, const struct seccomp_notif *notification, bool resumed)
{
	_cleanup_(turn_clear) struct turn turn = TURN_START;

	turn.resumed = resumed;
	turn.target.tid = (pid_t)notification->pid;
	decide_and_answer(session, notification, &turn, look(session, notification, &turn));
}

/* An mq_open that has waited: the copy that was made of it when it came is in session->request. Who
 * asks has not changed since: nobody else can change that. */
static void serve_again(struct session *session, const struct seccomp_notif *notification)
{
	_cleanup_(turn_clear) struct turn turn = TURN_START;
	int r;

	turn.target.tid = (pid_t)notification->pid;
	r = know_caller(session, &turn);
	if (r == 0 && session->request.oflag & O_CREAT)
		r = look_at_limits(&turn);
	decide_and_answer(session, notification, &turn, r);
}

int session_serve_next(struct session *session)
{
	struct seccomp_notif *notification = &session->inflight->notification;
	int r;

	inflight_begin(session->inflight);
	r = notify_receive(session->listener, notification);
	if (r == 0)
		serve(session, notification, false);
	inflight_end(session->inflight);
	return r == -ENOENT || r == -EINTR ? 0 : r;
}

/* Takes a call that waited in hand. */
static void begin_again(struct inflight *inflight, struct seccomp_notif *waiting)
{
	inflight_begin(inflight);
	inflight->notification = *waiting;
	waiting->id = 0;
}

/* A call that waited in an earlier session process: from the start, but for receiving it. */
static void take_up(struct session *session, struct seccomp_notif *waiting)
{
	struct inflight *inflight = session->inflight;

	begin_again(inflight, waiting);
	if (notify_is_valid(session->listener, inflight->notification.id))
		serve(session, &inflight->notification, false);
	inflight_end(inflight);
}

static void try_opens_again(struct session *session)
{
	struct inflight *inflight = session->inflight;
	struct seccomp_notif *waiting;

	while (waiters_take_due(&session->waiters, &waiting, &session->request)) {
		begin_again(inflight, waiting);
		serve_again(session, &inflight->notification);
		inflight_end(inflight);
	}
}

static struct seccomp_notif *find_noted(struct inflight *inflight, uint64_t id)
{
	if (inflight->notification.id == id)
		return &inflight->notification;
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id == id)
			return &inflight->waiting[i];
	return NULL;
}

/* A call that an earlier session process has carried out and perhaps not answered. */
static void answer_done(struct session *session)
{
	struct done_call *done = &session->inflight->done;
	struct seccomp_notif *noted = find_noted(session->inflight, done->id);
	const struct intercepted_call *row =
		noted ? intercepted_call_find(noted->data.arch, noted->data.nr) : NULL;
	struct target target;
	struct data_call call;
	long r;

	__atomic_store_n(&session->inflight->since, now_usec(), __ATOMIC_SEQ_CST);
	if (row && target_open((pid_t)noted->pid, &target) == 0) {
		call = data_call_decode(noted, row->call);
		if (notify_is_valid(session->listener, done->id)) {
			r = carry_hand_out(&target, &call, done);
			(void)notify_reply(session->listener, done->id,
				&(struct answer){.kind = r < 0 ? ANSWER_ERROR : ANSWER_VALUE,
					.value = (int)r,
					.error = (int)-r});
		}
		target_close(&target);
	}
	if (noted)
		__atomic_store_n(&noted->id, 0, __ATOMIC_SEQ_CST);
	carry_answered(done);
}

/* What an earlier session process of this session had in hand when it died. */
void session_resume(struct session *session)
{
	struct inflight *inflight = session->inflight;

	if (inflight->done.id != 0)
		answer_done(session);
	if (inflight->notification.id != 0) {
		__atomic_store_n(&inflight->since, now_usec(), __ATOMIC_SEQ_CST);
		if (notify_is_valid(session->listener, inflight->notification.id))
			serve(session, &inflight->notification, true);
	}
	inflight_end(inflight);
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id != 0)
			take_up(session, &inflight->waiting[i]);
}

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static int serve_until_over(struct session *session)
{
	struct waiters *waiters = &session->waiters;
	static struct pollfd fds[2 + SESSION_WAITING_MAX];

	session->revoker.tell_killing = record_killing;
	session->revoker.context = session;
	for (;;) {
		int r;

		fds[0] = (struct pollfd){.fd = session->channel, .events = POLLIN};
		/* Not before there are grants to decide by. */
		fds[1] = (struct pollfd){
			.fd = session->grants ? session->listener : -1, .events = POLLIN};
		waiters_poll(waiters, fds + 2);
		r = poll(fds, 2 + waiters->count,
			shorter(session_owes(session) ? LOOK_AGAIN_MS : -1,
				shorter(recorder_timeout(&session->recorder),
					waiters_timeout(waiters))));
		if (r < 0 && errno != EINTR)
			return -errno;
		recorder_flush(&session->recorder, session->channel);
		r = session_pay(session);
		if (r < 0)
			return r;
		if (fds[0].revents) {
			r = session_take_message(session);
			if (r <= 0)
				return r;
			continue;
		}
		waiters_serve(waiters, session->listener, fds + 2, &session->inflight->done);
		try_opens_again(session);
		if (fds[1].revents & POLLIN) {
			r = session_serve_next(session);
			if (r < 0)
				return r;
		} else if (fds[1].revents) {
			return 0;
		}
	}
}

int session_run(struct session *session)
{
	int r;

	trace_prepare();
	r = serve_until_over(session);

	if (r == 0)
		holders_finish(session);
	return r;
}
