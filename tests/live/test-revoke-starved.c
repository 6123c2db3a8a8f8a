/* SPDX-License-Identifier: MIT */
/* Taking back from a program that hardly gets to run: it is waited for, not killed. */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/revoke/confined.h"
#include "door.h"
#include "include/util.h"
#include "step.h"
#include "support.h"
#include "tests/must-work.h"
#include "tests/patience.h"

#define ROUNDS       5
#define PATIENCE_MAX 4
#define BUSY_USEC    120000 /* more than a thread is given to stop at first, or to begin a call */
#define PAUSE_USEC   100    /* not enough for all the steps of a call */

static void stay_on(pid_t pid, int processor)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(processor, &set);
	if (sched_setaffinity(pid, sizeof(set), &set) < 0)
		abort();
}

static int first_processor(void)
{
	cpu_set_t set;
	int processor = 0;

	cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
	while (!CPU_ISSET(processor, &set))
		processor++;
	return processor;
}

/* Leaves the processor to others for a moment only, now and then. */
static pid_t occupy(int processor, int told, uint64_t busy_usec)
{
	const struct sched_param parameters = {.sched_priority = 1};
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid > 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	stay_on(0, processor);
	if (sched_setscheduler(0, SCHED_FIFO, &parameters) < 0)
		_exit(111);
	for (;;) {
		uint64_t until = now_usec() + busy_usec;

		(void)!write(told, "r", 1);
		while (now_usec() < until)
			;
		(void)usleep(PAUSE_USEC);
	}
}

static int be_ordinary(pid_t pid)
{
	return sched_setscheduler(pid, SCHED_OTHER, &(struct sched_param){0});
}

/* Before one that occupies a processor. */
static int be_real_time(pid_t pid)
{
	return sched_setscheduler(pid, SCHED_FIFO, &(struct sched_param){.sched_priority = 2});
}

static int may_be_real_time(void)
{
	int r = be_real_time(0);

	(void)be_ordinary(0);
	return r;
}

