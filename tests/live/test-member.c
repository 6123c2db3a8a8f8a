/* SPDX-License-Identifier: MIT */
/* Membership: whoever runs under a session's filter is found, and nobody else. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/member.h"
#include "daemon/session/processes.h"
#include "door.h"
#include "include/task.h"
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
static struct seen {
	pid_t found[PROCESSES_MAX];
	size_t found_count;
	pid_t unknown[PROCESSES_MAX];
	size_t unknown_count;
} * seen;

/* Children look. */
static void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(memory, MAP_FAILED);
	return memory;
}

static void see(void *context, const struct member *member, enum membership membership)
{
	if (membership == MEMBERSHIP_PROVED && seen->found_count < PROCESSES_MAX)
		seen->found[seen->found_count++] = member->pid;
	if (membership == MEMBERSHIP_UNKNOWN && seen->unknown_count < PROCESSES_MAX)
		seen->unknown[seen->unknown_count++] = member->pid;
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
	struct members *members = shared(sizeof(*members));

	seen = shared(sizeof(*seen));
	members->constant = constant;
	members->deadline = now_usec() + 6 * DOOR_DEADLINE_SECONDS * 1000000ULL;
	return members;
}

/* Another test may look at the same processes just then, and then they cannot be told. */
static void look_with(struct members *members)
{
	for (int i = 0; i < 20; i++) {
		memset(seen, 0, sizeof(*seen));
		cr_assert_eq(
			members_for_each(members,
				&(struct member_visitor){.wants = is_of_this_test, .visit = see}),
			0);
		if (seen->unknown_count == 0)
			return;
		(void)usleep(5000);
	}
}

static void look(void)
{
	look_with(new_members());
}

static int look_once(struct members *members, const struct member_visitor *visitor)
{
	memset(seen, 0, sizeof(*seen));
	return members_for_each(members, visitor);
}

static bool found(pid_t pid)
{
	return is_in(pid, seen->found, seen->found_count);
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
	cr_expect(is_in(in, seen->unknown, seen->unknown_count));
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

/* It need not be stopped again, and so its tracer is no obstacle. */
Test(member, what_was_proved_is_remembered)
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
Test(member, a_number_that_comes_back_is_not_believed)
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

Test(member, more_than_can_be_remembered_are_proved_again)
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

/* --- who holds others up ---------------------------------------------------------------------- */

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

static char directory[] = "/tmp/mqgate-member-XXXXXX";

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
		confine(constant + 1);
		(void)execl(script, script, NULL);
		_exit(115);
	}
	return pid;
}

static void wait_for_execve(pid_t pid)
{
	char path[64], text[16] = "", execve[16];

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", (int)pid);
	(void)snprintf(execve, sizeof(execve), "%d ", SYS_execve);
	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 1000; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		cr_assert_gt(read(fd, text, sizeof(text) - 1), 0);
		(void)close(fd);
		if (strncmp(text, execve, strlen(execve)) == 0)
			return;
		(void)usleep(1000);
	}
	cr_assert_fail("it is not in execve()");
}

static void remove_directory(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/interpreter", directory);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/script", directory);
	(void)unlink(path);
	(void)rmdir(directory);
}

/* The kernel lets it wait for 45 seconds. */
Test(member, who_executes_a_program_holds_nobody_up, .fini = remove_directory)
{
	struct members *members = new_members();
	pid_t stuck, parent, in;
	uint64_t begun;

	cr_assert_not_null(mkdtemp(directory));
	parent = start(execute_leased, &stuck);
	wait_for_execve(stuck);
	in = start(member, NULL);
	begun = now_usec();
	cr_expect_eq(look_once(members,
			     &(struct member_visitor){.wants = is_of_this_test, .visit = see}),
		0);
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

	confine(constant);
	pid = fork();
	if (pid == 0)
		wait_in_vfork();
	return pid;
}

static bool is_uninterruptible(pid_t pid)
{
	struct task task;

	return task_read_by_number(pid, &task) == 0 && task.state == 'D';
}

