/* SPDX-License-Identifier: MIT */
/* Doing what was allowed: how each call is carried out, and how it is carried on when an earlier
 * session process died on the way.
 *
 * mq_open and mq_unlink are done by us as the caller (act.c), on our copy of the name. Calls on a
 * descriptor are given back to the kernel, noted among those that may be inside (threads.c); in a
 * session that has lost something they are carried out here, on the file that was checked
 * (carry.c). */
#include "turn.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "include/protocol.h"
#include "include/text.h"

#define MANAGER_MS 100 /* that it may take to read what we tell it */

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

/* Puts the open queue into the app, and then takes the flags away that are ours: what has them is
 * what was injected last. Its number there, or a negative errno. */
static int inject(struct session *session, const struct turn *turn)
{
	int number;

	inflight_injecting(session->inflight);
	number = notify_inject(session->listener, session->request.id, turn->queue);
	if (number >= 0)
		inflight_injected(session->inflight, number);
	(void)fcntl(turn->queue, F_SETFL, session->request.oflag);
	return number;
}

/* Whether it is a descriptor of the queue and has the flags. Of no other file anything is asked
 * that its users might hold up. */
static bool is_injected(struct session *session, const struct turn *turn, int number)
{
	struct descriptor descriptor;
	const char *name;
	int flags;

	if (target_descriptor(&turn->target, number, &descriptor) < 0 || !descriptor.regular)
		return false;
	name = queues_find(&session->inflight->queues, descriptor.key);
	return name && streq(name, session->request.name) &&
	       target_descriptor_flags(&turn->target, number, &flags) == 0 &&
	       (flags & ACT_OPEN_FLAGS) == ACT_OPEN_FLAGS;
}

static int find_injected(struct session *session, const struct turn *turn)
{
	DIR *table = target_open_table(&turn->target);
	int number = -1, r = -EIO;
	bool found = false;

	while (table && !found && (r = table_next(table, &number)) > 0)
		found = is_injected(session, turn, number);
	if (table)
		(void)closedir(table);
	return found ? number : r < 0 ? r : -ENOENT;
}

/* If an earlier session process has injected the descriptor already: its number. */
static int injected_before(struct session *session, const struct turn *turn)
{
	struct inflight *inflight = session->inflight;
	_cleanup_close_ int queue = -EBADF;
	int number;

	if (!turn->resumed || inflight->phase < INFLIGHT_INJECTING)
		return -ENOENT;
	number = find_injected(session, turn);
	if (number < 0)
		return inflight->phase == INFLIGHT_INJECTED ? inflight->result : number;
	inflight_injected(inflight, number);
	queue = target_copy_descriptor(&turn->target, number);
	if (queue >= 0)
		(void)fcntl(queue, F_SETFL, session->request.oflag);
	return number;
}

/* A queue has one name: while it has a link, that leads to it and not to a successor. */
static bool has_name(int queue)
{
	struct stat st;

	return fstat(queue, &st) == 0 && st.st_nlink > 0;
}

/* The descriptor could not be put into the app: no trace of the call may remain, and it is refused.
 */
static struct answer take_back(struct session *session, const struct turn *turn, int error)
{
	if (turn->created && error != -ENOENT && has_name(turn->queue))
		(void)act_unlink(&session->own, &turn->identity, session->request.name);
	return answer_error(error == -EMFILE ? EMFILE : EACCES);
}

/* Whether the caller has no room for a descriptor. Unconfined that comes first, whatever is wrong
 * with the name; where nothing was created it can as well be asked afterwards. */
static bool has_no_room(const struct request *request, const struct turn *turn)
{
	struct target_limits limits;

	return !(request->oflag & O_CREAT) && target_limits(&turn->target, &limits) == 0 &&
	       target_table_is_full(&turn->target, limits.descriptors) > 0;
}

/* For the end of a lease that somebody holds on the queue, as the caller would in the kernel. */
static struct answer let_wait_for_lease(struct session *session, struct turn *turn)
{
	_cleanup_(target_close) struct target target = TARGET_CLOSED;
	const struct request *request = &session->request;

	/* The turn's own is lent. */
	turn->waits = target_open(request->tid, &target) == 0 &&
		      notify_is_valid(session->listener, request->id) &&
		      waiters_add_open(&session->waiters, session->inflight, &target, request) == 0;
	return answer_error(EACCES);
}

