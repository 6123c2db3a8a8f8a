/* SPDX-License-Identifier: MIT */
/* The bounds of what waits inside the door, and of the threads inside calls. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "daemon/session/session.h"
#include "include/protocol.h"
#include "include/util.h"
#include "daemon/session/call/refusals.h"
#include "daemon/session/call/blocked.h"
#include "include/util.h"

static struct waiters waiters;
static struct inflight *inflight;
static uint64_t latest_id;
static struct counters counters;

static void setup(void)
{
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert_eq(ftruncate(fd, (off_t)INFLIGHT_SIZE), 0);
	cr_assert_eq(inflight_map(fd, &inflight), 0);
}

TestSuite(blocked, .init = setup);
TestSuite(refusals, .init = setup);
TestSuite(threads, .init = setup);

static int add(enum mq_call call, uint64_t size)
{
	struct emulated emulated = EMULATED_NONE;
	struct target target = TARGET_CLOSED;

	emulated.call = (struct data_call){.call = call, .size = size};
	inflight->notification.id = ++latest_id;
	return waiters_add(&waiters, inflight, &target, &emulated,
		&(struct wanted){.name = "queue",
			.spaces = SPACE_CALLER,
			.needs = PERMISSION_READ,
			.counters = &counters});
}

static int add_open(void)
{
	static const struct request request = {.call = MQ_CALL_OPEN, .name = "queue"};
	struct target target = TARGET_CLOSED;

	inflight->notification.id = ++latest_id;
	return waiters_add_open(&waiters, inflight, &target, &request,
		&(struct wanted){.name = "queue", .needs = PERMISSION_READ, .counters = &counters});
}

/* No listener: whoever is answered is dropped all the same. */
static void refuse_all(void)
{
	struct grants *none;

	cr_assert_eq(grants_new(1, &none), 0);
	grants_seal(none);
	waiters_revise(&waiters, -1, none);
	(void)grants_free(none);
}

Test(blocked, at_the_bound_a_further_call_is_refused)
{
	for (int i = 0; i < SESSION_WAITING_MAX; i++)
		cr_assert_eq(add(MQ_CALL_RECEIVE, SESSION_MESSAGE_MAX), 0, "call %d", i);
	cr_expect_eq(add(MQ_CALL_RECEIVE, 1), -ENOSPC);
	cr_expect_eq(add_open(), -ENOSPC);
	cr_expect_eq(waiters.count, (size_t)SESSION_WAITING_MAX);
	refuse_all();
	cr_expect_eq(waiters.count, 0U);
	cr_expect_eq(add(MQ_CALL_RECEIVE, 1), 0, "there is room again");
	cr_expect_eq(add_open(), 0);
	cr_expect_eq(inflight->waiting_used, (uint32_t)SESSION_WAITING_MAX);
}

Test(blocked, at_the_bound_of_bytes_a_further_message_is_refused)
{
	const int count = SESSION_WAITING_BYTES_MAX / SESSION_MESSAGE_MAX;

	for (int i = 0; i < count; i++)
		cr_assert_eq(add(MQ_CALL_SEND, SESSION_MESSAGE_MAX), 0, "message %d", i);
	cr_expect_eq(add(MQ_CALL_SEND, 1), -ENOSPC);
	cr_expect_eq(add(MQ_CALL_SEND, 0), 0, "an empty one");
	cr_expect_eq(add(MQ_CALL_RECEIVE, SESSION_MESSAGE_MAX), 0, "a receiver holds none");
	refuse_all();
	cr_expect_eq(waiters.bytes, 0U);
	cr_expect_eq(add(MQ_CALL_SEND, SESSION_MESSAGE_MAX), 0, "there is room again");
}