Test(member, who_waits_in_vfork_is_told_by_its_child)
{
	pid_t waiting, parent = start(member_with_waiting_child, &waiting);

	for (int i = 0; !is_uninterruptible(waiting) && i < DOOR_DEADLINE_SECONDS * 1000; i++)
		(void)usleep(1000);
	cr_assert(is_uninterruptible(waiting));
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
	confine(constant);
	return 0;
}

Test(member, of_one_with_too_many_filters_it_cannot_be_told)
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

/* --- whose turn it is ------------------------------------------------------------------------- */

static pid_t member_of_nobody(void)
{
	confine(constant);
	if (setuid(65534) < 0)
		_exit(116);
	return 0;
}

static pid_t member_with_child(void)
{
	pid_t pid;

	confine(constant);
	pid = fork();
	if (pid == 0)
		(void)wait_in_namespaces(NULL);
	return pid;
}

static uint64_t identity_of(pid_t pid)
{
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(pid, &identity);

	cr_assert_geq(pidfd, 0);
	return identity;
}

Test(member, the_sessions_own_come_first)
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
Test(member, only_those_that_are_known)
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

/* --- who comes and goes ----------------------------------------------------------------------- */

/* It forks and ends, and so does its child, and so on; until the test ends. */
static pid_t run_away(void)
{
	pid_t test = getppid(), pid;

	confine(constant);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGCHLD, SIG_IGN);
		while (kill(test, 0) == 0 && access(directory, F_OK) == 0)
			if (fork() != 0)
				_exit(0);
		_exit(0);
	}
	return 0;
}

static pid_t start_running_away(void)
{
	cr_assert_not_null(mkdtemp(directory));
	return start(run_away, NULL);
}

static bool is_no_parent(void *context, const struct member *member)
{
	return member->pid != *(pid_t *)context && is_of_this_test(NULL, member);
}

/* Each one lives for some 300 microseconds. */
Test(member, one_that_forks_and_ends_again_and_again_is_found, .fini = remove_directory)
{
	struct members *members = new_members();
	pid_t parent = start_running_away();
	const struct member_visitor visitor = {
		.context = &parent, .wants = is_no_parent, .visit = see, .some = true};

	for (int i = 0; i < 20; i++) {
		cr_expect_eq(look_once(members, &visitor), 0);
		cr_expect(seen->found_count + seen->unknown_count + members->unseen > 0);
	}
	remove_directory();
	end(parent);
}

/* There is always one more. */
static bool make_newcomer(void *context)
{
	pid_t pid = fork();

	(void)context;
	if (pid == 0)
		_exit(0);
	(void)waitpid(pid, NULL, 0);
	return false;
}

Test(member, at_the_bound_newcomers_are_left_and_told)
{
	struct members *members = new_members();
	const struct member_visitor visitor = {
		.wants = is_of_this_test, .visit = see, .is_over = make_newcomer};

	need_root();
	/* Their numbers begin again once in a while. */
	for (int i = 0; i < 3 && members->newcomers <= NEWCOMERS_MAX; i++)
		cr_expect_eq(look_once(members, &visitor), 0);
	cr_expect_eq(members->newcomers, NEWCOMERS_MAX + 1);
	cr_expect_gt(members->unseen, 0);
}

/* Strangers that come and go leave no doubt. */
static pid_t fork_strangers(void)
{
	pid_t test = getppid();

	if (fork() == 0) {
		(void)prctl(PR_SET_NAME, "stranger");
		while (kill(test, 0) == 0 && access(directory, F_OK) == 0) {
			if (fork() == 0)
				_exit(0);
			(void)wait(NULL);
		}
		_exit(0);
	}
	return 0;
}

Test(member, strangers_that_come_and_go_do_no_harm, .fini = remove_directory)
{
	struct members *members = new_members();
	const struct member_visitor visitor = {.wants = is_of_this_test, .visit = see};
	unsigned unseen = 0;
	pid_t parent;

	cr_assert_not_null(mkdtemp(directory));
	parent = start(fork_strangers, NULL);
	for (int i = 0; i < 50; i++) {
		cr_expect_eq(look_once(members, &visitor), 0);
		cr_expect_eq(seen->found_count, 0);
		unseen += members->unseen > 0;
	}
	/* Numbers begin again once in a while. */
	cr_expect_leq(unseen, 2, "%u", unseen);
	remove_directory();
	end(parent);
}
