/* SPDX-License-Identifier: MIT */
/* What a session process keeps of callers and of the files it opened. */
#include <fcntl.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/target/cache.h"
#include "daemon/session/target/opened.h"
#include "door.h"

static struct opened opened;
static struct callers callers;
static pid_t child;
static char name[64];

static void setup(void)
{
	need_root();
	(void)snprintf(name, sizeof(name), "/mqgate-live-opened-%d", getpid());
}

static void stop_child(void)
{
	if (child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
	child = 0;
}

static void teardown(void)
{
	stop_child();
	(void)mq_unlink(name);
}

TestSuite(opened, .init = setup, .fini = teardown);

static int open_one(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
	int queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attributes);

	cr_assert(queue >= 0);
	return queue;
}

/* With a copy of every descriptor of ours. */
static void start_child(void)
{
	child = fork();
	cr_assert(child >= 0);
	if (child == 0) {
		(void)pause();
		_exit(0);
	}
}

static struct queue_key key_of(int queue)
{
	struct descriptor descriptor;

	cr_assert_eq(own_descriptor(queue, &descriptor), 0);
	return descriptor.key;
}

static bool finds(int fd, struct queue_key key)
{
	struct queue_key found = {0};

	return opened_find(&opened, child, fd, &found) && found.device == key.device &&
	       found.inode == key.inode;
}

Test(opened, the_same_file_is_found)
{
	int queue = open_one(), other = open_one();
	struct queue_key key = key_of(queue);

	start_child();
	cr_expect_not(finds(queue, key), "nothing is watched");
	opened_hint(&opened, child, queue, opened_watch(&opened, queue, key));
	cr_expect(finds(queue, key));
	(void)mq_close(queue);
	cr_expect(finds(queue, key), "our own descriptor is not needed");
	opened_hint(&opened, child, other, 0);
	cr_expect_not(finds(other, key), "the same queue, but another file");
	opened_hint(&opened, child, 0, 0);
	cr_expect_not(finds(0, key));
	opened_hint(&opened, child, -1, 0);
	cr_expect_not(finds(-1, key));
}

Test(opened, a_number_is_not_believed)
{
	int queue = open_one();
	struct queue_key key = key_of(queue);

	opened_hint(&opened, getpid(), queue, opened_watch(&opened, queue, key));
	child = getpid();
	cr_expect(finds(queue, key));
	cr_assert_eq(dup2(0, queue), queue);
	cr_expect_not(finds(queue, key), "the number names something else now");
	child = 0;
}

Test(opened, a_file_is_learned_by_its_queue)
{
	int queue = open_one(), other = open_one();
	struct queue_key key = key_of(queue);

	start_child();
	(void)opened_watch(&opened, queue, key);
	opened_hint(&opened, child, other, opened_watch(&opened, other, key));
	cr_expect_not(finds(queue, (struct queue_key){0}));
	opened_hint(&opened, child, queue, 1);
	cr_expect_not(finds(queue, key), "hinted is the other file");
	opened_learn(&opened, child, queue, (struct queue_key){key.device, key.inode + 1});
	cr_expect_not(finds(queue, key));
	opened_learn(&opened, child, queue, key);
	cr_expect(finds(queue, key));
	cr_expect(finds(other, key));
}

Test(opened, past_the_bound_the_oldest_is_no_longer_watched)
{
	int first = open_one(), latest = -1, place = -1;
	struct queue_key key = key_of(first);

	opened_hint(&opened, getpid(), first, opened_watch(&opened, first, key));
	child = getpid();
	for (int i = 1; i < SESSION_WATCHED_MAX; i++) {
		latest = open_one();
		place = opened_watch(&opened, latest, key);
		opened_hint(&opened, child, latest, place);
	}
	cr_expect_eq(place, SESSION_WATCHED_MAX - 1);
	cr_expect(finds(first, key));
	latest = open_one();
	cr_expect_eq(opened_watch(&opened, latest, key), 0);
	cr_expect_not(finds(first, key));
	opened_learn(&opened, child, first, key);
	cr_expect_not(finds(first, key));
	opened_learn(&opened, child, latest, key);
	cr_expect(finds(latest, key));
	child = 0;
}

/* One queue fits; the second only if the first is gone for good. */
Test(opened, a_watched_queue_does_not_outlive_its_descriptors)
{
	struct rlimit limit = {1000, 1000};
	int queue;

	cr_assert_eq(setrlimit(RLIMIT_MSGQUEUE, &limit), 0);
	cr_assert_eq(setresuid(54321, 54321, 54321), 0);
	queue = open_one();
	(void)opened_watch(&opened, queue, key_of(queue));
	cr_assert_eq(mq_unlink(name), 0);
	cr_expect_lt(mq_open(name, O_RDWR | O_CREAT, 0600, NULL), 0, "it is charged while open");
	(void)mq_close(queue);
	queue = open_one();
	(void)mq_close(queue);
}

/* A child of that number. */
static pid_t child_numbered(pid_t number)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	return pid;
}

Test(opened, what_is_kept_of_a_thread_ends_with_it)
{
	_cleanup_free_ char *text = NULL;
	struct target target;
	pid_t number;

	start_child();
	number = child;
	callers_lend(&callers, number, &target);
	cr_expect_not(target.lent, "nothing is kept yet");
	cr_assert_eq(target_open(number, &target), 0);
	cr_assert_eq(target_status(&target, &text), 0);
	callers_keep(&callers, &target);
	target_close(&target);
	freep(&text);
	text = NULL;

	callers_lend(&callers, number, &target);
	cr_expect(target.lent);
	cr_expect_eq(target_status(&target, &text), 0, "it is open after its borrower has closed");
	callers_lend(&callers, number + SESSION_CALLERS_MAX, &target);
	cr_expect_not(target.lent, "another thread with the same place");

	stop_child();
	child = child_numbered(number);
	cr_assert_eq(child, number, "the number is in use again");
	callers_lend(&callers, number, &target);
	freep(&text);
	text = NULL;
	cr_expect_eq(target_status(&target, &text), -ESRCH, "but not by the thread that was kept");
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

Test(opened, callers_past_the_bound_take_a_place_of_another)
{
	_cleanup_free_ char *text = NULL;
	struct target first, target;

	start_child();
	cr_assert_eq(target_open(child, &first), 0);
	cr_assert_eq(target_status(&first, &text), 0);
	callers_keep(&callers, &first);
	cr_assert_eq(target_open(child, &target), 0);
	target.tid = child + SESSION_CALLERS_MAX;
	callers_keep(&callers, &target);
	cr_expect_not(is_open(first.proc));
	cr_expect_not(is_open(first.status));
	cr_expect(is_open(target.proc));
	cr_expect(is_open(0), "nothing else was closed");
	callers_lend(&callers, child, &target);
	cr_expect_not(target.lent);
	callers_lend(&callers, child + SESSION_CALLERS_MAX, &target);
	cr_expect(target.lent);
}
