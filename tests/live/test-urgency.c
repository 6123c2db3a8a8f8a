/* SPDX-License-Identifier: MIT */
/* Who is served with which priority: a session process whose callers are real-time threads, or no
 * longer. */
#include <linux/sched.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "door.h"
#include "support.h"
#include "daemon/session/target/urgency.h"
#include "tests/must-work.h"

#define CALLERS (SESSION_URGENT_MAX + 1)

static struct door door;
static int go[CALLERS][2], done[CALLERS][2];
static bool reaps = true;

/* --- the app: so many processes, each of which calls when it is told --- */

static _noreturn_ void be_caller(struct stage *stage, int i)
{
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(go[i][0], &byte, 1) == 1) {
		(void)mq_unlink(stage->queue);
		if (write(done[i][1], &byte, 1) != 1)
			break;
	}
	_exit(0);
}

static void be_callers(struct stage *stage)
{
	if (reaps)
		(void)signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < CALLERS; i++) {
		const pid_t pid = fork();

		if (pid == 0)
			be_caller(stage, i);
		stage->results[i] = pid;
	}
	app_pause(stage);
}

static pid_t caller(int i)
{
	return (pid_t)door.stage->results[i];
}

static void kill_caller(int i)
{
	cr_assert_eq(kill(caller(i), SIGKILL), 0);
	for (int n = 0; n < 1000 && state_of(caller(i)) != (reaps ? 0 : 'Z'); n++)
		(void)usleep(1000);
}

/* Until the last look is out of date. */
static void let_pass(void)
{
	(void)usleep(20000);
}

static void call(int i)
{
	char byte = 'c';

	let_pass();
	cr_assert_eq(write(go[i][1], &byte, 1), 1);
	cr_assert_eq(read(done[i][0], &byte, 1), 1);
}

/* --- the test --- */

static int make_fifo(pid_t pid, int priority)
{
	return sched_setscheduler(
		pid, SCHED_FIFO, &(struct sched_param){.sched_priority = priority});
}

static void make_ordinary(pid_t pid)
{
	cr_assert_eq(sched_setscheduler(pid, SCHED_OTHER, &(struct sched_param){0}), 0);
}

static void expect_fifo(int priority)
{
	struct sched_param parameters = {0};

	cr_expect_eq(sched_getscheduler(door.session), SCHED_FIFO);
	cr_expect_eq(sched_getparam(door.session, &parameters), 0);
	cr_expect_eq(parameters.sched_priority, priority, "%d, not %d", parameters.sched_priority,
		priority);
}

static void expect_ordinary(void)
{
	cr_expect_eq(sched_getscheduler(door.session), SCHED_OTHER);
}

static cpu_set_t processors_of(pid_t pid)
{
	cpu_set_t processors;

	cr_assert_eq(sched_getaffinity(pid, sizeof(processors), &processors), 0);
	return processors;
}

/* The last of those there are. */
static cpu_set_t last_processor(void)
{
	cpu_set_t all = processors_of(0), one;
	int last = 0;

	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all))
			last = i;
	CPU_ZERO(&one);
	CPU_SET(last, &one);
	return one;
}

static void begin(void)
{
	need_root();
	if (make_fifo(0, 1) < 0)
		machine_lacks("has no time for real-time programs");
	make_ordinary(0);
	for (int i = 0; i < CALLERS; i++) {
		cr_assert_eq(pipe(go[i]), 0);
		cr_assert_eq(pipe(done[i]), 0);
	}
	door_open(&door, 0, NULL, be_callers);
	door_wait(&door);
}

static void finish(void)
{
	door_go(&door);
	door_close(&door);
}

Test(urgency, a_priority_is_taken_and_given_back)
{
	cpu_set_t one = last_processor(), all, processors;

	begin();
	all = processors_of(door.session);
	cr_assert_eq(setpriority(PRIO_PROCESS, (id_t)door.session, 5), 0);
	call(0);
	expect_ordinary();
	cr_assert_eq(sched_setaffinity(caller(0), sizeof(one), &one), 0);
	cr_assert_eq(make_fifo(caller(0), 30), 0);
	call(0);
	expect_fifo(30);
	processors = processors_of(door.session);
	cr_expect(CPU_EQUAL(&processors, &one), "on the caller's processors");
	call(1);
	expect_fifo(30);
	make_ordinary(caller(0));
	call(1);
	expect_ordinary();
	processors = processors_of(door.session);
	cr_expect(CPU_EQUAL(&processors, &all), "on its own again");
	cr_expect_eq(getpriority(PRIO_PROCESS, (id_t)door.session), 5, "its own niceness");
	finish();
}

