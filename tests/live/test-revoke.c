/* SPDX-License-Identifier: MIT */
/* Taking back: calls that are blocked in the kernel, and who resists. */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/session/target/inflight.h"
#include "daemon/session/revoke/bring-back.h"
#include "door.h"
#include "support.h"
#include "tests/patience.h"

static mqd_t queue, other;
static struct stage *the_stage;

/* --- blocked calls --- */

static void *receive_for_ever(void *unused)
{
	char buffer[32];

	(void)unused;
	the_stage->results[0] = result_of(mq_receive(queue, buffer, sizeof(buffer), NULL));
	return NULL;
}

static void *receive_with_timeout(void *unused)
{
	struct timespec timeout = in_seconds(60);
	char buffer[32];

	(void)unused;
	the_stage->results[1] =
		result_of(mq_timedreceive(queue, buffer, sizeof(buffer), NULL, &timeout));
	return NULL;
}

static void *send_for_ever(void *unused)
{
	(void)unused;
	the_stage->results[2] = result_of(mq_send(other, "x", 1, 0));
	return NULL;
}

static void *send_with_timeout(void *unused)
{
	struct timespec timeout = in_seconds(60);

	(void)unused;
	the_stage->results[3] = result_of(mq_timedsend(other, "x", 1, 0, &timeout));
	return NULL;
}

static void block_everywhere(struct stage *stage)
{
	the_stage = stage;
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	while (fcntl(other, F_SETFL, O_NONBLOCK) == 0 && mq_send(other, "x", 1, 0) == 0)
		;
	(void)fcntl(other, F_SETFL, 0);
	for (int i = 0; i < 4; i++)
		stage->results[i] = 1;
	in_background(receive_for_ever);
	in_background(receive_with_timeout);
	in_background(send_for_ever);
	in_background(send_with_timeout);
	settle();
	app_pause(stage); /* now it is taken away */
	for (int i = 0; i < 100 && (stage->results[0] == 1 || stage->results[1] == 1 ||
					   stage->results[2] == 1 || stage->results[3] == 1);
		i++)
		(void)usleep(10000);
}

Test(revoke, blocked_calls_are_refused)
{
	struct door door;

	door_open(&door, NOBODY, NULL, block_everywhere);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant(&door, 0);
	/* Acknowledged: whatever is sent from now on must not arrive. */
	send_too_late(door.stage->queue);
	other = mq_open(door.stage->other, O_RDONLY);
	cr_assert_gt(mq_receive(other, (char[32]){0}, 32, NULL), 0);
	door_go(&door);
	door_close(&door);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(door.stage->results[i], -EACCES, "%d: %ld", i, door.stage->results[i]);
}

Test(revoke, blocked_calls_are_refused_by_a_later_session_process)
{
	struct door door;

	door_open(&door, NOBODY, NULL, block_everywhere);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_replace(&door);
	door_grant(&door, 0);
	send_too_late(door.stage->queue);
	door_go(&door);
	door_close(&door);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(door.stage->results[i], -EACCES, "%d: %ld", i, door.stage->results[i]);
}

/* --- not concerned --- */

static void *wait_for_events(void *unused)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0), ends[2];

	(void)unused;
	if (pipe(ends) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) < 0)
		_exit(111);
	/* Through the door first, so this thread is among those noted. */
	(void)mq_getattr(queue, &(struct mq_attr){0});
	the_stage->results[10] = result_of(epoll_wait(epoll, &event, 1, 700));
	return NULL;
}

static void *wait_for_a_signal(void *unused)
{
	struct timespec timeout = {.tv_nsec = 700000000};
	sigset_t set;

	(void)unused;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	(void)mq_getattr(queue, &(struct mq_attr){0});
	the_stage->results[11] = result_of(sigtimedwait(&set, NULL, &timeout));
	return NULL;
}

static void *sleep_a_little(void *unused)
{
	struct timespec time = {.tv_nsec = 700000000};

	(void)unused;
	(void)mq_getattr(queue, &(struct mq_attr){0});
	the_stage->results[12] = result_of(nanosleep(&time, NULL));
	return NULL;
}

static void *receive_from_other(void *unused)
{
	unsigned priority = 0;
	char buffer[32];

	(void)unused;
	the_stage->results[13] = result_of(mq_receive(other, buffer, sizeof(buffer), &priority));
	the_stage->results[14] = priority;
	the_stage->results[15] = buffer[0];
	return NULL;
}

static void others_go_on(struct stage *stage)
{
	the_stage = stage;
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	in_background(wait_for_events);
	in_background(wait_for_a_signal);
	in_background(sleep_a_little);
	in_background(receive_from_other);
	settle();
	app_pause(stage); /* the first queue is taken away */
	settle();
	stage->results[0] = result_of(mq_send(queue, "x", 1, 0));
	stage->results[1] = result_of(mq_send(other, "m", 1, 5));
	(void)usleep(900000);
}

Test(revoke, what_is_not_concerned_notices_nothing)
{
	struct door door;

	door_open(&door, NOBODY, NULL, others_go_on);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES);
	cr_expect_eq(door.stage->results[1], 0);
	cr_expect_eq(door.stage->results[10], 0, "epoll_wait: %ld", door.stage->results[10]);
	cr_expect_eq(
		door.stage->results[11], -EAGAIN, "sigtimedwait: %ld", door.stage->results[11]);
	cr_expect_eq(door.stage->results[12], 0, "nanosleep: %ld", door.stage->results[12]);
	cr_expect_eq(door.stage->results[13], 1, "the receiver of the other queue: %ld",
		door.stage->results[13]);
	cr_expect_eq(door.stage->results[14], 5);
	cr_expect_eq(door.stage->results[15], 'm');
}

/* --- noted twice --- */

