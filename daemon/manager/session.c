/* SPDX-License-Identifier: MIT */
/* Sessions as the manager knows them: from the handover of the listener until the last process is
 * gone. */
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>

#include "daemon/session/inflight.h"
#include "include/limits.h"
#include "include/log.h"
#include "facts.h"
#include "manager.h"
#include "timer.h"

static_assert(offsetof(struct inflight, since) == 0, "the manager reads the first word");

#define IN_HAND_MAP_SIZE 4096

char **strings_free(char **strings, size_t count)
{
	for (size_t i = 0; strings && i < count; i++)
		free(strings[i]);
	free(strings);
	return NULL;
}

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

bool session_has_plug(const struct session *session, const char *plug)
{
	for (size_t i = 0; i < session->bound.plug_count; i++)
		if (streq(session->bound.plugs[i], plug))
			return true;
	return false;
}

size_t sessions_of_user(const struct manager *manager, uid_t uid)
{
	size_t count = 0;

	FOREACH (session, manager->sessions)
		count += session->launcher.uid == uid;
	return count;
}

static void release_kernel_side(struct session *session)
{
	session->listener_source = sd_event_source_disable_unref(session->listener_source);
	session->restart_source = sd_event_source_disable_unref(session->restart_source);
	session->listener = safe_close(session->listener);
	if (session->in_hand)
		(void)munmap((void *)session->in_hand, IN_HAND_MAP_SIZE);
	session->in_hand = NULL;
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
	if (session->worker)
		session->worker->session = NULL;
	release_kernel_side(session);
	session_guard_end(session);
	session_forget_processes(session);
	session_in_force(session, UINT64_MAX);
	survey_session_gone(session);
	bound_clear(&session->bound);
	free(session);
	return NULL;
}

void session_end(struct session *session)
{
	struct launch *launch = take_pointer(session->launch);

	if (session->ended)
		return;
	if (!session_is_over(session))
		survey_session_lost(session);
	leave_manager(session);
	release_kernel_side(session);
	session_in_force(session, UINT64_MAX);
	if (launch)
		launch_session_ended(launch);
	if (session->worker)
		worker_dismiss(session->worker);
	else
		(void)session_free(session);
}

void session_in_force(struct session *session, uint64_t generation)
{
	bool revokes = false;

	FOREACH (update, session->updates) {
		if (update->generation > generation) {
			revokes |= update->revokes;
			continue;
		}
		LIST_DROP(session->updates, update);
		update_done(update);
	}
	session->unstopped = 0;
	if (!revokes)
		session_guard_end(session);
	if (session->ended || !session->worker || generation != session->worker->generation_sent)
		return;
	settle(session);
	if (session->launch)
		launch_ready(take_pointer(session->launch));
}

void session_unstopped(struct session *session, uint64_t generation, pid_t pid, uint32_t count)
{
	log_warning(
		"session of pid %d: %u processes that were killed have not stopped, one of them "
		"pid %d; what was disconnected is not in force before they have",
		(int)session->launcher.pid, count, (int)pid);
	session->unstopped = pid;
	session_guard_end(session);
	FOREACH (update, session->updates)
		if (update->generation <= generation)
			update_hindered(update);
}

bool session_is_over(const struct session *session)
{
	struct pollfd p = {.fd = session->listener};

	return session->ended || (poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR));
}

static int restart(struct session *session, uint64_t when);

static void start_worker(struct session *session)
{
	struct worker *worker;
	int r;

	r = worker_take(session->manager, &worker);
	if (r < 0) {
		log_errno(r, "cannot start session process %s",
			session->manager->options->session_program);
		if (restart(session, now_usec() + SPARE_RETRY_USEC) < 0)
			session_end(session);
		return;
	}
	r = worker_attach(worker, session);
	if (r < 0)
		worker_kill(worker, strerror(-r));
	else
		survey_ask_again(session);
	if (r == -E2BIG) {
		log_error("the session of pid %d ends: its plugs and slots are connected to too "
			  "many queues for one session",
			(int)session->launcher.pid);
		session_end(session);
	}
}

