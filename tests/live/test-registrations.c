/* SPDX-License-Identifier: MIT */
/* Registrations for notification: one that was made before a disconnect stays, is counted and can
 * be ended. */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "daemon/session/target/inflight.h"
#include "door.h"
#include "support.h"
#include "lists.h"

static mqd_t queue;
static struct stage *the_stage;
static volatile sig_atomic_t told;

static void on_signal(int signal)
{
	told += signal == SIGUSR1;
}

/* --- what was registered before ------------------------------------------------------------- */

/* That somebody wants it is told by a signal. */
static void lease(void)
{
	(void)signal(SIGIO, SIG_IGN);
	if (fcntl(queue, F_SETLEASE, F_WRLCK) < 0)
		_exit(111);
}

static void delete (void)
{
	if (mq_unlink(the_stage->queue) < 0)
		_exit(111);
}

static void nothing(void)
{
}

static void (*before_losing)(void);

/* As app_pause(), and goes on after a signal. */
static void wait_heeding(struct stage *stage)
{
	char byte;

	if (write(stage->ready[1], "r", 1) != 1 || read(stage->go[0], &byte, 1) != 1)
		_exit(112);
}

static void register_and_wait(struct stage *stage)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	the_stage = stage;
	(void)sigaction(SIGUSR1, &action, NULL);
	app_pause(stage);
	queue = open_new(stage->queue);
	stage->results[0] = register_by_signal(queue);
	before_losing();
	wait_heeding(stage); /* it is taken away */
	stage->results[1] = told;
	stage->results[2] = register_by_signal(queue);
	(void)mq_close(queue);
	app_pause(stage);
}

static void open_registered(struct door *door, enum mediation mediation, void (*before)(void))
{
	before_losing = before;
	door_open_as(door, mediation, NOBODY, NULL, register_and_wait);
	door_begin(door, PERMISSIONS_ALL, 0);
}

static void close_registered(struct door *door)
{
	door_go(door);
	door_close(door);
	cr_expect_eq(door->stage->results[0], 0);
	cr_expect_eq(door->stage->results[2], -EACCES, "it registered again: %ld",
		door->stage->results[2]);
}

static struct session_message look(struct door *door, uint64_t wait_usec, bool kill)
{
	door_ask(door, 1, wait_usec, kill);
	return door_answer(door);
}

static void expect_registered(struct door *door, uint32_t count)
{
	struct session_message held = look(door, 0, false);

	cr_expect_eq(held.found.error, 0);
	cr_expect_eq(held.found.processes, count, "%u", held.found.processes);
	cr_expect_eq(held.found.registrants, count, "%u", held.found.registrants);
	cr_expect_eq(held.found.holders, 0, "under call a descriptor is worth nothing");
	cr_expect_eq(held.found.unknown, 0, "%u", held.found.unknown);
}

Test(registrations, one_made_before_stays_and_tells_once)
{
	struct door door;

	open_registered(&door, MEDIATION_CALL, nothing);
	expect_registered(&door, 0);
	door_grant(&door, PERMISSION_READ);
	expect_registered(&door, 0);
	door_grant(&door, PERMISSION_WRITE);
	expect_registered(&door, 1);
	door_grant(&door, 0);
	cr_expect_eq(owner_of(door.stage->queue), door.app);
	expect_registered(&door, 1);
	send_too_late(door.stage->queue);
	send_too_late(door.stage->queue);
	expect_registered(&door, 0);
	door_go(&door);
	door_wait(&door);
	cr_expect_eq(door.stage->results[1], 1, "told %ld times", door.stage->results[1]);
	close_registered(&door);
}

Test(registrations, also_on_a_queue_that_was_deleted)
{
	struct door door;

	open_registered(&door, MEDIATION_CALL, delete);
	door_grant(&door, 0);
	expect_registered(&door, 1);
	door_go(&door);
	door_wait(&door);
	expect_registered(&door, 0);
	close_registered(&door);
}

/* Who has a queue open alone can keep everybody from opening it. */
Test(registrations, what_cannot_be_looked_at_counts)
{
	struct session_message held;
	struct door door;

	open_registered(&door, MEDIATION_CALL, lease);
	door_grant(&door, 0);
	held = look(&door, 0, false);
	cr_expect_eq(held.found.processes, 0);
	cr_expect_eq(held.found.unknown, 1);
	held = look(&door, 0, true);
	cr_expect_eq(held.found.killed, 1);
	door_close_killed(&door);
}

