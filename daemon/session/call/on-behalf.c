/* SPDX-License-Identifier: MIT */
/* Doing what was allowed, as the app's thread.
 *
 * Which queue a name means, whether it may be opened, who owns a new one, what it may hold and
 * whose limit it counts against all depend on who asks. So for the length of one system call this
 * process takes on the calling thread's identity, and the kernel does the rest: file permissions
 * stay in force, and nothing is changed on a queue afterwards.
 *
 * To open and to delete: file-system ids, groups, capabilities, IPC namespace. To create also the
 * real and effective ids, to whose user the bytes are charged, umask and RLIMIT_MSGQUEUE. Never the
 * saved ids: with them the user could do everything to this process. While real or effective ids
 * are the user's, the user may signal this process; that is why it serves one session only.
 *
 * Capabilities are lent only from our own user namespace (target.c), and only those we have. Those
 * that the session's processes can never have are given up at the start: under no_new_privs, as
 * mq-run sets it, no exec gives a process more than it has, and nothing else ever does. So none has
 * one that its launcher, which was the only one of them when the filter was set up, had not.
 * SECBIT_NO_SETUID_FIXUP keeps them apart from the ids: the permitted set never changes, the
 * effective set is exactly what was lent. With one call both come back.
 *
 * Getting back must not fail silently. A process that went on with half of somebody else's identity
 * would answer the next call with it; so it aborts, and the manager starts another. */
#include "on-behalf.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "include/capabilities.h"

/* Between O_EXCL and plain opening the queue may come and go; somebody who keeps that up gets the
 * plain call. */
#define CREATE_TRIES 8

static int set_fs_ids(uid_t uid, gid_t gid)
{
	(void)setfsgid(gid);
	(void)setfsuid(uid);
	/* Neither tells whether it worked; asked for an impossible id they tell who we are. */
	return (gid_t)setfsgid((gid_t)-1) == gid && (uid_t)setfsuid((uid_t)-1) == uid ? 0 : -EPERM;
}

static int set_groups(const gid_t *from, size_t from_count, const gid_t *to, size_t to_count)
{
	if (from_count == to_count &&
		(to_count == 0 || memcmp(from, to, to_count * sizeof(gid_t)) == 0))
		return 0;
	return setgroups(to_count, to) < 0 ? -errno : 0;
}

/* A caller whose ids and capabilities are ours needs none of the calls that take them on. */
static bool has_our_ids(const struct own_identity *own, const struct credentials *identity)
{
	return identity->real_uid == own->uids[0] && identity->effective_uid == own->uids[1] &&
	       identity->fs_uid == own->uids[1] && identity->real_gid == own->gids[0] &&
	       identity->effective_gid == own->gids[1] && identity->fs_gid == own->gids[1];
}

static uint64_t lent_capabilities(
	const struct own_identity *own, const struct credentials *identity)
{
	return own->permitted & identity->capabilities;
}

/* What creating looks at besides: whose user pays, how much it may, and the mode mask. */
static int take_creator(const struct own_identity *own, const struct credentials *identity)
{
	struct rlimit limit = own->queue_bytes;

	limit.rlim_cur = MIN(identity->queue_bytes, limit.rlim_max);
	if (setrlimit(RLIMIT_MSGQUEUE, &limit) < 0)
		return -errno;
	(void)umask(identity->umask);
	if (has_our_ids(own, identity))
		return 0;
	if (setresgid(identity->real_gid, identity->effective_gid, (gid_t)-1) < 0 ||
		setresuid(identity->real_uid, identity->effective_uid, (uid_t)-1) < 0)
		return -errno;
	return 0;
}

static int take_ids(
	const struct own_identity *own, const struct credentials *identity, bool to_create)
{
	int r;

	r = set_groups(own->groups, own->group_count, identity->groups, identity->group_count);
	if (r < 0)
		return r;
	if (to_create && (r = take_creator(own, identity)) < 0)
		return r;
	if (!has_our_ids(own, identity) && (r = set_fs_ids(identity->fs_uid, identity->fs_gid)) < 0)
		return r;
	if (lent_capabilities(own, identity) == own->permitted)
		return 0;
	return capabilities_set(own->permitted, lent_capabilities(own, identity));
}

