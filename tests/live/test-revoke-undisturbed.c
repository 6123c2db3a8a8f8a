/* SPDX-License-Identifier: MIT */
/* What a revocation must not disturb: threads that wait for something else, queues that are still
 * granted, and what is left of a permission. */
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include "door.h"
#include "support.h"

static mqd_t queue, other;
static struct stage *the_stage;

/* --- threads that wait for something else --- */

static int ends[2];
static struct timespec a_while = {.tv_nsec = 800000000};

static long in_epoll_wait(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event) < 0)
		return -1;
	return result_of(epoll_wait(epoll, &event, 1, 800));
}

static long in_sigtimedwait(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	return result_of(sigtimedwait(&set, NULL, &a_while));
}

static long in_nanosleep(void)
{
	return result_of(nanosleep(&a_while, NULL));
}

static long in_futex(void)
{
	static int word;

	return result_of(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &a_while, NULL, 0));
}

static long in_poll(void)
{
	struct pollfd p = {.fd = ends[0], .events = POLLIN};

	return result_of(poll(&p, 1, 800));
}

static long in_read(void)
{
	char byte;

	return result_of(read(ends[0], &byte, 1));
}

static sem_t semaphore;

static long in_sem_wait(void)
{
	return result_of(sem_wait(&semaphore));
}

static const struct {
	const char *name;
	long (*wait)(void);
	long expected;
} waits[] = {
	{"epoll_wait", in_epoll_wait, 0},
	{"sigtimedwait", in_sigtimedwait, -EAGAIN},
	{"nanosleep", in_nanosleep, 0},
	{"futex", in_futex, -ETIMEDOUT},
	{"poll", in_poll, 0},
	{"read", in_read, 1},
	{"sem_wait", in_sem_wait, 0},
};
#define WAITS (sizeof(waits) / sizeof(waits[0]))

/* Through the door first, so that it is among the threads that may be inside a call. */
static void *wait_in(void *argument)
{
	size_t i = (size_t)argument;

	(void)mq_getattr(other, &(struct mq_attr){0});
	the_stage->results[i] = waits[i].wait();
	return NULL;
}

static void wait_in_all(void)
{
	pthread_t threads[WAITS];

	if (pipe(ends) < 0 || sem_init(&semaphore, 0, 0) < 0)
		_exit(110);
	for (size_t i = 0; i < WAITS; i++)
		if (pthread_create(&threads[i], NULL, wait_in, (void *)i) != 0)
			_exit(111);
	(void)usleep(100000);
	app_pause(the_stage); /* the first queue is taken away, given and taken again */
	(void)usleep(800000);
	if (write(ends[1], "x", 1) != 1 || sem_post(&semaphore) < 0)
		_exit(112);
	for (size_t i = 0; i < WAITS; i++)
		(void)pthread_join(threads[i], NULL);
}

static void with_the_queue(struct stage *stage)
{
	the_stage = stage;
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	wait_in_all();
	stage->results[20] = result_of(mq_send(queue, "x", 1, 0));
}

static void without_it(struct stage *stage)
{
	the_stage = stage;
	app_pause(stage);
	other = open_new(stage->other);
	wait_in_all();
}

static void expect_undisturbed(void (*app)(struct stage *), long last)
{
	struct door door;

	door_open(&door, NOBODY, NULL, app);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	for (int i = 0; i < 5; i++) {
		door_grant_both(&door, 0, PERMISSIONS_ALL);
		door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	}
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	for (size_t i = 0; i < WAITS; i++)
		cr_expect_eq(door.stage->results[i], waits[i].expected, "%s: %ld", waits[i].name,
			door.stage->results[i]);
	cr_expect_eq(door.stage->results[20], last);
}

Test(undisturbed, who_waits_for_something_else_with_the_queue)
{
	expect_undisturbed(with_the_queue, -EACCES);
}

Test(undisturbed, who_waits_for_something_else_without_it)
{
	expect_undisturbed(without_it, 0);
}

/* --- a thread that runs --- */

static atomic_bool finish;

