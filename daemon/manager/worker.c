/* SPDX-License-Identifier: MIT */
/* Session processes: has them started, feeds them and has them killed. */
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "include/limits.h"
#include "include/log.h"
#include "manager.h"
#include "spawner.h"
#include "timer.h"

struct worker *worker_free(struct worker *worker)
{
	if (!worker)
		return NULL;
	LIST_DROP(worker->manager->workers, worker);
	if (worker->manager->spare == worker)
		worker->manager->spare = NULL;
	if (worker->session)
		worker->session->worker = NULL;
	worker->lifeline_source = sd_event_source_disable_unref(worker->lifeline_source);
	worker->socket_source = sd_event_source_disable_unref(worker->socket_source);
	worker->deadline_source = sd_event_source_disable_unref(worker->deadline_source);
	worker->lifeline = safe_close(worker->lifeline);
	worker->socket = safe_close(worker->socket);
	free(worker);
	return NULL;
}

void worker_kill(struct worker *worker, const char *reason)
{
	if (worker->killed)
		return;
	worker->killed = true;
	if (reason)
		log_warning("session process %d: %s; killed", (int)worker->pid, reason);
	(void)shutdown(worker->lifeline, SHUT_WR);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct worker *worker = userdata;

	worker_kill(worker, worker->session && worker->session->ended
				    ? "did not exit in time"
				    : "did not acknowledge in time");
	return 0;
}

static int arm_deadline(struct worker *worker, uint64_t usec)
{
	return timer_start(
		worker->manager->event, &worker->deadline_source, usec, on_deadline, worker);
}

/* Many of them share the processors. */
static uint64_t acknowledgement_usec(const struct worker *worker)
{
	return GRANTS_DEADLINE_USEC + worker->manager->session_count * SESSION_SHARE_USEC;
}

void worker_dismiss(struct worker *worker)
{
	(void)shutdown(worker->socket, SHUT_WR);
	if (arm_deadline(worker, DISMISS_DEADLINE_USEC) < 0)
		worker_kill(worker, NULL);
}

static int handle_ack(struct worker *worker, uint64_t generation)
{
	if (generation > worker->generation_sent || generation <= worker->generation_acknowledged)
		return -EBADMSG;
	worker->generation_acknowledged = generation;
	if (!worker->session->ended) {
		if (generation == worker->generation_sent)
			(void)sd_event_source_set_enabled(worker->deadline_source, SD_EVENT_OFF);
		else if (arm_deadline(worker, acknowledgement_usec(worker)) < 0)
			worker_kill(worker, "out of memory");
		session_in_force(worker->session, generation);
	}
	return 0;
}

/* Nothing more can be done but to wait. */
static int handle_unstopped(struct worker *worker, const struct worker_message *message)
{
	if (message->unstopped.generation > worker->generation_sent)
		return -EBADMSG;
	(void)sd_event_source_set_enabled(worker->deadline_source, SD_EVENT_OFF);
	session_unstopped(worker->session, message->unstopped.generation, message->unstopped.pid,
		message->unstopped.count);
	return 0;
}

static int handle_message(struct worker *worker, const struct worker_message *message, int *fd)
{
	if (!worker->session || (*fd >= 0 && message->type != WORKER_PROCESS))
		return -EBADMSG;
	switch (message->type) {
	case WORKER_PROCESS:
		return session_keep_process(worker->session, message->process.pid, fd);
	case WORKER_UNSTOPPED:
		return handle_unstopped(worker, message);
	case WORKER_ACK:
		return handle_ack(worker, message->ack.generation);
	case WORKER_RECORD:
		return record_handle(worker->session, message);
	case WORKER_HELD:
		survey_answer(worker->session, message);
		return 0;
	default:
		return -EBADMSG;
	}
}

/* At most so many messages, lest one session process keep the manager from the others. Returns 1
 * if there may be more, 0 at end of file, or negative errno (-EAGAIN: no more now). */