/* Returns which one, when the app has reported for the second time. */
static int open_on_one_processor(struct door *door, void (*app)(struct stage *))
{
	int processor = first_processor();

	need_root();
	if (may_be_real_time() < 0)
		leave_out("it needs real-time scheduling");
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		machine_lacks("has one processor only");
	if (patience() > PATIENCE_MAX)
		machine_lacks(
			"is too slow: deadlines of mqgate's own, which are tried here, do not grow");
	door_open(door, NOBODY, NULL, app);
	door_wait(door);
	stay_on(door->app, processor);
	door_grant(door, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
	return processor;
}

/* Less than the kernel leaves to real-time programs of each second. */
#define LONG_BUSY_USEC 900000

static void compute(struct stage *stage)
{
	app_pause(stage);
	/* Through the door, so this thread is among those noted. */
	stage->results[1] = mq_open(stage->queue, O_RDWR | O_CREAT, 0600,
		&(struct mq_attr){.mq_maxmsg = 2, .mq_msgsize = 32});
	(void)mq_getattr((mqd_t)stage->results[1], &(struct mq_attr){0});
	app_tell(stage);
	while (!*(volatile long *)&stage->results[2])
		;
	stage->results[0] = result_of(mq_send((mqd_t)stage->results[1], "x", 1, 0));
}

/* Nobody else of ours may have to wait for that processor. */
static pid_t occupy_long(struct door *door, int processor)
{
	pid_t hog;

	(void)usleep(100000);
	hog = occupy(processor, door->stage->ready[1], LONG_BUSY_USEC);
	door_wait(door);
	return hog;
}

static void expect_refused(struct door *door)
{
	*(volatile long *)&door->stage->results[2] = 1;
	door_close(door);
	cr_expect_eq(door->stage->results[0], -EACCES);
}

Test(starved, one_that_computes_lives)
{
	struct door door;
	pid_t hog = occupy_long(&door, open_on_one_processor(&door, compute));

	door_grant(&door, 0);
	end(hog);
	expect_refused(&door);
}

/* At the end of a launch it is looked at, whatever it does, and not refused. */
Test(starved, one_that_computes_begins_a_session)
{
	struct door door;
	struct beginning beginning;
	pid_t hog = occupy_long(&door, open_on_one_processor(&door, compute));
	int pidfd = (int)syscall(SYS_pidfd_open, door.app, 0);
	uint64_t begun = now_usec();
	int r = process_begins_session(
		door.app, pidfd, &(struct filter_mark){door.filter_id, false}, &beginning);

	cr_expect_eq(r, 0);
	cr_expect_gt(now_usec() - begun, EXAMINATION_DEADLINE_USEC / 2, "it has waited");
	cr_expect_lt(now_usec() - begun, BEGINNING_PATIENCE_USEC);
	(void)close(pidfd);
	end(hog);
	door_grant(&door, 0);
	expect_refused(&door);
}

static void *take_away(void *door)
{
	door_grant(door, 0);
	return NULL;
}

/* Up to where the session process, after the deadline, is about to see what state the app is in; by
 * then, it has stopped. Returns whether it came there. */
static bool stop_it_at_the_last_look(struct stepper *stepper, pid_t app, pid_t hog)
{
	do
		step_next(stepper);
	while (!stepper->idle && !streq(stepper->name, "open status"));
	end(hog);
	for (int i = 0; i < 1000 && !stepper->idle && state_of(app) != 't'; i++)
		(void)usleep(1000);
	return !stepper->idle && state_of(app) == 't';
}

static bool came_to_the_last_look(void)
{
	struct stepper stepper;
	struct door door;
	pthread_t taker;
	pid_t hog;
	int processor = open_on_one_processor(&door, compute);
	bool came;

	step_attach(&stepper, door.session);
	/* The app is to be the only one that has to wait. */
	cr_assert_eq(be_real_time(door.session), 0);
	cr_assert_eq(be_real_time(0), 0);
	hog = occupy_long(&door, processor);
	cr_assert_eq(pthread_create(&taker, NULL, take_away, &door), 0);
	came = stop_it_at_the_last_look(&stepper, door.app, hog);
	cr_assert_eq(be_ordinary(0), 0);
	step_detach(&stepper);
	cr_assert_eq(pthread_join(taker, NULL), 0);
	expect_refused(&door);
	return came;
}

Test(starved, one_that_stops_at_the_last_look_lives)
{
	bool came = false;

	/* If other work held us up, the app could run before. */
	for (int i = 0; i < ROUNDS && !came; i++)
		came = came_to_the_last_look();
	cr_expect(came);
}

static mqd_t queue;
static atomic_bool stop;

#define BUSY MAX(64 / patience(), 2)

static void *compute_for_ever(void *unused)
{
	(void)unused;
	(void)mq_getattr(queue, &(struct mq_attr){0});
	while (!stop)
		;
	return NULL;
}

static void be_busy(struct stage *stage)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};
	pthread_t thread;

	app_pause(stage);
	queue = mq_open(stage->queue, O_RDWR | O_CREAT, 0600, &attributes);
	for (int i = 0; i < BUSY; i++)
		if (pthread_create(&thread, NULL, compute_for_ever, NULL) != 0)
			abort();
	(void)usleep(300000);
	app_pause(stage); /* it is taken away */
	stop = true;
	stage->results[0] = result_of(mq_send(queue, "x", 1, 0));
}

/* Each of them has to get to run before it can stop. */
Test(starved, many_that_compute_live)
{
	struct door door;

	door_open(&door, NOBODY, NULL, be_busy);
	door_begin(&door, PERMISSIONS_ALL, 0);
	door_grant(&door, 0);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES);
}

/* Registers at each report of the test. */
static void register_each_time(struct stage *stage)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};

	app_pause(stage);
	queue = mq_open(stage->queue, O_RDWR | O_CREAT, 0600, &attributes);
	app_pause(stage);
	for (int i = 0; i < ROUNDS; i++) {
		if (mq_notify(queue, NULL) < 0 || mq_notify(queue, &event) < 0)
			stage->results[0]++;
		app_pause(stage);
	}
}

Test(starved, one_that_is_registered_lives)
{
	struct door door;
	int status, processor = open_on_one_processor(&door, register_each_time);
	pid_t hog;

	hog = occupy(processor, -1, BUSY_USEC);
	for (int i = 0; i < ROUNDS; i++) {
		door_grant(&door, PERMISSIONS_ALL);
		door_go(&door);
		door_wait(&door);
		(void)usleep(BUSY_USEC);
		door_grant(&door, 0);
		cr_expect_eq(waitpid(door.app, &status, WNOHANG), 0, "round %d", i);
	}
	end(hog);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
}
