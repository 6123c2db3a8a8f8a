/* SPDX-License-Identifier: MIT */
/* Roads over another view of the mounts: inherited, sent or entered. */
#include <linux/nsfs.h>
#include <linux/types.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "road.h"

/* Newer than Debian 12's headers. */
struct namespace_info {
	__u32 size, mounts;
	__u64 id;
};
#ifndef NS_MNT_GET_NEXT
#define NS_MNT_GET_NEXT _IOR(NSIO, 11, struct namespace_info)
#define NS_MNT_GET_PREV _IOR(NSIO, 12, struct namespace_info)
#endif

/* --- inherited ----------------------------------------------------------------------------- */

static const char *below(const char *prefix)
{
	return path_in(prefix, queue);
}

int road_inherited_directory(void)
{
	return use_or_closed(openat(INHERITED_DEV, below("mqueue"), O_RDWR), "open");
}

int road_inherited_root(void)
{
	if (fchdir(INHERITED_ROOT) < 0)
		return untried("fchdir");
	return use_or_closed(open(below("dev/mqueue"), O_RDWR), "open");
}

int road_inherited_link(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/dev/mqueue", INHERITED_ROOT);
	return use_or_closed(open(below(path), O_RDWR), "open");
}

int road_parent(void)
{
	return use_or_closed(
		open(below("../../../../../../../../../../../../dev/mqueue"), O_RDWR), "open");
}

/* Out of a changed root: the working directory stays above it. */
int road_escaped_root(void)
{
	if (chdir("/") < 0 || chroot("/etc") < 0)
		return untried("chroot");
	return road_parent();
}

int road_inherited_namespace(void)
{
	if (setns(INHERITED_NAMESPACE, CLONE_NEWNS) < 0)
		return closed("setns");
	return use_or_closed(open(queue_file(), O_RDWR), "open");
}

int road_sent_directory(const struct victim *victim)
{
	int fd = receive_descriptor("/directory-socket");

	return fd < 0 ? untried("recvmsg")
		      : use_or_closed(openat(fd, below("mqueue"), O_RDWR), "open");
}

/* --- entered ------------------------------------------------------------------------------- */

enum {
	LED_TO_THE_QUEUE,
	LED_TO_AN_OPEN,
	LED_NOWHERE,
};

/* The user namespace first, if it is another: whoever made it has every capability there. */
static int go_in(int namespace_fd)
{
	int user_fd = ioctl(namespace_fd, NS_GET_USERNS);

	if (user_fd >= 0)
		(void)setns(user_fd, CLONE_NEWUSER);
	return setns(namespace_fd, CLONE_NEWNS);
}

int road_inherited_user_namespace(void)
{
	if (go_in(INHERITED_USER_NAMESPACE) < 0)
		return closed("setns");
	return use_or_closed(open(queue_file(), O_RDWR), "open");
}

static int try_namespace(int namespace_fd)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (go_in(namespace_fd) < 0)
			_exit(LED_NOWHERE);
		_exit(open(queue_file(), O_RDWR) < 0 ? LED_TO_AN_OPEN : LED_TO_THE_QUEUE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return LED_NOWHERE;
	return WEXITSTATUS(status);
}

/* How far the best of the others in this direction leads; errno is that of the end of the list. */
static int walk(unsigned long direction)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY), best = LED_NOWHERE;

	while (fd >= 0 && best != LED_TO_THE_QUEUE) {
		struct namespace_info info = {.size = sizeof(info)};
		int next = ioctl(fd, direction, &info), saved = errno;

		(void)close(fd);
		fd = next;
		if (fd >= 0) {
			int led = try_namespace(fd);

			best = led < best ? led : best;
		}
		errno = saved;
	}
	return best;
}

static int enter_others(void)
{
	int before = walk(NS_MNT_GET_PREV), after = walk(NS_MNT_GET_NEXT);

	if (before == LED_TO_THE_QUEUE || after == LED_TO_THE_QUEUE)
		return is_open();
	if (before == LED_NOWHERE && after == LED_NOWHERE)
		return closed("list");
	errno = EACCES;
	return closed("open");
}

int road_other_namespaces(void)
{
	return enter_others();
}

/* With every capability, in a user namespace of one's own. */
int road_user_other_namespaces(void)
{
	return unshare(CLONE_NEWUSER) < 0 ? untried("unshare") : enter_others();
}
