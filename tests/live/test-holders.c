/* SPDX-License-Identifier: MIT */
/* The manager's question who holds what was taken, and the answers of the session process. */
#include <dirent.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "door.h"
#include "support.h"
#include "lists.h"

#define WAIT_USEC 1500000

static void hold(struct stage *stage)
{
	mqd_t queue;

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
	door_begin(door, PERMISSIONS_ALL, 0);
	door_grant(door, 0);
}

Test(holders, are_counted_and_let_go)
{
	struct session_message held;
	struct door door;

	open_held(&door);
	door_ask(&door, 7, 0, false);
	held = door_answer(&door);
	cr_expect_eq(held.found.number, 7);
	cr_expect_eq(held.found.error, 0);
	cr_expect_eq(held.found.processes, 1);
	cr_expect_eq(held.found.killed, 0);
	door_grant(&door, PERMISSION_READ);
	door_ask(&door, 8, 0, false);
	cr_expect_eq(door_answer(&door).found.processes, 1, "it may write through it");
	door_grant(&door, PERMISSION_READ | PERMISSION_WRITE);
	door_ask(&door, 9, 0, false);
	cr_expect_eq(door_answer(&door).found.processes, 0, "it is granted again");
	door_grant(&door, 0);
	door_go(&door);
	door_wait(&door);
	door_ask(&door, 10, 0, false);
	cr_expect_eq(door_answer(&door).found.processes, 0, "it is closed");
	door_go(&door);
	door_close(&door);
}

Test(holders, are_killed)
{
	struct session_message held;
	struct door door;

	open_held(&door);
	door_ask(&door, 1, 0, true);
	held = door_answer(&door);
	cr_expect_eq(held.found.killed, 1);
	cr_expect_eq(held.found.left, 0);
	door_close_killed(&door);
}

/* What runs under the listener's filter but does not carry the session's number is not killed. */
Test(holders, nobody_is_killed_without_a_proof)
{
	struct session_message held;
	struct door door;

	door_other_filter_id = 1;
	open_held(&door);
	door_ask(&door, 1, 0, true);
	held = door_answer(&door);
	cr_expect_eq(held.found.killed, 0);
	cr_expect_eq(held.found.left, 1, "and that is said");
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
		door_ask(&door, (uint64_t)i, WAIT_USEC, false);
	door_ask(&door, HOLDER_LOOKS_MAX, 0, false);
	cr_expect_eq(door_answer(&door).found.error, -EAGAIN);
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++) {
		struct session_message held = door_answer(&door);

		/* Another look may have it stopped just then. */
		cr_expect_eq(held.found.processes + held.found.unknown, 1);
	}
	/* The children have ended; one may be about to. */
	(void)usleep(200000);
	door_ask(&door, 100, 0, false);
	cr_expect_eq(door_answer(&door).found.error, 0);
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
	door_ask(&door, 1, 60 * 1000000ULL, false);
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
	door_ask(&door, 1, WAIT_USEC, false);
	door_grant_both(&door, 0, PERMISSION_READ);
	door_go(&door);
	door_wait(&door);
	cr_expect_eq(door_answer(&door).found.processes, 0, "and it sees that it is closed");
	door_go(&door);
	door_close(&door);
}

static void *move_about(void *queue)
{
	int a = *(mqd_t *)queue, b = a + 100;

	for (;;) {
		(void)dup2(a, b);
		(void)close(a);
		(void)dup2(b, a);
		(void)close(b);
	}
	return NULL;
}

static void hold_moving(struct stage *stage)
{
	pthread_t thread;
	mqd_t queue;

	app_pause(stage);
	queue = mq_open(stage->queue, O_RDWR | O_CREAT, 0600, NULL);
	(void)pthread_create(&thread, NULL, move_about, &queue);
	app_pause(stage);
	app_pause(stage);
}

/* It is in the table at every moment, and may be behind the number that is looked at. */
Test(holders, what_moves_about_in_the_table_is_told)
{
	struct door door;

	door_open_as(&door, MEDIATION_OPEN, 0, NULL, hold_moving);
	door_begin(&door, PERMISSIONS_ALL, 0);
	door_grant(&door, 0);
	for (uint64_t i = 1; i <= 20; i++) {
		struct session_message held;

		door_ask(&door, i, 0, false);
		held = door_answer(&door);
		cr_expect_gt(held.found.processes + held.found.unknown, 0, "look %d", (int)i);
	}
	door_ask(&door, 21, 0, true);
	(void)door_answer(&door);
	door_close_killed(&door);
}

static rlim_t highest_descriptor(pid_t pid)
{
	struct dirent *entry;
	rlim_t highest = 0;
	char path[32];
	DIR *table;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	table = opendir(path);
	cr_assert_not_null(table);
	while ((entry = readdir(table)))
		highest = MAX(highest, (rlim_t)strtoul(entry->d_name, NULL, 10));
	(void)closedir(table);
	return highest;
}

