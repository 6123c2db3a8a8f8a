/* SPDX-License-Identifier: MIT */
/* Roads over another view of the mounts: inherited, sent or entered. */
#include <linux/nsfs.h>
#include <linux/types.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
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

/* The user namespace first, if it is another: whoever made it has every capability there. */
static int go_in(int namespace_fd, int type)
{
	int user_fd = ioctl(namespace_fd, NS_GET_USERNS);

	if (user_fd >= 0)
		(void)setns(user_fd, CLONE_NEWUSER);
	return setns(namespace_fd, type);
}

int road_inherited_user_namespace(void)
{
	if (go_in(INHERITED_USER_NAMESPACE, CLONE_NEWNS) < 0)
		return closed("setns");
	return use_or_closed(open(queue_file(), O_RDWR), "open");
}

/* The queue where DIRECTORY/bound is /dev/mqueue. */
static const char *bound_file(void)
{
	return path_in(path_in(directory, "/bound"), queue);
}

static int use_bound(int namespace_fd, int type)
{
	if (setns(namespace_fd, type) < 0)
		return closed("setns");
	return use_or_closed(open(bound_file(), O_RDWR), "open");
}

int road_bound_namespace(void)
{
	return use_bound(INHERITED_BOUND_NAMESPACE, CLONE_NEWNS);
}

int road_bound_namespace_any_type(void)
{
	return use_bound(INHERITED_BOUND_NAMESPACE, 0);
}

int road_bound_namespace_unlink(void)
{
	if (setns(INHERITED_BOUND_NAMESPACE, 0) < 0)
		return closed("setns");
	return unlink(bound_file()) < 0 ? closed("unlink") : is_open();
}

static int bound_pid(void)
{
	FILE *f = fopen(path_in(directory, "/bound-pid"), "re");
	int pid = -1;

	if (f && fscanf(f, "%d", &pid) != 1)
		pid = -1;
	if (f)
		(void)fclose(f);
	return pid;
}

int road_bound_namespace_pidfd(void)
{
	int pidfd = (int)syscall(SYS_pidfd_open, bound_pid(), 0);

	return pidfd < 0 ? untried("pidfd_open") : use_bound(pidfd, CLONE_NEWNS);
}

int road_bound_namespace_proc(void)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", bound_pid());
	fd = open(path, O_RDONLY);
	return fd < 0 ? closed("open") : use_bound(fd, 0);
}

/* --- found in the kernel's list ------------------------------------------------------------ */

enum {
	LED_TO_THE_QUEUE,
	LED_TO_AN_OPEN,
	LED_TO_SETNS,
	LED_NOWHERE,
};

/* What is sought, and how. */
struct search {
	const char *file;
	int type;
	bool deletes;
};

static int try_namespace(int namespace_fd, const struct search *search)
{
	pid_t pid = fork();
	int status, r;

	if (pid == 0) {
		if (go_in(namespace_fd, search->type) < 0)
			_exit(LED_TO_SETNS);
		r = search->deletes ? unlink(search->file) : open(search->file, O_RDWR);
		_exit(r < 0 ? LED_TO_AN_OPEN : LED_TO_THE_QUEUE);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return LED_NOWHERE;
	return WEXITSTATUS(status);
}

/* How far the best of the others in this direction leads; errno is that of the end of the list. */
static int walk(unsigned long direction, const struct search *search)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY), best = LED_NOWHERE;

	while (fd >= 0 && best != LED_TO_THE_QUEUE) {
		struct namespace_info info = {.size = sizeof(info)};
		int next = ioctl(fd, direction, &info), saved = errno;

		(void)close(fd);
		fd = next;
		if (fd >= 0) {
			int led = try_namespace(fd, search);

			best = led < best ? led : best;
		}
		errno = saved;
	}
	return best;
}

static int enter_listed(const struct search *search)
{
	int led = walk(NS_MNT_GET_PREV, search), after;

	if (led == LED_TO_THE_QUEUE)
		return is_open();
	after = walk(NS_MNT_GET_NEXT, search);
	led = after < led ? after : led;
	if (led == LED_TO_THE_QUEUE)
		return is_open();
	if (led == LED_NOWHERE)
		return closed("list");
	errno = led == LED_TO_SETNS ? EPERM : EACCES;
	return closed(led == LED_TO_SETNS ? "setns" : "open");
}

static int enter_others(void)
{
	return enter_listed(&(struct search){.file = queue_file(), .type = CLONE_NEWNS});
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

int road_listed_namespace(void)
{
	return enter_listed(&(struct search){.file = bound_file(), .type = CLONE_NEWNS});
}

int road_listed_namespace_any_type(void)
{
	return enter_listed(&(struct search){.file = bound_file()});
}

int road_listed_namespace_unlink(void)
{
	return enter_listed(&(struct search){.file = bound_file(), .deletes = true});
}
