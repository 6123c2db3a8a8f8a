/* SPDX-License-Identifier: MIT */
/* service-manager DIR COMMAND [ARG…]: what a daemon sees of a service manager, in small: sockets
 * "launch" and "control" in DIR that outlive it, NOTIFY_SOCKET, and a store for its descriptors. It
 * is started again whenever it ends.
 *
 * Commands on stdin, each answered by one line:
 *
 *   main                   the daemon's pid; 0: it does not run
 *   ready                  "ready N" once the N-th start has said READY; "not ready" after 20 s
 *   signal N               sends it to the daemon
 *   hold, release          whether it is not started again
 *   program FILE           what is started from now on
 *   stored                 how many descriptors are stored
 *   drop KIND              of the stored ones whose link contains KIND; tells how many
 *   set KIND OFFSET VALUE  the same, each replaced by a copy that has this 32-bit VALUE at OFFSET
 *   add NAME               stores a descriptor that nobody knows
 *
 * At the end of stdin it kills the daemon and exits. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/patience.h"

#define STORED_MAX  1024
#define PATIENCE_MS (20000 * patience())
#define MESSAGE_FDS 8

struct stored {
	char name[32];
	int fd;
	bool poll;
};

static struct stored stored[STORED_MAX];
static size_t stored_count;
static int sockets[2], notify;
static char notify_path[108];
static char **command;
static pid_t daemon_pid;
static bool hold, ready;
static int starts;

static void fatal(const char *what)
{
	perror(what);
	exit(1);
}

static int make_socket(const char *directory, const char *name, int type, char *ret_path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int one = 1, fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name) >=
		(int)sizeof(address.sun_path))
		exit(1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(address.sun_path, 0666) < 0)
		fatal(name);
	if (type == SOCK_DGRAM ? setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)) < 0
			       : listen(fd, SOMAXCONN) < 0)
		fatal(name);
	if (ret_path)
		(void)strcpy(ret_path, address.sun_path);
	return fd;
}

/* --- the store -------------------------------------------------------------------------------- */

static void drop(size_t i)
{
	close(stored[i].fd);
	stored[i] = stored[--stored_count];
}

static void keep(const char *name, int fd, bool poll)
{
	if (stored_count == STORED_MAX) {
		close(fd);
		return;
	}
	stored[stored_count] = (struct stored){.fd = fd, .poll = poll};
	(void)snprintf(stored[stored_count++].name, sizeof(stored->name), "%s", name);
}

static bool is_kind(int fd, const char *kind)
{
	char path[64], link[128];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link) - 1);
	link[n < 0 ? 0 : n] = '\0';
	return strstr(link, kind);
}

static int changed_copy(int fd, const char *kind, long offset, uint32_t value)
{
	int seals = fcntl(fd, F_GET_SEALS), copy = memfd_create(kind, MFD_CLOEXEC | 2);
	static char buffer[1 << 16];
	struct stat st;
	ssize_t n;

	if (copy < 0 || fstat(fd, &st) < 0)
		fatal("memfd");
	for (off_t at = 0; (n = pread(fd, buffer, sizeof(buffer), at)) > 0; at += n)
		if (pwrite(copy, buffer, (size_t)n, at) != n)
			fatal("write");
	if (pwrite(copy, &value, sizeof(value), offset) != sizeof(value) ||
		fcntl(copy, F_ADD_SEALS, seals) < 0)
		fatal("change");
	return copy;
}

static int change_all(const char *kind, bool drops, long offset, uint32_t value)
{
	int count = 0;

	for (size_t i = stored_count; i-- > 0;) {
		int copy;

		if (!is_kind(stored[i].fd, kind))
			continue;
		count++;
		if (drops) {
			drop(i);
			continue;
		}
		copy = changed_copy(stored[i].fd, kind, offset, value);
		close(stored[i].fd);
		stored[i].fd = copy;
	}
	return count;
}

static void poll_stored(void)
{
	for (size_t i = stored_count; i-- > 0;) {
		struct pollfd p = {.fd = stored[i].fd};

		if (stored[i].poll && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR))
			drop(i);
	}
}

/* --- notifications ---------------------------------------------------------------------------- */

static bool has_line(const char *text, const char *line)
{
	const char *at = strstr(text, line);

	return at && (at == text || at[-1] == '\n');
}

static void handle(const char *text, const int *fds, size_t count)
{
	const char *at = strstr(text, "FDNAME=");
	char name[32] = "stored";

	if (at)
		(void)sscanf(at, "FDNAME=%31[^\n]", name);
	if (has_line(text, "FDSTOREREMOVE=1")) {
		for (size_t i = stored_count; i-- > 0;)
			if (strcmp(stored[i].name, name) == 0)
				drop(i);
	} else if (has_line(text, "FDSTORE=1")) {
		for (size_t i = 0; i < count; i++)
			keep(name, fds[i], !has_line(text, "FDPOLL=0"));
		return;
	} else if (has_line(text, "READY=1")) {
		ready = true;
	}
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* Only the daemon itself is heard. */
static void receive_notification(void)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * MESSAGE_FDS) +
			   CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char text[4096];
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text) - 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(notify, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[MESSAGE_FDS];
	size_t count = 0;
	pid_t sender = 0;

	if (n < 0)
		return;
	text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_type == SCM_RIGHTS) {
			count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			memcpy(fds, CMSG_DATA(c), sizeof(int) * count);
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			sender = ((struct ucred *)CMSG_DATA(c))->pid;
		}
	}
	handle(sender == daemon_pid ? text : "", fds, count);
}

