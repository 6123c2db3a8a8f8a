/* SPDX-License-Identifier: MIT */
/* The way of a request: receive → decode → decide → act → reply → record.
 *
 * This file is the door. An app's thread is blocked in a message-queue call, and the kernel asks us
 * what to do about it. From then on:
 *
 *   receive   The notification goes straight into memory that outlives us (inflight.h).
 *   look      One descriptor of /proc/TID is opened, and through it everything is read that will be
 * needed: the name and the attributes from the app's memory (once), the thread's identity, which
 * queue its descriptor is. Then the kernel is asked whether the notification is still valid. Only
 * if so, what was read was the caller's. decide    A pure function of the grants and the copy. act
 * Opening and deleting are done by us, with the caller's identity, on our copy of the name. Calls
 * on a descriptor are given back to the kernel (CONTINUE); that decision rests on registers alone,
 * since which queue a descriptor is was asked of the kernel and not of the app's memory. reply
 * Exactly one answer. The verdict starts as deny, every failure leaves it at that. record    What
 * was denied goes to the manager.
 *
 * Three things can go wrong: fatal ends the process (the manager starts another), refused goes to
 * the app as an errno, gone (the app was killed meanwhile) is dropped silently.
 *
 * Between our look at a descriptor and the kernel's use of it another thread of the app may put
 * another one in its place. The wall lets no queue in that the session was not granted, so as long
 * as it has lost nothing there is no other queue to reach. Once it has lost something, or has shown
 * a descriptor from outside that it was not granted, it is tainted: then calls on descriptors are
 * not given back but carried out here, on the file that was checked (carry.c). */
#include "session.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "decode.h"
#include "force.h"
#include "include/verdict.h"
#include "notify.h"
#include "target.h"

#define LATE_CHECK_MS 5

/* Everything about the request in hand but the request itself. */
struct turn {
	struct target target;
	struct identity identity;
	bool identity_known;
	bool table_full;      /* the app has no room for another descriptor */
	bool resumed;         /* an earlier session process had it in hand before */
	bool created;         /* the queue is this call's own */
	int queue;            /* opened for the app, to be injected */
	struct queue_key key; /* of the descriptor that was looked at */
	bool waits;           /* no answer yet: it is among the waiters */
	struct verdict verdict;
	struct answer answer;
};
#define TURN_START                              \
	((struct turn){.target = TARGET_CLOSED, \
		.identity = IDENTITY_NONE,      \
		.queue = -EBADF,                \
		.verdict = VERDICT_DENY,        \
		.answer = {.kind = ANSWER_ERROR, .error = EACCES}})

static void turn_clear(struct turn *turn)
{
	target_close(&turn->target);
	identity_clear(&turn->identity);
	turn->queue = safe_close(turn->queue);
}

/* --- look ---------------------------------------------------------------------------------- */

static int know_identity(struct session *session, struct turn *turn)
{
	int r;

	if (turn->identity_known)
		return 0;
	r = target_identity(&turn->target, &session->own.namespaces, &turn->identity);
	turn->identity_known = r == 0;
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

	if (know_identity(session, turn) < 0 ||
		!notify_is_valid(session->listener, session->request.id))
		return false;
	fd = act_look_up(&session->own, &turn->identity, name);
	if (fd < 0 || own_descriptor(fd, &named) < 0)
		return false;
	return named.key.device == descriptor->key.device &&
	       named.key.inode == descriptor->key.inode && named.mount != 0 &&
	       named.mount == descriptor->mount;
}

static void remember(struct session *session, const struct descriptor *descriptor)
{
	queues_remember(&session->inflight->queues, descriptor->key, session->request.name,
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
		remember(session, descriptor);
		return QUEUE_NAMED;
	}
	return target_is_queue(&turn->target, request->fd) == 0 ? QUEUE_NONE : QUEUE_UNKNOWN;
}

