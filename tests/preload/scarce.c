/* SPDX-License-Identifier: MIT */
/* Preloaded into one of our programs: the n-th call that takes memory, a descriptor or a process,
 * or an identity, fails.
 *
 * MQGATE_SCARCE_PLAN is a file of six 32-bit numbers, which the test changes while the program
 * runs: which kinds of calls (the bits below), in which process (0: in every one), which of them
 * (0: none), its errno, how many there were, and whether it has happened. MQGATE_SCARCE_PROGRAM is
 * the program meant; what that starts or becomes is left alone. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fsuid.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

enum kind {
	MEMORY = 1,
	DESCRIPTOR = 2,
	PROCESS = 4,
	IDENTITY = 8,
	CONFINEMENT = 16,
};

struct plan {
	uint32_t kinds;
	int32_t pid;
	uint32_t call;
	int32_t error;
	uint32_t count;
	uint32_t happened;
};

static struct plan *plan;

static bool is_meant(void)
{
	const char *program = getenv("MQGATE_SCARCE_PROGRAM");
	char path[4096] = "";

	return program &&
	       syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, sizeof(path) - 1) > 0 &&
	       strcmp(path, program) == 0;
}

__attribute__((constructor)) static void prepare(void)
{
	const char *path = getenv("MQGATE_SCARCE_PLAN");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
	void *map;

	if (fd < 0)
		return;
	map = (void *)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)syscall(SYS_close, fd);
	if (map != MAP_FAILED && is_meant())
		plan = map;
}

static bool fails(enum kind kind)
{
	if (!plan || !(plan->kinds & kind) || plan->call == 0 ||
		(plan->pid != 0 && plan->pid != syscall(SYS_getpid)) ||
		__atomic_add_fetch(&plan->count, 1, __ATOMIC_SEQ_CST) != plan->call)
		return false;
	plan->happened = 1;
	errno = kind == MEMORY ? ENOMEM : plan->error;
	return true;
}

/* The sanitizers' own, where there are any, are the next ones. */
static void *next(const char *name, void **kept)
{
	static bool looking;

	if (!*kept && !looking) {
		looking = true;
		*kept = dlsym(RTLD_NEXT, name);
		looking = false;
	}
	return *kept;
}

/* FORWARD(kind, what it returns on failure, type, name, parameters, arguments) */
#define FORWARD(kind, failure, type, name, parameters, arguments)                \
	PUBLIC type name parameters                                              \
	{                                                                        \
		static void *kept;                                               \
		type(*real) parameters = (type(*) parameters)next(#name, &kept); \
                                                                                 \
		return !real || fails(kind) ? failure : real arguments;          \
	}

FORWARD(MEMORY, NULL, void *, malloc, (size_t size), (size))
FORWARD(MEMORY, NULL, void *, calloc, (size_t count, size_t size), (count, size))
FORWARD(MEMORY, NULL, void *, realloc, (void *old, size_t size), (old, size))
FORWARD(MEMORY, NULL, void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
FORWARD(MEMORY, MAP_FAILED, void *, mmap,
	(void *at, size_t size, int protection, int flags, int fd, off_t offset),
	(at, size, protection, flags, fd, offset))

FORWARD(DESCRIPTOR, -1, int, socket, (int domain, int type, int protocol), (domain, type, protocol))
FORWARD(DESCRIPTOR, -1, int, socketpair, (int domain, int type, int protocol, int fds[2]),
	(domain, type, protocol, fds))
FORWARD(DESCRIPTOR, -1, int, accept4,
	(int fd, struct sockaddr *address, socklen_t *size, int flags), (fd, address, size, flags))
FORWARD(DESCRIPTOR, -1, int, memfd_create, (const char *name, unsigned flags), (name, flags))
FORWARD(DESCRIPTOR, -1, int, epoll_create1, (int flags), (flags))
FORWARD(DESCRIPTOR, -1, int, timerfd_create, (clockid_t clock, int flags), (clock, flags))
FORWARD(DESCRIPTOR, -1, int, eventfd, (unsigned value, int flags), (value, flags))
FORWARD(DESCRIPTOR, -1, int, signalfd, (int fd, const sigset_t *mask, int flags), (fd, mask, flags))
FORWARD(DESCRIPTOR, -1, int, inotify_init1, (int flags), (flags))
FORWARD(DESCRIPTOR, -1, int, dup, (int fd), (fd))
FORWARD(DESCRIPTOR, -1, int, dup2, (int fd, int to), (fd, to))
FORWARD(DESCRIPTOR, -1, int, dup3, (int fd, int to, int flags), (fd, to, flags))
FORWARD(DESCRIPTOR, -1, int, pipe2, (int fds[2], int flags), (fds, flags))
FORWARD(DESCRIPTOR, NULL, FILE *, fopen, (const char *path, const char *mode), (path, mode))
FORWARD(DESCRIPTOR, NULL, DIR *, opendir, (const char *path), (path))

FORWARD(PROCESS, -1, pid_t, fork, (void), ())

FORWARD(IDENTITY, -1, int, setresuid, (uid_t real_id, uid_t effective, uid_t saved),
	(real_id, effective, saved))
FORWARD(IDENTITY, -1, int, setresgid, (gid_t real_id, gid_t effective, gid_t saved),
	(real_id, effective, saved))
FORWARD(IDENTITY, -1, int, setgroups, (size_t count, const gid_t *groups), (count, groups))
FORWARD(IDENTITY, -1, int, setns, (int fd, int kind), (fd, kind))
FORWARD(IDENTITY, -1, int, setrlimit, (__rlimit_resource_t resource, const struct rlimit *limit),
	(resource, limit))

/* They say who one was, whether they worked or not. */
FORWARD(IDENTITY, 0, int, setfsuid, (uid_t uid), (uid))
FORWARD(IDENTITY, 0, int, setfsgid, (gid_t gid), (gid))

PUBLIC int posix_spawn(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions,
	const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	static void *kept;
	int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *,
		const posix_spawnattr_t *, char *const[],
		char *const[]) = (int (*)(pid_t *, const char *, const posix_spawn_file_actions_t *,
		const posix_spawnattr_t *, char *const[], char *const[]))next("posix_spawn", &kept);

	return fails(PROCESS) ? errno
			      : real(ret, path, actions, attributes, arguments, environment);
}

static bool makes_a_file(int flags)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
}