/* All in registers and on the stack: each round must give the same. */
static uint64_t count_up(void)
{
	volatile uint64_t cells[64];
	uint64_t a = 42, b = 1, c = 2;
	double x = 1.0;

	for (int i = 0; i < 20000; i++) {
		a = a * 6364136223846793005U + 1442695040888963407U;
		b ^= a >> 7;
		c = c * 31 + b;
		x = x * 1.0000001 + 0.5;
		cells[i % 64] = c;
	}
	for (int i = 0; i < 64; i++)
		a ^= cells[i];
	return a ^ b ^ c ^ (uint64_t)x;
}

static void *wait_for_the_end(void *argument)
{
	app_pause(argument);
	finish = true;
	return NULL;
}

static void run(struct stage *stage)
{
	uint64_t right = count_up();
	pthread_t thread;

	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	(void)mq_getattr(queue, &(struct mq_attr){0});
	if (pthread_create(&thread, NULL, wait_for_the_end, stage) != 0)
		_exit(110);
	while (!finish) {
		stage->results[0] += count_up() != right;
		stage->results[1]++;
	}
	stage->results[2] = result_of(mq_send(other, "x", 1, 0));
	(void)pthread_join(thread, NULL);
}

Test(undisturbed, who_runs)
{
	struct door door;

	door_open(&door, NOBODY, NULL, run);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	for (int i = 0; i < 200; i++) {
		door_grant_both(&door, 0, PERMISSIONS_ALL);
		door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	}
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "%ld results were wrong", door.stage->results[0]);
	cr_expect_gt(door.stage->results[1], 10);
	cr_expect_eq(door.stage->results[2], 0);
}

/* --- a queue that is still granted --- */

#define ROUNDS 500

static void receive_all(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	app_pause(stage);
	for (int i = 0; i < ROUNDS; i++) {
		char buffer[33] = "", expected[33];
		long n = result_of(mq_receive(other, buffer, 32, NULL));

		(void)snprintf(expected, sizeof(expected), "message %d", i);
		stage->results[n > 0 && strcmp(buffer, expected) == 0 ? 0 : 1]++;
	}
}

/* At every point of the way that a revocation goes. */
static void send_all(struct door *door)
{
	struct timespec deadline;
	char text[33];

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 4 * DOOR_DEADLINE_SECONDS;
	for (int i = 0; i < ROUNDS; i++) {
		(void)snprintf(text, sizeof(text), "message %d", i);
		if (i % 3 == 0)
			cr_assert_eq(mq_timedsend(other, text, strlen(text), 0, &deadline), 0);
		door_grant_both(door, i % 2 ? PERMISSIONS_ALL : 0, PERMISSIONS_ALL);
		if (i % 3 == 1)
			cr_assert_eq(mq_timedsend(other, text, strlen(text), 0, &deadline), 0);
		door_grant_both(door, i % 2 ? 0 : PERMISSIONS_ALL, PERMISSIONS_ALL);
		if (i % 3 == 2)
			cr_assert_eq(mq_timedsend(other, text, strlen(text), 0, &deadline), 0);
	}
}

Test(undisturbed, a_receiver_of_another_queue_gets_each_message_once)
{
	struct mq_attr attributes;
	struct door door;

	door_open(&door, NOBODY, NULL, receive_all);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	other = mq_open(door.stage->other, O_RDWR);
	cr_assert(other >= 0);
	door_go(&door);
	send_all(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], ROUNDS, "%ld came as sent", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], 0, "%ld did not", door.stage->results[1]);
	cr_assert_eq(mq_getattr(other, &attributes), 0);
	cr_expect_eq(attributes.mq_curmsgs, 0);
}

/* --- what is left of a permission --- */

static void *receive_later(void *unused)
{
	char buffer[32];

	(void)unused;
	the_stage->results[10] = result_of(mq_receive(queue, buffer, sizeof(buffer), NULL));
	return NULL;
}