static int identify_queue(struct session *session, struct turn *turn)
{
	struct request *request = &session->request;
	struct descriptor descriptor;
	const char *name;
	int r = target_descriptor(&turn->target, request->fd, &descriptor);

	if (r < 0 && r != -EBADF)
		return r;
	if (r == -EBADF || !descriptor.regular) {
		request->queue = QUEUE_NONE;
		return 0;
	}
	turn->key = descriptor.key;
	name = queues_find(&session->inflight->queues, descriptor.key);
	if (!name) {
		request->queue = identify_stranger(session, turn, &descriptor);
		return 0;
	}
	(void)strcpy(request->name, name);
	request->queue = QUEUE_NAMED;
	return 0;
}

/* All looks at the caller. -ENOSYS: not a call of ours. */
static int look(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	struct request *request = &session->request;
	struct app_memory memory;
	int r = target_open((pid_t)notification->pid, &turn->target);

	if (r < 0)
		return r;
	memory = target_memory(&turn->target);
	r = request_decode(notification, &memory, request);
	if (r < 0 || request->refusal != 0)
		return r;
	if (request_has_descriptor(request))
		return identify_queue(session, turn);
	r = know_identity(session, turn);
	if (r < 0 || request->call != MQ_CALL_OPEN)
		return r;
	r = target_table_is_full(&turn->target);
	if (r < 0)
		return r;
	turn->table_full = r;
	return 0;
}

/* --- act ----------------------------------------------------------------------------------- */

static struct answer answer_error(int error)
{
	return (struct answer){.kind = ANSWER_ERROR, .error = error};
}

/* Whether what an earlier session process began was done, when it died too early to note it: if the
 * state is now the one that doing it would have left, and was not before. */
static bool done_before(const struct session *session, const struct turn *turn, bool existed_now)
{
	const struct inflight *inflight = session->inflight;

	if (!turn->resumed)
		return false;
	switch ((enum inflight_phase)inflight->phase) {
	case INFLIGHT_RECEIVED:
		return false;
	case INFLIGHT_ACTING:
		return inflight->existed != existed_now;
	case INFLIGHT_ACTED:
		return inflight->result == 0;
	case INFLIGHT_INJECTING:
	case INFLIGHT_INJECTED:
		return true;
	}
	return false;
}

static bool exists(struct session *session, struct turn *turn)
{
	return act_exists(&session->own, &turn->identity, session->request.name) > 0;
}

static int create(struct session *session, struct turn *turn)
{
	struct request *request = &session->request;
	int oflag = request->oflag, fd;

	if (request->oflag & O_EXCL) {
		bool existed = exists(session, turn);

		if (done_before(session, turn, existed)) {
			request->oflag &= ~(O_CREAT | O_EXCL);
			fd = act_open(&session->own, &turn->identity, request, &turn->created);
			request->oflag = oflag;
			turn->created = fd >= 0;
			return fd;
		}
		inflight_acting(session->inflight, existed);
	}
	fd = act_open(&session->own, &turn->identity, request, &turn->created);
	if (oflag & O_EXCL)
		inflight_acted(session->inflight, fd < 0 ? fd : 0);
	return fd;
}

/* Puts the open queue into the app. Its number there, or a negative errno. */
static int inject(struct session *session, const struct turn *turn)
{
	int number;

	if (lseek(turn->queue, inflight_mark(session->inflight), SEEK_SET) < 0)
		return -errno;
	inflight_injecting(session->inflight);
	number = notify_inject(session->listener, session->request.id, turn->queue);
	if (number >= 0)
		inflight_injected(session->inflight, number);
	(void)lseek(turn->queue, 0, SEEK_SET);
	return number;
}

/* If an earlier session process has injected the descriptor already: its number. */
static int injected_before(struct session *session, const struct turn *turn)
{
	struct inflight *inflight = session->inflight;
	int number;

	if (!turn->resumed || inflight->phase < INFLIGHT_INJECTING)
		return -ENOENT;
	number = target_find_position(&turn->target, inflight_mark(inflight));
	if (number < 0)
		return inflight->phase == INFLIGHT_INJECTED ? inflight->result : -ENOENT;
	inflight_injected(inflight, number);
	(void)target_reset_position(&turn->target, number);
	return number;
}