Test(urgency, the_very_call_is_served_so)
{
	begin();
	cr_assert_eq(make_fifo(caller(0), 30), 0);
	call(0);
	expect_fifo(30);
	finish();
}

Test(urgency, the_highest_of_the_living_counts)
{
	begin();
	for (int i = 0; i < 3; i++) {
		cr_assert_eq(make_fifo(caller(i), 10 * (i + 1)), 0);
		call(i);
		expect_fifo(10 * (i + 1));
	}
	call(0);
	expect_fifo(30);
	kill_caller(2);
	call(3);
	expect_fifo(20);
	cr_assert_eq(make_fifo(caller(0), 25), 0);
	call(3);
	expect_fifo(25);
	kill_caller(1);
	kill_caller(0);
	call(3);
	expect_ordinary();
	finish();
}

Test(urgency, the_unreaped_are_dead)
{
	reaps = false;
	begin();
	cr_assert_eq(make_fifo(caller(0), 30), 0);
	call(0);
	expect_fifo(30);
	kill_caller(0);
	cr_expect_eq(sched_getscheduler(caller(0)), SCHED_FIFO, "it would seem to have it");
	call(1);
	expect_ordinary();
	finish();
}

/* The kernel's struct sched_attr, which not every libc lets be included. */
struct attributes {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

Test(urgency, a_deadline_is_the_highest_priority)
{
	const struct attributes attributes = {.size = sizeof(attributes),
		.policy = SCHED_DEADLINE,
		.runtime = 5000000,
		.deadline = 100000000,
		.period = 100000000};

	begin();
	if (syscall(SYS_sched_setattr, caller(0), &attributes, 0) < 0)
		machine_lacks("has no time for SCHED_DEADLINE");
	call(0);
	expect_fifo(99);
	finish();
}

/* A process of that number; of nobody's session. */
static pid_t process_numbered(pid_t number)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	return pid;
}

Test(urgency, the_manager_finds_an_ordinary_process_when_the_caller_is_gone)
{
	begin();
	cr_assert_eq(make_fifo(caller(0), 30), 0);
	call(0);
	expect_fifo(30);
	kill_caller(0);
	let_pass();
	door_grant(&door, PERMISSIONS_ALL);
	expect_ordinary();
	finish();
}

Test(urgency, a_number_lends_nobody_anothers_priority)
{
	pid_t number, other;

	begin();
	cr_assert_eq(make_fifo(caller(0), 30), 0);
	call(0);
	expect_fifo(30);
	number = caller(0);
	kill_caller(0);
	other = process_numbered(number);
	cr_assert_eq(other, number, "the number is in use again");
	cr_assert_eq(make_fifo(other, 90), 0);
	call(1);
	expect_ordinary();
	end(other);
	finish();
}

static size_t followed(pid_t tid, int listener)
{
	static struct inflight notes;
	static struct urgency urgency;

	notes.head.since += 1000000;
	notes.notification.pid = (uint32_t)tid;
	urgency_follow(&urgency, &notes, listener);
	return urgency.count;
}

Test(urgency, only_a_caller_that_waits_counts)
{
	begin();
	cr_assert_eq(make_fifo(caller(0), 30), 0);
	cr_expect_eq(followed(caller(0), -1), 0, "its call is not valid");
	cr_assert_eq(make_fifo(0, 1), 0);
	cr_expect_eq(followed(0, door.listener), 0, "who cannot be named is not ourselves");
	make_ordinary(0);
	finish();
}

