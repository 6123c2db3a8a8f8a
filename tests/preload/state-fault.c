/* SPDX-License-Identifier: MIT */
/* Preloaded into mqgated: the n-th call that touches the state directory fails, or kills the
 * process.
 *
 * MQGATE_FAULT_DIR is the state directory, MQGATE_FAULT_PLAN a file of four 32-bit numbers, which
 * the test changes while the daemon runs: which call (0: none), its errno (0: SIGKILL), how many
 * there were, and whether it has happened. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PUBLIC    __attribute__((visibility("default")))
#define FILES_MAX 1024

struct plan {
	uint32_t call;
	int32_t error;
	uint32_t count;
	uint32_t happened;
};

static volatile struct plan *plan;
static const char *directory;
static bool ours[FILES_MAX]; /* descriptors of the state directory and of files in it */

__attribute__((constructor)) static void prepare(void)
{
	const char *path = getenv("MQGATE_FAULT_PLAN");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	directory = getenv("MQGATE_FAULT_DIR");
	if (fd >= 0 && directory && map != MAP_FAILED)
		plan = map;
}

static bool is_ours(int fd)
{
	return plan && fd >= 0 && fd < FILES_MAX && ours[fd];
}

static bool fails(void)
{
	if (plan->call == 0 || ++plan->count != plan->call)
		return false;
	plan->happened = 1;
	if (plan->error == 0)
		(void)syscall(SYS_kill, getpid(), SIGKILL);
	errno = plan->error;
	return true;
}

static int note(int fd)
{
	if (fd >= 0 && fd < FILES_MAX)
		ours[fd] = true;
	return fd;
}

PUBLIC int open(const char *path, int flags, ...)
{
	bool concerned = plan && strcmp(path, directory) == 0;
	va_list arguments;
	int mode, fd;

	va_start(arguments, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
	va_end(arguments);
	if (concerned && fails())
		return -1;
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
	return concerned ? note(fd) : fd;
}

PUBLIC int openat(int at, const char *path, int flags, ...)
{
	va_list arguments;
	int mode, fd;

	va_start(arguments, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, int) : 0;
	va_end(arguments);
	if (is_ours(at) && fails())
		return -1;
	fd = (int)syscall(SYS_openat, at, path, flags, mode);
	return is_ours(at) ? note(fd) : fd;
}

PUBLIC ssize_t write(int fd, const void *data, size_t size)
{
	if (is_ours(fd) && fails())
		return -1;
	return syscall(SYS_write, fd, data, size);
}

PUBLIC int fsync(int fd)
{
	return is_ours(fd) && fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

PUBLIC int fchmod(int fd, mode_t mode)
{
	return is_ours(fd) && fails() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

PUBLIC int ftruncate(int fd, off_t size)
{
	return is_ours(fd) && fails() ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

/* Linux closes it whatever it says. */
PUBLIC int close(int fd)
{
	bool failed = is_ours(fd) && fails();
	int error = errno, r;

	if (fd >= 0 && fd < FILES_MAX)
		ours[fd] = false;
	r = (int)syscall(SYS_close, fd);
	if (failed)
		errno = error;
	return failed ? -1 : r;
}

PUBLIC int renameat(int at, const char *path, int to, const char *name)
{
	return is_ours(at) && fails() ? -1 : (int)syscall(SYS_renameat2, at, path, to, name, 0);
}

PUBLIC int linkat(int at, const char *path, int to, const char *name, int flags)
{
	return is_ours(at) && fails() ? -1 : (int)syscall(SYS_linkat, at, path, to, name, flags);
}

PUBLIC int unlinkat(int at, const char *path, int flags)
{
	return is_ours(at) && fails() ? -1 : (int)syscall(SYS_unlinkat, at, path, flags);
}