/* The descriptor could not be put into the app: no trace of the call may remain, and it is refused.
 */
static struct answer take_back(struct session *session, const struct turn *turn, int error)
{
	if (turn->created && error != -ENOENT)
		(void)act_unlink(&session->own, &turn->identity, session->request.name);
	return answer_error(error == -EMFILE ? EMFILE : EACCES);
}

static struct answer act_on_open(struct session *session, struct turn *turn)
{
	struct request *request = &session->request;
	struct descriptor descriptor;
	int number = injected_before(session, turn);

	if (number >= 0)
		return (struct answer){.kind = ANSWER_VALUE, .value = number};
	/* Unconfined this comes before the look-up and before creating. */
	if (turn->table_full)
		return answer_error(EMFILE);
	turn->queue = request->oflag & O_CREAT
			      ? create(session, turn)
			      : act_open(&session->own, &turn->identity, request, &turn->created);
	if (turn->queue < 0)
		return answer_error(-turn->queue);
	if (own_descriptor(turn->queue, &descriptor) == 0)
		remember(session, &descriptor);
	number = inject(session, turn);
	if (number < 0)
		return take_back(session, turn, number);
	return (struct answer){.kind = ANSWER_VALUE, .value = number};
}

static struct answer act_on_unlink(struct session *session, struct turn *turn)
{
	bool existed = exists(session, turn);
	int r;

	if (done_before(session, turn, existed)) {
		r = 0;
	} else {
		inflight_acting(session->inflight, existed);
		r = act_unlink(&session->own, &turn->identity, session->request.name);
		inflight_acted(session->inflight, r);
	}
	return r < 0 ? answer_error(-r) : (struct answer){.kind = ANSWER_VALUE};
}

/* Gives the call back to the kernel, in a session that has lost nothing. */
static struct answer act_by_kernel(
	struct session *session, const struct seccomp_notif *notification, const struct turn *turn)
{
	int r = threads_note(&session->inflight->threads, turn->target.proc, session->request.tid,
		notification->data.arch);

	return r < 0 ? answer_error(EACCES) : (struct answer){.kind = ANSWER_CONTINUE};
}

/* The very file that was checked, not what may be behind its number by now. A descriptor, or
 * -EBADF, which is what the app gets: it has closed or exchanged what it named. */
static int checked_queue(const struct session *session, const struct turn *turn)
{
	_cleanup_close_ int queue = -EBADF;
	struct descriptor descriptor;

	if (session->request.queue == QUEUE_NONE)
		return -EBADF;
	queue = target_copy_descriptor(&turn->target, session->request.fd);
	if (queue < 0 || own_descriptor(queue, &descriptor) < 0 ||
		descriptor.key.device != turn->key.device ||
		descriptor.key.inode != turn->key.inode)
		return -EBADF;
	return take_fd(&queue);
}

/* 0: it waits. Otherwise the errno that the app gets. */
static int let_wait(struct session *session, struct turn *turn, struct carried *carried)
{
	int r;

	if (carried_is_late(carried))
		return ETIMEDOUT;
	r = waiters_add(&session->waiters, session->inflight, &turn->target, carried,
		session->request.name, request_needs(&session->request));
	turn->waits = r == 0;
	return r == 0 ? 0 : EACCES;
}

