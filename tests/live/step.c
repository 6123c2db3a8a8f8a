/* SPDX-License-Identifier: MIT */
/* A session process that goes one step at a time. */
#include "step.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "include/compat.h"
#include "include/util.h"
#include "tests/patience.h"

#define SYSCALL_STOP (SIGTRAP | 0x80)
#define STOP_SECONDS (10 * (unsigned)patience())

/* Its own memory, and time. */
static bool is_no_step(uint64_t nr)
{
	static const int others[] = {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise,
		SYS_brk, SYS_futex, SYS_sched_yield, SYS_rt_sigprocmask, SYS_rt_sigaction,
		SYS_sigaltstack, SYS_getpid, SYS_gettid, SYS_clock_gettime, SYS_clock_nanosleep,
		SYS_wait4};

	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		if (nr == (uint64_t)others[i])
			return true;
	return false;
}

/* How many the loop's poll() is about: the manager's channel, the listener, each waiting caller. 0:
 * no such call. */
static uint64_t loop_poll(const struct __ptrace_syscall_info *call)
{
#ifdef SYS_poll
	if (call->entry.nr == SYS_poll)
		return call->entry.args[1];
#endif
	return call->entry.nr == SYS_ppoll ? call->entry.args[1] : 0;
}

static int loop_timeout(const struct __ptrace_syscall_info *call)
{
#ifdef SYS_poll
	if (call->entry.nr == SYS_poll)
		return (int)call->entry.args[2];
#endif
	/* How long does not matter. */
	return call->entry.args[2] != 0 ? 0 : -1;
}

static const char *call_name(uint64_t nr)
{
	static const struct {
		int nr;
		const char *name;
	} names[] = {
		{SYS_openat, "open"},
		{SYS_close, "close"},
		{SYS_read, "read"},
		{SYS_pread64, "pread"},
		{SYS_pwrite64, "pwrite"},
		{SYS_readlinkat, "readlink"},
		{SYS_newfstatat, "stat"},
		{SYS_statx, "statx"},
		{SYS_fcntl, "fcntl"},
		{SYS_lseek, "lseek"},
		{SYS_getdents64, "getdents"},
		{SYS_pidfd_open, "pidfd_open"},
		{SYS_pidfd_getfd, "pidfd_getfd"},
		{SYS_mq_open, "mq_open"},
		{SYS_mq_unlink, "mq_unlink"},
		{SYS_mq_timedsend, "mq_timedsend"},
		{SYS_mq_timedreceive, "mq_timedreceive"},
		{SYS_mq_getsetattr, "mq_getsetattr"},
		{SYS_setns, "setns"},
		{SYS_setgroups, "setgroups"},
		{SYS_setresuid, "setresuid"},
		{SYS_setresgid, "setresgid"},
		{SYS_setfsuid, "setfsuid"},
		{SYS_setfsgid, "setfsgid"},
		{SYS_capset, "capset"},
		{SYS_umask, "umask"},
		{SYS_prlimit64, "prlimit"},
		{SYS_ptrace, "ptrace"},
		{SYS_clone, "clone"},
#if defined(SYS_poll)
		{SYS_poll, "poll"},
#endif
		{SYS_ppoll, "poll"},
		{SYS_kcmp, "kcmp"},
		{SYS_epoll_ctl, "epoll_ctl"},
		{SYS_sendmsg, "sendmsg"},
		{SYS_pidfd_send_signal, "pidfd_send_signal"}
	};

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (nr == (uint64_t)names[i].nr)
			return names[i].name;
	return NULL;
}

static const char *ioctl_name(uint64_t request)
{
	switch (request) {
	case SECCOMP_IOCTL_NOTIF_RECV:
		return "RECV";
	case SECCOMP_IOCTL_NOTIF_ID_VALID:
		return "ID_VALID";
	case SECCOMP_IOCTL_NOTIF_ADDFD:
		return "ADDFD";
	case SECCOMP_IOCTL_NOTIF_SEND:
		return "SEND";
	case PROCMAP_QUERY:
		return "PROCMAP_QUERY";
	default:
		return "ioctl";
	}
}

static void read_path(pid_t pid, uint64_t address, char path[static STEP_PATH_MAX])
{
	struct iovec ours = {path, STEP_PATH_MAX - 1}, its = {(void *)address, STEP_PATH_MAX - 1};

	(void)process_vm_readv(pid, &ours, 1, &its, 1, 0);
}

static void name_step(struct stepper *stepper, const struct __ptrace_syscall_info *call)
{
	const uint64_t nr = call->entry.nr, *args = (const uint64_t *)call->entry.args;
	const char *name = call_name(nr);
	char path[STEP_PATH_MAX] = "";

	if (nr == SYS_ioctl)
		name = ioctl_name(args[1]);
	if (nr == SYS_openat || nr == SYS_readlinkat || nr == SYS_newfstatat || nr == SYS_statx)
		read_path(stepper->session, args[1], path);
	if (name)
		(void)snprintf(stepper->name, sizeof(stepper->name), "%s%s%s", name,
			*path ? " " : "", path);
	else
		(void)snprintf(stepper->name, sizeof(stepper->name), "call %u", (unsigned)nr);
}

