/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a socket.
 *
 * The kernel tells the process that has connected by a pidfd; before Linux 6.5 by its number, which
 * may be another's since. Then it is whoever has the number now (by_number), if it has the ids with
 * which the connection was made, and what counts is only what comes from now on: a message names
 * its sender by number, too, but this number is this process's, since the pidfd, and while that
 * says that it lives. So whoever speaks could have connected itself, and would be what it is taken
 * for. It takes CAP_SYS_ADMIN to name somebody else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/task.h"
#include "include/util.h"

struct identity {
	pid_t pid; /* for /proc and for display; only as good as pidfd says */
	uid_t uid;
	gid_t gid;
	int pidfd;
	bool by_number; /* whatever has come before now may be somebody else's */
};

/* The process that connected. Leaves nothing open on failure. Returns 0, -EPERM if it has no pid
 * here (another PID namespace) or another process has its number, -ESRCH if it is gone, or another
 * negative errno.
 * ret->pidfd is the caller's to close. */
int identity_of_peer(int socket, struct identity *ret);

/* Whoever has this number now, with its real ids. The same. */
int identity_of_process(pid_t pid, struct identity *ret);

/* Member of a group, primary or supplementary, when it connected. 1, 0 or negative errno. */
int peer_in_group(int socket, const struct identity *identity, gid_t group);

/* Whether the process can be inside a session: 0 if not, for it has no filter, or could gain
 * privileges by an exec, and no session's process ever can, unless it is brought into a container
 * (contained: there may be such). 1: its filters tell. Everything else is
 * a negative errno, and means that nothing may be believed: refuse. */
int identity_may_be_confined(const struct identity *identity, bool contained);

/* The same from the text of /proc/PID/status. -EBADMSG if it does not say. */
int status_may_be_confined(const char *status, bool contained);

/* Whether the text of /proc/PID/status tells the ids of identity, as effective ones, and exactly
 * these groups, in this order. */
bool status_has_ids(
	const char *status, const struct identity *identity, const gid_t *groups, size_t count);

/* Which capabilities of our own user namespace the process and its descendants can ever have. 0, or
 * negative errno, and nothing may be believed. */
int identity_capabilities(const struct identity *identity, uint64_t *ret);

/* The same from the text of /proc/PID/status of a process in our user namespace. */
int status_capabilities(const char *status, uint64_t *ret);

/* Whether the process has queues of its own, and is no container, which has them for a reason, but
 * sees the same processes as we. False if that cannot be told; only for what a person is told. */
bool identity_is_apart(const struct identity *identity);

/* The command of the process, escaped; "" if it is gone. Returns buffer. */
#define COMMAND_STRING_MAX 80
char *identity_command(const struct identity *identity, char buffer[static COMMAND_STRING_MAX]);

/* When the process started, in the kernel's ticks; 0 if it is gone. With its pid it tells it from
 * any later process of that number. */
uint64_t identity_start(const struct identity *identity);

/* 0 if the descriptor is a seccomp listener, -EBADF if it is anything else. */
int listener_check(int fd);
