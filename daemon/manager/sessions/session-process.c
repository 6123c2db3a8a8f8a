/* SPDX-License-Identifier: MIT */
/* Session processes: has them started, feeds them and has them killed. */
#include "session-process.h"

#include <inttypes.h>
#include <poll.h>
#include <sys/socket.h>

#include "include/limits.h"
#include "include/log.h"
#include "include/protocol.h"
#include "spawner.h"
#include "daemon/manager/core/timer.h"

struct session_process *session_process_free(struct session_process *process)
{
	if (!process)
		return NULL;
	LIST_DROP(process->manager->session_processes, process);
	if (process->manager->spare == process)
		process->manager->spare = NULL;
	if (process->session)
		process->session->process = NULL;
	process->lifeline_watch = watch_end(process->lifeline_watch);
	process->socket_watch = watch_end(process->socket_watch);
	process->deadline_source = sd_event_source_disable_unref(process->deadline_source);
	process->lifeline = safe_close(process->lifeline);
	process->socket = safe_close(process->socket);
	free(process);
	return NULL;
}

void session_process_kill(struct session_process *process, const char *reason)
{
	if (process->killed)
		return;
	process->killed = true;
	if (reason)
		log_warning("session process %d: %s; killed", (int)process->pid, reason);
	(void)shutdown(process->lifeline, SHUT_WR);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct session_process *process = userdata;

	session_process_kill(process, process->session && process->session->ended
					      ? "did not exit in time"
					      : "did not acknowledge in time");
	return 0;
}

static int arm_deadline(struct session_process *process, uint64_t usec)
{
	return timer_start(
		process->manager->event, &process->deadline_source, usec, on_deadline, process);
}

/* Many of them share the processors. */
static uint64_t acknowledgement_usec(const struct session_process *process)
{
	return GRANTS_DEADLINE_USEC + process->manager->session_count * SESSION_SHARE_USEC;
}

void session_process_dismiss(struct session_process *process)
{
	(void)shutdown(process->socket, SHUT_WR);
	if (arm_deadline(process, DISMISS_DEADLINE_USEC) < 0)
		session_process_kill(process, NULL);
}

/* False: something has come that is not its end. */
static bool has_ended(struct session_process *process)
{
	struct spawner_event event;
	int r = message_receive(process->lifeline, &event, sizeof(event), NULL, 0);

	if (r > 0 && event.type == SPAWNER_STOPPED)
		session_process_kill(process, NULL);
	return r > 0 ? event.type == SPAWNER_GONE || event.type == SPAWNER_FAILED
		     : r != -EAGAIN && r != -EINTR;
}

static void wait_for_end(struct session_process *process, uint64_t deadline)
{
	struct pollfd p = {.fd = process->lifeline, .events = POLLIN};
	uint64_t now;

	while ((now = now_usec()) < deadline && poll(&p, 1, (int)((deadline - now) / 1000) + 1) > 0)
		if (has_ended(process))
			return;
}

/* Records of its last calls. Whoever waits for anything else is told that the manager ends. */
static void take_records(struct session_process *process)
{
	struct session_message message;
	size_t came;
	int fd;

	while (process->session && message_receive_some(process->socket, &message, sizeof(message),
					   &fd, 1, &came) > 0) {
		if (came == 0 && message.type == SESSION_RECORD)
			(void)process->manager->session_reports->message(
				process->session, &message, &(int){-EBADF});
		else if (came > 0)
			(void)safe_close(fd);
	}
}

void session_processes_end(struct manager *manager)
{
	uint64_t deadline =
		now_usec() + IN_HAND_DEADLINE_USEC + manager->session_count * SESSION_SHARE_USEC;

	FOREACH (process, manager->session_processes)
		(void)shutdown(process->socket, SHUT_WR);
	FOREACH (process, manager->session_processes) {
		wait_for_end(process, deadline);
		take_records(process);
	}
}

static void replace_spare(struct manager *manager, uint64_t delay_usec);

static int handle_ack(struct session_process *process, uint64_t generation)
{
	if (generation > process->generation_sent || generation <= process->generation_acknowledged)
		return -EBADMSG;
	process->generation_acknowledged = generation;
	process->session->processes_unknown = false;
	if (!process->session->ended) {
		if (generation == process->generation_sent)
			(void)sd_event_source_set_enabled(process->deadline_source, SD_EVENT_OFF);
		else if (arm_deadline(process, acknowledgement_usec(process)) < 0)
			session_process_kill(process, "out of memory");
		process->manager->session_reports->in_force(process->session, generation);
	}
	return 0;
}

