/* SPDX-License-Identifier: MIT */
/* Membership: whoever runs under a session's filter is found, and nobody else. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/member.h"
#include "daemon/session/revoke.h"
#include "door.h"
#include "launcher/filter.h"

#define PROCESSES_MAX 16

/* Of this test; others run at the same time. All of its processes have its name. */
static uint64_t constant;
static char name[16];

static void choose_constant(void)
{
	constant = (uint64_t)getpid() << 32 | 0x6d716761;
	(void)snprintf(name, sizeof(name), "member-%d", (int)getpid());
	(void)prctl(PR_SET_NAME, name);
}

static bool is_of_this_test(void *context, const struct member *member)
{
	int fd = openat(member->proc, "comm", O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	(void)close(fd);
	return n > 1 && strncmp(text, name, (size_t)n - 1) == 0 && name[n - 1] == '\0';
}

TestSuite(member, .init = choose_constant);

static void confine(uint64_t its_constant)
{
	_cleanup_free_ struct sock_filter *program = NULL;
	_cleanup_free_ char *message = NULL;
	unsigned short length;
	int listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		filter_build(its_constant, MEDIATION_OPEN, &program, &length) < 0 ||
		filter_load(program, length, &listener, &message) < 0)
		_exit(102);
	(void)close(listener);
}

/* What is looked for, and what was found. */
static struct {
	pid_t found[PROCESSES_MAX];
	size_t found_count;
	pid_t unknown[PROCESSES_MAX];
	size_t unknown_count;
} seen;

static void see(void *context, const struct member *member, enum membership membership)
{
	if (membership == MEMBERSHIP_PROVED && seen.found_count < PROCESSES_MAX)
		seen.found[seen.found_count++] = member->pid;
	if (membership == MEMBERSHIP_UNKNOWN && seen.unknown_count < PROCESSES_MAX)
		seen.unknown[seen.unknown_count++] = member->pid;
}

static bool is_in(pid_t pid, const pid_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == pid)
			return true;
	return false;
}

static struct members *new_members(void)
{
	static struct members members;

	memset(&members, 0, sizeof(members));
	members.constant = constant;
	members.deadline = now_usec() + 6 * DOOR_DEADLINE_SECONDS * 1000000ULL;
	return &members;
}

/* Another test may look at the same processes just then, and then they cannot be told. */
static void look_with(struct members *members)
{
	for (int i = 0; i < 20; i++) {
		memset(&seen, 0, sizeof(seen));
		cr_assert_eq(
			members_for_each(members,
				&(struct member_visitor){.wants = is_of_this_test, .visit = see}),
			0);
		if (seen.unknown_count == 0)
			return;
		(void)usleep(5000);
	}
}

static void look(void)
{
	look_with(new_members());
}

static bool found(pid_t pid)
{
	return is_in(pid, seen.found, seen.found_count);
}

/* A child of the test: what it does, then waits to be killed. Reports a pid of its own (or 0). */
static pid_t start(pid_t (*f)(void), pid_t *ret_reported)
{
	pid_t pid, reported;
	int ready[2];

	need_root();
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(9 * DOOR_DEADLINE_SECONDS);
		reported = f();
		if (write(ready[1], &reported, sizeof(reported)) != sizeof(reported))
			_exit(103);
		for (;;)
			(void)pause();
	}
	cr_assert_eq(poll(&(struct pollfd){.fd = ready[0], .events = POLLIN}, 1,
			     DOOR_DEADLINE_SECONDS * 1000),
		1);
	cr_assert_eq(read(ready[0], &reported, sizeof(reported)), (ssize_t)sizeof(reported));
	(void)close(ready[0]);
	(void)close(ready[1]);
	if (ret_reported)
		*ret_reported = reported;
	return pid;
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
}

static pid_t member(void)
{
	confine(constant);
	return 0;
}

static pid_t neighbour(void)
{
	confine(constant + 1);
	return 0;
}

static pid_t outsider(void)
{
	return 0;
}

Test(member, is_known_by_its_filter_alone)
{
	pid_t in = start(member, NULL), next = start(neighbour, NULL), out = start(outsider, NULL);

	look();
	cr_expect(found(in));
	cr_expect_not(found(next), "the process of a neighbour session");
	cr_expect_not(found(out), "a process without a filter");
	cr_expect_not(found(getpid()));
	cr_expect_eq(seen.found_count, 1);
	end(in);
	end(next);
	end(out);
}