/* --- the daemon ------------------------------------------------------------------------------- */

static void set_environment(size_t count)
{
	char number[32];
	char *names = calloc(count, sizeof(stored->name) + 1), *at = names;

	at = stpcpy(at, "launch:control");
	for (size_t i = 0; i < stored_count; i++)
		at = stpcpy(stpcpy(at, ":"), stored[i].name);
	(void)setenv("LISTEN_FDNAMES", names, 1);
	(void)snprintf(number, sizeof(number), "%zu", count);
	(void)setenv("LISTEN_FDS", number, 1);
	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", number, 1);
	(void)setenv("NOTIFY_SOCKET", notify_path, 1);
}

static void become_daemon(void)
{
	size_t count = 2 + stored_count;
	int fds[2 + STORED_MAX], above = (int)count + 3, null;
	sigset_t none;

	for (size_t i = 0; i < count; i++)
		fds[i] = fcntl(i < 2 ? sockets[i] : stored[i - 2].fd, F_DUPFD_CLOEXEC, above);
	for (size_t i = 0; i < count; i++)
		if (dup2(fds[i], 3 + (int)i) < 0)
			_exit(1);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	(void)dup2(null, 0);
	(void)dup2(2, 1);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	set_environment(count);
	(void)execvp(command[0], command);
	perror(command[0]);
	_exit(1);
}

static void start(void)
{
	ready = false;
	starts++;
	daemon_pid = fork();
	if (daemon_pid < 0)
		fatal("fork");
	if (daemon_pid == 0)
		become_daemon();
}

static void reap(int signals)
{
	struct signalfd_siginfo information;
	pid_t pid;

	(void)!read(signals, &information, sizeof(information));
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0) {
		if (pid != daemon_pid)
			continue;
		/* What it said last. */
		for (int i = 0; i < STORED_MAX; i++)
			receive_notification();
		daemon_pid = 0;
		if (!hold)
			start();
	}
}

/* --- commands --------------------------------------------------------------------------------- */

static struct pollfd sources[3];

static void serve(int timeout)
{
	if (poll(sources + 1, 2, timeout) <= 0)
		return;
	/* Before it is reaped: what it has stored it gets back. */
	if (sources[1].revents)
		receive_notification();
	if (sources[2].revents)
		reap(sources[2].fd);
}

static void wait_until_ready(void)
{
	for (int i = 0; i < PATIENCE_MS / 10 && !ready; i++)
		serve(10);
	if (ready)
		printf("ready %d\n", starts);
	else
		printf("not ready\n");
}

static void store_strange(const char *name)
{
	keep(name, memfd_create("strange", MFD_CLOEXEC), false);
	printf("added\n");
}

static void obey(char *line)
{
	char word[32] = "", text[256] = "";
	long offset = 0;
	unsigned value = 0;

	(void)sscanf(line, "%31s %255s %ld %u", word, text, &offset, &value);
	if (strcmp(word, "main") == 0) {
		printf("%d\n", (int)daemon_pid);
	} else if (strcmp(word, "ready") == 0) {
		wait_until_ready();
	} else if (strcmp(word, "signal") == 0) {
		ready = false;
		printf("%s\n",
			daemon_pid > 0 && kill(daemon_pid, atoi(text)) == 0 ? "sent" : "none");
	} else if (strcmp(word, "hold") == 0 || strcmp(word, "release") == 0) {
		hold = word[0] == 'h';
		if (!hold && daemon_pid == 0)
			start();
		printf("%s\n", word);
	} else if (strcmp(word, "program") == 0) {
		command[0] = strdup(text);
		printf("%s\n", text);
	} else if (strcmp(word, "stored") == 0) {
		while (poll(sources + 1, 1, 0) > 0)
			receive_notification();
		poll_stored();
		printf("%zu\n", stored_count);
	} else if (strcmp(word, "drop") == 0 || strcmp(word, "set") == 0) {
		printf("%d\n", change_all(text, word[0] == 'd', offset, value));
	} else if (strcmp(word, "add") == 0) {
		store_strange(text);
	} else {
		printf("unknown: %s\n", line);
	}
}

int main(int argc, char **argv)
{
	static char line[512];
	sigset_t set;

	if (argc < 3) {
		fprintf(stderr, "usage: service-manager DIR COMMAND [ARG...]\n");
		return 2;
	}
	command = argv + 2;
	sockets[0] = make_socket(argv[1], "launch", SOCK_SEQPACKET, NULL);
	sockets[1] = make_socket(argv[1], "control", SOCK_STREAM, NULL);
	notify = make_socket(argv[1], "notify", SOCK_DGRAM, notify_path);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	sources[0] = (struct pollfd){.fd = 0, .events = POLLIN};
	sources[1] = (struct pollfd){.fd = notify, .events = POLLIN};
	sources[2] = (struct pollfd){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN};
	start();
	for (;;) {
		size_t have = strlen(line);
		char *end;
		ssize_t n;

		if (poll(sources, 3, -1) < 0)
			fatal("poll");
		serve(0);
		poll_stored();
		if (!sources[0].revents)
			continue;
		n = read(0, line + have, sizeof(line) - 1 - have);
		if (n <= 0)
			break;
		line[have + (size_t)n] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			obey(line);
			memmove(line, end + 1, strlen(end + 1) + 1);
		}
	}
	if (daemon_pid > 0) {
		(void)kill(daemon_pid, SIGKILL);
		(void)waitpid(daemon_pid, NULL, 0);
	}
	return 0;
}
