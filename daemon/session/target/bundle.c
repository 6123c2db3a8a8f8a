/* SPDX-License-Identifier: MIT */
/* What a runtime has been told of a container, and the kernel does not show. */
#include "bundle.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "include/capabilities.h"
#include "include/container.h"
#include "include/task.h"

#define CONFIG      "/config.json"
#define CONFIG_MAX  (1024 * 1024)
#define ROOT        0 /* the descriptor, in the child */
#define QUOTED_FLAG "\"" CONTAINER_FLAG "\""

static int open_config(const struct bundle *bundle)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	char path[CONTAINER_BUNDLE_MAX + sizeof(CONFIG)];

	(void)snprintf(path, sizeof(path), "%s" CONFIG, bundle->path);
	return (int)syscall(SYS_openat2, ROOT, path, &how, sizeof(how));
}

/* 0, or negative errno. Nobody but the runtime, or root, has written the file, so nothing is told
 * of anybody else's. */
static int read_config(int fd, uid_t user, char text[static CONFIG_MAX], size_t *ret)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != user)
		return -EACCES;
	for (*ret = 0; *ret < CONFIG_MAX; *ret += (size_t)n) {
		n = read(fd, text + *ret, CONFIG_MAX - *ret);
		if (n <= 0)
			return n < 0 ? -errno : 0;
	}
	return -EFBIG;
}

/* Only towards files. With the other ids that user could signal us, and a file system of the user's
 * own (FUSE) would serve us, and hold us up. */
static bool become_runtime(const struct bundle *bundle)
{
	if (geteuid() == bundle->user)
		return true;
	if (setgroups(0, NULL) < 0)
		return false;
	(void)setfsgid(bundle->group);
	(void)setfsuid(bundle->user);
	return (gid_t)setfsgid((gid_t)-1) == bundle->group &&
	       (uid_t)setfsuid((uid_t)-1) == bundle->user && capabilities_set(0, 0) == 0;
}

/* What it is held up by must not hold the listener open, nor outlive who waits for it. */
static bool become_disposable(const struct bundle *bundle, pid_t parent)
{
	if (dup2(bundle->root, ROOT) < 0 || close_range(ROOT + 1, UINT32_MAX, 0) < 0)
		return false;
	/* A change of ids makes the kernel forget it. */
	return become_runtime(bundle) && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
	       getppid() == parent;
}

/* In a process that is nothing else any more. Returns 0, ENOLINK or ENODATA. */
static int look_as_runtime(const struct bundle *bundle, pid_t parent)
{
	static char text[CONFIG_MAX];
	size_t size;
	int fd;

	if (!become_disposable(bundle, parent))
		return ENOLINK;
	fd = open_config(bundle);
	if (fd < 0 || read_config(fd, bundle->user, text, &size) < 0)
		return ENOLINK;
	return memmem(text, size, QUOTED_FLAG, strlen(QUOTED_FLAG)) ? 0 : ENODATA;
}

int bundle_has_flag(const struct bundle *bundle)
{
	const pid_t parent = getpid(), child = task_fork();
	int status;

	if (child == 0)
		_exit(look_as_runtime(bundle, parent));
	if (child < 0)
		return -errno;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ENOLINK;
}