/* The child lives on without its parent, as a daemon does. */
static pid_t daemonise(void)
{
	int fds[2];
	pid_t pid;

	confine(constant);
	if (pipe(fds) < 0)
		_exit(104);
	if (fork() == 0) {
		(void)setsid();
		pid = fork();
		if (pid == 0) {
			(void)alarm(9 * DOOR_DEADLINE_SECONDS);
			for (;;)
				(void)pause();
		}
		_exit(write(fds[1], &pid, sizeof(pid)) != sizeof(pid));
	}
	if (read(fds[0], &pid, sizeof(pid)) != sizeof(pid))
		_exit(105);
	(void)wait(NULL);
	return pid;
}

Test(member, a_daemonised_child_is_one)
{
	pid_t child, parent = start(daemonise, &child);

	look();
	cr_expect(found(parent));
	cr_expect(found(child));
	(void)kill(child, SIGKILL);
	end(parent);
}

static int wait_in_namespaces(void *unused)
{
	(void)unused;
	(void)alarm(9 * DOOR_DEADLINE_SECONDS);
	for (;;)
		(void)pause();
	return 0;
}

static pid_t enter_namespaces(void)
{
	static char stack[65536];
	pid_t pid;

	confine(constant);
	pid = clone(wait_in_namespaces, stack + sizeof(stack), CLONE_NEWPID | CLONE_NEWUSER, NULL);
	if (pid < 0)
		_exit(106);
	return pid;
}

Test(member, one_in_other_namespaces_is_one)
{
	pid_t child, parent = start(enter_namespaces, &child);

	look();
	cr_expect(found(child));
	(void)kill(child, SIGKILL);
	end(parent);
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
	int fds[2];
	pid_t pid;

	if (pipe(fds) < 0)
		_exit(107);
	pid = fork();
	if (pid == 0) {
		(void)alarm(9 * DOOR_DEADLINE_SECONDS);
		confine(constant);
		if (pthread_create(&thread, NULL, stay, NULL) != 0 || write(fds[1], "r", 1) != 1)
			_exit(108);
		pthread_exit(NULL);
	}
	if (read(fds[0], &(char){0}, 1) != 1)
		_exit(109);
	(void)usleep(50000);
	return pid;
}

Test(member, one_whose_first_thread_has_ended_is_one)
{
	pid_t child, parent = start(lose_first_thread, &child);

	look();
	cr_expect(found(child));
	(void)kill(child, SIGKILL);
	end(parent);
}

static pid_t leave_zombie(void)
{
	pid_t pid;

	confine(constant);
	pid = fork();
	if (pid == 0)
		_exit(0);
	(void)usleep(50000);
	return pid;
}

Test(member, a_dead_one_is_none)
{
	pid_t child, parent = start(leave_zombie, &child);

	look();
	cr_expect(found(parent));
	cr_expect_not(found(child));
	cr_expect_not(is_in(child, seen.unknown, seen.unknown_count));
	end(parent);
}

/* The app's own filters lie above the session's. */
static pid_t add_own_filters(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(110);
	confine(constant);
	for (int i = 0; i < 3; i++)
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			_exit(111);
	return 0;
}

Test(member, filters_below_and_above_hide_nothing)
{
	pid_t in = start(add_own_filters, NULL);

	look();
	cr_expect(found(in));
	end(in);
}

/* Why neither mqgate-session nor what starts it, nor their unit, may have a filter: the kernel
 * shows those of others only to who has none. Nothing is a member then, and nothing is none. */
Test(member, with_a_filter_of_our_own_nothing_can_be_proved)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};
	pid_t in = start(member, NULL);

	look();
	cr_assert(found(in));
	cr_assert_eq(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
	look();
	cr_expect_not(found(in));
	cr_expect(is_in(in, seen.unknown, seen.unknown_count));
	end(in);
}

/* A child traced by its parent. */
static pid_t trace_child(void)
{
	pid_t pid;

	confine(constant);
	pid = fork();
	if (pid == 0)
		(void)wait_in_namespaces(NULL);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		_exit(112);
	return pid;
}