static int on_restart(sd_event_source *source, uint64_t usec, void *userdata)
{
	start_worker(userdata);
	return 0;
}

static int restart(struct session *session, uint64_t when)
{
	session->restart_source = sd_event_source_disable_unref(session->restart_source);
	return sd_event_add_time(session->manager->event, &session->restart_source, CLOCK_MONOTONIC,
		when, 1, on_restart, session);
}

void session_worker_gone(struct session *session)
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
	when = restart_at(&session->restart_time, now);
	if (when <= now)
		start_worker(session);
	else if (session->launch)
		/* Not one of them has come up: its launcher need not wait for the deadline. */
		session_end(session);
	else if (restart(session, when) < 0)
		session_end(session);
}

static int on_listener(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	session_end(userdata);
	return 0;
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
	void *map = mmap(NULL, IN_HAND_MAP_SIZE, PROT_READ, MAP_SHARED, session->inflight, 0);

	if (map == MAP_FAILED)
		return -errno;
	session->in_hand = map;
	return 0;
}

static int start_watch(struct manager *manager);

static int on_watch(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;

	FOREACH (session, manager->sessions) {
		uint64_t since = *session->in_hand;

		if (session->worker && in_hand_too_long(since, session->in_hand_seen, now_usec()))
			worker_kill(session->worker, "had one request in hand for too long");
		session->in_hand_seen = since;
	}
	return start_watch(manager);
}

static int start_watch(struct manager *manager)
{
	return timer_start(
		manager->event, &manager->watch_source, WATCH_INTERVAL_USEC, on_watch, manager);
}

static struct session *add(struct manager *manager, struct bound *bound,
	const struct identity *launcher, uint64_t constant, int *listener)
{
	struct session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	*session = (struct session){.manager = manager,
		.bound = *bound,
		.launcher = *launcher,
		.constant = constant,
		.listener = take_fd(listener),
		.inflight = -EBADF};
	*bound = (struct bound){0};
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
	r = sd_event_add_io(manager->event, &session->listener_source, session->listener, 0,
		on_listener, session);
	return r == 0 && manager->session_count == 1 ? start_watch(manager) : r;
}

static int start(struct session *session, struct worker *worker)
{
	int r = make_inflight(session);

	r = r < 0 ? r : watch(session);
	if (r < 0)
		return r;
	store_session(session);
	return worker_attach(worker, session);
}

int session_new(struct manager *manager, struct launch *launch, struct bound *bound, int *listener,
	struct session **ret)
{
	struct session *session =
		add(manager, bound, launch_identity(launch), launch_constant(launch), listener);
	struct worker *worker;
	int r;

	if (!session)
		return -ENOMEM;
	session->mediation = launch_mediation(launch);
	session->launch_version = launch_version(launch);
	session->capabilities = launch_capabilities(launch);
	session->launcher.pidfd = fcntl(session->launcher.pidfd, F_DUPFD_CLOEXEC, 0);

	r = session->launcher.pidfd < 0 ? -errno : worker_take(manager, &worker);
	if (r == 0) {
		r = start(session, worker);
		if (r < 0)
			worker_kill(worker, NULL);
	}
	if (r < 0) {
		session_end(session);
		return r;
	}
	session->launch = launch;
	manager_update_status(manager);
	*ret = session;
	return 0;
}

int session_take_over(struct manager *manager, struct facts *facts, int *listener, int *inflight)
{
	struct session *session;
	struct bound bound;
	int r;

	r = bound_again(&facts->bound, &manager->policy, &bound);
	if (r < 0)
		return r;
	session = add(manager, &bound, &facts->launcher, facts->constant, listener);
	if (!session) {
		bound_clear(&bound);
		return -ENOMEM;
	}
	facts->launcher.pidfd = -EBADF;
	session->number = facts->number;
	session->mediation = facts->mediation;
	session->launch_version = facts->launch_version;
	session->capabilities = facts->capabilities;
	session->inflight = take_fd(inflight);
	session->unsettled = true;
	manager->unsettled_count++;
	r = watch(session);
	if (r < 0)
		session_end(session);
	else
		start_worker(session);
	return r;
}