Test(refusals, the_first_are_answered_at_once_and_later_ones_later_and_later)
{
	static struct refusals refusals;
	uint64_t now = 5000000, previous = 0, delay;

	for (int i = 0; i < REFUSALS_AT_ONCE; i++)
		cr_assert_eq(refusals_count(&refusals, 7, now++), 0U, "refusal %d", i);
	for (int i = 0; i < 1000; i++) {
		delay = refusals_count(&refusals, 7, now++);
		cr_assert(delay > 0 && delay >= previous && delay <= REFUSAL_DELAY_MAX_USEC);
		previous = delay;
	}
	cr_expect_eq(previous, REFUSAL_DELAY_MAX_USEC);
	cr_expect_eq(refusals_count(&refusals, 8, now), 0U, "another queue");
	for (int i = 0; i < 1000; i++)
		delay = refusals_count(&refusals, 8, now);
	cr_expect_eq(delay, REFUSAL_DELAY_MAX_USEC / 2, "two of them share it");
	for (uint32_t queue = 9; queue < 109; queue++)
		for (int i = 0; i < 1000; i++)
			delay = refusals_count(&refusals, queue, now);
	cr_expect_eq(delay, REFUSAL_DELAY_LEAST_USEC, "a hundred");
	refusals = (struct refusals){.of[7] = refusals.of[7]};
	now += REFUSALS_FORGET_USEC - 2;
	cr_expect_eq(
		refusals_count(&refusals, 7, now), REFUSAL_DELAY_MAX_USEC, "less than a second");
	now += REFUSALS_FORGET_USEC;
	cr_expect_eq(refusals_count(&refusals, 7, now), 0U, "a second without one");
}

static int delay(uint64_t until)
{
	inflight->notification.id = ++latest_id;
	return waiters_delay(&waiters, inflight, until);
}

Test(refusals, at_the_bound_a_further_one_is_answered_at_once)
{
	for (int i = 0; i < REFUSALS_DELAYED_MAX; i++)
		cr_assert_eq(delay(UINT64_MAX), 0, "refusal %d", i);
	cr_expect_eq(delay(UINT64_MAX), -ENOSPC);
	cr_expect_eq(add(MQ_CALL_RECEIVE, 1), 0, "a call that waits has room");
	refuse_all();
	cr_expect_eq(waiters.count, 0U, "new grants end all of them");
	cr_expect_eq(delay(UINT64_MAX), 0);
}

Test(refusals, are_answered_when_their_time_has_come)
{
	static struct pollfd fds[2];
	static struct done_call done;
	uint64_t now = now_usec();

	waiters.next_look = UINT64_MAX;
	cr_assert_eq(delay(now + 10000000), 0);
	cr_assert_eq(delay(now), 0);
	waiters_poll(&waiters, fds);
	cr_expect(fds[0].fd < 0 && fds[1].fd < 0, "no queue wakes them");
	cr_expect_eq(waiters_timeout(&waiters), 0);
	waiters_serve(&waiters, -1, fds, &done);
	cr_expect_eq(waiters.count, 1U);
	cr_expect(waiters_timeout(&waiters) > 5000 && waiters_timeout(&waiters) <= 10000);
}

/* A child that runs, and so may be on its way into a call, as far as one can tell. */
static pid_t start_child(void)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	while (pid == 0)
		;
	return pid;
}

Test(threads, at_the_bound_a_further_one_is_refused)
{
	pid_t busy = start_child(), child = start_child();
	struct threads *threads = &inflight->threads;

	for (int i = 0; i < SESSION_THREADS_MAX; i++)
		threads->entries[i] = (struct thread){.tid = busy};
	threads->count = SESSION_THREADS_MAX;
	cr_expect_eq(threads_note(threads, child, 0, 0), -ENOSPC);
	cr_expect_eq(threads->count, (uint32_t)SESSION_THREADS_MAX);
	threads->entries[7].tid = INT32_MAX; /* no such thread any more */
	cr_expect_eq(threads_note(threads, child, 0, 0), 0, "those outside are forgotten");
	cr_expect_eq(threads->count, (uint32_t)SESSION_THREADS_MAX);
	(void)kill(busy, SIGKILL);
	(void)waitpid(busy, NULL, 0);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}

/* It has taken the claim from that of the next manager, perhaps, and what it was told is old. */
Test(inflight, is_not_touched_for_a_manager_that_has_ended)
{
	static struct supervisor session = {.listener = -EBADF};
	const struct session_message attach = {
		.type = SESSION_ATTACH, .attach = {.record_rate = 1, .capabilities = UINT64_MAX}};
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);
	_cleanup_close_ int listener = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const int fds[] = {listener, fd};
	int sockets[2];

	cr_assert_eq(ftruncate(fd, (off_t)INFLIGHT_SIZE), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	cr_assert_eq(own_identity_get(&session.own), 0);
	session.channel = sockets[1];
	cr_assert_eq(message_send(sockets[0], &attach, sizeof(attach), fds, 2), 0);
	(void)close(sockets[0]);
	cr_expect_eq(session_take_message(&session), -EPIPE);
	cr_expect_null(session.inflight);
	(void)close(sockets[1]);
}
