/* SPDX-License-Identifier: MIT */
/* Disposable children, and processes that are ended for certain. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/target/child.h"
#include "daemon/session/target/processes.h"
#include "daemon/session/revoke/bring-back.h"
#include "door.h"
#include "include/limits.h"
#include "include/task.h"
#include "include/text.h"
#include "include/util.h"
#include "tests/must-work.h"
#include "tests/patience.h"

#define SECOND_USEC UINT64_C(1000000)

/* --- children -------------------------------------------------------------------------------- */

static void be_held_up(void *unused)
{
	(void)unused;
	step_begin();
	(void)pause();
}

static void be_held_up_elsewhere(void *unused)
{
	(void)unused;
	step_begin();
	step_end();
	(void)pause();
}

static void compute(void *unused)
{
	uint64_t until = now_usec() + 50000;

	(void)unused;
	step_begin();
	while (now_usec() < until)
		;
	step_end();
}

static void die(void *unused)
{
	(void)unused;
	(void)raise(SIGKILL);
}

static uint64_t in_seconds(uint64_t seconds)
{
	return now_usec() + seconds * SECOND_USEC * (uint64_t)patience();
}

Test(child, what_waits_in_a_step_is_given_up)
{
	uint64_t begun = now_usec();

	cr_expect_eq(child_run(be_held_up, NULL, 5000, in_seconds(5)), -ETIMEDOUT);
	cr_expect_lt(now_usec() - begun, SECOND_USEC * (uint64_t)patience());
}

Test(child, what_waits_elsewhere_has_until_the_deadline)
{
	cr_expect_eq(child_run(be_held_up_elsewhere, NULL, 5000, now_usec() + 100000), -ETIME);
}

Test(child, what_computes_is_not_held_up)
{
	cr_expect_eq(child_run(compute, NULL, 5000, in_seconds(5)), 0);
}

Test(child, its_death_is_told)
{
	cr_expect_eq(child_run(die, NULL, 5000, in_seconds(5)), -ECHILD);
}

/* By a thread it is the same, and what it traced goes on. The sanitizer has to see threads end: the
 * next one gets the memory of the one that was ended. */
#ifndef __SANITIZE_ADDRESS__

struct traced {
	pid_t pid;
	volatile bool seized;
};

static void trace_and_be_held_up(void *context)
{
	struct traced *traced = context;

	traced->seized = ptrace(PTRACE_SEIZE, traced->pid, NULL, NULL) == 0;
	be_held_up(NULL);
}

Test(thread, is_given_up_as_a_child_is)
{
	struct traced traced = {.pid = fork()};
	uint64_t begun = now_usec(), tracer = 1;

	if (traced.pid == 0)
		(void)pause();
	child_look_by_thread();
	cr_expect_eq(child_look(compute, NULL, 5000, in_seconds(5)), 0);
	cr_expect_eq(child_look(trace_and_be_held_up, &traced, 5000, in_seconds(5)), -ETIMEDOUT);
	cr_expect(traced.seized);
	cr_expect_eq(text_status(traced.pid, "TracerPid", &tracer), 0);
	cr_expect_eq(tracer, 0U);
	cr_expect_eq(child_look(be_held_up_elsewhere, NULL, 5000, now_usec() + 100000), -ETIME);
	cr_expect_eq(child_look(compute, NULL, 5000, in_seconds(5)), 0);
	cr_expect_lt(now_usec() - begun, SECOND_USEC * (uint64_t)patience());
	(void)kill(traced.pid, SIGKILL);
}

Test(thread, that_is_given_up_before_it_begins_is_gone)
{
	uint64_t deadline = in_seconds(5);
	int r;

	child_look_by_thread();
	for (int i = 0; i < 50; i++) {
		cr_assert_eq(child_look(compute, NULL, 5000, 0), -ETIME);
		while ((r = child_look(compute, NULL, 5000, in_seconds(5))) == -EBUSY &&
			now_usec() < deadline)
			(void)usleep(1000);
		cr_assert_eq(r, 0);
	}
}

#endif

static pid_t start(void (*what)(void *), void *context)
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		what(context);
		for (;;)
			(void)pause();
	}
	return pid;
}

static void count(void *counter)
{
	for (;;)
		++*(volatile long *)counter;
}

static void stop_and_be_held_up(void *traced)
{
	pid_t pid = *(pid_t *)traced;

	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ||
		ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0 || waitpid(pid, NULL, __WALL) != pid)
		_exit(1);
	be_held_up(NULL);
}