static struct answer refuse_open(struct session *session, struct turn *turn)
{
	const struct request *request = &session->request;

	if (has_no_room(request, turn))
		return answer_error(EMFILE);
	return turn->queue == -EAGAIN && !(request->oflag & O_NONBLOCK)
		       ? let_wait_for_lease(session, turn)
		       : answer_error(-turn->queue);
}

static struct answer act_on_open(struct session *session, struct turn *turn)
{
	struct request *request = &session->request;
	struct descriptor descriptor;
	int number = injected_before(session, turn), place = -1;

	if (number >= 0)
		return (struct answer){.kind = ANSWER_VALUE, .value = number};
	/* It may be there: it must not be put there twice. */
	if (number != -ENOENT)
		return answer_error(EACCES);
	/* Unconfined this comes before the look-up and before creating. */
	if (turn->table_full)
		return answer_error(EMFILE);
	turn->queue = request->oflag & O_CREAT
			      ? create(session, turn)
			      : act_open(&session->own, &turn->identity, request, &turn->created);
	if (turn->queue < 0)
		return refuse_open(session, turn);
	if (own_descriptor(turn->queue, &descriptor) == 0) {
		session_remember(session, turn, &descriptor);
		/* Each send and receive wakes the watch, too; where they do not come here it is of
		 * no use. */
		if (session->mediation == MEDIATION_CALL)
			place = opened_watch(&session->opened, turn->queue, descriptor.key);
	}
	number = inject(session, turn);
	if (number < 0)
		return take_back(session, turn, number);
	if (place >= 0)
		opened_hint(&session->opened, request->tid, number, place);
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

/* The caller's process is new. Noted is none but the caller's: it may be killed later. */
static int note_process(struct session *session, struct turn *turn, pid_t pid)
{
	struct revoker *revoker = &session->revoker;
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(pid, &identity);

	if (pidfd < 0)
		return pidfd;
	if (!notify_is_valid(session->listener, session->request.id))
		return -ESRCH;
	return processes_add(revoker->processes, &revoker->handles, pid, identity, &pidfd);
}

/* The place of the caller's process. */
static int find_process(struct session *session, struct turn *turn)
{
	struct revoker *revoker = &session->revoker;
	uint64_t pid;
	int place, r = turn_know_target(turn);

	r = r < 0 ? r : text_status_at(turn->target.proc, "Tgid", &pid);
	if (r < 0)
		return r;
	place = processes_find(revoker->processes, &revoker->handles, (pid_t)pid);
	if (place < 0)
		return note_process(session, turn, (pid_t)pid);
	return notify_is_valid(session->listener, session->request.id) ? place : -ESRCH;
}

/* Before the process is given a call back the first time. */
static int tell_manager(struct session *session, uint32_t place)
{
	struct process_handles *handles = &session->revoker.handles;
	struct worker_message message = {.type = WORKER_PROCESS,
		.process = {.pid = session->revoker.processes->entries[place].pid}};
	int r;

	if (handles->told[place])
		return 0;
	r = message_send(session->channel, &message, sizeof(message), &handles->pidfds[place], 1);
	handles->told[place] = r == 0;
	return r;
}

/* Nobody can make this call for the caller: the manager is waited for. */
static int tell_manager_patiently(struct session *session, uint32_t place)
{
	struct pollfd p = {.fd = session->channel, .events = POLLOUT};
	int r = tell_manager(session, place);

	if (r == -EAGAIN && poll(&p, 1, MANAGER_MS) > 0)
		r = tell_manager(session, place);
	return r;
}

/* The place of the caller's process, with the thread noted; or a negative errno, and then the call
 * must not be given back. -ENOSPC: there are too many. */
static int note_caller(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	struct revoker *revoker = &session->revoker;
	struct thread *thread = threads_find(revoker->threads, turn->target.tid);
	uint32_t arch = notification->data.arch;
	int place, r;

	if (thread && processes_have_thread(
			      revoker->processes, &revoker->handles, thread->place, thread->tid)) {
		thread->arch = arch;
		place = (int)thread->place;
	} else {
		place = find_process(session, turn);
		r = place < 0 ? place
			      : threads_note(
					revoker->threads, turn->target.tid, arch, (uint32_t)place);
		if (r < 0)
			return r;
	}
	return place;
}

/* The very file that was checked, not what may be behind its number by now. A descriptor; -EBADF,
 * which is what the app gets: it has closed or exchanged what it named; or -EACCES: we cannot take
 * it. */
static int checked_queue(const struct session *session, const struct turn *turn)
{
	_cleanup_close_ int queue = -EBADF;
	struct descriptor descriptor;

	if (session->request.queue == QUEUE_NONE)
		return -EBADF;
	queue = target_copy_descriptor(&turn->target, session->request.fd);
	if (queue == -EMFILE || queue == -ENFILE || queue == -ENOMEM)
		return -EACCES;
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

/* Carries the call out, in a session that has lost something, or for a process of which nobody
 * could keep a pidfd. */
static struct answer act_by_ourselves(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	struct data_call call = data_call_decode(notification, session->request.call);
	_cleanup_(carried_clear) struct carried carried = CARRIED_NONE;
	_cleanup_close_ int queue = checked_queue(session, turn);
	long r = queue == -EACCES ? -EPERM : carry_prepare(&turn->target, &call, queue, &carried);

	if (r < 0)
		return answer_error(r == -EPERM ? EACCES : (int)-r);
	queue = -EBADF;
	/* A message must not be sent or taken for somebody who is gone. */
	if (!notify_is_valid(session->listener, notification->id))
		return answer_error(EACCES);
	r = carry_try(&turn->target, &carried, notification->id, &session->inflight->done);
	if (r == -EINPROGRESS)
		r = -let_wait(session, turn, &carried);
	return r < 0 ? answer_error((int)-r)
		     : (struct answer){.kind = ANSWER_VALUE, .value = (int)r};
}

bool request_registers(const struct request *request)
{
	return request->call == MQ_CALL_NOTIFY && !request->removes_notification;
}

/* mq_notify registers the calling process, and nobody can do that for it. */
static struct answer act_on_notify(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	int place = note_caller(session, notification, turn);

	if (place < 0 || tell_manager_patiently(session, (uint32_t)place) < 0)
		return answer_error(EACCES);
	if (request_registers(&session->request))
		session->revoker.processes->entries[place].registered = 1;
	turn->place = (uint32_t)place;
	return (struct answer){.kind = ANSWER_CONTINUE};
}

/* Who could not be killed later is not given its call back. */
static struct answer act_on_data(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	int place = session->inflight->tainted ? -EPERM : note_caller(session, notification, turn);

	if (place >= 0 && tell_manager(session, (uint32_t)place) == 0)
		return (struct answer){.kind = ANSWER_CONTINUE};
	if (place == -ENOSPC || turn_know_target(turn) < 0)
		return answer_error(EACCES);
	return act_by_ourselves(session, notification, turn);
}

/* A loop that goes on asking for what the session has lost is answered later and later. Nothing
 * else waits for that: it waits in its own notification. */
static void delay_what_is_repeated(struct session *session, struct turn *turn)
{
	const struct verdict *verdict = &turn->verdict;
	uint64_t now, delay;
	uint32_t queue;

	if (!session->inflight->tainted || verdict->reason != REASON_NOT_GRANTED)
		return;
	queue = queues_find_lost(
		&session->inflight->queues, session->request.name, verdict->missing);
	if (queue == SESSION_QUEUES_MAX)
		return;
	now = now_usec();
	delay = refusals_count(&session->refusals, queue, now);
	turn->waits =
		delay > 0 && waiters_delay(&session->waiters, session->inflight, now + delay) == 0;
}

struct answer session_act(
	struct session *session, const struct seccomp_notif *notification, struct turn *turn)
{
	if (!turn->verdict.allow) {
		delay_what_is_repeated(session, turn);
		return answer_error(turn->verdict.error);
	}
	switch (session->request.call) {
	case MQ_CALL_OPEN:
		return act_on_open(session, turn);
	case MQ_CALL_UNLINK:
		return act_on_unlink(session, turn);
	case MQ_CALL_NOTIFY:
		return act_on_notify(session, notification, turn);
	case MQ_CALL_SEND:
	case MQ_CALL_RECEIVE:
	case MQ_CALL_GETSETATTR:
		return act_on_data(session, notification, turn);
	case MQ_CALL_COUNT:
		break;
	}
	return answer_error(EACCES);
}
