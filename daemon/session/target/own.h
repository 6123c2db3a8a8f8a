/* SPDX-License-Identifier: MIT */
/* Who we are, and looking up names as ourselves. */
#pragma once

#include "credentials.h"

/* Who we are; taken once, before anything else. */
struct own_identity {
	uid_t uids[3]; /* real, effective, saved */
	gid_t gids[3];
	gid_t *groups;
	size_t group_count;
	uint64_t permitted; /* capabilities */
	mode_t umask;
	struct rlimit queue_bytes;
	struct namespaces namespaces;
	int ipc_namespace;
	bool has_host;        /* that is the system's */
	bool outlives_parent; /* instead of ending with it */
};

/* Also makes uid changes leave capabilities alone (SECBIT_NO_SETUID_FIXUP), where allowed. 0 or
 * negative errno: fatal. */
int own_identity_get(struct own_identity *ret);

/* Gives up for good what a session whose processes can only have these capabilities never needs. 0
 * or negative errno: fatal. */
int own_identity_limit(struct own_identity *own, uint64_t capabilities);

/* From now on this process is killed when its parent, the spawner, ends; again after each change of
 * ids, so act_open() and act_unlink() do it, unless it outlives its parent. 0 or negative errno. */
int own_end_with_parent(void);

/* 1 if a queue of that name exists in an IPC namespace (-EBADF: ours), 0 if not. Changes nothing.
 * For our own book-keeping only: the app must not learn it. */
int own_sees(const struct own_identity *own, int ipc_namespace, const char *name);

/* Opens the queue as ourselves there, to find out which one the name means. Waits for nobody:
 * -EAGAIN if somebody holds a lease on it. */
int own_look_up(const struct own_identity *own, int ipc_namespace, const char *name);

/* One of /proc/sys/fs/mqueue, of an IPC namespace (-EBADF: ours). 0 or negative errno. */
int own_read_limit(
	const struct own_identity *own, int ipc_namespace, const char *name, uint64_t *ret);

/* Enters an IPC namespace. 0 or negative errno. */
int own_enter_ipc_namespace(int fd);