/* Carries the call out, in a session that has lost something. */
static struct answer act_by_ourselves(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	struct data_call call = data_call_decode(notification, session->request.call);
	_cleanup_(carried_clear) struct carried carried = CARRIED_NONE;
	_cleanup_close_ int queue = checked_queue(session, turn);
	long r = carry_prepare(&turn->target, &call, queue, &carried);

	if (r < 0)
		return answer_error(r == -EPERM ? EACCES : (int)-r);
	queue = -EBADF;
	/* A message must not be sent or taken for somebody who is gone. */
	if (!notify_is_valid(session->listener, notification->id))
		return answer_error(EACCES);
	r = carry_try(&turn->target, &carried);
	if (r == -EINPROGRESS)
		r = -let_wait(session, turn, &carried);
	return r < 0 ? answer_error((int)-r)
		     : (struct answer){.kind = ANSWER_VALUE, .value = (int)r};
}

static bool registers(const struct request *request)
{
	return request->call == MQ_CALL_NOTIFY && !request->removes_notification;
}

static int note_registration(struct session *session, struct turn *turn)
{
	struct inflight *inflight = session->inflight;
	int r;

	if (session->request.queue != QUEUE_NAMED)
		return 0;
	r = know_identity(session, turn);
	if (r < 0)
		return r;
	/* Nothing of somebody else is noted under this name. */
	if (!notify_is_valid(session->listener, session->request.id))
		return -ESRCH;
	return registrations_note(&inflight->registrations, &session->own, turn->identity.tgid,
		turn->key, session->request.name);
}

/* mq_notify registers the calling process, and nobody can do that for it. */
static struct answer act_on_descriptor(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	if (registers(&session->request) && note_registration(session, turn) < 0)
		return answer_error(EACCES);
	if (!session->inflight->tainted || session->request.call == MQ_CALL_NOTIFY)
		return act_by_kernel(session, notification, turn);
	return act_by_ourselves(session, notification, turn);
}