static void use_both_directions(struct stage *stage, int first)
{
	struct timespec past = {0};
	char buffer[32];

	stage->results[first] = result_of(mq_timedsend(queue, "abc", 3, 0, &past));
	stage->results[first + 1] =
		result_of(mq_timedreceive(queue, buffer, sizeof(buffer), NULL, &past));
	stage->results[first + 2] = result_of(mq_getattr(queue, &(struct mq_attr){0}));
	stage->results[first + 3] = queue;
	stage->results[first + 4] = result_of(fcntl(queue, F_GETFL));
	stage->results[first + 5] = result_of(fcntl(queue, F_GETFD));
	stage->results[first + 6] = result_of(mq_send(other, "x", 1, 0));
	(void)mq_receive(other, buffer, sizeof(buffer), NULL);
}

static void use_narrowed(struct stage *stage)
{
	pthread_t thread;

	the_stage = stage;
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	app_pause(stage); /* in one of two tests the other one is narrowed first */
	(void)fcntl(queue, F_SETFL, O_NONBLOCK);
	use_both_directions(stage, 20);
	(void)fcntl(queue, F_SETFL, 0);
	stage->results[10] = 1;
	if (pthread_create(&thread, NULL, receive_later, NULL) != 0)
		_exit(110);
	(void)usleep(100000);
	app_pause(stage); /* narrowed */
	app_pause(stage); /* one message, or refused */
	(void)pthread_join(thread, NULL);
	(void)fcntl(queue, F_SETFL, O_NONBLOCK);
	use_both_directions(stage, 30);
}

static void narrow_to(struct door *door, uint32_t left, uint32_t on_other)
{
	door_open(door, NOBODY, NULL, use_narrowed);
	door_begin(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(door, PERMISSIONS_ALL, on_other);
	door_go(door);
	door_wait(door);
	door_grant_both(door, left, on_other);
	door_go(door);
	door_wait(door);
	queue = mq_open(door->stage->queue, O_WRONLY);
	cr_assert_eq(mq_send(queue, "message", 7, 0), 0);
	door_go(door);
	door_close(door);
	for (int i = 3; i < 7; i++)
		cr_expect_eq(door->stage->results[30 + i], door->stage->results[20 + i],
			"number, flags, close-on-exec or the other queue: %d", i);
	cr_expect_eq(door->stage->results[34] & (O_ACCMODE | O_NONBLOCK), O_RDWR | O_NONBLOCK);
	cr_expect_eq(door->stage->results[32], 0, "its attributes");
}

/* The session process carries calls out from the first loss on: tried as the first, and later. */
#define LESS (PERMISSIONS_ALL & ~(uint32_t)PERMISSION_DELETE)

static void expect_left_to_read(uint32_t on_other)
{
	struct door door;

	narrow_to(&door, PERMISSION_READ, on_other);
	cr_expect_eq(
		door.stage->results[10], 7, "the blocked receiver: %ld", door.stage->results[10]);
	cr_expect_eq(door.stage->results[30], -EACCES, "send: %ld", door.stage->results[30]);
	cr_expect_eq(door.stage->results[31], -EAGAIN, "receive: %ld", door.stage->results[31]);
}

Test(undisturbed, what_is_left_is_to_read)
{
	expect_left_to_read(PERMISSIONS_ALL);
}

Test(undisturbed, what_is_left_is_to_read_in_a_session_that_has_lost_before)
{
	expect_left_to_read(LESS);
}

static void expect_left_to_write(uint32_t on_other)
{
	struct door door;

	narrow_to(&door, PERMISSION_WRITE, on_other);
	cr_expect_eq(door.stage->results[10], -EACCES, "the blocked receiver: %ld",
		door.stage->results[10]);
	cr_expect_eq(door.stage->results[30], 0, "send: %ld", door.stage->results[30]);
	cr_expect_eq(door.stage->results[31], -EACCES, "receive: %ld", door.stage->results[31]);
}

Test(undisturbed, what_is_left_is_to_write)
{
	expect_left_to_write(PERMISSIONS_ALL);
}

Test(undisturbed, what_is_left_is_to_write_in_a_session_that_has_lost_before)
{
	expect_left_to_write(LESS);
}
