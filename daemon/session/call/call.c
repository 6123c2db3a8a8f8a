/* SPDX-License-Identifier: MIT */
/* The call in hand: who makes it. */
#include "call.h"

void call_clear(struct call *call)
{
	target_close(&call->target);
	credentials_clear(&call->identity);
	call->queue = safe_close(call->queue);
}

int call_know_target(struct call *call)
{
	return call->target.proc >= 0 ? 0 : target_open(call->target.tid, &call->target);
}

int call_know_identity(struct supervisor *supervisor, struct call *call)
{
	int r;

	if (call->identity_known)
		return 0;
	r = call_know_target(call);
	if (r == 0)
		r = target_credentials(&call->target, &supervisor->own.namespaces, &call->identity);
	call->identity_known = r == 0;
	return r;
}

/* The first look at a thread that calls by name. What an earlier call of the thread has left open
 * saves opening it; it has gone with its thread if the number is somebody else's now. */
int call_know_caller(struct supervisor *supervisor, struct call *call)
{
	pid_t tid = call->target.tid;
	int r;

	callers_lend(&supervisor->callers, tid, &call->target);
	r = call_know_identity(supervisor, call);
	if (r == -ESRCH && call->target.lent) {
		call->target = TARGET_CLOSED;
		call->target.tid = tid;
		r = call_know_identity(supervisor, call);
	}
	if (r == 0)
		callers_keep(&supervisor->callers, &call->target);
	return r;
}

/* Every process of the session is in the PID namespace in which it began or in one below, so one at
 * the same depth is in that very one. Below it a process could choose its number. */
struct subject call_subject(const struct supervisor *supervisor, const struct call *call)
{
	const struct credentials *identity = &call->identity;
	bool counts =
		identity->pid_depth > 0 && identity->pid_depth == supervisor->inflight->pid_depth;

	return (struct subject){
		.pid = counts ? identity->nested_tgid : 0, .uid = identity->real_uid};
}

bool call_is_abroad(const struct call *call)
{
	return call->granted.host && call->identity.ipc_namespace >= 0;
}

/* Capabilities count in what is the container's. A rootful one shares our user namespace, and would
 * have root's in our IPC namespace. */
struct credentials call_actor(const struct call *call)
{
	struct credentials actor = call->identity;

	if (call_is_abroad(call)) {
		actor.ipc_namespace = -EBADF;
		actor.capabilities = 0;
	}
	return actor;
}

struct counters *call_counters(const struct supervisor *supervisor, const struct call *call)
{
	uint32_t place = call->counted;

	if (place == 0 && supervisor->grants->giver_count == 1)
		place = supervisor->counted[1];
	return &supervisor->inflight->head.counted[place].counters;
}

struct wanted call_wants(const struct supervisor *supervisor, const struct call *call)
{
	const struct queues *queues = &supervisor->inflight->queues;

	return (struct wanted){.name = call->request.name,
		.spaces =
			call->entry < SESSION_QUEUES_MAX ? queues->entries[call->entry].spaces : 0,
		.subject = call->subject,
		.needs = request_needs(&call->request),
		.counters = call_counters(supervisor, call)};
}

int call_know_company(struct supervisor *supervisor, struct call *call)
{
	pid_t tid = call->target.tid;
	int r;

	callers_lend(&supervisor->callers, tid, &call->target);
	r = callers_lend_memory(&supervisor->callers, &call->target, &call->threads);
	if (r < 0 && call->target.lent)
		r = target_count_threads(&call->target, &call->threads);
	if (r < 0) {
		r = target_open(tid, &call->target);
		r = r < 0 ? r : target_count_threads(&call->target, &call->threads);
	}
	if (r < 0)
		return r;
	callers_keep(&supervisor->callers, &call->target);
	call->alone = supervisor->tells_tables && !supervisor->inflight->shares_tables &&
		      call->threads == 1;
	return 0;
}

int call_open_target(
	const struct supervisor *supervisor, const struct call *call, struct target *ret)
{
	int r = target_open((pid_t)call->notification->pid, ret);

	return r == 0 && !call_is_valid(supervisor, call) ? -ESRCH : r;
}

bool call_is_valid(const struct supervisor *supervisor, const struct call *call)
{
	return notify_is_valid(supervisor->listener, call->notification->id);
}
