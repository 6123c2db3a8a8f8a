/* SPDX-License-Identifier: MIT */
/* Doing what was allowed, as the app's thread. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>

#include "include/request.h"
#include "identity.h"

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
};

/* Also makes uid changes leave capabilities alone (SECBIT_NO_SETUID_FIXUP), where allowed. 0 or
 * negative errno: fatal. */
int own_identity_get(struct own_identity *ret);

/* Gives up for good what a session whose processes can only have these capabilities never needs. 0
 * or negative errno: fatal. */
int own_identity_limit(struct own_identity *own, uint64_t capabilities);

/* From now on this process is killed when its parent, the spawner, ends; again after each change of
 * ids, so act_open() and act_unlink() do it. 0 or negative errno. */
int act_end_with_parent(void);

/* What act_open()'s descriptor has besides the flags that were asked for. Nothing of it matters to
 * the queue itself, and fcntl(F_SETFL) takes it away: without waiting for whoever uses the file at
 * the time, as lseek() would. O_NONBLOCK: opening a queue waits for a lease on it otherwise. The
 * others mark it: hardly anybody asks for all of them. */
#define ACT_OPEN_FLAGS (O_NONBLOCK | O_APPEND | O_NOATIME)

/* Opens the queue, creating it if asked to. Waits for nobody: -EAGAIN if somebody holds a lease on
 * it that has to be broken first, which this begins; the app that did not ask for O_NONBLOCK is to
 * wait, and the call to be made again. Returns a descriptor, or the negative errno that the app
 * gets. ret_created: this very call made the queue; assume it did not on error. */
int act_open(const struct own_identity *own, const struct identity *identity,
	const struct request *request, bool *ret_created);

/* Deletes the queue. 0 or the negative errno that the app gets. Also takes back what act_open()
 * created. */
int act_unlink(const struct own_identity *own, const struct identity *identity, const char *name);

/* 1 if a queue of that name exists in the thread's IPC namespace, 0 if not. Changes nothing. For
 * our own book-keeping only: the app must not learn it. */
int act_exists(const struct own_identity *own, const struct identity *identity, const char *name);

/* Opens the queue as ourselves in the thread's IPC namespace, to find out which one the name means.
 * Waits for nobody: -EAGAIN if somebody holds a lease on it. */
int act_look_up(const struct own_identity *own, const struct identity *identity, const char *name);
