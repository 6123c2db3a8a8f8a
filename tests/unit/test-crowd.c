/* SPDX-License-Identifier: MIT */
/* Many descriptors that become ready at once. */
#include <criterion/criterion.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "daemon/manager/core/crowd.h"
#include "include/util.h"

#define MEMBERS 500

static sd_event *event;
static struct crowd crowd = {.fd = -EBADF};
static struct watch *watches[MEMBERS];
static int fds[MEMBERS];
static size_t called[MEMBERS];

static void begin(void)
{
	cr_assert_geq(sd_event_new(&event), 0);
	cr_assert_eq(crowd_begin(event, &crowd), 0);
}

static void end(void)
{
	for (size_t i = 0; i < MEMBERS; i++)
		watches[i] = watch_end(watches[i]);
	crowd_end(&crowd);
	event = sd_event_unref(event);
}

TestSuite(crowd, .init = begin, .fini = end);

static void watch_all(watch_handler_t handler)
{
	for (size_t i = 0; i < MEMBERS; i++) {
		fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		cr_assert_geq(fds[i], 0);
		cr_assert_eq(
			crowd_watch(&crowd, fds[i], EPOLLIN, handler, &fds[i], &watches[i]), 0);
	}
}

static size_t rounds_until_quiet(void)
{
	size_t rounds = 0;

	while (sd_event_run(event, 0) > 0)
		rounds++;
	return rounds;
}

static void count(int fd, uint32_t events, void *userdata)
{
	const size_t i = (size_t)((int *)userdata - fds);
	eventfd_t value;

	cr_assert_eq(fd, fds[i]);
	cr_assert_eq(events, (uint32_t)EPOLLIN);
	cr_assert_eq(eventfd_read(fd, &value), 0);
	called[i]++;
}

Test(crowd, each_is_called_once_and_many_in_one_round)
{
	watch_all(count);
	cr_expect_leq(rounds_until_quiet(), MEMBERS / 50);
	for (size_t i = 0; i < MEMBERS; i++)
		cr_assert_eq(called[i], 1, "%zu", i);
	cr_assert_eq(eventfd_write(fds[7], 1), 0);
	cr_expect_eq(rounds_until_quiet(), 1);
	cr_expect_eq(called[7], 2);
}

static size_t calls;

/* Its own, and of another that is ready. */
static void end_two(int fd, uint32_t events, void *userdata)
{
	const size_t i = (size_t)((int *)userdata - fds), other = i ^ 1;

	cr_assert_not_null(watches[i], "%zu has ended", i);
	watches[i] = watch_end(watches[i]);
	watches[other] = watch_end(watches[other]);
	calls++;
}

Test(crowd, who_is_ended_is_not_called_any_more)
{
	watch_all(end_two);
	(void)rounds_until_quiet();
	cr_expect_eq(calls, MEMBERS / 2);
}

Test(crowd, a_descriptor_that_cannot_be_watched)
{
	cr_expect_eq(crowd_watch(&crowd, -EBADF, EPOLLIN, count, NULL, &watches[0]), -EBADF);
	cr_expect_null(watches[0]);
	cr_expect_null(watch_end(NULL));
}
