/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a socket. */
#include "peer.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "include/capabilities.h"
#include "include/compat.h"
#include "include/limits.h"
#include "include/log.h"

bool pidfd_is_alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return pidfd >= 0 && poll(&p, 1, 0) == 0;
}

static int peer_pidfd(int socket, pid_t pid)
{
	int fd = -EBADF;
	socklen_t size = sizeof(fd);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0)
		return fd;
	if (errno != ENOPROTOOPT)
		return -errno;
	/* Before kernel 6.5. */
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	return fd < 0 ? -errno : fd;
}

int identity_of_peer(int socket, struct identity *ret)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	int fd;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	if (credentials.pid <= 0)
		return -EPERM;
	fd = peer_pidfd(socket, credentials.pid);
	if (fd < 0)
		return fd;
	*ret = (struct identity){.pid = credentials.pid,
		.uid = credentials.uid,
		.gid = credentials.gid,
		.pidfd = fd};
	return 0;
}

int peer_in_group(int socket, const struct identity *identity, gid_t group)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = TARGET_GROUPS_MAX * sizeof(gid_t);

	if (identity->gid == group)
		return 1;
	groups = malloc(size);
	if (!groups)
		return -ENOMEM;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return -errno;
	for (size_t i = 0; i < size / sizeof(gid_t); i++)
		if (groups[i] == group)
			return 1;
	return 0;
}

/* The kernel escapes line breaks in the process's name, so no line can be forged. */
static int status_number(const char *status, const char *key, int base, unsigned long *ret)
{
	size_t length = strlen(key);

	for (const char *line = status; *line;) {
		const char *end = strchrnul(line, '\n');

		if (strncmp(line, key, length) == 0 && line[length] == ':') {
			char *after;

			*ret = strtoul(line + length + 1, &after, base);
			return after > line + length + 1 && after == end ? 0 : -EBADMSG;
		}
		line = *end ? end + 1 : end;
	}
	return -EBADMSG;
}

int status_in_session(const char *status)
{
	unsigned long seccomp, no_new_privs;

	if (status_number(status, "Seccomp", 10, &seccomp) < 0 ||
		status_number(status, "NoNewPrivs", 10, &no_new_privs) < 0)
		return -EBADMSG;
	return seccomp == 2 && no_new_privs == 1;
}

/* With no_new_privs an exec, of whatever program by whatever user, permits nothing that was not
 * permitted before, and there is no other way to get more. */
int status_capabilities(const char *status, uint64_t *ret)
{
	unsigned long permitted, no_new_privs;

	if (status_number(status, "CapPrm", 16, &permitted) < 0 ||
		status_number(status, "NoNewPrivs", 10, &no_new_privs) < 0)
		return -EBADMSG;
	*ret = no_new_privs == 1 ? permitted : CAPABILITIES_ALL;
	return 0;
}

static int read_proc(pid_t pid, const char *name, char *buffer, size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64];
	size_t have = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (have < size - 1) {
		ssize_t n = read(fd, buffer + have, size - 1 - have);

		if (n < 0)
			return -errno;
		if (n == 0) {
			buffer[have] = '\0';
			return 0;
		}
		have += (size_t)n;
	}
	return -EFBIG;
}

static int read_status(const struct identity *identity, char **ret)
{
	_cleanup_free_ char *status = malloc(STATUS_FILE_MAX);
	int r;

	if (!status)
		return -ENOMEM;
	r = read_proc(identity->pid, "status", status, STATUS_FILE_MAX);
	if (r < 0)
		return r;
	/* It lives after the reading, so the pid was its own while we read. */
	if (!pidfd_is_alive(identity->pidfd))
		return -ESRCH;
	*ret = take_pointer(status);
	return 0;
}

int identity_in_session(const struct identity *identity)
{
	_cleanup_free_ char *status = NULL;
	int r = read_status(identity, &status);

	return r < 0 ? r : status_in_session(status);
}

/* 1 or 0, or negative errno. */
static int in_our_user_namespace(pid_t pid)
{
	char path[64], ours[64], theirs[64];
	ssize_t our_length = readlink("/proc/self/ns/user", ours, sizeof(ours)), length;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	length = our_length < 0 ? -1 : readlink(path, theirs, sizeof(theirs));
	if (length < 0)
		return -errno;
	return length == our_length && memcmp(ours, theirs, (size_t)length) == 0;
}

int identity_capabilities(const struct identity *identity, uint64_t *ret)
{
	_cleanup_free_ char *status = NULL;
	int r = read_status(identity, &status);

	if (r < 0)
		return r;
	/* Looked at last: whoever has left our user namespace never comes back, so what it has not
	 * left yet it had not left before. */
	r = in_our_user_namespace(identity->pid);
	if (r >= 0 && !pidfd_is_alive(identity->pidfd))
		r = -ESRCH;
	if (r == 0)
		*ret = 0;
	return r <= 0 ? r : status_capabilities(status, ret);
}

char *identity_command(const struct identity *identity, char buffer[static COMMAND_STRING_MAX])
{
	char command[64];

	buffer[0] = '\0';
	if (read_proc(identity->pid, "comm", command, sizeof(command)) < 0 ||
		!pidfd_is_alive(identity->pidfd))
		return buffer;
	/* A newline ends it, and may also be in it. */
	if (*command)
		command[strlen(command) - 1] = '\0';
	return escape(command, buffer, COMMAND_STRING_MAX);
}

uint64_t identity_start(const struct identity *identity)
{
	char stat[1024], *after;
	uint64_t start;

	if (read_proc(identity->pid, "stat", stat, sizeof(stat)) < 0 ||
		!pidfd_is_alive(identity->pidfd))
		return 0;
	/* The name, in parentheses, may have any byte in it. */
	after = strrchr(stat, ')');
	if (!after ||
		sscanf(after + 1,
			" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %" SCNu64,
			&start) != 1)
		return 0;
	return start;
}

int listener_check(int fd)
{
	static const char listener[] = "anon_inode:seccomp notify";
	char path[64], link[sizeof(listener) + 1];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link));
	if (n != sizeof(listener) - 1 || memcmp(link, listener, (size_t)n) != 0)
		return -EBADF;
	return 0;
}