/* Nothing more can be done but to wait. */
static int handle_unstopped(struct session_process *process, const struct session_message *message)
{
	if (message->unstopped.generation > process->generation_sent)
		return -EBADMSG;
	(void)sd_event_source_set_enabled(process->deadline_source, SD_EVENT_OFF);
	process->manager->session_reports->unstopped(process->session,
		message->unstopped.generation, message->unstopped.pid, message->unstopped.count);
	return 0;
}

static int handle_examined(struct session_process *process, const struct examined *examined)
{
	const struct session_starter starter = process->session->starter;

	/* Nobody cares any more: its process has ended. */
	if (process->session->ended)
		return 0;
	if (!starter.userdata || examined->confined == 0 ||
		!memchr(examined->lacks, '\0', sizeof(examined->lacks)))
		return -EBADMSG;
	starter.refused(examined, starter.userdata);
	return 0;
}

static int handle_message(
	struct session_process *process, const struct session_message *message, int *fd)
{
	if (!process->session || (*fd >= 0 && message->type != SESSION_PROCESS))
		return -EBADMSG;
	replace_spare(process->manager, 0);
	switch (message->type) {
	case SESSION_UNSTOPPED:
		return handle_unstopped(process, message);
	case SESSION_ACK:
		return handle_ack(process, message->ack.generation);
	case SESSION_EXAMINED:
		return handle_examined(process, &message->examined);
	default:
		return process->manager->session_reports->message(process->session, message, fd);
	}
}

/* At most so many messages, lest one session process keep the manager from the others. Returns 1
 * if there may be more, 0 at end of file, or negative errno (-EAGAIN: no more now). */
static int receive(struct session_process *process, unsigned messages)
{
	while (messages-- > 0) {
		_cleanup_close_ int fd = -EBADF;
		struct session_message message;
		size_t came;
		int r = message_receive_some(
			process->socket, &message, sizeof(message), &fd, 1, &came);

		if (r > 0 || r == -EMFILE)
			r = handle_message(process, &message, &fd) < 0 ? -EBADMSG : 1;
		if (r <= 0)
			return r;
	}
	return 1;
}

bool session_process_hear(struct session_process *process)
{
	int r = receive(process, SESSION_MESSAGES_AT_ONCE);

	if (r == -EBADMSG && process->session)
		process->session->unkept = true;
	return r > 0;
}

static void on_socket(int fd, uint32_t events, void *userdata)
{
	struct session_process *process = userdata;
	int r = receive(process, SESSION_MESSAGES_AT_ONCE);

	if (r > 0 || r == -EAGAIN || r == -EINTR)
		return;
	process->socket_watch = watch_end(process->socket_watch);
	if (r == -EBADMSG)
		session_process_kill(process, "sent a malformed message");
	else
		/* It is dead, or as good as dead; what of, is known when it is reaped. */
		(void)shutdown(process->lifeline, SHUT_WR);
}

static void log_death(const struct session_process *process, const struct spawner_event *event)
{
	if (event->type == SPAWNER_FAILED)
		log_errno(-event->status, "cannot start session process %s",
			process->manager->options->session_program);
	else if (event->type != SPAWNER_GONE)
		log_warning("session process %d is lost", (int)process->pid);
	else if (event->code == CLD_EXITED)
		log_warning("session process %d exited with status %d", (int)process->pid,
			event->status);
	else
		log_warning("session process %d was killed by signal %d", (int)process->pid,
			event->status);
}

static void reaped(struct session_process *process, const struct spawner_event *event)
{
	struct manager *manager = process->manager;
	struct session *session = process->session;
	bool was_spare = manager->spare == process;

	/* What it has said last may be the end of the session. */
	while (session && receive(process, 1) > 0)
		;
	if (!process->killed && !(session && session_is_over(session)))
		log_death(process, event);
	(void)session_process_free(process);
	if (session)
		manager->session_reports->process_gone(session);
	replace_spare(manager, was_spare ? SPARE_RETRY_USEC : 0);
}

static void on_lifeline(int fd, uint32_t events, void *userdata)
{
	struct session_process *process = userdata;
	struct spawner_event event = {0};
	int r = message_receive(fd, &event, sizeof(event), NULL, 0);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r > 0 && event.type == SPAWNER_STARTED)
		process->pid = event.pid;
	else if (r > 0 && event.type == SPAWNER_STOPPED)
		session_process_kill(process, "was stopped by a signal");
	else
		reaped(process, &event);
}

