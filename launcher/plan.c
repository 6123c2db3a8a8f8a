/* SPDX-License-Identifier: MIT */
/* The plan of the wall: see wall.c for why it is like this. */
#include "plan.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "include/array.h"
#include "include/mountinfo.h"
#include "include/util.h"

void plan_clear(struct plan *plan)
{
	for (size_t i = 0; i < plan->hidden_count; i++)
		free(plan->hidden[i]);
	free(plan->hidden);
	free(plan->mount_points);
	free(plan->mountinfo);
	free(plan->devices);
	free(plan->on_the_way);
}

/* --- hidden places ------------------------------------------------------------------------- */

static int hide(struct plan *plan, const char *path)
{
	_cleanup_free_ char *copy = strdup(streq(path, "/") ? "" : path);
	int r;

	if (!copy)
		return -ENOMEM;
	r = array_append(&plan->hidden, &plan->hidden_count, &copy, sizeof(copy));
	if (r < 0)
		return r;
	(void)take_pointer(copy);
	return 0;
}

static int take_mount(struct plan *plan, const struct mount_entry *mount)
{
	int r = array_append(&plan->mount_points, &plan->mount_point_count, &mount->mount_point,
		sizeof(mount->mount_point));

	if (r < 0 || !streq(mount->type, "mqueue"))
		return r;
	r = array_append(
		&plan->devices, &plan->device_count, &mount->device, sizeof(mount->device));
	return r < 0 ? r : hide(plan, mount->mount_point);
}

static int take_mounts(struct plan *plan, const char *mountinfo)
{
	struct mount_entry mount;
	char *rest;
	int r;

	plan->mountinfo = rest = strdup(mountinfo);
	if (!rest)
		return -ENOMEM;
	if (isempty(mountinfo))
		return -EBADMSG;
	r = hide(plan, "/dev/mqueue");
	if (r < 0)
		return r;
	while ((r = mountinfo_next(&rest, &mount)) > 0) {
		r = take_mount(plan, &mount);
		if (r < 0)
			return r;
	}
	return r;
}

static bool is_hidden(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->hidden_count; i++)
		if (streq(plan->hidden[i], path))
			return true;
	return false;
}

static bool leads_to_hidden(const struct plan *plan, const char *path)
{
	size_t length = strlen(path);

	for (size_t i = 0; i < plan->hidden_count; i++)
		if (startswith(plan->hidden[i], path) && plan->hidden[i][length] == '/')
			return true;
	return false;
}

static bool is_mount_point(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->mount_point_count; i++)
		if (streq(plan->mount_points[i], path))
			return true;
	return false;
}

/* --- what a descriptor is ------------------------------------------------------------------ */

/* Asks no server and triggers no automount: a dead network file system must not hold a launch. */
static int identify(int fd, struct object *ret)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC,
		    STATX_TYPE | STATX_INO, &stx) < 0)
		return -errno;
	*ret = (struct object){
		.device = makedev(stx.stx_dev_major, stx.stx_dev_minor),
		.inode = stx.stx_ino,
		.is_directory = S_ISDIR(stx.stx_mode),
		.is_link = S_ISLNK(stx.stx_mode),
	};
	return 0;
}

static bool is_on_the_way(const struct plan *plan, const struct object *object)
{
	for (size_t i = 0; i < plan->on_the_way_count; i++)
		if (plan->on_the_way[i].object.device == object->device &&
			plan->on_the_way[i].object.inode == object->inode)
			return true;
	return false;
}

static bool is_mqueue(const struct plan *plan, const struct object *object)
{
	for (size_t i = 0; i < plan->device_count; i++)
		if (plan->devices[i] == object->device)
			return true;
	return false;
}

/* A directory whose children are planned. */
struct listed {
	int fd;
	const char *path;
	bool only_root_changes; /* nobody else can put anything there */
};

/* No queue is anywhere but on a mount, and only directories are on the way. So what is listed as
 * neither, and is no mount point, need not be looked at: if nobody but root can have put something
 * else in its place since. (A directory can be on the way under any name, below a bind mount.) */
