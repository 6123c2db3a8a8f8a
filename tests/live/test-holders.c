/* SPDX-License-Identifier: MIT */
/* The manager's question who holds what was taken, and the answers of the session process. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "daemon/session/disturb.h"
#include "door.h"

#define WAIT_USEC 1500000

static pid_t waiting;

static void *wait_for_events(void *unused)
{
	int set = epoll_create1(0);

	__atomic_store_n(&waiting, gettid(), __ATOMIC_SEQ_CST);
	(void)epoll_wait(set, &(struct epoll_event){0}, 1, 60000);
	return unused;
}

/* With a timeout: such a thread is not stopped, but when it has just begun to wait, and from its
 * table nothing is taken away. */
static void start_waiting(void)
{
	struct blocked call;
	pthread_t thread;
	pid_t tid;

	(void)pthread_create(&thread, NULL, wait_for_events, NULL);
	do {
		(void)usleep(1000);
		tid = __atomic_load_n(&waiting, __ATOMIC_SEQ_CST);
	} while (tid == 0 || !blocked_read_of(tid, &call));
	(void)usleep(20000);
}

static void hold(struct stage *stage)
{
	mqd_t queue;

	start_waiting();
	app_pause(stage);
	queue = mq_open(stage->queue, O_RDWR | O_CREAT, 0600, NULL);
	app_pause(stage);
	(void)mq_close(queue);
	app_pause(stage);
}

/* An app that holds a queue which it has lost. */
static void open_held(struct door *door)
{
	door_open_as(door, MEDIATION_OPEN, 0, NULL, hold);
	door_wait(door);
	door_grant(door, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
	door_grant(door, 0);
}

static void close_killed(struct door *door)
{
	int status;

	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 100; i++) {
		if (waitpid(door->app, &status, WNOHANG) == door->app) {
			cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			door->app = 0;
			break;
		}
		(void)usleep(10000);
	}
	cr_expect_eq(door->app, 0, "the app lives");
	(void)kill(door->session, SIGKILL);
	(void)waitpid(door->session, NULL, 0);
	(void)mq_unlink(door->stage->queue);
}

/* Asks about every queue. */
static void ask(struct door *door, uint64_t number, uint64_t wait_usec, bool kill)
{
	struct worker_message message = {.type = WORKER_HOLDERS,
		.holders = {.number = number, .wait_usec = wait_usec, .kill = kill}};
	_cleanup_(grants_freep) struct grants *scope = NULL;
	_cleanup_close_ int fd = memfd_create("scope", MFD_CLOEXEC);
	_cleanup_free_ void *data = NULL;
	size_t size;

	cr_assert_eq(grants_new(0, &scope), 0);
	cr_assert_eq(grants_add(scope, "*", true, PERMISSIONS_ALL), 0);
	grants_seal(scope);
	cr_assert_eq(grants_serialise(scope, &data, &size), 0);
	cr_assert_eq(write(fd, data, size), (ssize_t)size);
	message.holders.size = size;
	cr_assert_eq(message_send(door->channel, &message, sizeof(message), &fd, 1), 0);
}

static struct worker_message answer(struct door *door)
{
	struct worker_message message;

	do {
		struct pollfd p = {.fd = door->channel, .events = POLLIN};

		cr_assert_eq(poll(&p, 1, DOOR_DEADLINE_SECONDS * 1000), 1, "no answer");
		cr_assert_eq(message_receive(door->channel, &message, sizeof(message), NULL, 0), 1);
	} while (message.type == WORKER_RECORD);
	cr_assert_eq(message.type, WORKER_HELD);
	return message;
}

Test(holders, are_counted_and_let_go)
{
	struct worker_message held;
	struct door door;

	open_held(&door);
	ask(&door, 7, 0, false);
	held = answer(&door);
	cr_expect_eq(held.held.number, 7);
	cr_expect_eq(held.held.error, 0);
	cr_expect_eq(held.held.processes, 1);
	cr_expect_eq(held.held.killed, 0);
	door_grant(&door, PERMISSION_READ);
	ask(&door, 8, 0, false);
	cr_expect_eq(answer(&door).held.processes, 1, "it may write through it");
	door_grant(&door, PERMISSION_READ | PERMISSION_WRITE);
	ask(&door, 9, 0, false);
	cr_expect_eq(answer(&door).held.processes, 0, "it is granted again");
	door_grant(&door, 0);
	door_go(&door);
	door_wait(&door);
	ask(&door, 10, 0, false);
	cr_expect_eq(answer(&door).held.processes, 0, "it is closed");
	door_go(&door);
	door_close(&door);
}

Test(holders, are_killed)
{
	struct worker_message held;
	struct door door;

	open_held(&door);
	ask(&door, 1, 0, true);
	held = answer(&door);
	cr_expect_eq(held.held.processes, 1);
	cr_expect_eq(held.held.killed, 1);
	cr_expect_eq(held.held.left, 0);
	close_killed(&door);
}

/* What runs under the listener's filter but does not carry the session's number is not killed. */
Test(holders, nobody_is_killed_without_a_proof)
{
	struct worker_message held;
	struct door door;

	door_other_constant = 1;
	open_held(&door);
	ask(&door, 1, 0, true);
	held = answer(&door);
	cr_expect_eq(held.held.killed, 0);
	cr_expect_eq(held.held.left, 1, "and that is said");
	door_go(&door);
	door_wait(&door);
	door_go(&door);
	door_close(&door);
}

Test(holders, too_many_looks_at_once_fail)
{
	struct door door;

	open_held(&door);
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++)
		ask(&door, (uint64_t)i, WAIT_USEC, false);
	ask(&door, HOLDER_LOOKS_MAX, 0, false);
	cr_expect_eq(answer(&door).held.error, -EAGAIN);
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++) {
		struct worker_message held = answer(&door);

		/* Another look may have it stopped just then. */
		cr_expect_eq(held.held.processes + held.held.unknown, 1);
	}
	/* The children have ended; one may be about to. */
	(void)usleep(200000);
	ask(&door, 100, 0, false);
	cr_expect_eq(answer(&door).held.error, 0);
	door_go(&door);
	door_wait(&door);
	door_go(&door);
	door_close(&door);
}

/* Looks do not outlive their manager: the session process, which waits for them, is gone soon. */
Test(holders, a_look_ends_with_the_manager)
{
	struct door door;
	int status = -1;

	open_held(&door);
	ask(&door, 1, 60 * 1000000ULL, false);
	(void)usleep(200000);
	cr_assert_eq(close(door.channel), 0);
	/* Well before the app gives up. */
	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 50 && status == -1; i++) {
		(void)usleep(10000);
		(void)waitpid(door.session, &status, WNOHANG);
	}
	cr_expect_eq(status, 0);
	(void)kill(door.app, SIGKILL);
	(void)waitpid(door.app, NULL, 0);
	(void)mq_unlink(door.stage->queue);
}

/* The session process goes on serving while a look waits. */
Test(holders, a_look_keeps_nobody_waiting)
{
	struct door door;

	open_held(&door);
	ask(&door, 1, WAIT_USEC, false);
	door_grant_both(&door, 0, PERMISSION_READ);
	door_go(&door);
	door_wait(&door);
	cr_expect_eq(answer(&door).held.processes, 0, "and it sees that it is closed");
	door_go(&door);
	door_close(&door);
}