Test(registrations, a_list_that_fails_or_ends_early_counts)
{
	static const struct {
		const char *ending;
		enum list_fault fault;
	} cases[] = {{"/task", LIST_FAILS}, {"/task", LIST_ENDS_EARLY}, {"/fd", LIST_FAILS}};
	struct door door;

	lists_prepare();
	/* So that a descriptor is all that tells of it. */
	open_registered(&door, MEDIATION_CALL, delete);
	door_grant(&door, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct session_message held;

		lists_spoil(cases[i].ending, cases[i].fault);
		held = look(&door, 0, false);
		cr_expect_eq(held.found.error, 0);
		cr_expect_eq(held.found.processes, 0);
		cr_expect_eq(held.found.unknown, 1, "%s: %u", cases[i].ending, held.found.unknown);
	}
	lists_spoil("/none", LIST_WELL);
	expect_registered(&door, 1);
	door_go(&door);
	door_wait(&door);
	close_registered(&door);
}

/* Another session process knows it, too. */
Test(registrations, are_waited_for)
{
	struct session_message held;
	struct door door;

	open_registered(&door, MEDIATION_CALL, nothing);
	door_grant(&door, 0);
	door_replace(&door);
	door_grant(&door, 0);
	held = look(&door, 300000, false);
	cr_expect_eq(held.found.registrants, 1);
	door_ask(&door, 2, 60 * 1000000ULL, true);
	door_go(&door);
	held = door_answer(&door);
	cr_expect_eq(held.found.processes, 0);
	cr_expect_eq(held.found.killed, 0);
	door_wait(&door);
	close_registered(&door);
}

Test(registrations, are_ended)
{
	struct session_message held;
	struct door door;

	open_registered(&door, MEDIATION_CALL, nothing);
	door_grant(&door, 0);
	held = look(&door, 0, true);
	cr_expect_eq(held.found.killed, 1);
	cr_expect_eq(held.found.left, 0);
	door_expect_killed(&door);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	door_sweep(&door);
}

/* One process, however it holds. */
Test(registrations, under_open_mediation)
{
	struct session_message held;
	struct door door;

	open_registered(&door, MEDIATION_OPEN, nothing);
	door_grant(&door, 0);
	held = look(&door, 0, false);
	cr_expect_eq(held.found.processes, 1);
	cr_expect_eq(held.found.holders, 1);
	cr_expect_eq(held.found.registrants, 1);
	send_too_late(door.stage->queue);
	held = look(&door, 0, false);
	cr_expect_eq(held.found.processes, 1);
	cr_expect_eq(held.found.holders, 1);
	cr_expect_eq(held.found.registrants, 0);
	door_go(&door);
	door_wait(&door);
	close_registered(&door);
}

/* --- the bound --- */

static void register_often(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	for (int i = 0; i < SESSION_PROCESSES_MAX + 10; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			long r = register_by_signal(queue);

			_exit(r == 0 ? 0 : 1);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			stage->results[0]++;
	}
}

Test(registrations, who_has_ended_is_forgotten)
{
	struct door door;

	door_open(&door, NOBODY, NULL, register_often);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "%ld refused", door.stage->results[0]);
}

static struct processes processes;
static struct process_handles handles;

static int note(pid_t pid)
{
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(pid, &identity);

	if (processes_find(&processes, &handles, pid) >= 0)
		return 0;
	return pidfd < 0 ? pidfd
			 : MIN(processes_add(&processes, &handles, pid, identity, &pidfd), 0);
}

static pid_t start(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	return pid;
}

Test(registrations, at_the_bound_a_further_one_is_refused)
{
	static pid_t pids[SESSION_PROCESSES_MAX + 1];

	cr_assert_eq(processes_open(&processes, &handles), 0);
	for (int i = 0; i <= SESSION_PROCESSES_MAX; i++) {
		pids[i] = start();
		cr_assert_gt(pids[i], 0);
		cr_assert_eq(note(pids[i]), i < SESSION_PROCESSES_MAX ? 0 : -ENOSPC);
	}
	cr_expect_eq(note(pids[3]), 0, "it is noted");
	(void)kill(pids[7], SIGKILL);
	(void)waitpid(pids[7], NULL, 0);
	cr_expect_eq(note(pids[SESSION_PROCESSES_MAX]), 0, "there is room after one is over");
	cr_expect_eq(note(pids[7]), -ESRCH);
}