PUBLIC int open(const char *path, int flags, ...)
{
	va_list arguments;
	int mode;

	va_start(arguments, flags);
	mode = makes_a_file(flags) ? va_arg(arguments, int) : 0;
	va_end(arguments);
	return fails(DESCRIPTOR) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

PUBLIC int openat(int at, const char *path, int flags, ...)
{
	va_list arguments;
	int mode;

	va_start(arguments, flags);
	mode = makes_a_file(flags) ? va_arg(arguments, int) : 0;
	va_end(arguments);
	return fails(DESCRIPTOR) ? -1 : (int)syscall(SYS_openat, at, path, flags, mode);
}

PUBLIC int fcntl(int fd, int operation, ...)
{
	va_list arguments;
	long argument;

	va_start(arguments, operation);
	argument = va_arg(arguments, long);
	va_end(arguments);
	if ((operation == F_DUPFD || operation == F_DUPFD_CLOEXEC) && fails(DESCRIPTOR))
		return -1;
	return (int)syscall(SYS_fcntl, fd, operation, argument);
}

/* Only adding needs anything. */
PUBLIC int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
	if (operation == EPOLL_CTL_ADD && fails(DESCRIPTOR))
		return -1;
	return (int)syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

PUBLIC int prctl(int operation, ...)
{
	unsigned long a[4];
	va_list arguments;

	va_start(arguments, operation);
	for (int i = 0; i < 4; i++)
		a[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	if ((operation == PR_SET_PDEATHSIG && fails(IDENTITY)) ||
		(operation == PR_SET_NO_NEW_PRIVS && fails(CONFINEMENT)))
		return -1;
	return (int)syscall(SYS_prctl, operation, a[0], a[1], a[2], a[3]);
}

static enum kind kind_of(long number)
{
	switch (number) {
	case SYS_pidfd_open:
	case SYS_pidfd_getfd:
	case SYS_mq_open:
		return DESCRIPTOR;
	case SYS_capset:
		return IDENTITY;
	case SYS_seccomp:
	case SYS_landlock_create_ruleset:
	case SYS_landlock_add_rule:
	case SYS_landlock_restrict_self:
		return CONFINEMENT;
	default:
		return 0;
	}
}

PUBLIC long syscall(long number, ...)
{
	static void *kept;
	long (*real)(long, ...) = (long (*)(long, ...))next("syscall", &kept);
	va_list arguments;
	long a[6];

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	if (kind_of(number) != 0 && fails(kind_of(number)))
		return -1;
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
