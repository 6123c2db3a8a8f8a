/* SPDX-License-Identifier: MIT */
/* What a hand-made launcher runs behind its own filter. */
#include "rogue.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "app.h"
#include "tests/machine/int-0x80.h"

#define X32_BIT 0x40000000

int rogue_filter(bool everything)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, everything ? 0 : SYS_mq_open, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, everything ? 0xffffffff : SYS_mq_getsetattr, 1,
			0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = sizeof(program) / sizeof(program[0]), .filter = program};

	return (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &fprog);
}

static int no_new_privs(struct rogue *rogue)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* A full set of capabilities, and so no no_new_privs is needed. */
static int user_namespace(struct rogue *rogue)
{
	return unshare(CLONE_NEWUSER);
}

static void note(struct rogue *rogue, const char *what, long result)
{
	size_t i = 0;

	result = result == -1 ? -errno : result;
	if (rogue->count == sizeof(rogue->results) / sizeof(rogue->results[0]))
		return;
	for (; what[i] && i < sizeof(rogue->results[0].what) - 1; i++)
		rogue->results[rogue->count].what[i] = what[i];
	rogue->results[rogue->count++].result = result;
}

static void try_queues(struct rogue *rogue)
{
	note(rogue, "open-target", syscall(SYS_mq_open, rogue->target + 1, O_RDWR, 0, NULL));
	note(rogue, "create-target",
		syscall(SYS_mq_open, rogue->target + 1, O_RDWR | O_CREAT, 0600, NULL));
	note(rogue, "unlink-target", syscall(SYS_mq_unlink, rogue->target + 1));
	note(rogue, "open-granted", syscall(SYS_mq_open, rogue->granted + 1, O_RDONLY, 0, NULL));
	note(rogue, "unlink-granted", syscall(SYS_mq_unlink, rogue->granted + 1));
}

#if defined(__x86_64__)
static long call_i386(long nr)
{
	int r = int_0x80(nr, NULL, 0);

	errno = r < 0 ? -r : 0;
	return r < 0 ? -1 : r;
}

static void i386_calls(struct rogue *rogue)
{
	note(rogue, "i386-getpid", call_i386(20));
	note(rogue, "i386-socketcall", call_i386(102));
}
#endif

/* Calls that mqgate knows nothing of, of every architecture that there is. */
static void every_call(struct rogue *rogue)
{
	note(rogue, "getpid", syscall(SYS_getpid));
	note(rogue, "kill", syscall(SYS_kill, 1, 0));
	note(rogue, "openat", syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY));
	note(rogue, "setuid", syscall(SYS_setuid, 0));
	note(rogue, "unknown", syscall(99999));
	note(rogue, "negative", syscall(-5));
#if defined(__x86_64__)
	note(rogue, "x32-getpid", syscall(X32_BIT | SYS_getpid));
	note(rogue, "x32-mq_open", syscall(X32_BIT | SYS_mq_open, rogue->granted + 1, O_RDONLY));
#endif
	try_queues(rogue);
}

/* As often as can be in two seconds, while the launcher answers as well. */
static void race(struct rogue *rogue)
{
	struct timespec end = from_now(2000), now;
	long calls = 0;

	do {
		long fd = syscall(SYS_mq_open, rogue->target + 1, O_RDWR, 0, NULL);
		struct timespec soon = from_now(1);

		/* The launcher may have answered with anything, to this too: the test looks whether
		 * the queue is still there, and empty. */
		(void)syscall(SYS_mq_timedsend, fd, "x", 1, 0, &soon);
		(void)syscall(SYS_mq_unlink, rogue->target + 1);
		if (fd > 2)
			(void)close((int)fd);
		calls++;
		(void)clock_gettime(CLOCK_REALTIME, &now);
	} while (
		now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	note(rogue, "many-calls", calls > 100);
}

/* --- memory that nobody serves -------------------------------------------------------------- */

static char *unserved;

static int prepare_unserved(struct rogue *rogue)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register area = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	unserved = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	area.range.start = (unsigned long)unserved;
	area.range.len = 8192;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &area) < 0)
		return -1;
	return no_new_privs(rogue);
}

static void use_unserved(struct rogue *rogue)
{
	note(rogue, "unserved-name", syscall(SYS_mq_open, unserved, O_RDWR, 0, NULL));
	note(rogue, "unserved-attributes",
		syscall(SYS_mq_open, rogue->granted + 1, O_RDWR | O_CREAT, 0600, unserved));
	note(rogue, "unserved-unlink", syscall(SYS_mq_unlink, unserved));
	note(rogue, "open-granted", syscall(SYS_mq_open, rogue->granted + 1, O_RDONLY, 0, NULL));
}

/* --- gone in the middle ---------------------------------------------------------------------- */

static void *call_on(void *data)
{
	struct rogue *rogue = data;

	for (;;) {
		long fd = syscall(SYS_mq_open, rogue->granted + 1, O_RDWR | O_CREAT, 0600, NULL);

		(void)syscall(SYS_mq_open, rogue->target + 1, O_RDWR | O_CREAT, 0600, NULL);
		(void)syscall(SYS_mq_unlink, rogue->target + 1);
		if (fd >= 0)
			(void)close((int)fd);
	}
	return NULL;
}

/* A process whose threads call all the time, that is killed, or becomes another program. */
static void vanish(struct rogue *rogue, unsigned i)
{
	pthread_t thread;
	pid_t pid = fork();

	if (pid == 0) {
		for (int n = 0; n < 3; n++)
			(void)pthread_create(&thread, NULL, call_on, rogue);
		(void)usleep(i * 131 % 3000);
		if (i % 2 == 0)
			(void)execl("/bin/true", "true", NULL);
		(void)kill(getpid(), SIGKILL);
	}
	(void)waitpid(pid, NULL, 0);
}

static void vanish_often(struct rogue *rogue)
{
	for (unsigned i = 0; i < 200; i++)
		vanish(rogue, i);
	note(rogue, "vanished", 200);
	try_queues(rogue);
}

static const struct rogue_app apps[] = {
	{"queues", false, no_new_privs, try_queues},
	{"every-call", true, no_new_privs, every_call},
#if defined(__x86_64__)
	{"i386-calls", true, no_new_privs, i386_calls},
#endif
	{"race", false, no_new_privs, race},
	{"user-namespace", false, user_namespace, try_queues},
	{"unserved-memory", false, prepare_unserved, use_unserved},
	{"vanish", false, no_new_privs, vanish_often},
};

const struct rogue_app *rogue_app_find(const char *name)
{
	for (size_t i = 0; i < sizeof(apps) / sizeof(apps[0]); i++)
		if (strcmp(apps[i].name, name) == 0)
			return &apps[i];
	return NULL;
}