static struct answer act(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	if (!turn->verdict.allow)
		return answer_error(turn->verdict.error);
	switch (session->request.call) {
	case MQ_CALL_OPEN:
		return act_on_open(session, turn);
	case MQ_CALL_UNLINK:
		return act_on_unlink(session, turn);
	case MQ_CALL_SEND:
	case MQ_CALL_RECEIVE:
	case MQ_CALL_NOTIFY:
	case MQ_CALL_GETSETATTR:
		return act_on_descriptor(session, notification, turn);
	case MQ_CALL_COUNT:
		break;
	}
	return answer_error(EACCES);
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
	struct target target;

	if (target_open(tid, &target) < 0)
		return;
	if (target_identity(&target, &session->own.namespaces, &identity) == 0) {
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

/* The app holds a descriptor of a queue on which it was granted nothing: somebody outside has sent
 * it. */
static bool has_foreign_queue(const struct session *session, const struct verdict *verdict)
{
	const struct request *request = &session->request;

	return verdict->reason == REASON_UNKNOWN_QUEUE ||
	       (verdict->reason == REASON_NOT_GRANTED && request_has_descriptor(request) &&
		       grants_lookup(session->grants, request->name) == 0);
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

static void kill_caller(struct session *session, const struct turn *turn)
{
	(void)revoke_kill(&session->revoker,
		&(struct thread){.tid = turn->target.tid, .start = thread_start(turn->target.proc)},
		now_usec() + REVOKE_DEADLINE_USEC);
}

/* In a session that has lost something another thread may exchange the descriptor before the kernel
 * looks at it, and the caller register on a queue that was lost. Since nobody can make this call
 * for it, it is looked at afterwards whether that has happened, and the process killed. A message
 * that comes in between is told to it. */
static int give_back_and_look(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	struct given_back call = {.listener = session->listener, .id = notification->id};
	const struct queues *queues = &session->inflight->queues;
	static struct unlawful before, after;
	int r = know_identity(session, turn);

	if (r < 0)
		return r;
	registrations_find_unlawful(queues, &session->own, &turn->identity, &before);
	r = revoke_watch(&session->revoker, turn->target.tid, notification->data.arch,
		answer_continue, &call);
	if (r < 0 && r != -ETIMEDOUT)
		return r;
	registrations_find_unlawful(queues, &session->own, &turn->identity, &after);
	if (r == -ETIMEDOUT || registrations_have_grown(&before, &after))
		kill_caller(session, turn);
	return 0;
}

static int reply(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	if (session->inflight->tainted && registers(&session->request) &&
		turn->answer.kind == ANSWER_CONTINUE) {
		if (give_back_and_look(session, notification, turn) == 0)
			return 0;
		turn->answer = answer_error(EACCES);
	}
	return notify_reply(session->listener, notification->id, &turn->answer);
}

static void serve(struct session *session, const struct seccomp_notif *notification, bool resumed)
{
	_cleanup_(turn_clear) struct turn turn = TURN_START;
	bool recorded;
	int r;

	turn.resumed = resumed;
	session->request.call = MQ_CALL_COUNT;
	session->request.name[0] = '\0';
	r = look(session, notification, &turn);
	if (!notify_is_valid(session->listener, notification->id))
		return;
	turn.verdict = r < 0 ? verdict_on_failure(r) : decide(session->grants, &session->request);
	if (has_foreign_queue(session, &turn.verdict))
		session->inflight->tainted = 1;
	recorded = worth_a_record(session, &turn.verdict);
	if (recorded)
		(void)know_identity(session, &turn);
	turn.answer = act(session, notification, &turn);
	if (turn.waits)
		return;
	if (reply(session, notification, &turn) < 0)
		return;
	if (recorded)
		record(session, &turn);
}

static int serve_next(struct session *session)
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

/* A call that waited in an earlier session process: from the start, but for receiving it. */
static void take_up(struct session *session, struct seccomp_notif *waiting)
{
	struct inflight *inflight = session->inflight;

	inflight_begin(inflight);
	inflight->notification = *waiting;
	waiting->id = 0;
	if (notify_is_valid(session->listener, inflight->notification.id))
		serve(session, &inflight->notification, false);
	inflight_end(inflight);
}

/* What an earlier session process of this session had in hand when it died. */
static void resume(struct session *session)
{
	struct inflight *inflight = session->inflight;

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

static int take_attach(struct session *session)
{
	struct worker_message message;
	int fds[2] = {-EBADF, -EBADF};
	int r = message_receive(session->channel, &message, sizeof(message), fds, 2);

	if (r <= 0)
		return r;
	if (message.type != WORKER_ATTACH || message.attach.record_rate < 1 ||
		message.attach.record_rate > RECORD_RATE_MAX)
		return -EBADMSG;
	session->listener = fds[0];
	session->recorder = (struct recorder){.rate = message.attach.record_rate,
		.allowed = message.attach.record_allowed,
		.tokens_usec = UINT32_MAX,
		.last_usec = now_usec()};
	r = inflight_map(fds[1], &session->inflight);
	(void)safe_close(fds[1]);
	if (r < 0)
		return r;
	notify_prepare(session->listener);
	return 1;
}

static int read_grants(int fd, uint64_t size, struct grants **ret)
{
	_cleanup_free_ void *data = NULL;

	if (size > GRANTS_BYTES_MAX)
		return -E2BIG;
	data = malloc(size + 1);
	if (!data)
		return -ENOMEM;
	if (pread(fd, data, size + 1, 0) != (ssize_t)size)
		return -EBADMSG;
	return grants_deserialise(data, size, ret);
}

/* The threads that are inside the door: taken up by us or by an earlier session process, and not
 * answered. They cannot be stopped before they are answered, and then come through the door anyhow.
 */
static size_t inside_the_door(
	const struct inflight *inflight, pid_t tids[static SESSION_WAITING_MAX + 1])
{
	size_t count = 0;

	if (inflight->notification.id != 0)
		tids[count++] = (pid_t)inflight->notification.pid;
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id != 0)
			tids[count++] = (pid_t)inflight->waiting[i].pid;
	return count;
}

/* Calls that were given back to the kernel under older grants must come through the door again. Any
 * process of the session may hold a descriptor of any queue that it ever opened, so all of its
 * threads are concerned. */
static int put_in_force(struct session *session)
{
	struct inflight *inflight = session->inflight;
	uint64_t fingerprint = grants_fingerprint(session->grants);
	pid_t inside[SESSION_WAITING_MAX + 1];

	waiters_revise(&session->waiters, session->listener, session->grants);
	if (fingerprint != inflight->in_force) {
		/* Noted before anything else is: a session process that dies on the way leaves the
		 * rest to the next. */
		if (queues_lose(&inflight->queues, session->grants)) {
			inflight->tainted = 1;
			__atomic_store_n(&inflight->returning, 1, __ATOMIC_SEQ_CST);
		}
		queues_update(&inflight->queues, session->grants);
		inflight->in_force = fingerprint;
	}
	if (!inflight->returning)
		return 0;
	return revoke_bring_back(
		&session->revoker, &inflight->threads, inside, inside_the_door(inflight, inside));
}

static int serve_what_came(void *context)
{
	struct session *session = context;
	struct pollfd listener = {.fd = session->listener, .events = POLLIN};

	if (poll(&listener, 1, 0) < 0 || !(listener.revents & POLLIN))
		return 0;
	return serve_next(session);
}

static void release_waiter(void *context, pid_t tid)
{
	struct session *session = context;

	waiters_release(&session->waiters, session->listener, tid);
}

/* What was registered before is told of messages without any further call. */
static int take_back_registrations(struct session *session)
{
	struct force_hooks hooks = {
		.context = session, .serve = serve_what_came, .release = release_waiter};
	struct inflight *inflight = session->inflight;
	int r;

	if (!inflight->returning)
		return 0;
	r = registrations_take_back(&inflight->registrations, &session->own, &session->revoker,
		session->grants, &hooks, now_usec() + REVOKE_DEADLINE_USEC / 2);
	if (r < 0)
		return r;
	__atomic_store_n(&inflight->returning, 0, __ATOMIC_SEQ_CST);
	return 0;
}

/* New grants are in force from here on, since nothing is in hand. The acknowledgement is the
 * barrier that connect and disconnect wait for. */
static int take_grants(struct session *session)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct worker_message message;
	bool first = !session->grants;
	int r = message_receive(session->channel, &message, sizeof(message), &fd, 1);

	if (r <= 0)
		return r;
	if (message.type != WORKER_GRANTS)
		return -EBADMSG;
	r = read_grants(fd, message.grants.size, &grants);
	if (r < 0)
		return r;
	(void)grants_free(session->grants);
	session->grants = take_pointer(grants);
	r = put_in_force(session);
	if (r < 0)
		return r;
	/* Those that are inside the door could not be stopped. */
	if (first)
		resume(session);
	r = take_back_registrations(session);
	if (r < 0)
		return r;

	message = (struct worker_message){
		.type = WORKER_ACK, .ack = {.generation = session->grants->generation}};
	r = message_send(session->channel, &message, sizeof(message), NULL, 0);
	return r < 0 ? r : 1;
}

/* 1: go on. 0: the manager is gone. */
static int take_message(struct session *session)
{
	int r = session->listener < 0 ? take_attach(session) : take_grants(session);

	return r == -EAGAIN ? 1 : r;
}

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

int session_run(struct session *session)
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
			shorter(session->revoker.late_count > 0 ? LATE_CHECK_MS : -1,
				shorter(recorder_timeout(&session->recorder),
					waiters_timeout(waiters))));
		if (r < 0 && errno != EINTR)
			return -errno;
		recorder_flush(&session->recorder, session->channel);
		revoke_let_go_late(&session->revoker);
		if (fds[0].revents) {
			r = take_message(session);
			if (r <= 0)
				return r;
			continue;
		}
		waiters_serve(waiters, &session->revoker, session->listener, fds + 2);
		if (fds[1].revents & POLLIN) {
			r = serve_next(session);
			if (r < 0)
				return r;
		} else if (fds[1].revents) {
			return 0;
		}
	}
}