Test(child, who_was_traced_goes_on)
{
	volatile long *counter =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = start(count, (void *)counter);
	uint64_t deadline = in_seconds(5);
	long then;

	need_root();
	cr_expect_eq(child_run(stop_and_be_held_up, &pid, 20000, deadline), -ETIMEDOUT);
	then = *counter;
	while (*counter == then && now_usec() < deadline)
		(void)usleep(1000);
	cr_expect_neq(*counter, then);
	(void)kill(pid, SIGKILL);
}

/* --- ending ---------------------------------------------------------------------------------- */

static struct victim victim_of(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	cr_assert_geq(pidfd, 0);
	return (struct victim){.pid = pid, .pidfd = pidfd};
}

static void sleep_on(void *unused)
{
	(void)unused;
}

Test(ending, one_that_sleeps)
{
	struct victim victim = victim_of(start(sleep_on, NULL));

	cr_expect_eq(victims_kill(&victim, 1, in_seconds(5)), 0);
	cr_expect(victim.has_stopped);
	cr_expect_eq(waitpid(victim.pid, NULL, 0), victim.pid);
	victim.has_stopped = false;
	cr_expect_eq(victims_kill(&victim, 1, now_usec()), 0, "one that is reaped");
}

static void *run_for_ever(void *counter)
{
	count(counter);
	return NULL;
}

#define MANY 100

static void run_many(void *counter)
{
	pthread_t thread;

	for (int i = 0; i < MANY; i++)
		if (pthread_create(&thread, NULL, run_for_ever, counter) != 0)
			_exit(1);
}

Test(ending, none_of_many_threads_goes_on)
{
	volatile long *counter =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct victim victim = victim_of(start(run_many, (void *)counter));
	long then;

	need_root();
	(void)usleep(200000);
	cr_expect_eq(victims_kill(&victim, 1, in_seconds(5)), 0);
	then = *counter;
	(void)usleep(100000);
	cr_expect_eq(*counter, then);
}

static void stay_on_one_processor(void)
{
	cpu_set_t set;
	int processor = 0;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		abort();
	while (!CPU_ISSET(processor, &set))
		processor++;
	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		abort();
}

static void compete(void *counter)
{
	stay_on_one_processor();
	count(counter);
}

static void hardly_run(void *counter)
{
	stay_on_one_processor();
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}) < 0)
		abort();
	count(counter);
}

/* Beside so many, dying by itself takes it many seconds. */
#define COMPETITORS 30

Test(ending, one_that_does_not_get_to_run_is_lifted)
{
	static long counters[COMPETITORS];
	pid_t others[COMPETITORS];
	struct victim victim;
	static long counter;

	need_root();
	victim = victim_of(start(hardly_run, &counter));
	(void)usleep(100000);
	for (int i = 0; i < COMPETITORS; i++)
		others[i] = start(compete, &counters[i]);
	(void)usleep(200000);
	cr_expect_eq(victims_kill(&victim, 1, now_usec() + KILL_DEADLINE_USEC), 0);
	for (int i = 0; i < COMPETITORS; i++) {
		cr_expect_eq(sched_getscheduler(others[i]), SCHED_OTHER);
		(void)kill(others[i], SIGKILL);
	}
}

/* Its tracer holds it where it exits, for as long as it likes. */
static void hold_at_exit(void *traced)
{
	pid_t pid = *(pid_t *)traced;

	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT) < 0)
		_exit(1);
}

Test(ending, one_that_is_held_at_its_exit_has_stopped)
{
	pid_t pid = start(sleep_on, NULL), tracer = start(hold_at_exit, &pid);
	struct victim victim = victim_of(pid);
	struct task task;

	need_root();
	(void)usleep(100000);
	cr_expect_eq(victims_kill(&victim, 1, in_seconds(5)), 0);
	cr_expect_eq(task_read_by_number(pid, &task), 0);
	cr_expect_eq(task.state, 't', "it is held: %c", task.state);
	(void)kill(tracer, SIGKILL);
}

/* --- processes ------------------------------------------------------------------------------- */

static struct processes processes;
static struct process_handles handles;

static int note(pid_t pid)
{
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(pid, &identity);

	return pidfd < 0 ? pidfd : processes_add(&processes, &handles, pid, identity, &pidfd);
}

Test(processes, the_next_session_process_finds_those_that_are_the_same)
{
	int same, other, gone;
	pid_t pid = start(sleep_on, NULL);

	cr_assert_eq(processes_open(&processes, &handles), 0);
	same = note(start(sleep_on, NULL));
	other = note(start(sleep_on, NULL));
	gone = note(pid);
	cr_assert(same >= 0 && other >= 0 && gone >= 0);
	processes.entries[other].identity++;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	cr_assert_eq(processes_open(&processes, &handles), 0);
	cr_expect(processes.entries[same].pid != 0 && handles.pidfds[same] >= 0);
	cr_expect(processes.entries[other].pid == 0 && handles.pidfds[other] < 0);
	cr_expect(processes.entries[gone].pid == 0 && handles.pidfds[gone] < 0);
}

