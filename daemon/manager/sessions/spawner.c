/* SPDX-License-Identifier: MIT */
#include "spawner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>

#include "include/capabilities.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/protocol.h"
#include "include/socket.h"
#include "include/task.h"
#include "daemon/manager/peers/fd-receiver.h"
#include "daemon/manager/core/list.h"

struct spawned {
	struct spawned *previous, *next;
	struct spawner *spawner;
	pid_t pid;
	int lifeline;
	sd_event_source *child_source, *lifeline_source;
};

struct spawner {
	const char *program;
	sd_event *event;
	struct spawned *spawned;
};

/* Kills and reaps, if that has not happened yet. */
static void spawned_free(struct spawned *spawned)
{
	LIST_DROP(spawned->spawner->spawned, spawned);
	spawned->lifeline_source = sd_event_source_disable_unref(spawned->lifeline_source);
	spawned->child_source = sd_event_source_disable_unref(spawned->child_source);
	spawned->lifeline = safe_close(spawned->lifeline);
	free(spawned);
}

/* Never more than a handful of them for one process, so there is room; and if not, the end of the
 * lifeline says the same as the last one. */
static void tell(int lifeline, enum spawner_event_type type, pid_t pid, int code, int status)
{
	const struct spawner_event event = {
		.type = type, .pid = pid, .code = code, .status = status};

	(void)message_send(lifeline, &event, sizeof(event), NULL, 0);
}

static int on_child(sd_event_source *source, const siginfo_t *information, void *userdata)
{
	struct spawned *spawned = userdata;
	const int code = information->si_code;
	const bool gone = code == CLD_EXITED || code == CLD_KILLED || code == CLD_DUMPED;

	if (gone)
		tell(spawned->lifeline, SPAWNER_GONE, spawned->pid, code, information->si_status);
	else if (code == CLD_STOPPED || code == CLD_TRAPPED)
		tell(spawned->lifeline, SPAWNER_STOPPED, spawned->pid, code,
			information->si_status);
	if (gone)
		spawned_free(spawned);
	return 0;
}

/* It may have taken over the priority of an app that keeps it from running. */
static void kill_spawned(struct spawned *spawned)
{
	task_make_ordinary(spawned->pid);
	(void)sd_event_source_send_child_signal(spawned->child_source, SIGKILL, NULL, 0);
}

