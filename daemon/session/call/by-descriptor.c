/* SPDX-License-Identifier: MIT */
/* Carrying out the calls that take a descriptor.
 *
 * They are given back to the kernel, and noted among those that may be inside (threads.c); in a
 * session that has lost something, those of callers that are not alone are carried out here, on the
 * file that was checked (emulate.c). */
#include "by-descriptor.h"

#include <fcntl.h>
#include <poll.h>

#include "daemon/session/revoke/registrations.h"
#include "include/protocol.h"
#include "include/text.h"

#define MANAGER_MS    100     /* that it may take to read what we tell it */
#define TELL_ALL_USEC 1000000 /* when it has all sessions to take over */

/* The caller's process is new. Noted is none but the caller's: it may be killed later. */
static int note_process(struct supervisor *supervisor, struct call *call, pid_t pid)
{
	struct revoker *revoker = &supervisor->revoker;
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(pid, &identity);

	if (pidfd < 0)
		return pidfd;
	if (!call_is_valid(supervisor, call))
		return -ESRCH;
	return processes_add(revoker->processes, &revoker->handles, pid, identity, &pidfd);
}

/* The place of the caller's process. */
static int find_process(struct supervisor *supervisor, struct call *call)
{
	struct revoker *revoker = &supervisor->revoker;
	uint64_t pid;
	int place, r = call_know_target(call);

	r = r < 0 ? r : text_status_at(call->target.proc, "Tgid", &pid);
	if (r < 0)
		return r;
	place = processes_find(revoker->processes, &revoker->handles, (pid_t)pid);
	if (place < 0)
		return note_process(supervisor, call, (pid_t)pid);
	return call_is_valid(supervisor, call) ? place : -ESRCH;
}

/* Before the process is given a call back the first time. */
static int tell_manager(struct supervisor *supervisor, uint32_t place)
{
	struct process_handles *handles = &supervisor->revoker.handles;
	struct session_message message = {.type = SESSION_PROCESS,
		.process = {.pid = supervisor->revoker.processes->entries[place].pid}};
	int r;

	if (handles->told[place])
		return 0;
	r = message_send(
		supervisor->channel, &message, sizeof(message), &handles->pidfds[place], 1);
	handles->told[place] = r == 0;
	return r;
}

/* Nobody can make this call for the caller: the manager is waited for. */
static int tell_manager_patiently(struct supervisor *supervisor, uint32_t place)
{
	struct pollfd p = {.fd = supervisor->channel, .events = POLLOUT};
	int r = tell_manager(supervisor, place);

	if (r == -EAGAIN && poll(&p, 1, MANAGER_MS) > 0)
		r = tell_manager(supervisor, place);
	return r;
}

/* A session process of the manager before may have given them a call back, which they are in still.
 */
int tell_manager_of_all(struct supervisor *supervisor)
{
	const struct revoker *revoker = &supervisor->revoker;
	struct pollfd p = {.fd = supervisor->channel, .events = POLLOUT};
	uint64_t deadline = now_usec() + TELL_ALL_USEC;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < revoker->processes->count; i++) {
		if (revoker->handles.pidfds[i] < 0)
			continue;
		while ((r = tell_manager(supervisor, i)) == -EAGAIN && now_usec() < deadline)
			(void)poll(&p, 1, MANAGER_MS);
	}
	/* Not that there was nothing to do. */
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

/* The place of the caller's process, with the thread noted; or a negative errno, and then the call
 * must not be given back. -ENOSPC: there are too many. */
static int note_caller(struct supervisor *supervisor, struct call *call)
{
	struct revoker *revoker = &supervisor->revoker;
	struct thread *thread = threads_find(revoker->threads, call->target.tid);
	uint32_t arch = call->notification->data.arch;
	int place, r;

	if (thread && processes_have_thread(
			      revoker->processes, &revoker->handles, thread->place, thread->tid)) {
		thread->arch = arch;
		place = (int)thread->place;
	} else {
		place = find_process(supervisor, call);
		r = place < 0 ? place
			      : threads_note(
					revoker->threads, call->target.tid, arch, (uint32_t)place);
		if (r < 0)
			return r;
	}
	return place;
}

/* The very file that was checked, not what may be behind its number by now. 0; -EBADF, which is
 * what the app gets: it has closed or exchanged what it named; or another negative errno: we cannot
 * take it. */
static int checked_queue(
	struct supervisor *supervisor, const struct call *call, const struct queue_file **ret)
{
	_cleanup_close_ int queue = -EBADF;
	struct descriptor descriptor;

	*ret = call->held;
	if (call->held)
		return 0;
	if (call->request.queue == QUEUE_NONE)
		return -EBADF;
	queue = target_copy_descriptor(&call->target, call->request.fd);
	if (queue == -EMFILE || queue == -ENFILE || queue == -ENOMEM)
		return -EPERM;
	if (queue < 0 || own_descriptor(queue, &descriptor) < 0 ||
		!queue_key_same(descriptor.key, call->key))
		return -EBADF;
	return held_add(
		&supervisor->held, call->request.tid, call->request.fd, &queue, call->key, ret);
}

