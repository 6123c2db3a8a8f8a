/* SPDX-License-Identifier: MIT */
/* Sessions as the manager knows them: from the handover of the listener until the last process is
 * gone. */
#include "session.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "daemon/manager/core/timer.h"
#include "fdstore.h"
#include "holders.h"
#include "include/inflight.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/protocol.h"
#include "kept-processes.h"
#include "records.h"
#include "session-process.h"
#include "totals.h"

uint64_t restart_at(uint64_t *restart_time, uint64_t now)
{
	uint64_t credit = RESTART_BURST * RESTART_DELAY_USEC;

	*restart_time = MAX(*restart_time, now) + RESTART_DELAY_USEC;
	return *restart_time > now + credit ? *restart_time - credit : now;
}

bool in_hand_too_long(uint64_t since, uint64_t seen, uint64_t now)
{
	return since != 0 && since == seen && now - since > IN_HAND_DEADLINE_USEC;
}

size_t sessions_of_user(const struct manager *manager, uid_t uid)
{
	size_t count = 0;

	FOREACH (session, manager->sessions)
		count += session->launcher.uid == uid;
	return count;
}

bool sessions_are_full(size_t count, size_t of_root, size_t of_user)
{
	return of_user >= SESSIONS_PER_USER_MAX ||
	       count - of_root >= SESSIONS_MAX - SESSIONS_PER_USER_MAX || count >= SESSIONS_MAX;
}

static void in_force(struct session *session, uint64_t generation);

static void release_kernel_side(struct session *session)
{
	session->listener_watch = watch_end(session->listener_watch);
	session->restart_source = sd_event_source_disable_unref(session->restart_source);
	session->listener = safe_close(session->listener);
	if (session->head)
		(void)munmap((void *)session->head, sizeof(*session->head));
	session->head = NULL;
	session->inflight = safe_close(session->inflight);
	session->launcher.pidfd = safe_close(session->launcher.pidfd);
}

static void settle(struct session *session)
{
	if (session->unsettled)
		session->manager->unsettled_count--;
	session->unsettled = false;
}

static void leave_manager(struct session *session)
{
	struct manager *manager = session->manager;

	session->ended = true;
	/* Otherwise the next manager has it still. */
	if (session->head && !manager->stopping) {
		totals_add_session(manager->totals, session->head);
		last_records_keep(session);
	}
	store_forget(session);
	settle(session);
	LIST_DROP(manager->sessions, session);
	manager->session_count--;
	if (manager->session_count == 0 && manager->watch_source)
		(void)sd_event_source_set_enabled(manager->watch_source, SD_EVENT_OFF);
	manager_update_status(manager);
}

struct session *session_free(struct session *session)
{
	if (!session)
		return NULL;
	if (!session->ended)
		leave_manager(session);
	if (session->process)
		session->process->session = NULL;
	release_kernel_side(session);
	session_guard_end(session);
	session_forget_processes(session);
	in_force(session, UINT64_MAX);
	holders_query_session_gone(session);
	bindings_clear(&session->bindings);
	free(session->container);
	free(session);
	return NULL;
}

void session_end(struct session *session)
{
	const struct session_starter starter = session->starter;
	const bool over = session_is_over(session);

	if (session->ended)
		return;
	session->starter = (struct session_starter){0};
	if (!over)
		holders_query_session_lost(session);
	leave_manager(session);
	release_kernel_side(session);
	in_force(session, UINT64_MAX);
	if (starter.userdata)
		starter.ended(over, starter.userdata);
	if (session->process)
		session_process_dismiss(session->process);
	else
		(void)session_free(session);
}

static void in_force(struct session *session, uint64_t generation)
{
	struct session_starter starter;
	bool revokes = false;

	FOREACH (update, session->updates) {
		if (update->generation > generation) {
			revokes |= update->revokes;
			continue;
		}
		LIST_DROP(session->updates, update);
		update->in_force(update);
	}
	session->unstopped = 0;
	if (!revokes)
		session_guard_end(session);
	if (session->ended || !session->process || generation != session->process->generation_sent)
		return;
	settle(session);
	starter = session->starter;
	session->starter = (struct session_starter){0};
	if (!starter.userdata)
		return;
	if (session->container)
		store_session(session);
	starter.ready(starter.userdata);
}