static int watch_process(struct session_process *process)
{
	struct crowd *crowd = &process->manager->crowd;
	int r = crowd_watch(
		crowd, process->lifeline, EPOLLIN, on_lifeline, process, &process->lifeline_watch);

	return r < 0 ? r
		     : crowd_watch(crowd, process->socket, EPOLLIN, on_socket, process,
			       &process->socket_watch);
}

int session_process_new(struct manager *manager, struct session_process **ret)
{
	struct session_process *process;
	int r;

	process = calloc(1, sizeof(*process));
	if (!process)
		return -ENOMEM;
	*process =
		(struct session_process){.manager = manager, .socket = -EBADF, .lifeline = -EBADF};
	LIST_ADD(manager->session_processes, process);

	r = spawner_begin(manager->spawner, SPAWNER_START, &process->socket, &process->lifeline);
	r = r < 0 ? r : watch_process(process);
	if (r < 0) {
		(void)session_process_free(process);
		return r;
	}
	*ret = process;
	return 0;
}

static int on_spare_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	if (manager->spare || manager->stopping)
		return 0;
	r = session_process_new(manager, &manager->spare);
	if (r < 0) {
		log_errno(r, "cannot start session process %s", manager->options->session_program);
		replace_spare(manager, SPARE_RETRY_USEC);
	}
	return 0;
}

/* After one that could not be started. */
static bool is_due_later(const struct manager *manager)
{
	int enabled = SD_EVENT_OFF;

	return manager->spare_source &&
	       sd_event_source_get_enabled(manager->spare_source, &enabled) > 0;
}

/* Only when what took it is over or under way: its starting would keep a launch from the processor.
 */
static void replace_spare(struct manager *manager, uint64_t delay_usec)
{
	int r;

	if (manager->spare || (delay_usec == 0 && is_due_later(manager)))
		return;
	r = timer_start(manager->event, &manager->spare_source, delay_usec, on_spare_due, manager);
	/* Launches under way come first. */
	if (r == 0)
		r = sd_event_source_set_priority(manager->spare_source, SD_EVENT_PRIORITY_IDLE);
	if (r < 0)
		log_errno(r, "cannot arrange for another spare session process");
}

int session_process_take(struct manager *manager, struct session_process **ret)
{
	if (!manager->spare || manager->spare->killed)
		return session_process_new(manager, ret);
	*ret = take_pointer(manager->spare);
	return 0;
}

int session_process_send_grants(
	struct session_process *process, int grants, size_t size, uint64_t generation)
{
	struct session_message message = {
		.type = SESSION_GRANTS, .grants = {.generation = generation, .size = size}};
	int r;

	r = message_send(process->socket, &message, sizeof(message), &grants, 1);
	if (r < 0)
		return r;
	if (process->generation_acknowledged == process->generation_sent) {
		r = arm_deadline(process, acknowledgement_usec(process));
		if (r < 0)
			return r;
	}
	process->generation_sent = generation;
	return 0;
}

int session_process_attach(struct session_process *process, struct session *session)
{
	const struct config *config = &session->manager->settings.config;
	struct session_message message = {.type = SESSION_ATTACH,
		.attach = {.record_rate = config->audit_rate,
			.record_allowed = config->audit_allowed,
			.mediation = session->mediation,
			.user = session->launcher.uid,
			.tells_tables = session->launch_version >= LAUNCH_VERSION_TELLS_TABLES,
			.launcher = session->launcher.pid,
			.filter_id = session->filter_id,
			.contained = session->container != NULL,
			.processes_unknown = session->processes_unknown,
			.capabilities = session->capabilities}};
	const struct container_bundle *bundle = session->starter.bundle;
	const int fds[] = {session->listener, session->inflight, session->launcher.pidfd,
		bundle ? bundle->root : -EBADF};
	const size_t count = bundle ? 4 : session->starter.userdata ? 3 : 2;
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_close_ int fd = -EBADF;
	uint64_t generation = ++session->manager->generation;
	size_t size;
	int r;

	process->session = session;
	session->process = process;
	if (bundle) {
		message.attach.runtime_user = bundle->user;
		message.attach.runtime_group = bundle->group;
		(void)strcpy(message.attach.bundle, bundle->path);
	}
	/* The launcher waits; later, its process is the program's. */
	r = message_send(process->socket, &message, sizeof(message), fds, count);
	if (r < 0)
		return r;
	r = bindings_grants(&session->bindings, &session->manager->policy, generation, &grants);
	r = r < 0 ? r : grants_memfd(grants, &fd, &size);
	r = r < 0 ? r : session_process_send_grants(process, fd, size, generation);
	/* It has looked at the launcher already, has said that it does not take the session, and
	 * has ended. That is still to be read. */
	return r == -EPIPE ? 0 : r;
}