/* SESSION_URGENT_MAX are followed, those of the highest priority. */
Test(urgency, of_too_many_the_lowest_is_forgotten)
{
	begin();
	for (int i = 0; i < SESSION_URGENT_MAX; i++) {
		cr_assert_eq(make_fifo(caller(i), 10 + i), 0);
		call(i);
	}
	cr_assert_eq(make_fifo(caller(SESSION_URGENT_MAX), 5), 0);
	call(SESSION_URGENT_MAX);
	expect_fifo(10 + SESSION_URGENT_MAX - 1);
	cr_assert_eq(make_fifo(caller(SESSION_URGENT_MAX), 60), 0);
	call(SESSION_URGENT_MAX);
	expect_fifo(60);
	for (int i = 1; i < CALLERS; i++)
		make_ordinary(caller(i));
	call(1);
	expect_ordinary();
	cr_expect_eq(sched_getscheduler(caller(0)), SCHED_FIFO, "it was the lowest");
	call(0);
	expect_fifo(10);
	finish();
}

Test(urgency, the_next_session_process_begins_as_an_ordinary_one)
{
	begin();
	cr_assert_eq(make_fifo(caller(0), 30), 0);
	call(0);
	expect_fifo(30);
	door_replace(&door);
	expect_ordinary();
	call(0);
	expect_fifo(30);
	finish();
}

/* --- calls that wait here --- */

static void wait_in_the_door(struct stage *stage)
{
	char buffer[32];
	mqd_t queue;

	app_pause(stage);
	queue = mq_open(stage->queue, O_RDWR | O_CREAT, 0600,
		&(struct mq_attr){.mq_maxmsg = 2, .mq_msgsize = 32});
	app_pause(stage);
	stage->results[0] = result_of(mq_receive(queue, buffer, sizeof(buffer), NULL));
}

static bool waits(void)
{
	struct inflight *notes = door_notes(&door);

	return notes->waiting_used > 0 && notes->waiting[0].id != 0 && notes->notification.id == 0;
}

static void wait_for_waiting(void)
{
	for (int i = 0; i < 1000 && !waits(); i++)
		(void)usleep(1000);
	cr_assert(waits());
}

Test(urgency, who_waits_is_served_so)
{
	need_root();
	if (make_fifo(0, 1) < 0)
		machine_lacks("has no time for real-time programs");
	make_ordinary(0);
	door_open(&door, 0, NULL, wait_in_the_door);
	door_begin(&door, PERMISSIONS_ALL, 0);
	door_grant(&door, PERMISSIONS_ALL & ~PERMISSION_WRITE);
	cr_assert_eq(make_fifo(door.app, 30), 0);
	let_pass();
	door_go(&door);
	wait_for_waiting();
	expect_fifo(30);
	door_replace(&door);
	wait_for_waiting();
	expect_fifo(30);
	send_too_late(door.stage->queue);
	door_close(&door);
	cr_expect_geq(door.stage->results[0], 0);
}

/* --- the search for who holds what was taken, which no caller waits for --- */

static pid_t child_of(pid_t parent)
{
	char path[64];
	FILE *file;
	pid_t child = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	file = fopen(path, "re");
	if (file) {
		(void)!fscanf(file, "%d", &child);
		(void)fclose(file);
	}
	return child;
}

static void hold(struct stage *stage)
{
	app_pause(stage);
	stage->results[0] = mq_open(stage->queue, O_RDWR | O_CREAT, 0600,
		&(struct mq_attr){.mq_maxmsg = 2, .mq_msgsize = 32});
	app_pause(stage);
}

Test(urgency, a_search_is_an_ordinary_process)
{
	pid_t child = 0;

	need_root();
	if (make_fifo(0, 1) < 0)
		machine_lacks("has no time for real-time programs");
	make_ordinary(0);
	door_open_as(&door, MEDIATION_OPEN, 0, NULL, hold);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	cr_assert_eq(make_fifo(door.app, 30), 0);
	let_pass();
	door_go(&door);
	door_wait(&door);
	expect_fifo(30);
	door_ask(&door, 1, 300000, false);
	for (int i = 0; i < 1000 && (child = child_of(door.session)) == 0; i++)
		(void)usleep(100);
	cr_assert_neq(child, 0);
	(void)usleep(50000);
	cr_expect_eq(sched_getscheduler(child), SCHED_OTHER);
	expect_fifo(30);
	(void)door_answer(&door);
	finish();
}
