/* SPDX-License-Identifier: MIT */
/* Roads over a mount namespace that is made of the queues alone (Linux 7.0 and 7.1). */
#include <linux/mount.h>
#include <sched.h>
#include <sys/syscall.h>

#include "road.h"

/* Newer than Debian 12's headers. */
#ifndef OPEN_TREE_NAMESPACE
#define OPEN_TREE_NAMESPACE (1 << 1)
#endif
#ifndef FSMOUNT_NAMESPACE
#define FSMOUNT_NAMESPACE (1 << 1)
#endif
#ifndef UNSHARE_EMPTY_MNTNS
#define UNSHARE_EMPTY_MNTNS 0x00100000
#endif

/* Its / is the queues. */
static int enter_and_use(int namespace_fd, int oflag)
{
	if (setns(namespace_fd, CLONE_NEWNS) < 0)
		return closed("setns");
	return use_or_closed(open(queue, oflag, 0600), "open");
}

int road_open_tree_namespace(void)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, "/dev/mqueue", OPEN_TREE_NAMESPACE);

	return fd < 0 ? closed("open_tree") : enter_and_use(fd, O_RDWR);
}

/* The queues that anybody sees, in a copy of the mounts. */
int road_user_open_tree_namespace(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? untried("unshare")
							: road_open_tree_namespace();
}

static int mount_namespace_and_use(int oflag)
{
	const char *step;
	int fd = mount_detached(FSMOUNT_NAMESPACE, &step);

	return fd < 0 ? closed(step) : enter_and_use(fd, oflag);
}

int road_fsmount_namespace(void)
{
	return mount_namespace_and_use(O_RDWR);
}

int road_user_fsmount_namespace(void)
{
	return enter_namespaces() < 0 ? untried("unshare")
				      : mount_namespace_and_use(O_RDWR | O_CREAT);
}

/* Nothing is there that could be mounted upon but /, nor anything that a wall could know. */
static int leave_all_and_use(int oflag)
{
	const char *step;
	int root;

	if (unshare(UNSHARE_EMPTY_MNTNS) < 0)
		return closed("unshare");
	root = mount_detached(0, &step);
	if (root < 0)
		return closed(step);
	if (syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return closed("move_mount");
	if (fchdir(root) < 0 || chroot(".") < 0)
		return closed("chroot");
	return use_or_closed(open(queue, oflag, 0600), "open");
}

int road_empty_namespace(void)
{
	return leave_all_and_use(O_RDWR);
}

int road_user_empty_namespace(void)
{
	return enter_namespaces() < 0 ? untried("unshare") : leave_all_and_use(O_RDWR | O_CREAT);
}