static int on_lifeline(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct spawned *spawned = userdata;

	(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
	kill_spawned(spawned);
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
	r = r ? r : posix_spawn_file_actions_adddup2(actions, socket, SESSION_FD);
	r = r ? r : posix_spawn_file_actions_addclosefrom_np(actions, SESSION_FD + 1);
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

static int add_child(struct spawned *spawned)
{
	sd_event *event = spawned->spawner->event;
	int r;

	r = sd_event_add_child(
		event, &spawned->child_source, spawned->pid, WEXITED | WSTOPPED, on_child, spawned);
	if (r < 0) {
		/* Not ours to signal by a source, and not yet reaped by anybody: the pid is its
		 * own. */
		(void)kill(spawned->pid, SIGKILL);
		(void)waitpid(spawned->pid, NULL, 0);
		return r;
	}
	r = sd_event_source_set_child_process_own(spawned->child_source, true);
	r = r < 0 ? r : sd_event_source_set_enabled(spawned->child_source, SD_EVENT_ON);
	return r < 0 ? r
		     : sd_event_add_io(event, &spawned->lifeline_source, spawned->lifeline,
			       EPOLLIN | EPOLLRDHUP, on_lifeline, spawned);
}

/* The socket must not be SESSION_FD itself: then dup2 would leave it alone, close-on-exec and all.
 */
static int above_worker_fd(int *fd)
{
	int r = *fd > SESSION_FD ? *fd : fcntl(*fd, F_DUPFD_CLOEXEC, SESSION_FD + 1);

	if (r < 0)
		return -errno;
	if (r != *fd)
		(void)safe_close(*fd);
	*fd = r;
	return 0;
}

/* --- killing --------------------------------------------------------------------------------- */

/* 1: there are more. 0: that was the last. */
static int receive_victims(int channel, struct victim *victims, size_t *count)
{
	struct pollfd p = {.fd = channel, .events = POLLIN};
	struct spawner_victims message;
	int fds[MESSAGE_FDS_MAX];
	size_t came = 0;
	int r;

	if (poll(&p, 1, (int)(SPAWNER_BUSY_USEC / 1000)) <= 0)
		return -ETIME;
	r = message_receive_some(channel, &message, sizeof(message), fds, ELEMENTSOF(fds), &came);
	if (r <= 0)
		return r < 0 ? r : -EPIPE;
	if (came != message.count || *count + came > SESSION_PROCESSES_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < came; i++)
		victims[(*count)++] = (struct victim){.pid = message.pids[i], .pidfd = fds[i]};
	return !message.last;
}

static int kill_what_comes(int channel, struct spawner_killed *ret)
{
	static struct victim victims[SESSION_PROCESSES_MAX];
	size_t count = 0;
	int r;

	while ((r = receive_victims(channel, victims, &count)) > 0)
		;
	if (r < 0)
		return r;
	ret->unstopped = (uint32_t)victims_kill(victims, count, now_usec() + KILL_DEADLINE_USEC);
	for (size_t i = 0; i < count; i++)
		if (!victims[i].has_stopped)
			ret->pid = victims[i].pid;
	return 0;
}

/* A child of its own: nothing that holds it up holds up the spawner. */
static int fork_killing(int channel, pid_t *ret_pid)
{
	struct spawner_killed killed = {0};

	*ret_pid = task_fork();
	if (*ret_pid < 0)
		return -errno;
	if (*ret_pid > 0)
		return 0;
	close_all_but(channel, channel);
	if (kill_what_comes(channel, &killed) < 0 ||
		message_send(channel, &killed, sizeof(killed), NULL, 0) < 0)
		_exit(EXIT_FAILURE);
	_exit(EXIT_SUCCESS);
}

/* --- requests -------------------------------------------------------------------------------- */

/* Takes lifeline if it succeeds. */
static int start_one(struct spawner *spawner, uint64_t what, int *socket, int *lifeline)
{
	struct spawned *spawned = calloc(1, sizeof(*spawned));
	int r;

	if (!spawned)
		return -ENOMEM;
	*spawned = (struct spawned){.spawner = spawner, .lifeline = -EBADF};
	LIST_ADD(spawner->spawned, spawned);
	r = above_worker_fd(socket);
	if (r == 0)
		r = what == SPAWNER_KILL ? fork_killing(*socket, &spawned->pid)
					 : spawn(spawner->program, *socket, &spawned->pid);
	if (r == 0) {
		spawned->lifeline = *lifeline;
		r = add_child(spawned);
		if (r < 0)
			spawned->lifeline = -EBADF;
	}
	if (r < 0) {
		spawned_free(spawned);
		return r;
	}
	tell(take_fd(lifeline), SPAWNER_STARTED, spawned->pid, 0, 0);
	return 0;
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct spawner *spawner = userdata;
	struct spawner_request request;
	int fds[2], r;

	r = message_receive(fd, &request, sizeof(request), fds, ELEMENTSOF(fds));
	if (r == 0 || r == -ECONNRESET)
		return sd_event_exit(spawner->event, 0);
	/* If there was no room for its descriptors they are closed now, which the manager sees. */
	if (r < 0)
		return 0;
	r = request.magic == SPAWNER_START || request.magic == SPAWNER_KILL
		    ? start_one(spawner, request.magic, &fds[0], &fds[1])
		    : -EBADMSG;
	if (r < 0)
		tell(fds[1], SPAWNER_FAILED, 0, 0, -r);
	(void)safe_close(fds[0]);
	(void)safe_close(fds[1]);
	return 0;
}

static int prepare(struct spawner *spawner, int socket)
{
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	r = process_restrict();
	r = r < 0 ? r : capabilities_keep(CAPABILITIES_OF_SPAWNER);
	r = r < 0 ? r : process_raise_descriptors();
	r = r < 0 ? r : sd_event_new(&spawner->event);
	return r < 0 ? r
		     : sd_event_add_io(spawner->event, NULL, socket, EPOLLIN, on_request, spawner);
}

int spawner_serve(int socket, const char *session_program)
{
	struct spawner spawner = {.program = session_program};
	int r;

	r = prepare(&spawner, socket);
	if (r < 0)
		(void)log_errno(r, "cannot set up the spawner of session processes");
	else if ((r = sd_event_loop(spawner.event)) < 0)
		(void)log_errno(r, "the spawner of session processes ends");
	FOREACH (spawned, spawner.spawned)
		kill_spawned(spawned);
	FOREACH (spawned, spawner.spawned)
		spawned_free(spawned);
	spawner.event = sd_event_unref(spawner.event);
	(void)safe_close(socket);
	return r;
}

int spawner_check_peer(int socket)
{
	struct sockaddr_un address = {0};
	struct ucred peer;
	socklen_t size = sizeof(peer);
	struct stat st;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	size = sizeof(address) - 1;
	if (getsockname(socket, (struct sockaddr *)&address, &size) < 0 ||
		lstat(address.sun_path, &st) < 0)
		return -errno;
	return peer.uid == st.st_uid ? 0 : -EPERM;
}

_noreturn_ static void serve_in_child(int socket, const char *session_program)
{
	sigset_t all;

	/* What is meant for the manager, ^C among it, must not end us before it. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)prctl(PR_SET_NAME, "mqgate-spawner");
	close_all_but(socket, socket);
	_exit(spawner_serve(socket, session_program) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

int spawner_fork(const char *session_program, pid_t *ret_pid, int *ret_socket)
{
	int sockets[2];
	pid_t pid;

	if (access(session_program, X_OK) < 0)
		return log_errno(-errno,
			"cannot start the session program %s (--session-program names another)",
			session_program);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return log_errno(-errno, "cannot start the spawner of session processes");
	pid = task_fork();
	if (pid == 0)
		serve_in_child(sockets[1], session_program);
	(void)safe_close(sockets[1]);
	if (pid < 0) {
		(void)safe_close(sockets[0]);
		return log_errno(-errno, "cannot start the spawner of session processes");
	}
	*ret_pid = pid;
	*ret_socket = sockets[0];
	return 0;
}

int spawner_connect(const char *path, int *ret_socket)
{
	int r = socket_connect(path, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	if (r == -ENAMETOOLONG)
		log_error("%s is too long for a socket", path);
	else if (r < 0)
		log_errno(r,
			"cannot connect to %s, where session processes are started; is "
			"mqgate-sessions.socket active?",
			path);
	else
		*ret_socket = r;
	return MIN(r, 0);
}

int spawner_ask(int spawner, uint64_t what, int channel, int lifeline)
{
	const struct spawner_request request = {.magic = what};
	const int fds[] = {channel, lifeline};
	struct pollfd p = {.fd = spawner, .events = POLLOUT};
	int r = message_send(spawner, &request, sizeof(request), fds, ELEMENTSOF(fds));

	if (r == -EAGAIN && poll(&p, 1, (int)(SPAWNER_BUSY_USEC / 1000)) > 0)
		r = message_send(spawner, &request, sizeof(request), fds, ELEMENTSOF(fds));
	return r;
}

int spawner_begin(int spawner, uint64_t what, int *ret_channel, int *ret_lifeline)
{
	_cleanup_close_ int channel = -EBADF, lifeline = -EBADF;
	int sockets[2];

	*ret_channel = *ret_lifeline = -EBADF;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	*ret_channel = sockets[0];
	channel = sockets[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	*ret_lifeline = sockets[0];
	lifeline = sockets[1];
	return spawner_ask(spawner, what, channel, lifeline);
}

void spawner_dismiss(int socket, pid_t pid)
{
	struct pollfd p = {.fd = socket};

	(void)shutdown(socket, SHUT_WR);
	if (poll(&p, 1, (int)(SPAWNER_DEADLINE_USEC / 1000)) <= 0 && pid > 0)
		(void)kill(pid, SIGKILL);
	(void)safe_close(socket);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}