static bool is_known(const struct plan *plan, const struct listed *listed, const char *path,
	const struct dirent *entry)
{
	return listed->only_root_changes && entry->d_type != DT_UNKNOWN &&
	       entry->d_type != DT_DIR && !is_mount_point(plan, path);
}

static bool only_root_changes(int directory_fd)
{
	struct stat st;

	return fstat(directory_fd, &st) == 0 && st.st_uid == 0 &&
	       !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* 0 if leaving the thing out of reach is the right answer to this error. */
static int closed_unless_fatal(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE ? error : 0;
}

/* --- directories on the way ---------------------------------------------------------------- */

static int remember(struct plan *plan, int fd, const char *hidden, size_t length)
{
	struct on_the_way directory = {.hidden = hidden, .length = length};
	int r;

	r = identify(fd, &directory.object);
	if (r < 0)
		return r;
	if (is_on_the_way(plan, &directory.object))
		return 0;
	return array_append(
		&plan->on_the_way, &plan->on_the_way_count, &directory, sizeof(directory));
}

/* Remembers every directory above one hidden place, the root included. */
static int remember_way(struct plan *plan, int root_fd, const char *hidden)
{
	_cleanup_free_ char *copy = strdup(hidden + 1);
	_cleanup_close_ int fd = openat(root_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char *rest = copy;

	if (!copy)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	for (;;) {
		const size_t length = (size_t)(rest - copy);
		const char *name = strsep(&rest, "/");
		int r, child;

		r = remember(plan, fd, hidden, length);
		if (r < 0)
			return closed_unless_fatal(r);
		if (!rest)
			return 0;
		child = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (child < 0)
			return closed_unless_fatal(-errno);
		closep(&fd);
		fd = child;
	}
}

static int remember_ways(struct plan *plan, int root_fd)
{
	for (size_t i = 0; i < plan->hidden_count; i++) {
		int r = remember_way(plan, root_fd, plan->hidden[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

/* --- rules --------------------------------------------------------------------------------- */

static int plan_children(struct plan *plan, int *fd, const char *path);

static int plan_child(struct plan *plan, const struct listed *listed, const struct dirent *entry)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct object object = {.is_link = entry->d_type == DT_LNK};
	bool known;
	int r = 0;

	if (asprintf(&path, "%s/%s", listed->path, entry->d_name) < 0)
		return -ENOMEM;
	known = is_known(plan, listed, path, entry);
	if (is_hidden(plan, path) || (known && object.is_link))
		return 0;
	fd = openat(listed->fd, entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return closed_unless_fatal(-errno);
	if (!known)
		r = identify(fd, &object);
	if (r < 0)
		return closed_unless_fatal(r);
	if (object.is_link || is_mqueue(plan, &object))
		return 0;
	if (leads_to_hidden(plan, path) || is_on_the_way(plan, &object))
		return object.is_directory ? plan_children(plan, &fd, path) : 0;
	return plan->add(fd, path, object.is_directory, plan->userdata);
}

static void closedirp(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

/* Closes fd, so that the deepest directory takes no more descriptors than it needs. */
static int plan_children(struct plan *plan, int *fd, const char *path)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	_cleanup_close_ int list_fd = openat(*fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct listed listed = {.fd = list_fd, .path = path};

	closep(fd);
	if (list_fd < 0)
		return closed_unless_fatal(-errno);
	directory = fdopendir(list_fd);
	if (!directory)
		return -errno;
	(void)take_fd(&list_fd);
	listed.only_root_changes = !plan->looks_closely && only_root_changes(listed.fd);
	for (;;) {
		const struct dirent *entry;
		int r;

		errno = 0;
		entry = readdir(directory);
		if (!entry)
			return closed_unless_fatal(-errno);
		if (streq(entry->d_name, ".") || streq(entry->d_name, ".."))
			continue;
		r = plan_child(plan, &listed, entry);
		if (r < 0)
			return r;
	}
}

int plan_tree(struct plan *plan, int root_fd, const char *mountinfo)
{
	int r;

	r = take_mounts(plan, mountinfo);
	if (r < 0)
		return r;
	if (is_hidden(plan, ""))
		return -EBUSY;
	r = remember_ways(plan, root_fd);
	if (r < 0)
		return r;
	r = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	return r < 0 ? -errno : plan_children(plan, &r, "");
}