static int receive(struct worker *worker, unsigned messages)
{
	while (messages-- > 0) {
		_cleanup_close_ int fd = -EBADF;
		struct worker_message message;
		size_t came;
		int r = message_receive_some(
			worker->socket, &message, sizeof(message), &fd, 1, &came);

		if (r > 0 || r == -EMFILE)
			r = handle_message(worker, &message, &fd) < 0 ? -EBADMSG : 1;
		if (r <= 0)
			return r;
	}
	return 1;
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct worker *worker = userdata;
	int r = receive(worker, WORKER_MESSAGES_AT_ONCE);

	if (r > 0 || r == -EAGAIN || r == -EINTR)
		return 0;
	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (r == -EBADMSG)
		worker_kill(worker, "sent a malformed message");
	else
		/* It is dead, or as good as dead; what of, is known when it is reaped. */
		(void)shutdown(worker->lifeline, SHUT_WR);
	return 0;
}

static void log_death(const struct worker *worker, const struct spawner_event *event)
{
	if (event->type == SPAWNER_FAILED)
		log_errno(-event->status, "cannot start session process %s",
			worker->manager->options->session_program);
	else if (event->type != SPAWNER_GONE)
		log_warning("session process %d is lost", (int)worker->pid);
	else if (event->code == CLD_EXITED)
		log_warning("session process %d exited with status %d", (int)worker->pid,
			event->status);
	else
		log_warning("session process %d was killed by signal %d", (int)worker->pid,
			event->status);
}

static void reaped(struct worker *worker, const struct spawner_event *event)
{
	struct manager *manager = worker->manager;
	struct session *session = worker->session;
	bool was_spare = manager->spare == worker;

	if (!worker->killed && !(session && session_is_over(session)))
		log_death(worker, event);
	while (session && receive(worker, 1) > 0)
		;
	(void)worker_free(worker);
	if (session)
		session_worker_gone(session);
	if (was_spare && spare_schedule(manager, SPARE_RETRY_USEC) < 0)
		log_error("cannot arrange for another spare session process");
}

static int on_lifeline(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct worker *worker = userdata;
	struct spawner_event event = {0};
	int r = message_receive(fd, &event, sizeof(event), NULL, 0);

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	if (r > 0 && event.type == SPAWNER_STARTED)
		worker->pid = event.pid;
	else if (r > 0 && event.type == SPAWNER_STOPPED)
		worker_kill(worker, "was stopped by a signal");
	else
		reaped(worker, &event);
	return 0;
}

