/* SPDX-License-Identifier: MIT */
/* The bounds of what waits inside the door, and of the threads inside calls. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "daemon/session/waiting.h"
#include "include/util.h"

static struct waiters waiters;
static struct inflight *inflight;
static uint64_t latest_id;

static void setup(void)
{
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert_eq(ftruncate(fd, (off_t)INFLIGHT_SIZE), 0);
	cr_assert_eq(inflight_map(fd, &inflight), 0);
}

TestSuite(waiting, .init = setup);
TestSuite(threads, .init = setup);

static int add(enum mq_call call, uint64_t size)
{
	struct carried carried = CARRIED_NONE;
	struct target target = TARGET_CLOSED;

	carried.call = (struct data_call){.call = call, .size = size};
	inflight->notification.id = ++latest_id;
	return waiters_add(&waiters, inflight, &target, &carried, "queue", PERMISSION_READ);
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

Test(waiting, at_the_bound_a_further_call_is_refused)
{
	for (int i = 0; i < SESSION_WAITING_MAX; i++)
		cr_assert_eq(add(MQ_CALL_RECEIVE, SESSION_MESSAGE_MAX), 0, "call %d", i);
	cr_expect_eq(add(MQ_CALL_RECEIVE, 1), -ENOSPC);
	cr_expect_eq(waiters.count, (size_t)SESSION_WAITING_MAX);
	refuse_all();
	cr_expect_eq(waiters.count, 0U);
	cr_expect_eq(add(MQ_CALL_RECEIVE, 1), 0, "there is room again");
	cr_expect_eq(inflight->waiting_used, (uint32_t)SESSION_WAITING_MAX);
}

Test(waiting, at_the_bound_of_bytes_a_further_message_is_refused)
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

/* A child that runs, and so may be on its way into a call, as far as one can tell. */
static pid_t start_child(void)
{
	pid_t pid = fork();

	cr_assert(pid >= 0);
	while (pid == 0)
		;
	return pid;
}

static int open_process(pid_t pid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

Test(threads, at_the_bound_a_further_one_is_refused)
{
	pid_t busy = start_child(), child = start_child();
	_cleanup_close_ int proc = open_process(child);
	struct threads *threads = &inflight->threads;

	for (int i = 0; i < SESSION_THREADS_MAX; i++)
		threads->entries[i] = (struct thread){.tid = busy};
	threads->count = SESSION_THREADS_MAX;
	cr_expect_eq(threads_note(threads, proc, child, 0), -ENOSPC);
	cr_expect_eq(threads->count, (uint32_t)SESSION_THREADS_MAX);
	threads->entries[7].tid = INT32_MAX; /* no such thread any more */
	cr_expect_eq(threads_note(threads, proc, child, 0), 0, "those outside are forgotten");
	cr_expect_eq(threads->count, (uint32_t)SESSION_THREADS_MAX);
	(void)kill(busy, SIGKILL);
	(void)waitpid(busy, NULL, 0);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
}
