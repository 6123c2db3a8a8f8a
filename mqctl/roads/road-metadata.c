/* SPDX-License-Identifier: MIT */
/* Roads to what a queue's file says of itself: no message is read or sent there. */
#include <sys/stat.h>
#include <sys/xattr.h>

#include "road.h"

#define OTHER_ID 65533

static const char *inherited_queue_file(void)
{
	char way[64];

	(void)snprintf(way, sizeof(way), "/proc/self/fd/%d/mqueue", INHERITED_DEV);
	return path_in(way, queue);
}

/* Done only if it is seen afterwards. */
static int changed_mode(const char *path)
{
	struct stat st;

	if (chmod(path, 0640) < 0)
		return closed("chmod");
	if (stat(path, &st) < 0 || (st.st_mode & 07777) != 0640 || chmod(path, 0600) < 0)
		return untried("stat");
	return is_open();
}

static int changed_size(const char *path)
{
	struct stat st;

	if (truncate(path, 7) < 0)
		return closed("truncate");
	return stat(path, &st) < 0 || st.st_size != 7 ? untried("stat") : is_open();
}

int road_truncate(void)
{
	return changed_size(queue_file());
}

int road_inherited_truncate(void)
{
	return changed_size(inherited_queue_file());
}

int road_chmod(void)
{
	return changed_mode(queue_file());
}

int road_inherited_chmod(void)
{
	return changed_mode(inherited_queue_file());
}

int road_chown(void)
{
	uid_t uid = geteuid();

	if (chown(queue_file(), OTHER_ID, (gid_t)-1) < 0)
		return closed("chown");
	return chown(queue_file(), uid, (gid_t)-1) < 0 ? untried("chown back") : is_open();
}

int road_utimes(void)
{
	const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	struct stat st;

	if (utimensat(AT_FDCWD, queue_file(), times, 0) < 0)
		return closed("utimensat");
	return stat(queue_file(), &st) < 0 || st.st_mtime != 1 ? untried("stat") : is_open();
}

int road_setxattr(void)
{
	return setxattr(queue_file(), geteuid() == 0 ? "trusted.road" : "user.road", "x", 1, 0) < 0
		       ? closed("setxattr")
		       : is_open();
}
