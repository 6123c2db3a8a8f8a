/* SPDX-License-Identifier: MIT */
/* Descriptors that are exchanged under a call: nothing gets to a queue that was taken away. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdatomic.h>

#include "daemon/session/call/refusals.h"
#include "door.h"
#include "support.h"
#include "tests/patience.h"

static mqd_t queue, other;

/* Every refusal at once: the more tries, the better. */
uint64_t __wrap_refusals_count(struct refusals *refusals, uint32_t place, uint64_t now);
uint64_t __wrap_refusals_count(struct refusals *refusals, uint32_t place, uint64_t now)
{
	return 0;
}

static atomic_bool stop;
static int number;

static void *exchange(void *unused)
{
	(void)unused;
	while (!stop) {
		(void)dup2(queue, number);
		(void)dup2(other, number);
	}
	return NULL;
}

static void cheat(struct stage *stage)
{
	struct timespec past = {0};
	long got = 0;

	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	number = dup(other);
	app_pause(stage); /* the first one is taken away */
	in_background(exchange);
	for (int i = 0; i < 50000 / patience(); i++)
		if (mq_timedsend(number, "stolen", 6, 0, &past) == 0)
			got++;
		else if (errno == ETIMEDOUT)
			(void)mq_timedreceive(other, (char[32]){0}, 32, NULL, &past);
	stop = true;
	stage->results[0] = got;
}

Test(exchange, exchanged_descriptors_let_nothing_through)
{
	struct mq_attr attributes;
	struct door door;

	door_open(&door, NOBODY, NULL, cheat);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	queue = mq_open(door.stage->queue, O_RDONLY);
	cr_assert(queue >= 0);
	door_go(&door);
	door_close(&door);
	cr_expect_gt(door.stage->results[0], 0, "the queue that is still granted works");
	cr_assert_eq(mq_getattr(queue, &attributes), 0);
	cr_expect_eq(attributes.mq_curmsgs, 0, "%ld messages got through", attributes.mq_curmsgs);
}

/* --- a queue from outside --- */

static void open_outside(struct stage *stage)
{
	queue = open_new(stage->queue);
	if (queue < 0)
		_exit(114);
}

static void cheat_with_a_foreign_one(struct stage *stage)
{
	struct timespec past = {0};

	app_pause(stage);
	other = open_new(stage->other);
	number = dup(other);
	stage->results[1] = result_of(mq_timedsend(queue, "shown", 5, 0, &past));
	in_background(exchange);
	for (int i = 0; i < 20000 / patience(); i++)
		if (mq_timedsend(number, "stolen", 6, 0, &past) == 0)
			stage->results[0]++;
		else if (errno == ETIMEDOUT)
			(void)mq_timedreceive(other, (char[32]){0}, 32, NULL, &past);
	stop = true;
}

Test(exchange, a_foreign_queue_once_refused_is_not_reached_by_exchanging)
{
	struct mq_attr attributes;
	struct door door;

	door_open(&door, NOBODY, open_outside, cheat_with_a_foreign_one);
	door_wait(&door);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	queue = mq_open(door.stage->queue, O_RDONLY);
	cr_assert(queue >= 0);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[1], -EACCES);
	cr_expect_gt(door.stage->results[0], 0);
	cr_assert_eq(mq_getattr(queue, &attributes), 0);
	cr_expect_eq(attributes.mq_curmsgs, 0, "%ld messages got through", attributes.mq_curmsgs);
}
