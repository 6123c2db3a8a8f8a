/* SPDX-License-Identifier: MIT */
/* The manager's messages: the listener and the in-flight memfd once, and then grants.
 *
 * Grants are taken between two requests. Before they are acknowledged, whatever older ones have
 * allowed and new ones do not is taken back: calls that wait in the kernel (bring-back.c) or inside
 * the door (blocked.c). Descriptors and registrations for notification stay, and are told of
 * (holders.c). What is not finished when a session process dies is noted, and finished by the next.
 */
#include "begin.h"
#include "session.h"

#include "daemon/session/call/by-descriptor.h"
#include "daemon/session/call/counting.h"
#include "daemon/session/call/resume.h"
#include "daemon/session/revoke/confined.h"
#include "include/verdict.h"
#include "daemon/session/revoke/registrations.h"
#include "daemon/session/target/notify.h"

/* Of an earlier session process. */
static int take_processes(struct supervisor *session)
{
	struct revoker *revoker = &session->revoker;

	revoker->threads = &session->inflight->threads;
	revoker->processes = &session->inflight->processes;
	return processes_open(revoker->processes, &revoker->handles);
}

/* If the manager has ended, the next one has a session process that we may have taken the claim
 * from, and what we are told is out of date. */
static int check_manager(const struct supervisor *session)
{
	struct pollfd p = {.fd = session->channel};

	return poll(&p, 1, 0) > 0 ? -EPIPE : 0;
}

static int take_attach(
	struct supervisor *session, const struct session_message *message, const int fds[static 2])
{
	int r;

	if (message->attach.record_rate < 1 || message->attach.record_rate > RECORD_RATE_MAX ||
		message->attach.mediation >= MEDIATION_COUNT)
		return -EBADMSG;
	session->listener = fds[0];
	session->mediation = message->attach.mediation;
	session->contained.is = message->attach.contained;
	session->tells_tables = message->attach.tells_tables;
	session->recorder = (struct recorder){.rate = message->attach.record_rate,
		.allowed = message->attach.record_allowed,
		.tokens_usec = UINT32_MAX,
		.last_usec = now_usec()};
	r = own_identity_limit(&session->own, message->attach.capabilities);
	if (r < 0)
		return r;
	/* It stays open: closing it would give up the claim. */
	r = inflight_claim(fds[1]);
	r = r < 0 ? r : check_manager(session);
	r = r < 0 ? r : inflight_map(fds[1], &session->inflight);
	if (r < 0)
		return r;
	r = take_processes(session);
	if (r < 0)
		return r;
	session->holders = (struct holder_search){.channel = session->channel,
		.listener = session->listener,
		.inflight = session->inflight,
		.own = &session->own,
		.urgency = &session->urgency,
		.filter = {message->attach.filter_id, message->attach.contained},
		.user = message->attach.user,
		.mediation = session->mediation};
	notify_prepare(session->listener);
	return 1;
}

/* 0: there is no more to do. Whoever was examined may have gone away, and nobody asks any more. */
static int tell_examined(struct supervisor *session, const struct examined *examined)
{
	const struct session_message message = {.type = SESSION_EXAMINED, .examined = *examined};
	int r = message_send(session->channel, &message, sizeof(message), NULL, 0);

	return r == -EPIPE ? 0 : r;
}

/* A launcher may have been confined since it said hello, and show somebody else's listener. Like an
 * examination, this waits without a bound of its own: we serve nobody yet and are disposable, and
 * the manager has us killed. */
static int take_launch(
	struct supervisor *session, const struct session_message *message, const int fds[static 4])
{
	uint32_t pid_depth;
	const struct examined examined =
		session_examine(session, message, fds[2], fds[3], &pid_depth);
	int r;