/* Whatever a lack of descriptors keeps from being looked at is told: never is nobody found. */
Test(holders, what_cannot_be_looked_at_is_told)
{
	struct rlimit enough;
	unsigned lacking = 0;
	struct door door;
	rlim_t used;

	open_held(&door);
	used = highest_descriptor(door.session) + 1;
	cr_assert_eq(prlimit(door.session, RLIMIT_NOFILE, NULL, &enough), 0);
	/* One for the question itself. */
	for (rlim_t more = 1; more <= 12; more++) {
		const struct rlimit few = {used + more, enough.rlim_max};
		struct session_message held;

		cr_assert_eq(prlimit(door.session, RLIMIT_NOFILE, &few, NULL), 0);
		door_ask(&door, more, 0, false);
		held = door_answer(&door);
		cr_expect(held.found.error != 0 || held.found.processes + held.found.unknown > 0,
			"with %lu descriptors more", (unsigned long)more);
		lacking += held.found.error != 0 || held.found.unknown > 0;
	}
	cr_expect_gt(lacking, 3, "%u", lacking);
	cr_assert_eq(prlimit(door.session, RLIMIT_NOFILE, &enough, NULL), 0);
	door_go(&door);
	door_wait(&door);
	door_go(&door);
	door_close(&door);
}

static struct session_message look_at_lists(
	struct door *door, const char *ending, enum list_fault fault)
{
	struct session_message held;

	lists_spoil(ending, fault);
	door_ask(door, 1, 0, false);
	held = door_answer(door);
	lists_spoil(ending, LIST_WELL);
	return held;
}

/* Other tests have apps, of which it cannot be told then, either. The end of a list is believed if
 * there was no error, and as many threads as the kernel counts. */
Test(holders, a_list_that_fails_or_ends_early_is_told)
{
	struct session_message held;
	struct door door;

	lists_prepare();
	open_held(&door);
	held = look_at_lists(&door, "/fd", LIST_FAILS);
	cr_expect_eq(held.found.error, 0);
	cr_expect_gt(held.found.unknown, 0, "descriptors: %u", held.found.unknown);
	held = look_at_lists(&door, "/task", LIST_FAILS);
	cr_expect_gt(held.found.unknown, 0, "threads: %u", held.found.unknown);
	held = look_at_lists(&door, "/task", LIST_ENDS_EARLY);
	cr_expect_gt(
		held.found.unknown, 0, "threads that are not in the list: %u", held.found.unknown);
	held = look_at_lists(&door, "/proc", LIST_FAILS);
	cr_expect_eq(held.found.error, -EIO);
	held = look_at_lists(&door, "/none", LIST_FAILS);
	cr_expect_eq(held.found.processes, 1);
	door_go(&door);
	door_wait(&door);
	door_go(&door);
	door_close(&door);
}

static void hold_with_children(struct stage *stage)
{
	app_pause(stage);
	(void)mq_open(stage->queue, O_RDWR | O_CREAT, 0600, NULL);
	for (int i = 0; i <= HOLDERS_PIDS_MAX; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, 0);
			(void)alarm(9 * (unsigned)DOOR_DEADLINE_SECONDS);
			for (;;)
				(void)pause();
		}
		stage->results[i] = pid;
	}
	app_pause(stage);
	app_pause(stage);
}

/* We trace them, so that it cannot be told whose they are. */
Test(holders, who_is_left_is_named)
{
	struct session_message held;
	struct door door;

	door_open_as(&door, MEDIATION_OPEN, 0, NULL, hold_with_children);
	door_begin(&door, PERMISSIONS_ALL, 0);
	door_grant(&door, 0);
	for (int i = 0; i <= HOLDERS_PIDS_MAX; i++)
		cr_assert_eq(ptrace(PTRACE_SEIZE, door.stage->results[i], NULL, NULL), 0);
	door_ask(&door, 1, 0, true);
	held = door_answer(&door);
	cr_expect_eq(held.found.killed, 1);
	cr_expect_eq(held.found.left, HOLDERS_PIDS_MAX + 1, "%u", held.found.left);
	for (int i = 0; i < HOLDERS_PIDS_MAX; i++) {
		bool named = false;

		for (int j = 0; j <= HOLDERS_PIDS_MAX; j++)
			named = named || held.found.left_pids[i] == door.stage->results[j];
		cr_expect(named, "%d", held.found.left_pids[i]);
	}
	for (int i = 0; i <= HOLDERS_PIDS_MAX; i++)
		(void)kill((pid_t)door.stage->results[i], SIGKILL);
	door_close_killed(&door);
}
