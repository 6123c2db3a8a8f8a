/* SPDX-License-Identifier: MIT */
/* Processes that would hold up whoever looks whether they are members of a session. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "door.h"
#include "member-processes.h"
#include "support.h"

TestSuite(members_held_up, .init = choose_filter_id);

/* Whoever executes a script of this interpreter has to wait. */
static void lease(const char *path, int told)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	(void)signal(SIGIO, SIG_IGN);
	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0 || write(told, "l", 1) != 1)
		_exit(113);
	for (;;)
		(void)pause();
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	if (fd < 0 || dprintf(fd, "%s\n", text) < 0)
		_exit(114);
	(void)close(fd);
}

/* In execve(), for as long as the other one lives. Its name stays, and so does what it holds. */
static pid_t execute_leased(void)
{
	char interpreter[64], script[64], line[80];
	int leased[2];
	pid_t pid;

	(void)snprintf(interpreter, sizeof(interpreter), "%s/interpreter", directory);
	(void)snprintf(script, sizeof(script), "%s/script", directory);
	(void)snprintf(line, sizeof(line), "#!%s", interpreter);
	write_file(interpreter, "none");
	write_file(script, line);
	if (pipe(leased) < 0)
		_exit(117);
	if (fork() == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, "lease");
		lease(interpreter, leased[1]);
	}
	if (read(leased[0], &(char){0}, 1) != 1)
		_exit(117);
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		confine(filter_id + 1);
		(void)execl(script, script, NULL);
		_exit(115);
	}
	return pid;
}

static void wait_for_execve(pid_t pid)
{
	char path[64], text[16] = "", execve[16];
	int seen_there = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	(void)snprintf(execve, sizeof(execve), "%d ", SYS_execve);
	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 1000; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
		(void)close(fd);
		/* What it waits for at first may be something else than the lease. */
		seen_there = strncmp(text, execve, strlen(execve)) == 0 ? seen_there + 1 : 0;
		if (seen_there == 20)
			return;
		(void)usleep(1000);
	}
	cr_assert_fail("it is not in execve()");
}

/* The kernel lets it wait for 45 seconds. */
Test(members_held_up, who_executes_a_program_holds_nobody_up, .fini = remove_directory)
{
	const struct member_visitor visitor = {.wants = is_of_this_test, .visit = see};
	struct members *members = new_members();
	pid_t stuck, parent, in;
	uint64_t begun;

	cr_assert_not_null(mkdtemp(directory));
	parent = start(execute_leased, &stuck);
	wait_for_execve(stuck);
	in = start(member, NULL);
	begun = now_usec();
	cr_expect_eq(look_once(members, &visitor), 0);
	cr_expect_lt(now_usec() - begun, DOOR_DEADLINE_SECONDS * 200000ULL);
	cr_expect(found(in), "it comes after that");
	cr_expect(is_in(stuck, seen->unknown, seen->unknown_count));
	cr_expect_gt(members->lost_usec, EXAMINATION_STEP_USEC);
	cr_expect_lt(members->lost_usec, STRANGERS_PATIENCE_USEC);
	end(in);
	end(parent);
}

/* Its parent waits for it, and cannot be stopped. */
static void wait_in_vfork(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (vfork() == 0)
		for (;;)
			(void)pause();
	_exit(0);
}

static pid_t member_with_waiting_child(void)
{
	pid_t pid;

	confine(filter_id);
	pid = fork();
	if (pid == 0)
		wait_in_vfork();
	return pid;
}

Test(members_held_up, who_waits_in_vfork_is_told_by_its_child)
{
	pid_t waiting, parent = start(member_with_waiting_child, &waiting);

	for (int i = 0; state_of(waiting) != 'D' && i < DOOR_DEADLINE_SECONDS * 1000; i++)
		(void)usleep(1000);
	cr_assert_eq(state_of(waiting), 'D');
	look();
	cr_expect(found(waiting));
	look();
	cr_expect_not(is_in(waiting, seen->unknown, seen->unknown_count), "it is known then");
	end(parent);
}

static unsigned filters_before;

static pid_t add_filters_before(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (unsigned i = 0; i < filters_before; i++)
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			_exit(110);
	confine(filter_id);
	return 0;
}

Test(members_held_up, of_one_with_too_many_filters_it_cannot_be_told)
{
	pid_t in, beyond;

	filters_before = EXAMINED_FILTERS_MAX - 1;
	in = start(add_filters_before, NULL);
	filters_before = EXAMINED_FILTERS_MAX;
	beyond = start(add_filters_before, NULL);
	look();
	cr_expect(found(in));
	cr_expect_not(found(beyond));
	cr_expect(is_in(beyond, seen->unknown, seen->unknown_count));
	end(in);
	end(beyond);
}