static int make_sockets(int ret[static 2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0 ? -errno : 0;
}

/* The other end of each socket is for the spawner, and closed here. */
static int ask_spawner(struct worker *worker)
{
	int channel[2], lifeline[2], r;

	r = make_sockets(channel);
	if (r < 0)
		return r;
	worker->socket = channel[0];
	r = make_sockets(lifeline);
	if (r == 0) {
		worker->lifeline = lifeline[0];
		r = spawner_ask(worker->manager->spawner, SPAWNER_START, channel[1], lifeline[1]);
		(void)safe_close(lifeline[1]);
	}
	(void)safe_close(channel[1]);
	return r;
}

static int add_sources(struct worker *worker)
{
	sd_event *event = worker->manager->event;
	int r;

	r = sd_event_add_io(
		event, &worker->lifeline_source, worker->lifeline, EPOLLIN, on_lifeline, worker);
	return r < 0 ? r
		     : sd_event_add_io(event, &worker->socket_source, worker->socket, EPOLLIN,
			       on_socket, worker);
}

int worker_new(struct manager *manager, struct worker **ret)
{
	struct worker *worker;
	int r;

	worker = calloc(1, sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	*worker = (struct worker){.manager = manager, .socket = -EBADF, .lifeline = -EBADF};
	LIST_ADD(manager->workers, worker);

	r = ask_spawner(worker);
	r = r < 0 ? r : add_sources(worker);
	if (r < 0) {
		(void)worker_free(worker);
		return r;
	}
	*ret = worker;
	return 0;
}

static int on_spare_due(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	if (manager->spare || manager->stopping)
		return 0;
	r = worker_new(manager, &manager->spare);
	if (r < 0) {
		log_errno(r, "cannot start session process %s", manager->options->session_program);
		r = spare_schedule(manager, SPARE_RETRY_USEC);
		if (r < 0)
			log_errno(r, "cannot arrange for another spare session process");
	}
	return 0;
}

int spare_schedule(struct manager *manager, uint64_t delay_usec)
{
	int r = timer_start(
		manager->event, &manager->spare_source, delay_usec, on_spare_due, manager);

	/* Launches under way come first. */
	return r < 0 ? r
		     : sd_event_source_set_priority(manager->spare_source, SD_EVENT_PRIORITY_IDLE);
}

int worker_take(struct manager *manager, struct worker **ret)
{
	int r;

	if (!manager->spare || manager->spare->killed)
		return worker_new(manager, ret);
	r = spare_schedule(manager, 0);
	if (r < 0)
		return r;
	*ret = take_pointer(manager->spare);
	return 0;
}

static int collect_grants(
	const struct policy *policy, const struct bound *bound, struct grants *grants)
{
	int r;

	for (size_t i = 0; i < bound->plug_count; i++) {
		r = policy_add_plug_grants(policy, bound->plugs[i], grants);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < bound->slot_count; i++) {
		r = policy_add_slot_grants(policy, bound->slots[i], grants);
		if (r < 0)
			return r;
	}
	grants_seal(grants);
	return 0;
}

int write_sealed(int fd, const char *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, data + done, size - done);

		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	return 0;
}

int sealed_memfd(const struct grants *grants, int *ret_fd, size_t *ret_size)
{
	_cleanup_free_ void *data = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = grants_serialise(grants, &data, ret_size);
	if (r < 0)
		return r;
	fd = memfd_create("mqgate-grants", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	r = write_sealed(fd, data, *ret_size);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

int grants_of(const struct policy *policy, const struct bound *bound, uint64_t generation,
	struct grants **ret)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	int r;

	r = grants_new(generation, &grants);
	r = r < 0 ? r : collect_grants(policy, bound, grants);
	if (r == 0)
		*ret = take_pointer(grants);
	return r;
}

int worker_send_grants(struct worker *worker, int grants, size_t size, uint64_t generation)
{
	struct worker_message message = {
		.type = WORKER_GRANTS, .grants = {.generation = generation, .size = size}};
	int r;

	r = message_send(worker->socket, &message, sizeof(message), &grants, 1);
	if (r < 0)
		return r;
	if (worker->generation_acknowledged == worker->generation_sent) {
		r = arm_deadline(worker, acknowledgement_usec(worker));
		if (r < 0)
			return r;
	}
	worker->generation_sent = generation;
	return 0;
}

int worker_attach(struct worker *worker, struct session *session)
{
	const struct config *config = &session->manager->settings.config;
	struct worker_message message = {.type = WORKER_ATTACH,
		.attach = {.record_rate = config->audit_rate,
			.record_allowed = config->audit_allowed,
			.mediation = session->mediation,
			.user = session->launcher.uid,
			.constant = session->constant,
			.capabilities = session->capabilities}};
	const int fds[] = {session->listener, session->inflight};
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_close_ int fd = -EBADF;
	uint64_t generation = ++session->manager->generation;
	size_t size;
	int r;

	worker->session = session;
	session->worker = worker;
	r = message_send(worker->socket, &message, sizeof(message), fds, ELEMENTSOF(fds));
	if (r < 0)
		return r;
	r = grants_of(&session->manager->policy, &session->bound, generation, &grants);
	r = r < 0 ? r : sealed_memfd(grants, &fd, &size);
	return r < 0 ? r : worker_send_grants(worker, fd, size, generation);
}
