/* SPDX-License-Identifier: MIT */
/* Session processes: starts, feeds, kills and reaps them. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "include/limits.h"
#include "include/log.h"
#include "manager.h"

struct worker *worker_free(struct worker *worker)
{
	if (!worker)
		return NULL;
	LIST_DROP(worker->manager->workers, worker);
	if (worker->manager->spare == worker)
		worker->manager->spare = NULL;
	if (worker->session)
		worker->session->worker = NULL;
	/* Kills and reaps, if that has not happened yet. */
	worker->child_source = sd_event_source_disable_unref(worker->child_source);
	worker->socket_source = sd_event_source_disable_unref(worker->socket_source);
	worker->deadline_source = sd_event_source_disable_unref(worker->deadline_source);
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
	(void)sd_event_source_send_child_signal(worker->child_source, SIGKILL, NULL, 0);
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
	int r;

	if (!worker->deadline_source)
		return sd_event_add_time_relative(worker->manager->event, &worker->deadline_source,
			CLOCK_MONOTONIC, usec, 0, on_deadline, worker);
	r = sd_event_source_set_time_relative(worker->deadline_source, usec);
	return r < 0 ? r : sd_event_source_set_enabled(worker->deadline_source, SD_EVENT_ONESHOT);
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
		else if (arm_deadline(worker, GRANTS_DEADLINE_USEC) < 0)
			worker_kill(worker, "out of memory");
		session_in_force(worker->session, generation);
	}
	return 0;
}