static void unstopped(struct session *session, uint64_t generation, pid_t pid, uint32_t count)
{
	log_warning(
		"session of pid %d: %u processes that were killed have not stopped, one of them "
		"pid %d; what was disconnected is not in force before they have",
		(int)session->launcher.pid, count, (int)pid);
	session->unstopped = pid;
	session_guard_end(session);
	FOREACH (update, session->updates)
		if (update->generation <= generation)
			update->hindered(update);
}

static int restart(struct session *session, uint64_t when);

static void start_process(struct session *session)
{
	struct session_process *process;
	int r;

	r = session_process_take(session->manager, &process);
	if (r < 0) {
		log_errno(r, "cannot start session process %s",
			session->manager->options->session_program);
		if (restart(session, now_usec() + SPARE_RETRY_USEC) < 0)
			session_end(session);
		return;
	}
	r = session_process_attach(process, session);
	if (r < 0)
		session_process_kill(process, strerror(-r));
	else
		holders_query_ask_again(session);
	if (r == -E2BIG) {
		log_error(
			"the session of pid %d ends: its plugs and slots have too many queues for one session; disconnect some",
			(int)session->launcher.pid);
		session_end(session);
	}
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
	start_process(userdata);
	return 0;
}

static int restart(struct session *session, uint64_t when)
{
	session->restart_source = sd_event_source_disable_unref(session->restart_source);
	return sd_event_add_time(session->manager->event, &session->restart_source, CLOCK_MONOTONIC,
		when, 1, on_restart, session);
}

static void process_gone(struct session *session)
{
	uint64_t now = now_usec();
	uint64_t when;

	if (session->ended) {
		(void)session_free(session);
		return;
	}
	/* Nobody answers now, but threads may still be inside calls that were given back to the
	 * kernel; what is under way is in force when the next one has brought them back and
	 * acknowledged. It is also asked what this one was asked. */
	if (session_is_over(session)) {
		session_end(session);
		return;
	}
	session_guard_failed(session);
	session->manager->totals->processes_replaced++;
	when = restart_at(&session->restart_time, now);
	if (when <= now)
		start_process(session);
	else if (session->starter.userdata)
		/* Not one of them has come up: its launcher need not wait for the deadline. */
		session_end(session);
	else if (restart(session, when) < 0)
		session_end(session);
}

static void on_listener(int fd, uint32_t events, void *userdata)
{
	struct session *session = userdata;

	if (session->starter.userdata && session->process)
		(void)session_process_hear(session->process);
	session_end(session);
}

