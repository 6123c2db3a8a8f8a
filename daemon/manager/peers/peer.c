/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a socket. */
#include "peer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "include/capabilities.h"
#include "include/compat.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/text.h"

/* To be freed in any case. */
static int peer_groups(int socket, gid_t **ret, size_t *ret_count)
{
	socklen_t size = TARGET_GROUPS_MAX * sizeof(gid_t);

	*ret_count = 0;
	*ret = malloc(size);
	if (!*ret)
		return -ENOMEM;
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, *ret, &size) < 0)
		return -errno;
	*ret_count = size / sizeof(gid_t);
	return 0;
}

int peer_in_group(int socket, const struct identity *identity, gid_t group)
{
	_cleanup_free_ gid_t *groups = NULL;
	size_t count;
	int r;

	if (identity->gid == group)
		return 1;
	r = peer_groups(socket, &groups, &count);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++)
		if (groups[i] == group)
			return 1;
	return 0;
}

int status_may_be_confined(const char *status, bool contained)
{
	uint64_t seccomp, no_new_privs;

	if (text_numbers(status, "Seccomp", 10, &seccomp, 1) < 0 ||
		text_numbers(status, "NoNewPrivs", 10, &no_new_privs, 1) < 0)
		return -EBADMSG;
	return seccomp == 2 && (no_new_privs == 1 || contained);
}

/* With no_new_privs an exec, of whatever program by whatever user, permits nothing that was not
 * permitted before, and there is no other way to get more. */
int status_capabilities(const char *status, uint64_t *ret)
{
	uint64_t permitted, no_new_privs;

	if (text_numbers(status, "CapPrm", 16, &permitted, 1) < 0 ||
		text_numbers(status, "NoNewPrivs", 10, &no_new_privs, 1) < 0)
		return -EBADMSG;
	*ret = no_new_privs == 1 ? permitted : CAPABILITIES_ALL;
	return 0;
}

/* To be freed in any case. */
static int read_proc(const struct identity *identity, const char *name, char **ret)
{
	char path[32];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)identity->pid, name);
	r = text_read_at(AT_FDCWD, path, STATUS_FILE_MAX, ret);
	/* It lives after the reading, so the pid was its own while we read. */
	return r < 0 ? r : pidfd_is_alive(identity->pidfd) ? 0 : -ESRCH;
}

static bool has_groups(const char *status, const gid_t *groups, size_t count)
{
	const char *at = text_field(status, "Groups");
	uint64_t group;

	for (size_t i = 0; at && i < count; i++)
		if (text_next_number(&at, 10, &group) <= 0 || group != groups[i])
			return false;
	return at && text_next_number(&at, 10, &group) == 0;
}

bool status_has_ids(
	const char *status, const struct identity *identity, const gid_t *groups, size_t count)
{
	uint64_t uids[2], gids[2]; /* real, effective */

	return text_numbers(status, "Uid", 10, uids, 2) == 0 &&
	       text_numbers(status, "Gid", 10, gids, 2) == 0 && uids[1] == identity->uid &&
	       gids[1] == identity->gid && has_groups(status, groups, count);
}

/* Whoever has the number now may have been given the connection by a predecessor, whose ids the
 * socket tells; so it must have the same. */
static int open_by_number(int socket, struct identity *identity)
{
	_cleanup_free_ char *status = NULL;
	_cleanup_free_ gid_t *groups = NULL;
	size_t count;
	int r;

	identity->by_number = true;
	identity->pidfd = (int)syscall(SYS_pidfd_open, identity->pid, 0);
	if (identity->pidfd < 0)
		return -errno;
	r = read_proc(identity, "status", &status);
	r = r < 0 ? r : peer_groups(socket, &groups, &count);
	return r < 0 ? r : status_has_ids(status, identity, groups, count) ? 0 : -EPERM;
}

static int open_peer(int socket, struct identity *identity)
{
	socklen_t size = sizeof(identity->pidfd);

	if (getsockopt(socket, SOL_SOCKET, SO_PEERPIDFD, &identity->pidfd, &size) == 0)
		return 0;
	return errno == ENOPROTOOPT ? open_by_number(socket, identity) : -errno;
}

int identity_of_peer(int socket, struct identity *ret)
{
	struct identity identity = {.pidfd = -EBADF};
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	int r;

	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	if (credentials.pid <= 0)
		return -EPERM;
	identity.pid = credentials.pid;
	identity.uid = credentials.uid;
	identity.gid = credentials.gid;
	r = open_peer(socket, &identity);
	if (r < 0)
		(void)safe_close(identity.pidfd);
	else
		*ret = identity;
	return r;
}

int identity_of_process(pid_t pid, struct identity *ret)
{
	struct identity identity = {.pid = pid, .pidfd = (int)syscall(SYS_pidfd_open, pid, 0)};
	_cleanup_free_ char *status = NULL;
	uint64_t uid, gid;
	int r = identity.pidfd < 0 ? -errno : read_proc(&identity, "status", &status);

	if (r == 0 && (text_numbers(status, "Uid", 10, &uid, 1) < 0 ||
			      text_numbers(status, "Gid", 10, &gid, 1) < 0))
		r = -EBADMSG;
	if (r < 0) {
		(void)safe_close(identity.pidfd);
		return r;
	}
	identity.uid = (uid_t)uid;
	identity.gid = (gid_t)gid;
	*ret = identity;
	return 0;
}

int identity_may_be_confined(const struct identity *identity, bool contained)
{
	_cleanup_free_ char *status = NULL;
	int r = read_proc(identity, "status", &status);

	return r < 0 ? r : status_may_be_confined(status, contained);
}

/* 1 or 0, or negative errno. */
static int in_our_namespace(pid_t pid, const char *type)
{
	char path[32], ours[64], theirs[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", type);
	r = text_link_at(AT_FDCWD, path, ours, sizeof(ours));
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, type);
	r = r < 0 ? r : text_link_at(AT_FDCWD, path, theirs, sizeof(theirs));
	return r < 0 ? r : streq(ours, theirs);
}

bool identity_is_apart(const struct identity *identity)
{
	return in_our_namespace(identity->pid, "ipc") == 0 &&
	       in_our_namespace(identity->pid, "pid") == 1;
}

int identity_capabilities(const struct identity *identity, uint64_t *ret)
{
	_cleanup_free_ char *status = NULL;
	int r = read_proc(identity, "status", &status);

	if (r < 0)
		return r;
	/* Looked at last: whoever has left our user namespace never comes back, so what it has not
	 * left yet it had not left before. */
	r = in_our_namespace(identity->pid, "user");
	if (r >= 0 && !pidfd_is_alive(identity->pidfd))
		r = -ESRCH;
	if (r == 0)
		*ret = 0;
	return r <= 0 ? r : status_capabilities(status, ret);
}

char *identity_command(const struct identity *identity, char buffer[static COMMAND_STRING_MAX])
{
	_cleanup_free_ char *command = NULL;

	buffer[0] = '\0';
	if (read_proc(identity, "comm", &command) < 0)
		return buffer;
	/* A newline ends it, and may also be in it. */
	if (*command)
		command[strlen(command) - 1] = '\0';
	return escape(command, buffer, COMMAND_STRING_MAX);
}

uint64_t identity_start(const struct identity *identity)
{
	uint64_t start;

	return task_start(identity->pid, &start) == 0 && pidfd_is_alive(identity->pidfd) ? start
											 : 0;
}

int listener_check(int fd)
{
	return text_link_is(fd, "anon_inode:seccomp notify") ? 0 : -EBADF;
}