Test(member, of_one_that_somebody_traces_it_cannot_be_told)
{
	pid_t child, parent = start(trace_child, &child);

	look();
	cr_expect(found(parent));
	cr_expect_not(found(child));
	cr_expect(is_in(child, seen.unknown, seen.unknown_count));
	end(parent);
	look();
	cr_expect(found(child), "once its tracer is gone it can");
	(void)kill(child, SIGKILL);
}

static void *wait_elsewhere(void *unused)
{
	for (;;)
		(void)pause();
	return unused;
}

/* One whose first thread cannot be stopped but in a call that fails with EINTR then. */
static pid_t wait_for_events(void)
{
	struct epoll_event event;
	pthread_t thread;
	pid_t pid;

	confine(constant);
	pid = fork();
	if (pid == 0) {
		int r;

		(void)pthread_create(&thread, NULL, wait_elsewhere, NULL);
		r = epoll_wait(epoll_create1(0), &event, 1, 60000);

		_exit(r == 0 ? 0 : errno);
	}
	(void)usleep(50000);
	return pid;
}

static pid_t events_parent(void)
{
	return wait_for_events();
}

static int state_of(pid_t pid)
{
	char path[64], text[256] = "";
	FILE *f;
	char *at;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	(void)fclose(f);
	at = strrchr(text, ')');
	return at ? at[2] : 0;
}

Test(member, a_thread_is_chosen_that_sees_no_interrupted_call)
{
	pid_t child, parent = start(events_parent, &child);

	for (int i = 0; i < 20; i++) {
		look();
		cr_assert(found(child));
	}
	(void)usleep(100000);
	cr_expect_neq(state_of(child), 'Z', "epoll_wait() returned");
	(void)kill(child, SIGKILL);
	end(parent);
}

Test(member, is_found_by_the_look_that_wants_it_only)
{
	struct members *members = new_members();
	pid_t in = start(member, NULL);
	struct member one;

	look_with(members);
	cr_expect(found(in));
	cr_expect_gt(members->known_count, 0);
	/* Remembered: it need not be stopped again, and so its tracer is no obstacle. */
	cr_assert_eq(ptrace(PTRACE_SEIZE, in, NULL, NULL), 0);
	cr_assert_eq(member_open(in, &one), 0);
	cr_expect_eq(member_prove(members, &one), MEMBERSHIP_PROVED);
	members->known_count = 0;
	cr_expect_eq(member_prove(members, &one), MEMBERSHIP_UNKNOWN);
	member_close(&one);
	end(in);
}

static size_t place_of(const struct members *members, pid_t pid)
{
	size_t place = 0;

	while (place < members->known_count && members->known[place].pid != pid)
		place++;
	cr_assert_lt(place, members->known_count);
	return place;
}

/* A pid that comes back is another process. */
Test(member, a_number_that_comes_back_is_not_believed)
{
	struct members *members = new_members();
	pid_t in = start(member, NULL);
	struct member one;
	size_t place;

	look_with(members);
	place = place_of(members, in);
	cr_assert_eq(members->known[place].membership, MEMBERSHIP_PROVED);
	end(in);
	/* Its number, as if a process outside had it now. */
	in = start(outsider, NULL);
	members->known[place].pid = in;
	members->known[place].start--;
	cr_assert_eq(member_open(in, &one), 0);
	cr_expect_eq(member_prove(members, &one), MEMBERSHIP_NONE);
	end(in);
	cr_expect_not(member_lives(&one));
	cr_expect_neq(member_prove(members, &one), MEMBERSHIP_PROVED);
	member_close(&one);
}

Test(member, more_than_can_be_remembered_are_proved_again)
{
	struct members *members = new_members();
	pid_t in = start(member, NULL);
	struct member one;

	cr_assert_eq(member_open(in, &one), 0);
	cr_assert_eq(member_prove(members, &one), MEMBERSHIP_PROVED);
	members->known_count = MEMBERS_KNOWN_MAX;
	members->known[0].pid = 0;
	cr_expect_eq(member_prove(members, &one), MEMBERSHIP_PROVED);
	cr_expect_eq(members->known_count, MEMBERS_KNOWN_MAX + 1);
	cr_expect_eq(members->known[0].pid, in, "the earliest is forgotten");
	member_close(&one);
	end(in);
}
