/* SPDX-License-Identifier: MIT */
/* A session that has lost something: its calls wait inside the door. */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>

#include "door.h"
#include "include/util.h"
#include "support.h"

static mqd_t queue, other;
static struct stage *the_stage;

static void lose_something(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	app_pause(stage);
}

static volatile sig_atomic_t handled;

static void on_signal(int signal)
{
	handled += signal != 0;
}

static void *signal_me(void *argument)
{
	pthread_t *me = argument;

	(void)usleep(100000);
	(void)pthread_kill(*me, SIGUSR1);
	(void)usleep(300000);
	(void)mq_send(other, "late", 4, 0);
	return NULL;
}

static long receive_under_signal(int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	pthread_t me = pthread_self(), thread;
	long r;

	handled = 0;
	(void)sigaction(SIGUSR1, &action, NULL);
	(void)pthread_create(&thread, NULL, signal_me, &me);
	r = result_of(mq_receive(other, (char[32]){0}, 32, NULL));
	(void)pthread_join(thread, NULL);
	if (r < 0)
		(void)mq_receive(other, (char[32]){0}, 32, NULL);
	return handled == 1 ? r : -1000;
}

static void signals_while_waiting(struct stage *stage)
{
	lose_something(stage);
	stage->results[0] = receive_under_signal(SA_RESTART);
	stage->results[1] = receive_under_signal(0);
}

static void open_and_lose(struct door *door, void (*app)(struct stage *))
{
	door_open(door, NOBODY, NULL, app);
	door_begin(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(door, 0, PERMISSIONS_ALL);
	door_go(door);
	door_close(door);
}

Test(inside_the_door, signals_while_waiting_inside_the_door)
{
	struct door door;

	open_and_lose(&door, signals_while_waiting);
	cr_expect_eq(door.stage->results[0], 4, "with SA_RESTART: %ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], -EINTR, "without: %ld", door.stage->results[1]);
}

static int received[8];

static void *receive_share(void *argument)
{
	struct timespec timeout = in_seconds(20);
	int *count = argument;

	while (mq_timedreceive(other, (char[32]){0}, 32, NULL, &timeout) == 1)
		(*count)++;
	return NULL;
}

static void many_wait(struct stage *stage)
{
	pthread_t threads[8];

	lose_something(stage);
	for (int i = 0; i < 8; i++)
		(void)pthread_create(&threads[i], NULL, receive_share, &received[i]);
	for (int i = 0; i < 4000; i++)
		(void)mq_send(other, "x", 1, 0);
	for (int i = 0; i < 8; i++)
		(void)mq_send(other, "end", 3, 0);
	for (int i = 0; i < 8; i++) {
		(void)pthread_join(threads[i], NULL);
		stage->results[0] += received[i];
		stage->results[1] = MAX(stage->results[1], received[i]);
	}
}

Test(inside_the_door, many_wait_inside_the_door_and_none_is_lost)
{
	struct door door;

	open_and_lose(&door, many_wait);
	cr_expect_eq(door.stage->results[0], 4000);
	cr_expect_lt(door.stage->results[1], 2000, "one had %ld of 4000: not fair",
		door.stage->results[1]);
}

static void *receive(void *unused)
{
	the_stage->results[0] = result_of(mq_receive(other, (char[32]){0}, 32, NULL));
	return unused;
}

static void wait_and_lose_the_rest(struct stage *stage)
{
	the_stage = stage;
	lose_something(stage);
	in_background(receive);
	settle();
	stage->results[0] = 1;
	app_pause(stage); /* the second queue is taken away, too */
	for (int i = 0; i < 100 && stage->results[0] == 1; i++)
		(void)usleep(10000);
}

Test(inside_the_door, one_that_waits_inside_the_door_is_refused)
{
	struct door door;

	door_open(&door, NOBODY, NULL, wait_and_lose_the_rest);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	door_replace(&door);
	(void)usleep(50000);
	door_grant_both(&door, 0, 0);
	send_too_late(door.stage->other);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES, "%ld", door.stage->results[0]);
}
