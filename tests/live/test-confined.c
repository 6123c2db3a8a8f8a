/* SPDX-License-Identifier: MIT */
/* Whether a process is confined: its filters tell, and what cannot be told is never "not". */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/revoke/confined.h"
#include "door.h"
#include "include/filter-id.h"
#include "include/limits.h"
#include "member-processes.h"
#include "support.h"

static bool shows_none; /* the kernel, of any process's filters */

/* In place of the C library's. */
long ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	pid_t pid;
	void *address, *data;

	va_start(arguments, request);
	pid = va_arg(arguments, pid_t);
	address = va_arg(arguments, void *);
	data = va_arg(arguments, void *);
	va_end(arguments);
	if (shows_none && request == PTRACE_SECCOMP_GET_FILTER) {
		errno = EINVAL;
		return -1;
	}
	return syscall(SYS_ptrace, request, pid, address, data);
}

TestSuite(confined, .init = choose_filter_id);

static void allow_everything(unsigned count)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(120);
	while (count-- > 0)
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			_exit(121);
}

static int told(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int confined = process_is_confined(pid, pidfd);

	(void)close(pidfd);
	return confined;
}

static int told_of(pid_t (*f)(void))
{
	pid_t pid = start(f, NULL);
	int confined = told(pid);

	end(pid);
	return confined;
}

static pid_t outsider(void)
{
	return 0;
}

static pid_t under_one(void)
{
	allow_everything(1);
	return 0;
}

static pid_t under_as_many_as_are_read(void)
{
	allow_everything(EXAMINED_FILTERS_MAX);
	return 0;
}

static pid_t under_more(void)
{
	allow_everything(EXAMINED_FILTERS_MAX + 1);
	return 0;
}

Test(confined, is_nobody_by_having_filters)
{
	cr_expect_eq(told_of(under_one), 0);
	cr_expect_eq(told_of(under_as_many_as_are_read), 0);
	cr_expect_lt(told_of(under_more), 0, "it cannot be told");
	cr_expect_lt(told_of(outsider), 0, "it has none that could tell");
}

static pid_t between_others(void)
{
	allow_everything(3);
	confine(filter_id);
	allow_everything(3);
	return 0;
}

Test(confined, is_who_has_a_sessions_among_them)
{
	cr_expect_eq(told_of(member), 1);
	cr_expect_eq(told_of(between_others), 1);
}

/* A session's filter without a listener, of which there can be only one. */
static void carry(uint64_t its_filter_id)
{
	struct sock_filter program[FILTER_ID_LENGTH + 1] = {
		[FILTER_ID_LENGTH] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = FILTER_ID_LENGTH + 1, .filter = program};

	filter_id_write(program, its_filter_id);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		_exit(123);
}

static pid_t twice(void)
{
	confine(filter_id);
	carry(filter_id);
	return 0;
}

static pid_t of_two(void)
{
	confine(filter_id);
	carry(filter_id + 1);
	return 0;
}

static int told_of_beginning(pid_t (*f)(void))
{
	pid_t pid = start(f, NULL);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct beginning beginning;
	int r = process_begins_session(
		pid, pidfd, &(struct filter_mark){filter_id, false}, &beginning);

	cr_expect_gt(beginning.pid_depth, 0U);
	cr_expect_gt(beginning.pid_namespace, 0U);

	(void)close(pidfd);
	end(pid);
	return r;
}

Test(confined, a_session_begins_with_its_own_filter_and_no_other_sessions)
{
	cr_expect_eq(told_of_beginning(member), 0);
	cr_expect_eq(told_of_beginning(between_others), 0);
	cr_expect_eq(told_of_beginning(twice), 1);
	cr_expect_eq(told_of_beginning(of_two), 1);
	cr_expect_eq(told_of_beginning(neighbour), 1);
	cr_expect_eq(told_of_beginning(under_one), -ENOENT);
	cr_expect_eq(told_of_beginning(outsider), -ENOENT);
	cr_expect_eq(told_of_beginning(under_more), -EPERM);
}

Test(confined, a_kernel_that_shows_no_filters_proves_nothing_and_sessions_begin)
{
	shows_none = true;
	cr_expect_eq(told_of(under_one), -EACCES);
	cr_expect_eq(told_of(member), -EACCES);
	cr_expect_eq(told_of_beginning(member), 0);
	cr_expect_eq(told_of_beginning(outsider), -ENOENT);
}

static void *stay(void *unused)
{
	(void)unused;
	for (;;)
		(void)pause();
	return NULL;
}

static pid_t lose_first_thread(void)
{
	pthread_t thread;
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		confine(filter_id);
		if (pthread_create(&thread, NULL, stay, NULL) != 0)
			_exit(122);
		pthread_exit(NULL);
	}
	while (state_of(pid) != 'Z')
		(void)usleep(1000);
	return pid;
}

Test(confined, is_one_whose_first_thread_has_ended)
{
	pid_t child, parent = start(lose_first_thread, &child);

	cr_expect_eq(told(child), 1);
	(void)kill(child, SIGKILL);
	end(parent);
}

Test(confined, a_process_that_is_gone_or_another_one_is_not_told_of)
{
	pid_t gone = start(under_one, NULL), other = start(under_one, NULL);
	int pidfd = (int)syscall(SYS_pidfd_open, gone, 0);

	end(gone);
	cr_expect_eq(process_is_confined(gone, pidfd), -ESRCH);
	cr_expect_eq(process_is_confined(other, pidfd), -ESRCH, "it has the number of one");
	(void)close(pidfd);
	end(other);
}

static pid_t traced(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		allow_everything(1);
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		for (;;)
			(void)pause();
	}
	(void)usleep(100000);
	return pid;
}

Test(confined, one_that_is_traced_cannot_be_told)
{
	pid_t child, parent = start(traced, &child);
	const uint64_t begun = now_usec();

	cr_expect_eq(told(child), -EBUSY);
	cr_expect_lt(now_usec() - begun, EXAMINATION_DEADLINE_USEC / 4, "it costs little");
	(void)kill(child, SIGKILL);
	end(parent);
}

Test(confined, with_a_filter_of_our_own_nothing_can_be_told)
{
	pid_t pid = start(under_one, NULL), in = start(member, NULL), we;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	struct beginning beginning;

	we = fork();

	if (we == 0) {
		allow_everything(1);
		_exit(told(pid) == -EACCES && told(in) == -EACCES &&
					process_begins_session(pid, pidfd,
						&(struct filter_mark){filter_id, false},
						&beginning) == 0
				? 0
				: 1);
	}
	cr_assert_eq(waitpid(we, &status, 0), we);
	cr_expect_eq(status, 0);
	end(pid);
	end(in);
}