static void note_step(struct stepper *stepper, const struct __ptrace_syscall_info *call)
{
	uint64_t nr = call->entry.nr;

	stepper->count++;
	name_step(stepper, call);
	/* The first look at a queue's attributes is made to see how large a message is. */
	if (nr == SYS_mq_timedsend || nr == SYS_mq_timedreceive ||
		(nr == SYS_mq_getsetattr && call->entry.args[1] != 0))
		stepper->acted = stepper->count;
}

static void give_up(int signal)
{
	(void)signal;
}

/* What has stopped it; after its end, parent is what goes on. */
static int wait_for_stop(struct stepper *stepper)
{
	int status = 0;

	(void)alarm(STOP_SECONDS);
	cr_assert_eq(waitpid(stepper->session, &status, __WALL), stepper->session,
		"the session process takes too long");
	(void)alarm(0);
	if (!WIFSTOPPED(status) && stepper->parent != 0) {
		stepper->session = stepper->parent;
		stepper->parent = 0;
		return SIGSTOP | PTRACE_EVENT_FORK << 8;
	}
	cr_assert(WIFSTOPPED(status), "the session process has ended: wait status %#x",
		(unsigned)status);
	return status >> 8;
}

/* A child of it does something, while it waits. */
static void follow(struct stepper *stepper)
{
	unsigned long child = 0;

	cr_assert_eq(ptrace(PTRACE_GETEVENTMSG, stepper->session, NULL, &child), 0);
	stepper->parent = stepper->session;
	stepper->session = (pid_t)child;
	(void)wait_for_stop(stepper);
}

/* Up to where it enters the next system call, whichever. */
static void run_to_call(struct stepper *stepper, struct __ptrace_syscall_info *ret)
{
	int signal = 0;

	for (;;) {
		int stop;

		cr_assert_eq(
			ptrace(PTRACE_SYSCALL, stepper->session, NULL, (void *)(intptr_t)signal),
			0);
		stop = wait_for_stop(stepper);
		signal = stop > 0xff || stop == SYSCALL_STOP ? 0 : stop;
		if (stop == (SIGTRAP | PTRACE_EVENT_FORK << 8))
			follow(stepper);
		if (stop != SYSCALL_STOP)
			continue;
		cr_assert_gt(
			ptrace(PTRACE_GET_SYSCALL_INFO, stepper->session, sizeof(*ret), ret), 0);
		if (ret->op == PTRACE_SYSCALL_INFO_ENTRY)
			return;
	}
}

void step_next(struct stepper *stepper)
{
	bool polled = stepper->idle || stepper->waits;
	struct __ptrace_syscall_info call;

	if (streq(stepper->name, "SEND"))
		stepper->replied = true;
	do
		run_to_call(stepper, &call);
	while (is_no_step(call.entry.nr) || (call.entry.nr == SYS_restart_syscall && !polled));
	/* The death of somebody whom it traces has disturbed it: it is where it was. */
	if (call.entry.nr == SYS_restart_syscall)
		return;
	stepper->idle = loop_poll(&call) == 2;
	stepper->waits = loop_poll(&call) > 2;
	if (stepper->idle)
		stepper->timeout_ms = loop_timeout(&call);
	if (stepper->idle)
		(void)strcpy(stepper->name, "poll");
	else
		note_step(stepper, &call);
}

void step_restart(struct stepper *stepper)
{
	*stepper = (struct stepper){.session = stepper->session,
		.idle = stepper->idle,
		.timeout_ms = stepper->timeout_ms,
		.name = "poll"};
}

void step_attach(struct stepper *stepper, pid_t session)
{
	struct sigaction action = {.sa_handler = give_up};

	*stepper = (struct stepper){.session = session, .idle = true, .timeout_ms = -1};
	cr_assert_eq(sigaction(SIGALRM, &action, NULL), 0);
	cr_assert_eq(
		ptrace(PTRACE_SEIZE, session, NULL,
			(void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK)),
		0);
	cr_assert_eq(ptrace(PTRACE_INTERRUPT, session, NULL, NULL), 0);
	(void)wait_for_stop(stepper);
	do
		step_next(stepper);
	while (!stepper->idle);
}

void step_detach(struct stepper *stepper)
{
	cr_assert_eq(ptrace(PTRACE_DETACH, stepper->session, NULL, NULL), 0);
	if (stepper->parent != 0)
		cr_assert_eq(ptrace(PTRACE_DETACH, stepper->parent, NULL, NULL), 0);
}
