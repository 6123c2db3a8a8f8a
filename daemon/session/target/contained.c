/* SPDX-License-Identifier: MIT */
/* Whether a process of a container has no way to message queues but the door.
 *
 * There is no wall inside. The profile, which was looked at when the session began, lets nobody
 * mount anything, change the root directory, enter a namespace or make one that would give the
 * right to. What it cannot close is looked at in the first process before the container begins, and
 * in each that calls by name, for an exec may have brought it: a message queue file system that is
 * there already, the capability to which the kernel grants everything, an exec that would bring it,
 * and processes of others, through whose root directories (/proc) queues could be reached.
 *
 * Somebody outside may mount something inside, or it comes there since a mount is shared. So the
 * mount namespace is watched from the first look on: the kernel notes when it was opened, and tells
 * of what has changed since. */
#include "contained.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "include/capabilities.h"
#include "include/limits.h"
#include "include/mountinfo.h"
#include "include/text.h"

static enum reason judge_status(const char *status)
{
	static const char *const sets[] = {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"};
	uint64_t value;

	if (text_numbers(status, "NoNewPrivs", 10, &value, 1) < 0)
		return REASON_FAILED;
	if (value != 1)
		return REASON_CONTAINER_PRIVILEGES;
	for (size_t i = 0; i < ELEMENTSOF(sets); i++) {
		if (text_numbers(status, sets[i], 16, &value, 1) < 0)
			return REASON_FAILED;
		if (value & CAPABILITY(SYS_ADMIN))
			return REASON_CONTAINER_ADMIN;
	}
	return REASON_GRANTED;
}

static enum reason judge_mounts(int mountinfo)
{
	_cleanup_free_ char *text = NULL;
	int r = mountinfo_read_from(mountinfo, CONTAINER_MOUNTS_MAX, &text);
	struct mount_entry mount;
	char *rest = text;

	while (r >= 0 && (r = mountinfo_next(&rest, &mount)) > 0)
		if (streq(mount.type, "mqueue"))
			return REASON_CONTAINER_MQUEUE;
	return r < 0 ? REASON_FAILED : REASON_GRANTED;
}

static enum reason begin_to_watch(struct contained *contained, int proc)
{
	int fd = openat(proc, "mountinfo", O_RDONLY | O_CLOEXEC);
	enum reason reason = fd < 0 ? REASON_FAILED : judge_mounts(fd);

	contained->watched = reason == REASON_GRANTED;
	if (contained->watched)
		contained->mountinfo = fd;
	else
		(void)safe_close(fd);
	return reason;
}

static enum reason judge_namespaces(struct contained *contained, int proc)
{
	struct stat pids, mounts;

	if (fstatat(proc, "ns/pid", &pids, 0) < 0 || fstatat(proc, "ns/mnt", &mounts, 0) < 0)
		return REASON_FAILED;
	if (!contained->watched)
		contained->mount_namespace = mounts.st_ino;
	return pids.st_ino == contained->pid_namespace &&
			       mounts.st_ino == contained->mount_namespace
		       ? REASON_GRANTED
		       : REASON_CONTAINER_ELSEWHERE;
}

void contained_refuse(struct contained *contained, enum reason wrong)
{
	if (contained->watched)
		(void)safe_close(contained->mountinfo);
	contained->watched = false;
	contained->pid_namespace = 0;
	contained->wrong = wrong;
}

enum reason contained_look(struct contained *contained, struct target *target)
{
	_cleanup_free_ char *status = NULL;
	enum reason reason;

	if (contained->pid_namespace == 0)
		return contained->wrong ?: REASON_CONTAINER_REFUSED;
	if (target_status(target, &status) < 0)
		return REASON_FAILED;
	reason = judge_status(status);
	if (reason == REASON_GRANTED)
		reason = judge_namespaces(contained, target->proc);
	return reason == REASON_GRANTED && !contained->watched
		       ? begin_to_watch(contained, target->proc)
		       : reason;
}

struct pollfd contained_poll(const struct contained *contained)
{
	return (struct pollfd){.fd = contained->mountinfo, .events = POLLPRI};
}

bool contained_is_broken(const struct contained *contained, const struct pollfd *fd)
{
	return fd->revents && judge_mounts(contained->mountinfo) != REASON_GRANTED;
}