static int return_ids(const struct own_identity *own, bool created)
{
	if (created && (setresuid(own->uids[0], own->uids[1], own->uids[2]) < 0 ||
			       setresgid(own->gids[0], own->gids[1], own->gids[2]) < 0))
		return -errno;
	return set_fs_ids(own->uids[1], own->gids[1]);
}

static void return_identity(
	const struct own_identity *own, const struct credentials *identity, bool created)
{
	int r = lent_capabilities(own, identity) == own->permitted
			? 0
			: capabilities_set(own->permitted, own->permitted);

	if (r == 0 && !has_our_ids(own, identity))
		r = return_ids(own, created);
	if (r == 0 && created && setrlimit(RLIMIT_MSGQUEUE, &own->queue_bytes) < 0)
		r = -errno;
	if (created)
		(void)umask(own->umask);
	if (r == 0)
		r = set_groups(
			identity->groups, identity->group_count, own->groups, own->group_count);
	if (r == 0 && identity->ipc_namespace >= 0)
		r = own_enter_ipc_namespace(own->ipc_namespace);
	/* A change of ids makes the kernel forget it. */
	if (r == 0 && !own->outlives_parent)
		r = own_end_with_parent();
	if (r < 0)
		abort();
}

/* Negative: nothing is to be done in its name. */
static int take_identity(
	const struct own_identity *own, const struct credentials *identity, bool to_create)
{
	int r;

	/* The first step: what has not been entered need not be left, for which we might not have
	 * the right, either. */
	if (identity->ipc_namespace >= 0 && own_enter_ipc_namespace(identity->ipc_namespace) < 0)
		return -ACT_IMPOSSIBLE;
	r = take_ids(own, identity, to_create);
	if (r < 0)
		return_identity(own, identity, to_create);
	return r < 0 ? -ACT_IMPOSSIBLE : 0;
}

static int open_queue(const char *name, const struct request *request, int oflag)
{
	int fd = (int)syscall(SYS_mq_open, name, oflag | ACT_OPEN_FLAGS, request->mode,
		request->has_attributes ? &request->attributes : NULL);

	return fd < 0 ? -errno : fd;
}

/* O_CREAT without O_EXCL, but knowing who created. The kernel does the same for a queue that
 * exists, with O_CREAT or without. */
static int create_queue(const char *name, const struct request *request, bool *ret_created)
{
	for (int i = 0; i < CREATE_TRIES; i++) {
		int fd = open_queue(name, request, request->oflag | O_EXCL);

		*ret_created = fd >= 0;
		if (fd != -EEXIST)
			return fd;
		fd = open_queue(name, request, request->oflag & ~O_CREAT);
		if (fd != -ENOENT)
			return fd;
	}
	return open_queue(name, request, request->oflag);
}

static int open_or_create(const char *name, const struct request *request, bool *ret_created)
{
	int fd;

	if (!(request->oflag & O_CREAT))
		return open_queue(name, request, request->oflag);
	if (!(request->oflag & O_EXCL))
		return create_queue(name, request, ret_created);
	fd = open_queue(name, request, request->oflag);
	*ret_created = fd >= 0;
	return fd;
}

int act_open(const struct own_identity *own, const struct credentials *identity, const char *name,
	const struct request *request, bool *ret_created)
{
	bool to_create = request->oflag & O_CREAT;
	int r;

	*ret_created = false;
	r = take_identity(own, identity, to_create);
	/* What cannot be done as the app is not done at all. */
	if (r < 0)
		return r;
	r = open_or_create(name, request, ret_created);
	return_identity(own, identity, to_create);
	return r;
}

int act_unlink(const struct own_identity *own, const struct credentials *identity, const char *name)
{
	int r = take_identity(own, identity, false);

	if (r < 0)
		return r;
	if (syscall(SYS_mq_unlink, name) < 0)
		r = -errno;
	return_identity(own, identity, false);
	return r;
}