	/* A container does not wait for us. What it calls is refused, and not just left alone: a
	 * profile could allow it another listener when ours is closed. */
	r = examined.confined == 0 ? 0 : tell_examined(session, &examined);
	if (r < 0 || (examined.confined != 0 && !message->attach.contained))
		return r;
	r = take_attach(session, message, fds);
	if (r > 0) {
		session->inflight->pid_depth = pid_depth;
		session->inflight->pid_namespace = session->contained.pid_namespace;
	}
	return r;
}

/* The successor of one that has examined it. */
static int take_over(
	struct supervisor *session, const struct session_message *message, const int fds[static 2])
{
	int r = take_attach(session, message, fds);

	if (r <= 0)
		return r;
	session->contained.pid_namespace = session->inflight->pid_namespace;
	r = message->attach.processes_unknown ? tell_manager_of_all(session) : 0;
	return r < 0 ? r : 1;
}

static int take_first(struct supervisor *session)
{
	struct session_message message;
	int fds[4] = {-EBADF, -EBADF, -EBADF, -EBADF};
	size_t came;
	int r = message_receive_some(
		session->channel, &message, sizeof(message), fds, ELEMENTSOF(fds), &came);

	if (r <= 0)
		return r;
	if (message.type == SESSION_ATTACH && came == 2)
		return take_over(session, &message, fds);
	if (message.type == SESSION_ATTACH && came == (message.attach.contained ? 4 : 3))
		return take_launch(session, &message, fds);
	if (message.type == SESSION_EXAMINE && came == 1)
		return tell_examined(session,
			&(struct examined){process_is_confined(message.examine.pid, fds[0])});
	return -EBADMSG;
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
 * What is noted proves it for none: an earlier one may have died after it gave the call back. */
static size_t inside_the_door(
	const struct supervisor *session, pid_t tids[static SESSION_WAITING_MAX + 1])
{
	const struct seccomp_notif *noted;
	size_t count = 0;

	for (uint32_t i = 0; (noted = inflight_noted(session->inflight, i)); i++)
		if (noted->id != 0 && notify_is_valid(session->listener, noted->id))
			tids[count++] = (pid_t)noted->pid;
	return count;
}

/* From now on the session may open what it may not read, and an mq_notify that was given back
 * before, unwatched, may not have been made yet. */
static bool begins_to_watch(const struct supervisor *session)
{
	const struct inflight *inflight = session->inflight;

	return !inflight->watching && grants_have_unreadable(session->grants) &&
	       processes_have_registered(&inflight->processes);
}

static bool is_watched(const struct process *process)
{
	return process->pid != 0 && process->watched;
}

static bool any_is_watched(const struct supervisor *session)
{
	const struct processes *processes = &session->inflight->processes;

	for (size_t i = 0; i < processes->count; i++)
		if (is_watched(&processes->entries[i]))
			return true;
	return false;
}

/* An earlier session process died while it watched an mq_notify: where that has registered its
 * caller nobody has seen. If it is registered where the session may not read, it may have been
 * before; but that cannot be told from cheating any more. 0 or -EBUSY. */
static int judge_watched(struct supervisor *session)
{
	struct inflight *inflight = session->inflight;
	int r = 0;

	for (uint32_t i = 0; i < inflight->processes.count; i++) {
		struct process *process = &inflight->processes.entries[i];

		if (!is_watched(process))
			continue;
		if (registrations_look_quickly(process, &inflight->queues, &session->own) !=
				REGISTERED_NOT &&
			revoke_kill(&session->revoker, i) < 0)
			r = -EBUSY;
		__atomic_store_n(&process->watched, 0, __ATOMIC_SEQ_CST);
	}
	return r;
}

/* Calls that were given back to the kernel under older grants must come through the door again. Any
 * process of the session may hold a descriptor of any queue that it ever opened, so all of its
 * threads are concerned. */
static int put_in_force(struct supervisor *session)
{
	struct inflight *inflight = session->inflight;
	uint64_t fingerprint = grants_fingerprint(session->grants);
	pid_t inside[SESSION_WAITING_MAX + 1];
	int r;

	waiters_revise(&session->waiters, session->listener, session->grants);
	if (fingerprint != inflight->in_force) {
		/* Noted before anything else is: a session process that dies on the way leaves the
		 * rest to the next. */
		bool loses = queues_lose(&inflight->queues, session->grants);

		if (loses)
			inflight->tainted = 1;
		if (loses || begins_to_watch(session))
			__atomic_store_n(&inflight->returning, 1, __ATOMIC_SEQ_CST);
		queues_update(&inflight->queues, session->grants);
		inflight->watching = grants_have_unreadable(session->grants);
		inflight->in_force = fingerprint;
	}
	if (any_is_watched(session))
		__atomic_store_n(&inflight->returning, 1, __ATOMIC_SEQ_CST);
	if (!inflight->returning)
		return 0;
	r = revoke_bring_back(&session->revoker, inside, inside_the_door(session, inside));
	if (r == 0)
		r = judge_watched(session);
	if (r == 0)
		__atomic_store_n(&inflight->returning, 0, __ATOMIC_SEQ_CST);
	return r;
}

#define SLACK_USEC 400000ULL /* what lies between */

static_assert(REVOKE_DEADLINE_USEC + READY_DEADLINE_USEC + KILL_DEADLINE_USEC + SLACK_USEC <
		      GRANTS_DEADLINE_USEC,
	"the manager must be patient for as long as bringing threads back may take");

static int acknowledge(struct supervisor *session, uint64_t generation)
{
	struct session_message message = {.type = SESSION_ACK, .ack = {.generation = generation}};

	session->owed = 0;
	return message_send(session->channel, &message, sizeof(message), NULL, 0);
}

static int tell_unstopped(struct supervisor *session, uint64_t generation)
{
	const struct revoker *revoker = &session->revoker;
	struct session_message message = {.type = SESSION_UNSTOPPED,
		.unstopped = {.generation = generation,
			.pid = revoke_unstopped(revoker),
			.count = (uint32_t)revoker->unstopped}};

	session->owed = generation;
	return message_send(session->channel, &message, sizeof(message), NULL, 0);
}

bool session_owes(const struct supervisor *session)
{
	return session->owed != 0;
}

int session_pay(struct supervisor *session)
{
	if (session->owed == 0 || !revoke_look_again(&session->revoker) ||
		judge_watched(session) < 0)
		return 0;
	__atomic_store_n(&session->inflight->returning, 0, __ATOMIC_SEQ_CST);
	return acknowledge(session, session->owed);
}

/* New grants are in force from here on, since nothing is in hand. The acknowledgement is the
 * barrier that connect and disconnect wait for. */
static int take_grants(struct supervisor *session, struct grants *grants)
{
	bool first = !session->grants;
	int r;

	(void)grants_free(session->grants);
	session->grants = grants;
	counting_begin(session);
	r = put_in_force(session);
	if (r < 0 && r != -EBUSY)
		return r;
	/* Those that are inside the door could not be stopped. */
	if (first)
		resume_all(session);
	return r < 0 ? tell_unstopped(session, grants->generation)
		     : acknowledge(session, grants->generation);
}

static int take_next(struct supervisor *session)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct session_message message;
	bool holders;
	int r = message_receive(session->channel, &message, sizeof(message), &fd, 1);

	if (r <= 0)
		return r;
	holders = message.type == SESSION_HOLDERS && session->grants;
	if (!holders && message.type != SESSION_GRANTS)
		return -EBADMSG;
	r = read_grants(fd, holders ? message.holders.size : message.grants.size, &grants);
	if (r < 0)
		return r;
	if (holders)
		holders_look(&session->holders, &message, grants);
	else
		r = take_grants(session, take_pointer(grants));
	return r < 0 ? r : 1;
}

int session_take_message(struct supervisor *session)
{
	int r = session->listener < 0 ? take_first(session) : take_next(session);

	return r == -EAGAIN ? 1 : r;
}
