/* SPDX-License-Identifier: MIT */
/* The file tree without message queues: see wall.c for why it is like this. */
#include "view.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "include/util.h"
#include "refuse.h"

#define HARMLESS (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static int refuse_step(const char *step, char **ret_message)
{
	return refuse(ret_message, -errno, "cannot build the wall: %s: %s; use --wall=rules", step,
		strerror(errno));
}

/* --- no queues ----------------------------------------------------------------------------- */

int view_detach_pass(
	char *mountinfo, detach_t detach, void *userdata, size_t *ret_count, const char **ret_left)
{
	struct mount_entry mount;
	const char *left = NULL;
	size_t count = 0;
	int r;

	if (isempty(mountinfo))
		return -EBADMSG;
	while ((r = mountinfo_next(&mountinfo, &mount)) > 0) {
		if (!streq(mount.type, "mqueue"))
			continue;
		r = detach(&mount, userdata);
		if (r < 0)
			return r;
		if (r > 0)
			count++;
		else if (!left)
			left = mount.mount_point;
	}
	*ret_count = count;
	*ret_left = left;
	return r;
}

/* Only the mount itself: whatever else covers its mount point is not ours to take away. */
static int detach_if_seen(const struct mount_entry *mount, void *userdata)
{
	_cleanup_close_ int fd = -EBADF;
	struct statx stx;
	char path[64];

	fd = open(mount->mount_point, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &stx) < 0 ||
		stx.stx_mnt_id != mount->id)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return umount2(path, MNT_DETACH) == 0;
}

static int refuse_mountinfo(int error, char **ret_message)
{
	return refuse(ret_message, error,
		"cannot build the wall: /proc/self/mountinfo: %s; is the proc file system mounted "
		"on /proc?",
		strerror(-error));
}

/* What one pass takes away may have covered what the next one finds. */
static int detach_queues(char **ret_message)
{
	size_t count;

	do {
		_cleanup_free_ char *text = NULL;
		const char *left;
		int r;

		r = mountinfo_read(&text);
		if (r == 0)
			r = view_detach_pass(text, detach_if_seen, NULL, &count, &left);
		if (r < 0)
			return refuse_mountinfo(r, ret_message);
		if (count == 0 && left)
			return refuse(ret_message, -EBUSY,
				"cannot build the wall: the message queue file system mounted on "
				"%s cannot be detached: it is covered by another mount, or "
				"belongs to another user namespace; unmount it, or use "
				"--wall=rules",
				left);
	} while (count > 0);
	return 0;
}

/* --- /dev ---------------------------------------------------------------------------------- */

/* Nothing that happens to mounts below /dev outside must happen here: what is mounted on
 * /dev/mqueue later must not arrive, and what is unmounted there must not take our cover along. */
static int isolate_dev(char **ret_message)
{
	if (mount(NULL, "/dev", NULL, MS_PRIVATE, NULL) == 0)
		return 0;
	if (errno == EINVAL)
		return refuse(ret_message, -EINVAL,
			"cannot build the wall: /dev is not a mount point, so a later mount on "
			"/dev/mqueue would reach the command; use --wall=rules");
	return refuse_step("making /dev private", ret_message);
}

/* Where there is no such directory nothing needs a cover: none can arrive. */
static int cover_dev_mqueue(char **ret_message)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64];

	fd = open("/dev/mqueue", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? 0
			       : refuse_step("/dev/mqueue", ret_message);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (mount("none", path, "tmpfs", MS_RDONLY | HARMLESS, "mode=0555") < 0)
		return refuse_step("covering /dev/mqueue", ret_message);
	return 0;
}

/* --- the anchor ---------------------------------------------------------------------------- */

/* Makes the anchor the root of the namespace and hangs the tree below it. It stands on /dev for
 * that moment only. */
static int hang_below(int cwd_fd, char **ret_message)
{
	if (syscall(SYS_pivot_root, "/dev", "/dev/tree") < 0)
		return errno == EINVAL
			       ? refuse(ret_message, -EINVAL,
					 "cannot build the wall: the root directory was changed to "
					 "one that is not a mount point, or is the initial one after boot; use "
					 "--wall=rules")
			       : refuse_step("pivot_root", ret_message);
	if (chroot("/tree") < 0)
		return refuse_step("chroot", ret_message);
	if (fchdir(cwd_fd) < 0)
		return refuse_step("returning to the working directory", ret_message);
	return 0;
}

static int raise_anchor(int *ret_anchor_fd, char **ret_message)
{
	_cleanup_close_ int cwd_fd = -EBADF, anchor_fd = -EBADF;
	int r;

	cwd_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cwd_fd < 0)
		return refuse_step("the working directory", ret_message);
	if (mount("none", "/dev", "tmpfs", HARMLESS, "mode=0755") < 0 ||
		mkdir("/dev/tree", 0555) < 0 ||
		mount(NULL, "/dev", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | HARMLESS, NULL) < 0)
		return refuse_step("making the anchor", ret_message);
	anchor_fd = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (anchor_fd < 0)
		return refuse_step("opening the anchor", ret_message);
	r = hang_below(cwd_fd, ret_message);
	if (r < 0)
		return r;
	*ret_anchor_fd = take_fd(&anchor_fd);
	return 0;
}

static int leave_namespace(char **ret_message)
{
	if (unshare(CLONE_NEWNS) < 0)
		return refuse_step("unshare", ret_message);
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return errno == EINVAL
			       ? refuse(ret_message, -EINVAL,
					 "cannot build the wall: the root directory was changed to "
					 "one that is not a mount point; use --wall=rules")
			       : refuse_step("cutting the mounts off", ret_message);
	return 0;
}

/* What arrives while this goes on is found in the end. */
int view_enter(int *ret_anchor_fd, char **ret_message)
{
	_cleanup_close_ int anchor_fd = -EBADF;
	int r = leave_namespace(ret_message);

	r = r < 0 ? r : detach_queues(ret_message);
	r = r < 0 ? r : isolate_dev(ret_message);
	r = r < 0 ? r : cover_dev_mqueue(ret_message);
	r = r < 0 ? r : raise_anchor(&anchor_fd, ret_message);
	r = r < 0 ? r : detach_queues(ret_message);
	if (r == 0)
		*ret_anchor_fd = take_fd(&anchor_fd);
	return r;
}