static int handle_message(struct worker *worker, const struct worker_message *message)
{
	if (!worker->session)
		return -EBADMSG;
	switch (message->type) {
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
		struct worker_message message;
		int r = message_receive(worker->socket, &message, sizeof(message), NULL, 0);

		if (r > 0)
			r = handle_message(worker, &message) < 0 ? -EBADMSG : 1;
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
		(void)sd_event_source_send_child_signal(worker->child_source, SIGKILL, NULL, 0);
	return 0;
}

static void log_death(const struct worker *worker, const siginfo_t *information)
{
	if (information->si_code == CLD_EXITED)
		log_warning("session process %d exited with status %d", (int)worker->pid,
			information->si_status);
	else
		log_warning("session process %d was killed by signal %d", (int)worker->pid,
			information->si_status);
}

static void reaped(struct worker *worker, const siginfo_t *information)
{
	struct manager *manager = worker->manager;
	struct session *session = worker->session;
	bool was_spare = manager->spare == worker;

	if (!worker->killed && !(session && session_is_over(session)))
		log_death(worker, information);
	while (session && receive(worker, 1) > 0)
		;
	(void)worker_free(worker);
	if (session)
		session_worker_gone(session);
	if (was_spare && spare_schedule(manager, SPARE_RETRY_USEC) < 0)
		log_error("cannot arrange for another spare session process");
}

static int on_child(sd_event_source *source, const siginfo_t *information, void *userdata)
{
	struct worker *worker = userdata;

	switch (information->si_code) {
	case CLD_EXITED:
	case CLD_KILLED:
	case CLD_DUMPED:
		reaped(worker, information);
		break;
	case CLD_STOPPED:
	case CLD_TRAPPED:
		worker_kill(worker, "was stopped by a signal");
		break;
	}
	return 0;
}

/* Nothing is inherited but stderr and the socket. */
static int spawn_arguments(
	posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, int socket)
{
	sigset_t none, all;
	int r;

	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	r = r ? r
	      : posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	r = r ? r : posix_spawn_file_actions_adddup2(actions, socket, WORKER_FD);
	r = r ? r : posix_spawn_file_actions_addclosefrom_np(actions, WORKER_FD + 1);
	r = r ? r : posix_spawnattr_setsigmask(attributes, &none);
	r = r ? r : posix_spawnattr_setsigdefault(attributes, &all);
	r = r ? r
	      : posix_spawnattr_setflags(
			attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	return -r;
}

static int spawn(const char *program, int socket, pid_t *ret_pid)
{
	char *const arguments[] = {(char *)"mqgate-session", NULL};
	char *const environment[] = {NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	r = -posix_spawn_file_actions_init(&actions);
	if (r < 0)
		return r;
	r = -posix_spawnattr_init(&attributes);
	if (r == 0) {
		r = spawn_arguments(&actions, &attributes, socket);
		if (r == 0)
			r = -posix_spawn(
				ret_pid, program, &actions, &attributes, arguments, environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* The socket must not be WORKER_FD itself: then dup2 would leave it alone, close-on-exec and all.
 */
static int make_sockets(int ret[static 2])
{
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return -errno;
	if (ret[1] > WORKER_FD)
		return 0;
	r = fcntl(ret[1], F_DUPFD_CLOEXEC, WORKER_FD + 1);
	if (r < 0) {
		r = -errno;
		(void)safe_close(ret[0]);
		(void)safe_close(ret[1]);
		return r;
	}
	(void)safe_close(ret[1]);
	ret[1] = r;
	return 0;
}

static int add_sources(struct worker *worker)
{
	sd_event *event = worker->manager->event;
	int r;

	r = sd_event_add_child(
		event, &worker->child_source, worker->pid, WEXITED | WSTOPPED, on_child, worker);
	if (r < 0) {
		/* Not ours to signal by a source, and not yet reaped by anybody: the pid is its
		 * own. */
		(void)kill(worker->pid, SIGKILL);
		(void)waitpid(worker->pid, NULL, 0);
		return r;
	}
	r = sd_event_source_set_child_process_own(worker->child_source, true);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(worker->child_source, SD_EVENT_ON);
	if (r < 0)
		return r;
	return sd_event_add_io(
		event, &worker->socket_source, worker->socket, EPOLLIN, on_socket, worker);
}

int worker_new(struct manager *manager, struct worker **ret)
{
	_cleanup_close_ int theirs = -EBADF;
	struct worker *worker;
	int r, sockets[2];

	worker = calloc(1, sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	worker->manager = manager;
	worker->socket = -EBADF;
	LIST_ADD(manager->workers, worker);

	r = make_sockets(sockets);
	if (r == 0) {
		worker->socket = sockets[0];
		theirs = sockets[1];
		r = spawn(manager->options->session_program, theirs, &worker->pid);
	}
	if (r == 0)
		r = add_sources(worker);
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
	int r;

	if (!manager->spare_source) {
		r = sd_event_add_time_relative(manager->event, &manager->spare_source,
			CLOCK_MONOTONIC, delay_usec, 1, on_spare_due, manager);
		if (r < 0)
			return r;
		/* Launches under way come first. */
		return sd_event_source_set_priority(manager->spare_source, SD_EVENT_PRIORITY_IDLE);
	}
	r = sd_event_source_set_time_relative(manager->spare_source, delay_usec);
	return r < 0 ? r : sd_event_source_set_enabled(manager->spare_source, SD_EVENT_ONESHOT);
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

int grants_memfd(const struct policy *policy, const struct bound *bound, uint64_t generation,
	int *ret_fd, size_t *ret_size)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	int r;

	r = grants_new(generation, &grants);
	if (r < 0)
		return r;
	r = collect_grants(policy, bound, grants);
	return r < 0 ? r : sealed_memfd(grants, ret_fd, ret_size);
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
		r = arm_deadline(worker, GRANTS_DEADLINE_USEC);
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
			.constant = session->constant,
			.capabilities = session->capabilities}};
	const int fds[] = {session->listener, session->inflight};
	_cleanup_close_ int grants = -EBADF;
	uint64_t generation = ++session->manager->generation;
	size_t size;
	int r;

	worker->session = session;
	session->worker = worker;
	r = message_send(worker->socket, &message, sizeof(message), fds, ELEMENTSOF(fds));
	if (r < 0)
		return r;
	r = grants_memfd(&session->manager->policy, &session->bound, generation, &grants, &size);
	if (r < 0)
		return r;
	return worker_send_grants(worker, grants, size, generation);
}
