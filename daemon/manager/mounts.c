/* SPDX-License-Identifier: MIT */
/* The mount-table watch: an mqueue file system that is mounted while sessions run, anywhere but on
 * /dev/mqueue, is a road around their walls that nobody can close from here. */
#include <fcntl.h>

#include "include/array.h"
#include "include/log.h"
#include "include/mountinfo.h"
#include "mounts.h"

struct mount_watch {
	struct manager *manager;
	int table; /* polled; each look opens it anew */
	sd_event_source *source;
	struct mqueue_mounts known;
};

void mqueue_mounts_clear(struct mqueue_mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		free(mounts->items[i].path);
	free(mounts->items);
	*mounts = (struct mqueue_mounts){0};
}

bool mqueue_mounts_have(const struct mqueue_mounts *mounts, const struct mqueue_mount *mount)
{
	for (size_t i = 0; i < mounts->count; i++)
		if (mounts->items[i].id == mount->id && streq(mounts->items[i].path, mount->path))
			return true;
	return false;
}

static int add(struct mqueue_mounts *mounts, const struct mount_entry *mount)
{
	struct mqueue_mount found = {mount->id, strdup(mount->mount_point)};
	int r = found.path ? array_append(&mounts->items, &mounts->count, &found, sizeof(found))
			   : -ENOMEM;

	if (r < 0)
		free(found.path);
	return r;
}

int mqueue_mounts_find(char *mountinfo, struct mqueue_mounts *mounts)
{
	struct mount_entry mount;
	int r;

	while ((r = mountinfo_next(&mountinfo, &mount)) > 0) {
		if (!streq(mount.type, "mqueue") || streq(mount.mount_point, "/dev/mqueue"))
			continue;
		r = add(mounts, &mount);
		if (r < 0)
			break;
	}
	return r;
}

static void warn_of_new(const struct mount_watch *watch, const struct mqueue_mounts *now)
{
	char path[1024];

	if (watch->manager->session_count == 0)
		return;
	for (size_t i = 0; i < now->count; i++)
		if (!mqueue_mounts_have(&watch->known, &now->items[i]))
			log_warning("an mqueue file system has been mounted on %s: programs that "
				    "already run under mq-run may reach queues there; unmount it, "
				    "or start them again",
				escape(now->items[i].path, path, sizeof(path)));
}

static int look(struct mount_watch *watch)
{
	_cleanup_free_ char *mountinfo = NULL;
	struct mqueue_mounts now = {0};
	int r;

	r = mountinfo_read(&mountinfo);
	r = r < 0 ? r : mqueue_mounts_find(mountinfo, &now);
	if (r < 0) {
		mqueue_mounts_clear(&now);
		return r;
	}
	warn_of_new(watch, &now);
	mqueue_mounts_clear(&watch->known);
	watch->known = now;
	return 0;
}

static int on_change(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	int r = look(userdata);

	if (r < 0)
		log_errno(r, "cannot read the mount table, ignoring");
	return 0;
}

struct mount_watch *mounts_free(struct mount_watch *mounts)
{
	if (mounts) {
		mounts->source = sd_event_source_disable_unref(mounts->source);
		mounts->table = safe_close(mounts->table);
		mqueue_mounts_clear(&mounts->known);
		free(mounts);
	}
	return NULL;
}

int mounts_start(struct manager *manager)
{
	struct mount_watch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return -ENOMEM;
	manager->mounts = watch;
	watch->manager = manager;
	watch->table = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (watch->table < 0)
		return -errno;
	r = look(watch);
	if (r < 0)
		return r;
	return sd_event_add_io(
		manager->event, &watch->source, watch->table, EPOLLPRI, on_change, watch);
}