/* 0: it waits, with descriptors of its own. Otherwise the errno that the app gets. */
static int let_wait(struct supervisor *supervisor, struct call *call, struct emulated *emulated)
{
	_cleanup_(target_close) struct target target = TARGET_CLOSED;
	const struct wanted wanted = call_wants(supervisor, call);
	int r;

	if (emulated_time_left(emulated) == 0)
		return ETIMEDOUT;
	emulated->queue = fcntl(emulated->queue, F_DUPFD_CLOEXEC, 3);
	r = emulated->queue < 0 ? -errno : call_open_target(supervisor, call, &target);
	r = r < 0 ? r
		  : waiters_add(
			    &supervisor->waiters, supervisor->inflight, &target, emulated, &wanted);
	if (r < 0)
		(void)safe_close(emulated->queue);
	call->waits = r == 0;
	return r == 0 ? 0 : EACCES;
}

static int prepare(struct supervisor *supervisor, struct call *call, struct emulated *ret)
{
	struct data_call data = data_call_decode(call->notification, call->request.call);
	const struct queue_file *queue;
	int r = checked_queue(supervisor, call, &queue);

	return r < 0 && r != -EBADF ? -EPERM : emulate_prepare(&call->target, &data, queue, ret);
}

/* The caller's next call finds it open. */
static void keep_memory(struct supervisor *supervisor, struct call *call)
{
	if (call->threads > 1 && callers_keep_memory(&supervisor->callers, &call->target) &&
		!call_is_valid(supervisor, call))
		callers_forget_memory(&supervisor->callers, &call->target);
}

/* Carries the call out, in a session that has lost something, or for a process of which nobody
 * could keep a pidfd. */
static struct answer act_by_ourselves(struct supervisor *supervisor, struct call *call)
{
	_cleanup_(emulated_clear) struct emulated emulated = EMULATED_NONE;
	long r = prepare(supervisor, call, &emulated);

	if (r < 0)
		return r == -EPERM ? answer_error(EACCES) : refused_by_kernel(call, (int)-r);
	/* A message must not be sent or taken for somebody who is gone. */
	if (!call_is_valid(supervisor, call))
		return answer_error(EACCES);
	r = emulate_try(
		&call->target, &emulated, call->notification->id, &supervisor->inflight->done);
	keep_memory(supervisor, call);
	if (r == -EINPROGRESS)
		return answer_error(let_wait(supervisor, call, &emulated));
	return r < 0 ? refused_by_kernel(call, (int)-r) : answer_of(r);
}

bool request_registers(const struct request *request)
{
	return request->call == MQ_CALL_NOTIFY && !request->removes_notification;
}

/* mq_notify registers the calling process, and nobody can do that for it. */
struct answer act_on_notify(struct supervisor *supervisor, struct call *call)
{
	int place = note_caller(supervisor, call);

	if (place < 0 || tell_manager_patiently(supervisor, (uint32_t)place) < 0)
		return answer_error(EACCES);
	if (request_registers(&call->request))
		supervisor->revoker.processes->entries[place].registered = 1;
	call->place = (uint32_t)place;
	return (struct answer){.kind = ANSWER_CONTINUE};
}

/* Who could not be killed later is not given its call back. */
struct answer act_on_data(struct supervisor *supervisor, struct call *call)
{
	bool exact = !supervisor->inflight->tainted || call->alone;
	int place = exact ? note_caller(supervisor, call) : -EPERM;

	if (place >= 0 && tell_manager(supervisor, (uint32_t)place) == 0)
		return (struct answer){.kind = ANSWER_CONTINUE};
	if (place == -ENOSPC || call_know_target(call) < 0)
		return answer_error(EACCES);
	return act_by_ourselves(supervisor, call);
}

struct given_back {
	struct supervisor *supervisor;
	const struct call *call;
	int (*reply)(struct supervisor *supervisor, const struct call *call);
};

static int reply_to(void *context)
{
	const struct given_back *given = context;

	return given->reply(given->supervisor, given->call);
}

/* Should this process die before it has judged, the next one does (channel.c). */
static void note_watched(struct supervisor *supervisor, const struct call *call, uint16_t watched)
{
	struct process *process = &supervisor->revoker.processes->entries[call->place];

	__atomic_store_n(&process->watched, watched, __ATOMIC_SEQ_CST);
}

/* Which queue it registers on is what lies behind the number when the kernel looks, and that may
 * have been exchanged. In a session that may hold a queue that it may not read, those queues are
 * asked before and after, through the same descriptors. Whoever is registered there who was not has
 * cheated, and is killed; a message that comes in between is told to it. What cannot be asked
 * before is no reason to kill anybody: then the call is refused. */
int give_back_watched(struct supervisor *supervisor, struct call *call,
	int (*reply)(struct supervisor *supervisor, const struct call *call))
{
	struct given_back given = {supervisor, call, reply};
	static struct lookout lookout;
	int r = call_know_identity(supervisor, call);

	if (r < 0)
		return r;
	r = lookout_begin(&lookout, &supervisor->inflight->queues, &supervisor->own,
		&call->identity, &call->target);
	note_watched(supervisor, call, 1);
	if (r == 0)
		r = revoke_watch(&call->target, call->notification->data.arch, reply_to, &given);
	if (r == -ETIMEDOUT && call_is_valid(supervisor, call))
		r = -EPERM;
	if (r == -ETIMEDOUT || (r == 0 && lookout_sees(&lookout, call->identity.tgid))) {
		(void)revoke_kill(&supervisor->revoker, call->place);
		r = 0;
	}
	note_watched(supervisor, call, 0);
	lookout_end(&lookout);
	return r;
}