static char *slow_page;

/* Its reader waits for a page that never comes, and has the lock of the file's position. */
static void hold_position(int file)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register page = {.range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	slow_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page.range.start = (uintptr_t)slow_page;
	if (ioctl(faults, UFFDIO_API, &api) < 0 || ioctl(faults, UFFDIO_REGISTER, &page) < 0)
		_exit(111);
	(void)!read(file, slow_page, 100);
	_exit(112);
}

static pid_t start_reader(int file, bool slow)
{
	pid_t pid = fork();

	if (pid == 0) {
		char text[100];

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (slow)
			hold_position(file);
		(void)!read(file, text, sizeof(text));
		_exit(0);
	}
	return pid;
}

static void wait_for_state(pid_t pid, char state)
{
	struct task task = {0};

	for (int i = 0; i < 10000 && task.state != state; i++) {
		(void)usleep(1000);
		cr_assert_eq(task_read_by_number(pid, &task), 0);
	}
	cr_assert_eq(task.state, state);
}

/* Anybody can make a process wait so that no signal ends it: where it gets nothing through. */
Test(victims, whom_the_kernel_holds_in_no_call_on_a_queue_have_stopped)
{
	int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	static struct processes noted;
	static struct threads none;
	static struct revoker revoker = {.processes = &noted, .threads = &none};
	pid_t slow = start_reader(file, true), held;
	uint64_t identity;
	int pidfd;

	(void)usleep(100000);
	held = start_reader(file, false);
	wait_for_state(held, 'D');
	pidfd = process_open(held, &identity);
	cr_assert_eq(processes_open(&noted, &revoker.handles), 0);
	cr_expect_eq(revoke_kill(&revoker, (uint32_t)processes_add(&noted, &revoker.handles, held,
						   identity, &pidfd)),
		0);
	wait_for_state(held, 'D');
	(void)kill(slow, SIGKILL);
	(void)waitpid(slow, NULL, 0);
	(void)waitpid(held, NULL, 0);
}

static void *tell_number(void *number)
{
	*(volatile pid_t *)number = gettid();
	for (;;)
		(void)pause();
	return NULL;
}

Test(processes, a_thread_is_one_of_a_process_that_lives)
{
	volatile pid_t tid = 0;
	pthread_t thread;
	int own, other;

	cr_assert_eq(processes_open(&processes, &handles), 0);
	own = note(getpid());
	other = note(start(sleep_on, NULL));
	cr_assert_eq(pthread_create(&thread, NULL, tell_number, (void *)&tid), 0);
	while (tid == 0)
		(void)usleep(100);
	cr_expect(processes_have_thread(&processes, &handles, (uint32_t)own, getpid()));
	cr_expect(processes_have_thread(&processes, &handles, (uint32_t)own, tid));
	cr_expect_not(processes_have_thread(&processes, &handles, (uint32_t)other, tid));
	cr_expect_not(processes_have_thread(&processes, &handles, SESSION_PROCESSES_MAX, tid));
	tid = processes.entries[other].pid;
	cr_expect(processes_have_thread(&processes, &handles, (uint32_t)other, tid));
	(void)kill(tid, SIGKILL);
	(void)waitpid(tid, NULL, 0);
	cr_expect_not(processes_have_thread(&processes, &handles, (uint32_t)other, tid));
}

/* --- those that were killed ------------------------------------------------------------------ */

/* The first process of a PID namespace is not killed from inside. */
Test(victims, one_that_has_not_stopped_is_looked_after_until_it_has)
{
	static struct processes noted;
	static struct threads none;
	static struct revoker revoker = {.processes = &noted, .threads = &none};
	int first, second;

	cr_assert_eq(processes_open(&noted, &revoker.handles), 0);
	for (int i = 0; i < 2; i++) {
		pid_t pid = i == 0 ? 1 : start(sleep_on, NULL);
		uint64_t identity;
		_cleanup_close_ int pidfd = process_open(pid, &identity);

		cr_assert_geq(pidfd, 0);
		*(i == 0 ? &first : &second) =
			processes_add(&noted, &revoker.handles, pid, identity, &pidfd);
	}
	cr_expect_eq(revoke_kill(&revoker, (uint32_t)first), -EBUSY);
	cr_expect_eq(revoke_unstopped(&revoker), 1);
	cr_expect_eq(revoke_kill(&revoker, (uint32_t)second), -EBUSY, "the first goes on");
	cr_expect_not(revoke_look_again(&revoker));
	cr_expect_eq(revoke_unstopped(&revoker), 1);
	cr_expect_eq(revoke_bring_back(&revoker, NULL, 0), -EBUSY, "and on");
}
