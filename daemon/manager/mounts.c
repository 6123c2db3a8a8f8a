/* SPDX-License-Identifier: MIT */
/* The mount-table watch: an mqueue file system that is mounted while sessions run, anywhere but on
 * /dev/mqueue, is a road around their walls that nobody can close from here. */
#include <fcntl.h>

#include "include/log.h"
#include "manager.h"
#include "mounts.h"

struct mount_watch {
	struct manager *manager;
	int table;
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

/* The kernel writes blanks, tabs, line breaks and backslashes as \NNN. */
static void decode_path(char *path)
{
	char *to = path;

	for (const char *from = path; *from;)
		if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
			from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
			*to++ = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
			from += 4;
		} else {
			*to++ = *from++;
		}
	*to = '\0';
}

static int add(struct mqueue_mounts *mounts, unsigned long id, char **path)
{
	struct mqueue_mount *grown =
		reallocarray(mounts->items, mounts->count + 1, sizeof(*mounts->items));

	if (!grown)
		return -ENOMEM;
	mounts->items = grown;
	mounts->items[mounts->count++] = (struct mqueue_mount){id, take_pointer(*path)};
	return 0;
}

int mountinfo_line(const char *line, struct mqueue_mounts *mounts)
{
	_cleanup_free_ char *path = NULL;
	const char *separator = strstr(line, " - ");
	unsigned long id;

	if (!separator || !startswith(separator, " - mqueue "))
		return 0;
	if (sscanf(line, "%lu %*s %*s %*s %ms", &id, &path) != 2)
		return -EBADMSG;
	decode_path(path);
	return streq(path, "/dev/mqueue") ? 0 : add(mounts, id, &path);
}

static int read_table(int table, struct mqueue_mounts *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	int r, fd;

	fd = fcntl(table, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (!f) {
		(void)safe_close(fd);
		return -errno;
	}
	rewind(f);
	while (getline(&line, &size, f) >= 0) {
		r = mountinfo_line(line, ret);
		if (r < 0)
			return r;
	}
	return ferror(f) ? -EIO : 0;
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
	struct mqueue_mounts now = {0};
	int r;

	r = read_table(watch->table, &now);
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
