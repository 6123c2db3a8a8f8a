/* SPDX-License-Identifier: MIT */
/* A thread that somebody traces cannot be stopped: its call is taken back by killing its process,
 * and that is recorded. */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "daemon/session/target/inflight.h"
#include "door.h"
#include "support.h"
#include "include/verdict.h"

static mqd_t queue;

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
	app_tell(stage);
	stage->results[0] = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));
}

Test(traced, a_receiver_is_killed_and_recorded)
{
	struct door door;

	door_open(&door, NOBODY, NULL, traced_receiver);
	door_begin(&door, PERMISSIONS_ALL, 0);
	(void)usleep(100000);
	door_grant(&door, 0);
	send_too_late(door.stage->queue);
	door_expect_killed(&door);
	expect_record(&door);
	cr_expect_eq(door.stage->results[0], 0, "it received %ld", door.stage->results[0]);
	door_sweep(&door);
}

/* --- registered --- */

static void traced_owner(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	(void)signal(SIGUSR1, on_signal);
	stage->results[0] = register_by_signal(queue);
	be_traced(getpid());
	app_tell(stage);
	(void)pause();
	stage->results[1] = 1;
}

/* To be told of it, nobody has to stop it. */
Test(traced, an_owner_of_a_registration_is_counted_and_ended)
{
	struct session_message held;
	struct door door;

	door_open(&door, NOBODY, NULL, traced_owner);
	door_begin(&door, PERMISSIONS_ALL, 0);
	(void)usleep(100000); /* no longer running */
	cr_assert_eq(owner_of(door.stage->queue), door.app);
	door_grant(&door, 0);
	cr_expect_eq(owner_of(door.stage->queue), door.app);
	cr_expect_eq(door.record_count, 0U, "nobody was killed");
	door_ask(&door, 1, 0, false);
	held = door_answer(&door);
	cr_expect_eq(held.found.registrants, 1);
	cr_expect_eq(held.found.unknown, 0);
	door_ask(&door, 2, 0, true);
	held = door_answer(&door);
	/* Its tracer, too, which is of the session, unless that has ended with it. */
	cr_expect(held.found.killed == 1 || held.found.killed == 2, "%u", held.found.killed);
	door_expect_killed(&door);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], 0, "it was told");
	door_sweep(&door);
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
	door_begin(&door, PERMISSIONS_ALL, 0);
	outsider = start_outsider(&door);
	inflight = door_notes(&door);
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
