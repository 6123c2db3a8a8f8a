/* SPDX-License-Identifier: MIT */
/* The front of a run without a daemon.
 *
 * A signal that reaches this process is told to mqgate-alone, which is in the same process group
 * and knows whether it came to all of them, and so to the command, too (the terminal, kill(-1), a
 * service manager that ends a whole unit), or to this process only, and must be passed on. */
#include "front.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "exit-status.h"
#include "include/alone.h"
#include "include/log.h"
#include "include/protocol.h"
#include "include/task.h"

struct front {
	int socket, signals;
	pid_t supervisor;
	int command; /* pidfd; -EBADF before it is known */
	pid_t pid;   /* of the command */
};

#define SUPERVISOR_MS 1000 /* that mqgate-alone may take to end, if it has nothing more to do */
#define ROOM_MS       100  /* that it may take to hear us */

/* Nobody waits for a pipe of the command's because of us. */
static void keep_little(struct front *front)
{
	const int low = MIN(front->socket, front->signals);
	const int high = MAX(front->socket, front->signals);
	const int keep[] = {low, high};
	unsigned from = STDERR_FILENO + 1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null >= 0) {
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(null, STDOUT_FILENO);
	}
	for (size_t i = 0; i < ELEMENTSOF(keep); i++) {
		if ((unsigned)keep[i] > from)
			(void)syscall(SYS_close_range, from, (unsigned)keep[i] - 1, 0);
		from = (unsigned)keep[i] + 1;
	}
	(void)syscall(SYS_close_range, from, UINT32_MAX, 0);
}

/* As a signal that nobody handles does it. */
static void suffer(int number)
{
	sigset_t one;

	(void)signal(number, SIG_DFL);
	(void)sigemptyset(&one);
	(void)sigaddset(&one, number);
	(void)raise(number);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
	(void)sigprocmask(SIG_BLOCK, &one, NULL);
}

static _noreturn_ void end_as(int status)
{
	const struct rlimit no_core = {0, 0};

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	(void)setrlimit(RLIMIT_CORE, &no_core);
	suffer(WTERMSIG(status));
	exit(128 + WTERMSIG(status));
}

/* So that our parent, who waits for us, has nothing of ours left, and is told of all the time that
 * was used. */
static void see_supervisor_off(const struct front *front)
{
	for (int i = 0; i < SUPERVISOR_MS && waitpid(front->supervisor, NULL, WNOHANG) == 0; i++)
		(void)usleep(1000);
}

/* One that tells of a stop may be read only after we were stopped by the same and have gone on. */
static bool is_stopped(pid_t pid)
{
	struct task task;

	return task_read_by_number(pid, &task) == 0 && task.state == 'T';
}

/* A command that is a shell has the terminal for a process group of its own, and whoever continues
 * us gives it to ours. */
static void stop(const struct front *front, int number)
{
	const pid_t group = getpgid(front->pid);
	_cleanup_close_ int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const bool had_it = group > 0 && group != getpgrp() && tcgetpgrp(terminal) == group;

	suffer(number);
	if (had_it && tcgetpgrp(terminal) == getpgrp())
		(void)tcsetpgrp(terminal, group);
}

/* A door without anybody behind it stays shut: what the command can do then is nothing that it was
 * started for. */
static _noreturn_ void end_alone(const struct front *front)
{
	if (front->command >= 0)
		(void)syscall(SYS_pidfd_send_signal, front->command, SIGKILL, NULL, 0);
	log_error("mqgate-alone, which serves the command, has ended; the command is killed");
	exit(EXIT_OWN_FAILURE);
}

/* Our standard error is the command's, which may be a pipe that nobody reads. */
static void print(const char text[static ALONE_TEXT_MAX])
{
	struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};

	if (poll(&p, 1, 0) == 1 && p.revents == POLLOUT)
		(void)dprintf(STDERR_FILENO, "%.*s\n", ALONE_TEXT_MAX, text);
}

static void take_message(struct front *front)
{
	struct alone_message message;
	size_t came;
	int fd, r = message_receive_some(front->socket, &message, sizeof(message), &fd, 1, &came);

	/* It has closed what we said last unread; what it said last is still to be read. */
	if (r == -EAGAIN || r == -EINTR || r == -ECONNRESET)
		return;
	if (r <= 0)
		end_alone(front);
	if (came == 1) {
		(void)safe_close(front->command);
		front->command = fd;
		front->pid = message.number;
	}
	if (message.type == ALONE_TEXT)
		print(message.text);
	else if (message.type == ALONE_STOPPED && is_stopped(front->pid))
		stop(front, message.number);
	else if (message.type == ALONE_ENDED) {
		if (message.code == ALONE_NOTHING_LEFT)
			see_supervisor_off(front);
		end_as(message.number);
	}
}

static void take_signal(const struct front *front)
{
	struct alone_message message = {.type = ALONE_SIGNAL};
	struct pollfd room = {.fd = front->socket, .events = POLLOUT};
	struct signalfd_siginfo info;

	/* Until it is heard, the kernel keeps it. */
	if (poll(&room, 1, ROOM_MS) != 1 || !(room.revents & POLLOUT))
		return;
	if (read(front->signals, &info, sizeof(info)) != sizeof(info))
		return;
	/* Writing to a pipe without a reader is our own doing. */
	if (info.ssi_signo == SIGCHLD || info.ssi_pid == (uint32_t)getpid())
		return;
	message.number = (int32_t)info.ssi_signo;
	message.code = info.ssi_code;
	message.value = info.ssi_ptr;
	(void)message_send(front->socket, &message, sizeof(message), NULL, 0);
}

_noreturn_ void front_run(int socket, pid_t supervisor)
{
	struct front front = {.socket = socket, .supervisor = supervisor, .command = -EBADF};
	sigset_t all;

	(void)sigfillset(&all);
	(void)signal(SIGCHLD, SIG_DFL);
	front.signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (front.signals < 0) {
		(void)log_errno(-errno, "signalfd");
		exit(EXIT_OWN_FAILURE);
	}
	keep_little(&front);
	for (;;) {
		struct pollfd fds[] = {{.fd = front.signals, .events = POLLIN},
			{.fd = front.socket, .events = POLLIN}};

		if (poll(fds, ELEMENTSOF(fds), -1) < 0) {
			if (errno == EINTR)
				continue;
			/* The command, which may change our limits, has left us none. */
			end_alone(&front);
		}
		if (fds[0].revents)
			take_signal(&front);
		if (fds[1].revents)
			take_message(&front);
	}
}
