/* SPDX-License-Identifier: MIT */
/* A thread that somebody traces cannot be stopped: its call is taken back by killing its process,
 * and that is recorded. */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "daemon/session/inflight.h"
#include "door.h"
#include "include/verdict.h"

#define NOBODY 65534

static mqd_t queue;

static mqd_t open_new(const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};

	return mq_open(name, O_RDWR | O_CREAT, 0666, &attributes);
}

static void tell(struct stage *stage)
{
	if (write(stage->ready[1], "r", 1) != 1)
		_exit(110);
}

/* A sibling traces this thread until its process is gone. */
static void be_traced(pid_t tid)
{
	int ends[2];
	char byte;

	(void)prctl(PR_SET_DUMPABLE, 1);
	if (pipe(ends) < 0)
		_exit(111);
	if (fork() == 0) {
		if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 || write(ends[1], "t", 1) != 1)
			_exit(112);
		(void)waitpid(tid, NULL, __WALL);
		_exit(0);
	}
	if (read(ends[0], &byte, 1) != 1)
		_exit(113);
}

static void on_signal(int unused)
{
	(void)unused;
}

static long enroll(mqd_t mqd)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	(void)signal(SIGUSR1, on_signal);
	return result_of(mq_notify(mqd, &event));
}

/* Who is registered, as the queue says. */
static pid_t owner_of(const char *name)
{
	int fd = mq_open(name, O_RDONLY);
	char text[256] = "", *at;

	cr_assert(fd >= 0);
	cr_assert_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	(void)close(fd);
	at = strstr(text, "NOTIFY_PID:");
	cr_assert_not_null(at);
	return (pid_t)strtol(at + strlen("NOTIFY_PID:"), NULL, 10);
}

static void expect_killed(struct door *door)
{
	int status = 0;

	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 100; i++) {
		if (waitpid(door->app, &status, WNOHANG) == door->app)
			break;
		(void)usleep(10000);
	}
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", (unsigned)status);
}

static void sweep(struct door *door)
{
	(void)kill(door->app, SIGKILL);
	(void)kill(door->session, SIGKILL);
	(void)mq_unlink(door->stage->queue);
	(void)mq_unlink(door->stage->other);
}

static void expect_record(const struct door *door)
{
	cr_assert_eq(door->record_count, 1U);
	cr_expect_eq(door->last_record.record.reason, REASON_KILLED);
	cr_expect_eq(door->last_record.record.tgid, door->app);
	cr_expect_eq(door->last_record.record.uid, (uint32_t)NOBODY);
	cr_expect_str_not_empty(door->last_record.record.command);
}

/* --- in a call --- */

static void traced_receiver(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	be_traced(getpid());
	tell(stage);
	stage->results[0] = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));
}

Test(traced, a_receiver_is_killed_and_recorded)
{
	struct door door;

	door_open(&door, NOBODY, NULL, traced_receiver);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	(void)usleep(100000);
	door_grant(&door, 0);
	queue = mq_open(door.stage->queue, O_WRONLY);
	cr_assert_eq(mq_send(queue, "too late", 8, 0), 0);
	expect_killed(&door);
	expect_record(&door);
	cr_expect_eq(door.stage->results[0], 0, "it received %ld", door.stage->results[0]);
	sweep(&door);
}

/* --- registered --- */

static void traced_owner(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	stage->results[0] = enroll(queue);
	be_traced(getpid());
	tell(stage);
	(void)pause();
	stage->results[1] = 1;
}

/* To be told of it, nobody has to stop it. */
Test(traced, an_owner_of_a_registration_is_counted_and_ended)
{
	struct worker_message held;
	struct door door;

	door_open(&door, NOBODY, NULL, traced_owner);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	(void)usleep(100000); /* no longer running */
	cr_assert_eq(owner_of(door.stage->queue), door.app);
	door_grant(&door, 0);
	cr_expect_eq(owner_of(door.stage->queue), door.app);
	cr_expect_eq(door.record_count, 0U, "nobody was killed");
	door_ask(&door, 1, 0, false);
	held = door_answer(&door);
	cr_expect_eq(held.held.registrants, 1);
	cr_expect_eq(held.held.unknown, 0);
	door_ask(&door, 2, 0, true);
	held = door_answer(&door);
	cr_expect_eq(held.held.killed, 2, "with its tracer, which is of the session: %u",
		held.held.killed);
	expect_killed(&door);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], 0, "it was told");
	sweep(&door);
}

/* --- of no session at all --- */

static void one_call(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	stage->results[0] = result_of(mq_send(queue, "x", 1, 0));
	app_pause(stage);
	stage->results[1] = result_of(mq_send(queue, "x", 1, 0));
}

/* Unconfined, waiting in a call on a queue, and traced by us. */
static pid_t start_outsider(const struct door *door)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	if (pid == 0) {
		queue = open_new(door->stage->other);
		(void)mq_receive(queue, (char[32]){0}, 32, NULL);
		_exit(0);
	}
	(void)usleep(100000);
	cr_assert_eq(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	return pid;
}

Test(traced, a_number_that_an_outsider_has_by_now_is_left_alone)
{
	struct inflight *inflight;
	struct door door;
	pid_t outsider, r;
	int status = 0;

	door_open(&door, NOBODY, NULL, one_call);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	outsider = start_outsider(&door);
	inflight = mmap(NULL, INFLIGHT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, door.inflight, 0);
	cr_assert_neq(inflight, MAP_FAILED);
	cr_assert_eq(inflight->threads.count, 1U);
	/* As if a thread of the session had had that number. */
	inflight->threads.entries[1] = inflight->threads.entries[0];
	inflight->threads.entries[1].tid = outsider;
	inflight->threads.count = 2;
	door_grant(&door, 0);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], -EACCES);
	cr_expect_eq(kill(outsider, 0), 0);
	r = waitpid(outsider, &status, WNOHANG);
	cr_expect_eq(r, 0, "it has not even been stopped: %#x", (unsigned)status);
	(void)kill(outsider, SIGKILL);
	(void)mq_unlink(door.stage->other);
}
