/* SPDX-License-Identifier: MIT */
/* Membership: whoever runs under a session's filter is found, and nobody else. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/target/processes.h"
#include "door.h"
#include "member-processes.h"
#include "support.h"

TestSuite(members, .init = choose_filter_id);

static pid_t outsider(void)
{
	return 0;
}

Test(members, is_known_by_its_filter_alone)
{
	pid_t in = start(member, NULL), next = start(neighbour, NULL), out = start(outsider, NULL);

	look();
	cr_expect(found(in));
	cr_expect_not(found(next), "the process of a neighbour session");
	cr_expect_not(found(out), "a process without a filter");
	cr_expect_not(found(getpid()));
	cr_expect_eq(seen->found_count, 1);
	end(in);
	end(next);
	end(out);
}

/* The child lives on without its parent, as a daemon does. */
static pid_t daemonise(void)
{
	int fds[2];
	pid_t pid;

	confine(filter_id);
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

Test(members, a_daemonised_child_is_one)
{
	pid_t child, parent = start(daemonise, &child);

	look();
	cr_expect(found(parent));
	cr_expect(found(child));
	(void)kill(child, SIGKILL);
	end(parent);
}

static pid_t enter_namespaces(void)
{
	static char stack[65536];
	pid_t pid;

	confine(filter_id);
	pid = clone(wait_to_be_killed, stack + sizeof(stack), CLONE_NEWPID | CLONE_NEWUSER, NULL);
	if (pid < 0)
		_exit(106);
	return pid;
}

Test(members, one_in_other_namespaces_is_one)
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

/* Of its first thread; nobody reaps it. */
static void wait_for_end(pid_t pid)
{
	while (state_of(pid) != 'Z')
		(void)usleep(1000);
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
		confine(filter_id);
		if (pthread_create(&thread, NULL, stay, NULL) != 0 || write(fds[1], "r", 1) != 1)
			_exit(108);
		pthread_exit(NULL);
	}
	if (read(fds[0], &(char){0}, 1) != 1)
		_exit(109);
	wait_for_end(pid);
	return pid;
}

Test(members, one_whose_first_thread_has_ended_is_one)
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

	confine(filter_id);
	pid = fork();
	if (pid == 0)
		_exit(0);
	wait_for_end(pid);
	return pid;
}

Test(members, a_dead_one_is_none)
{
	pid_t child, parent = start(leave_zombie, &child);

	look();
	cr_expect(found(parent));
	cr_expect_not(found(child));
	cr_expect_not(is_in(child, seen->unknown, seen->unknown_count));
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
	confine(filter_id);
	for (int i = 0; i < 3; i++)
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
			_exit(111);
	return 0;
}

Test(members, filters_below_and_above_hide_nothing)
{
	pid_t in = start(add_own_filters, NULL);

	look();
	cr_expect(found(in));
	end(in);
}

/* Why neither mqgate-session nor what starts it, nor their unit, may have a filter: the kernel
 * shows those of others only to who has none. Nothing is a member then, and nothing is none. */
Test(members, with_a_filter_of_our_own_nothing_can_be_proved)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};
	pid_t in = start(member, NULL);

	look();
	cr_assert(found(in));
	cr_assert_eq(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
	look();
	cr_expect_not(found(in));
	cr_expect(is_in(in, seen->unknown, seen->unknown_count));
	end(in);
}

/* A child traced by its parent. */
static pid_t trace_child(void)
{
	pid_t pid;

	confine(filter_id);
	pid = fork();
	if (pid == 0)
		(void)wait_to_be_killed(NULL);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		_exit(112);
	return pid;
}

Test(members, of_one_that_somebody_traces_it_cannot_be_told)
{
	pid_t child, parent = start(trace_child, &child);

	look();
	cr_expect(found(parent));
	cr_expect_not(found(child));
	cr_expect(is_in(child, seen->unknown, seen->unknown_count));
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

	confine(filter_id);
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

Test(members, a_thread_is_chosen_that_sees_no_interrupted_call)
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

/* It need not be stopped again, and so its tracer is no obstacle. */
Test(members, what_was_proved_is_remembered)
{
	struct members *members = new_members();
	pid_t in = start(member, NULL);

	look_with(members);
	cr_expect(found(in));
	cr_expect_gt(members->known_count, 0);
	cr_assert_eq(ptrace(PTRACE_SEIZE, in, NULL, NULL), 0);
	look_with(members);
	cr_expect(found(in));
	members->known_count = 0;
	look_with(members);
	cr_expect_not(found(in));
	cr_expect(is_in(in, seen->unknown, seen->unknown_count));
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
Test(members, a_number_that_comes_back_is_not_believed)
{
	struct members *members = new_members();
	pid_t in = start(member, NULL);
	size_t place;

	look_with(members);
	place = place_of(members, in);
	cr_assert_eq(members->known[place].membership, MEMBERSHIP_PROVED);
	end(in);
	/* Its number, as if a process of a neighbour session had it now. */
	in = start(neighbour, NULL);
	members->known[place].pid = in;
	members->known[place].identity--;
	look_with(members);
	cr_expect_not(found(in));
	end(in);
}

Test(members, more_than_can_be_remembered_are_proved_again)
{
	struct members *members = new_members();
	pid_t in = start(member, NULL);

	members->known_count = MEMBERS_KNOWN_MAX;
	look_with(members);
	cr_expect(found(in));
	cr_expect_eq(members->known_count, MEMBERS_KNOWN_MAX + 1);
	cr_expect_eq(members->known[0].pid, in, "the earliest is forgotten");
	end(in);
}

/* --- whose turn it is ------------------------------------------------------------------------- */

static pid_t member_of_nobody(void)
{
	confine(filter_id);
	if (setuid(65534) < 0)
		_exit(116);
	return 0;
}

static pid_t member_with_child(void)
{
	pid_t pid;

	confine(filter_id);
	pid = fork();
	if (pid == 0)
		(void)wait_to_be_killed(NULL);
	return pid;
}

static uint64_t identity_of(pid_t pid)
{
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(pid, &identity);

	cr_assert_geq(pidfd, 0);
	return identity;
}

Test(members, the_sessions_own_come_first)
{
	struct members *members = new_members();
	pid_t child, other = start(member, NULL), of_user = start(member_of_nobody, NULL),
		     noted = start(member_with_child, &child);

	members->user = 65534;
	members_know(members, noted, identity_of(noted));
	look_with(members);
	cr_assert_eq(seen->found_count, 4);
	cr_expect_eq(seen->found[0], noted);
	cr_expect_eq(seen->found[1], child);
	cr_expect_eq(seen->found[2], of_user);
	cr_expect_eq(seen->found[3], other);
	(void)kill(child, SIGKILL);
	end(noted);
	end(of_user);
	end(other);
}

/* What is known to be the session's needs no examination, and may be all that is asked for. */
Test(members, only_those_that_are_known)
{
	struct members *members = new_members();
	const struct member_visitor visitor = {.only_known = true, .visit = see};
	pid_t other = start(member, NULL), noted = start(member, NULL);

	members_know(members, noted, identity_of(noted));
	cr_assert_eq(ptrace(PTRACE_SEIZE, noted, NULL, NULL), 0);
	cr_expect_eq(look_once(members, &visitor), 0);
	cr_expect_eq(seen->found_count, 1);
	cr_expect(found(noted));
	end(noted);
	end(other);
}