static int make_inflight(struct session *session)
{
	session->inflight = memfd_create(INFLIGHT_MEMFD, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (session->inflight < 0)
		return -errno;
	if (ftruncate(session->inflight, INFLIGHT_SIZE) < 0 ||
		fcntl(session->inflight, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
			0)
		return -errno;
	return 0;
}

static int map_inflight(struct session *session)
{
	void *map = mmap(NULL, sizeof(*session->head), PROT_READ, MAP_SHARED, session->inflight, 0);

	if (map == MAP_FAILED)
		return -errno;
	session->head = map;
	return 0;
}

static int start_watch(struct manager *manager);

static int on_watch(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	FOREACH (session, manager->sessions) {
		uint64_t since = __atomic_load_n(&session->head->since, __ATOMIC_RELAXED);

		if (session->process && in_hand_too_long(since, session->in_hand_seen, now_usec()))
			session_process_kill(
				session->process, "had one request in hand for too long");
		session->in_hand_seen = since;
	}
	return start_watch(manager);
}

static int start_watch(struct manager *manager)
{
	return timer_start(
		manager->event, &manager->watch_source, WATCH_INTERVAL_USEC, on_watch, manager);
}

void session_refuse(struct session *session)
{
	session->starter = (struct session_starter){0};
	session->refused = true;
	store_session(session);
}

static struct session *add(struct manager *manager, struct bindings *bindings,
	const struct identity *launcher, uint64_t filter_id, int *listener)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	*session = (struct session){.manager = manager,
		.bindings = *bindings,
		.launcher = *launcher,
		.filter_id = filter_id,
		.listener = take_fd(listener),
		.inflight = -EBADF};
	*bindings = (struct bindings){0};
	LIST_ADD(manager->sessions, session);
	manager->session_count++;
	return session;
}

static int watch(struct session *session)
{
	struct manager *manager = session->manager;
	int r;

	r = map_inflight(session);
	if (r < 0)
		return r;
	/* No events are asked for: what always comes is EPOLLHUP, when the last process is gone. */
	r = crowd_watch(&manager->crowd, session->listener, 0, on_listener, session,
		&session->listener_watch);
	return r == 0 && manager->session_count == 1 ? start_watch(manager) : r;
}

static int start(struct session *session, struct session_process *process)
{
	int r = make_inflight(session);

	r = r < 0 ? r : watch(session);
	if (r < 0)
		return r;
	/* A container does not wait for what becomes of it, so nobody may go on with it before. */
	if (!session->container)
		store_session(session);
	return session_process_attach(process, session);
}

static int take_label(struct session *session, const struct container_message *container)
{
	char label[CONTAINER_LABEL_MAX + 1];

	if (!container)
		return 0;
	container_label(container, label);
	session->container = strdup(label);
	return session->container ? 0 : -ENOMEM;
}

int session_new(struct manager *manager, const struct session_origin *origin,
	struct bindings *bindings, int *listener, struct session **ret)
{
	struct session *session =
		add(manager, bindings, &origin->launcher, origin->filter_id, listener);
	struct session_process *process;
	int r;

	if (!session)
		return -ENOMEM;
	session->mediation = origin->mediation;
	session->launch_version = origin->launch_version;
	session->capabilities = origin->capabilities;
	session->starter = origin->starter;
	session->launcher.pidfd = fcntl(session->launcher.pidfd, F_DUPFD_CLOEXEC, 0);

	r = session->launcher.pidfd < 0 ? -errno : take_label(session, origin->container);
	r = r < 0 ? r : session_process_take(manager, &process);
	if (r == 0) {
		r = start(session, process);
		if (r < 0)
			session_process_kill(process, NULL);
	}
	if (r < 0) {
		session->starter = (struct session_starter){0};
		session_end(session);
		return r;
	}
	manager_update_status(manager);
	*ret = session;
	return 0;
}

int session_take_over(
	struct manager *manager, struct snapshot *snapshot, int *listener, int *inflight)
{
	struct session *session;
	struct bindings bindings;
	int r;

	r = bindings_again(&snapshot->bindings, &manager->policy, &bindings);
	if (r < 0)
		return r;
	session = add(manager, &bindings, &snapshot->launcher, snapshot->filter_id, listener);
	if (!session) {
		bindings_clear(&bindings);
		return -ENOMEM;
	}
	snapshot->launcher.pidfd = -EBADF;
	session->number = snapshot->number;
	session->mediation = snapshot->mediation;
	session->launch_version = snapshot->launch_version;
	session->capabilities = snapshot->capabilities;
	session->container = take_pointer(snapshot->container);
	session->refused = snapshot->refused;
	session->inflight = take_fd(inflight);
	session->unsettled = true;
	session->processes_unknown = true;
	manager->unsettled_count++;
	r = watch(session);
	if (r < 0)
		session_end(session);
	else
		start_process(session);
	return r;
}

static int on_message(struct session *session, const struct session_message *message, int *fd)
{
	switch (message->type) {
	case SESSION_PROCESS:
		return session_keep_process(session, message->process.pid, fd);
	case SESSION_RECORD:
		return records_handle(session, message);
	case SESSION_HOLDERS_FOUND:
		holders_query_answer(session, message);
		return 0;
	default:
		return -EBADMSG;
	}
}

int sessions_start(struct manager *manager)
{
	static const struct session_reports reports = {
		.message = on_message,
		.in_force = in_force,
		.unstopped = unstopped,
		.process_gone = process_gone,
	};

	manager->session_reports = &reports;
	return session_process_new(manager, &manager->spare);
}

static void free_processes(struct manager *manager)
{
	FOREACH (process, manager->session_processes) {
		struct session *session = process->session;

		(void)session_process_free(process);
		if (session && session->ended)
			(void)session_free(session);
	}
}

void sessions_free(struct manager *manager)
{
	free_processes(manager);
	FOREACH (session, manager->sessions)
		(void)session_free(session);
	manager->watch_source = sd_event_source_disable_unref(manager->watch_source);
	manager->spare_source = sd_event_source_disable_unref(manager->spare_source);
}