static void patient_receiver(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	app_tell(stage);
	stage->results[0] = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));
}

static void note_twice(struct door *door)
{
	struct threads *threads = &door_notes(door)->threads;

	cr_assert_gt(threads->count, 0);
	threads->entries[threads->count] = threads->entries[0];
	threads->count++;
}

/* As a session process may leave it that dies while it forgets others. */
Test(revoke, one_that_is_noted_twice_lives)
{
	struct door door;

	door_open(&door, NOBODY, NULL, patient_receiver);
	door_begin(&door, PERMISSIONS_ALL, 0);
	(void)usleep(100000);
	note_twice(&door);
	door_grant(&door, 0);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES);
}

/* --- looked at --- */

/* Another session process looks whose the thread is: a child of our manager's, for a moment. */
static void look_for_a_moment(pid_t tid, int ready)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 ||
		ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 ||
		waitpid(tid, &status, __WALL) != tid || write(ready, "r", 1) != 1)
		_exit(114);
	(void)usleep(200000);
	_exit(ptrace(PTRACE_DETACH, tid, NULL, NULL) < 0);
}

Test(revoke, one_that_another_session_process_looks_at_lives)
{
	struct door door;
	int ready[2], status;
	pid_t looker;
	char byte;

	door_open(&door, NOBODY, NULL, patient_receiver);
	door_begin(&door, PERMISSIONS_ALL, 0);
	(void)usleep(100000);
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	looker = fork();
	if (looker == 0)
		look_for_a_moment(door.app, ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	door_grant(&door, 0);
	cr_assert_eq(waitpid(looker, &status, 0), looker);
	cr_expect_eq(status, 0);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES);
}

/* --- who resists --- */

/* As a session process leaves it that dies when it has given a call back and not yet noted that. */
Test(revoke, who_is_noted_as_inside_the_door_and_is_not_is_brought_back)
{
	struct inflight *inflight;
	struct door door;

	door_open(&door, NOBODY, NULL, patient_receiver);
	door_begin(&door, PERMISSIONS_ALL, 0);
	settle();
	inflight = door_notes(&door);
	inflight->notification.id = 12345;
	inflight->notification.pid = (uint32_t)door.app;
	inflight->waiting_used = 1;
	inflight->waiting[0] = inflight->notification;
	door_grant(&door, 0);
	send_too_late(door.stage->queue);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES, "%ld", door.stage->results[0]);
}

/* A script whose interpreter nobody gets to read: execve waits for the lease, for 45 s. */
static void *execute_what_is_leased(void *unused)
{
	(void)unused;
	(void)execl("/tmp/mqgate-leased-script", "script", NULL);
	_exit(115);
	return NULL;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0755);

	return fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, 0755) < 0 ? -1 : fd;
}

static void lease_and_receive(struct stage *stage)
{
	int script = write_file("/tmp/mqgate-leased-script", "#!/tmp/mqgate-leased\n");
	int interpreter = write_file("/tmp/mqgate-leased", "x");

	(void)signal(SIGIO, SIG_IGN);
	if (script < 0 || interpreter < 0 || close(script) < 0 || close(interpreter) < 0)
		_exit(116);
	interpreter = open("/tmp/mqgate-leased", O_RDWR);
	if (fcntl(interpreter, F_SETLEASE, F_WRLCK) < 0)
		_exit(117);
	app_pause(stage);
	queue = open_new(stage->queue);
	in_background(execute_what_is_leased);
	settle();
	app_tell(stage);
	stage->results[0] = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));
}

/* PTRACE_SEIZE waits as long as that. */
Test(revoke, who_is_held_in_execve_is_killed)
{
	struct door door;
	uint64_t begun;

	need_root();
	door_open(&door, NOBODY, NULL, lease_and_receive);
	door_begin(&door, PERMISSIONS_ALL, 0);
	settle();
	begun = now_usec();
	door_grant(&door, 0);
	cr_expect_lt(now_usec() - begun, (REVOKE_DEADLINE_USEC + KILL_DEADLINE_USEC) * patience());
	send_too_late(door.stage->queue);
	door_close_killed(&door);
	cr_expect_eq(door.stage->results[0], 0, "it received nothing");
	(void)unlink("/tmp/mqgate-leased-script");
	(void)unlink("/tmp/mqgate-leased");
}

/* The process that has the noted number by now is another one of the session's, and is traced. */
static void have_another_number(struct stage *stage)
{
	pid_t receiver;

	app_pause(stage);
	queue = open_new(stage->queue);
	receiver = fork();
	if (receiver == 0) {
		(void)prctl(PR_SET_DUMPABLE, 1);
		stage->results[1] = getpid();
		stage->results[0] = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));
		_exit(0);
	}
	while (*(volatile long *)&stage->results[1] == 0)
		(void)usleep(1000);
	settle();
	if (ptrace(PTRACE_SEIZE, receiver, NULL, NULL) < 0)
		_exit(113);
	app_tell(stage);
	(void)waitpid(receiver, NULL, __WALL);
}

Test(revoke, a_number_that_another_of_the_session_has_by_now_is_killed)
{
	struct inflight *inflight;
	struct door door;

	door_open(&door, NOBODY, NULL, have_another_number);
	door_begin(&door, PERMISSIONS_ALL, 0);
	inflight = door_notes(&door);
	/* As if a thread of the first process had been noted under it before. */
	memmove(&inflight->threads.entries[1], &inflight->threads.entries[0],
		inflight->threads.count * sizeof(inflight->threads.entries[0]));
	inflight->threads.entries[0].place = SESSION_PROCESSES_MAX - 1;
	inflight->threads.count++;
	door_grant(&door, 0);
	send_too_late(door.stage->queue);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "it received nothing");
}
