/* SPDX-License-Identifier: MIT */
/* Registrations for notification: one that was made before a disconnect stays, is counted and can
 * be ended; none is made afterwards. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/inflight.h"
#include "daemon/session/registrations.h"
#include "door.h"
#include "lists.h"
#include "include/verdict.h"

#define NOBODY 65534

static mqd_t queue, other;
static struct stage *the_stage;
static volatile sig_atomic_t told;

static mqd_t open_new(const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};

	return mq_open(name, O_RDWR | O_CREAT, 0666, &attributes);
}

static void on_signal(int signal)
{
	told += signal == SIGUSR1;
}

static long register_by_signal(mqd_t mqd)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	return result_of(mq_notify(mqd, &event));
}

/* Who is registered, as the queue says. */
static pid_t owner_by_descriptor(int fd)
{
	char text[256] = "", *at;

	cr_assert_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	at = strstr(text, "NOTIFY_PID:");
	cr_assert_not_null(at);
	return (pid_t)strtol(at + strlen("NOTIFY_PID:"), NULL, 10);
}

static pid_t owner_of(const char *name)
{
	int fd = mq_open(name, O_RDONLY);
	pid_t owner;

	cr_assert(fd >= 0);
	owner = owner_by_descriptor(fd);
	(void)close(fd);
	return owner;
}

/* --- what was registered before ----------------------------------------------------------------
 */

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
	door_wait(door);
	door_grant(door, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
}

static void close_registered(struct door *door)
{
	door_go(door);
	door_close(door);
	cr_expect_eq(door->stage->results[0], 0);
	cr_expect_eq(door->stage->results[2], -EACCES, "it registered again: %ld",
		door->stage->results[2]);
}

static struct worker_message look(struct door *door, uint64_t wait_usec, bool kill)
{
	door_ask(door, 1, wait_usec, kill);
	return door_answer(door);
}

static void expect_registered(struct door *door, uint32_t count)
{
	struct worker_message held = look(door, 0, false);

	cr_expect_eq(held.held.error, 0);
	cr_expect_eq(held.held.processes, count, "%u", held.held.processes);
	cr_expect_eq(held.held.registrants, count, "%u", held.held.registrants);
	cr_expect_eq(held.held.holders, 0, "under call a descriptor is worth nothing");
	cr_expect_eq(held.held.unknown, 0, "%u", held.held.unknown);
}

static void send_to_lost(const struct door *door)
{
	int fd = mq_open(door->stage->queue, O_WRONLY);

	cr_assert_eq(mq_send(fd, "too late", 8, 0), 0);
	(void)close(fd);
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
	send_to_lost(&door);
	send_to_lost(&door);
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
	struct worker_message held;
	struct door door;

	open_registered(&door, MEDIATION_CALL, lease);
	door_grant(&door, 0);
	held = look(&door, 0, false);
	cr_expect_eq(held.held.processes, 0);
	cr_expect_eq(held.held.unknown, 1);
	held = look(&door, 0, true);
	cr_expect_eq(held.held.killed, 1);
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
		struct worker_message held;

		lists_spoil(cases[i].ending, cases[i].fault);
		held = look(&door, 0, false);
		cr_expect_eq(held.held.error, 0);
		cr_expect_eq(held.held.processes, 0);
		cr_expect_eq(held.held.unknown, 1, "%s: %u", cases[i].ending, held.held.unknown);
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
	struct worker_message held;
	struct door door;

	open_registered(&door, MEDIATION_CALL, nothing);
	door_grant(&door, 0);
	door_replace(&door);
	door_grant(&door, 0);
	held = look(&door, 300000, false);
	cr_expect_eq(held.held.registrants, 1);
	door_ask(&door, 2, 60 * 1000000ULL, true);
	door_go(&door);
	held = door_answer(&door);
	cr_expect_eq(held.held.processes, 0);
	cr_expect_eq(held.held.killed, 0);
	door_wait(&door);
	close_registered(&door);
}

Test(registrations, are_ended)
{
	struct worker_message held;
	struct door door;

	open_registered(&door, MEDIATION_CALL, nothing);
	door_grant(&door, 0);
	held = look(&door, 0, true);
	cr_expect_eq(held.held.killed, 1);
	cr_expect_eq(held.held.left, 0);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	door_close_killed(&door);
}

/* One process, however it holds. */
Test(registrations, under_open_mediation)
{
	struct worker_message held;
	struct door door;

	open_registered(&door, MEDIATION_OPEN, nothing);
	door_grant(&door, 0);
	held = look(&door, 0, false);
	cr_expect_eq(held.held.processes, 1);
	cr_expect_eq(held.held.holders, 1);
	cr_expect_eq(held.held.registrants, 1);
	send_to_lost(&door);
	held = look(&door, 0, false);
	cr_expect_eq(held.held.processes, 1);
	cr_expect_eq(held.held.holders, 1);
	cr_expect_eq(held.held.registrants, 0);
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

Test(registrations, who_has_ended_is_forgotten, .timeout = 60)
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

Test(registrations, at_the_bound_a_further_one_is_refused, .timeout = 60)
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

/* --- exchanged descriptors --- */

static int number;
static atomic_int phase;
static atomic_bool stop;

static void *exchange(void *unused)
{
	unsigned delay = 0;

	while (!stop) {
		while (phase != 1 && !stop)
			;
		for (volatile unsigned i = 0; i < delay; i++)
			;
		delay = (delay + 97) % 60000;
		(void)dup2(queue, number);
		phase = 2;
	}
	return unused;
}

static void register_where_it_may_not(struct stage *stage)
{
	pthread_t thread;

	(void)signal(SIGUSR1, SIG_IGN);
	app_pause(stage);
	queue = stage->results[3] ? mq_open(stage->queue, O_WRONLY) : open_new(stage->queue);
	other = open_new(stage->other);
	number = dup(other);
	app_pause(stage); /* the first one is taken away */
	stage->results[2] = register_by_signal(other);
	(void)mq_notify(other, NULL);
	(void)pthread_create(&thread, NULL, exchange, NULL);
	for (int i = 0; i < 30000; i++) {
		(void)dup2(other, number);
		phase = 1;
		(void)register_by_signal(number);
		while (phase != 2)
			;
		(void)mq_notify(other, NULL);
	}
	stop = true;
}

/* The other may do all with it. */
static void make_for_others(const char *name)
{
	mqd_t fd = open_new(name);

	cr_assert(fd >= 0 && fchmod(fd, 0666) == 0 && mq_close(fd) == 0);
}

enum how { LOST, DELETED, WRITE_ONLY };

static void expect_killed_for_exchanging(enum how how)
{
	struct worker_message message;
	struct door door;
	int status = 0, kept;

	door_open(&door, NOBODY, NULL, register_where_it_may_not);
	door_wait(&door);
	if (how == WRITE_ONLY)
		make_for_others(door.stage->queue);
	door.stage->results[3] = how == WRITE_ONLY;
	door_grant_both(
		&door, how == WRITE_ONLY ? PERMISSION_WRITE : PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	if (how != WRITE_ONLY)
		door_grant_both(&door, 0, PERMISSIONS_ALL);
	kept = mq_open(door.stage->queue, O_RDONLY);
	if (how == DELETED)
		cr_assert_eq(mq_unlink(door.stage->queue), 0);
	door_go(&door);
	do
		message = door_record(&door);
	while (message.record.reason != REASON_KILLED);
	cr_expect_eq(message.record.tgid, door.app);
	cr_expect_eq(message.record.uid, (uint32_t)NOBODY);
	cr_assert_eq(waitpid(door.app, &status, 0), door.app);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", (unsigned)status);
	cr_expect_eq(owner_by_descriptor(kept), 0);
	cr_expect_eq(door.stage->results[2], 0, "registering where it is granted: %ld",
		door.stage->results[2]);
	(void)kill(door.session, SIGKILL);
	(void)mq_unlink(door.stage->queue);
	(void)mq_unlink(door.stage->other);
}

Test(registrations, who_registers_by_exchanging_descriptors_is_killed, .timeout = 60)
{
	expect_killed_for_exchanging(LOST);
}

Test(registrations, who_does_so_on_a_deleted_queue_is_killed, .timeout = 60)
{
	expect_killed_for_exchanging(DELETED);
}

Test(registrations, who_does_so_on_one_that_may_only_be_written_is_killed, .timeout = 60)
{
	expect_killed_for_exchanging(WRITE_ONLY);
}

/* --- what cannot be asked before ---------------------------------------------------------------
 */

/* One of which it has no descriptor any more, as far as anybody knows. */
static void register_on_the_other(struct stage *stage)
{
	app_pause(stage);
	(void)mq_close(mq_open(stage->queue, O_WRONLY));
	other = open_new(stage->other);
	for (int i = 0; i < 2; i++) {
		app_pause(stage);
		stage->results[i] = register_by_signal(other);
		(void)mq_notify(other, NULL);
	}
}

static void open_registering_on_other(struct door *door)
{
	door_open(door, NOBODY, NULL, register_on_the_other);
	door_wait(door);
	make_for_others(door->stage->queue);
	door_grant_both(door, PERMISSION_WRITE, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
}

static int lease_of_an_outsider(const char *name)
{
	int fd = mq_open(name, O_RDWR);

	(void)signal(SIGIO, SIG_IGN);
	cr_assert_eq(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	return fd;
}

Test(registrations, what_cannot_be_asked_before_refuses_the_call)
{
	struct door door;
	int lease;

	open_registering_on_other(&door);
	lease = lease_of_an_outsider(door.stage->queue);
	door_go(&door);
	door_wait(&door);
	cr_expect_eq(door.stage->results[0], -EACCES, "%ld", door.stage->results[0]);
	(void)close(lease);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[1], 0, "%ld", door.stage->results[1]);
}

/* Fills what the session remembers; what it opened really was used the longest time ago. */
static void fill_queues(struct queues *queues)
{
	cr_assert_eq(queues->count, 2U);
	for (uint32_t i = 2; i < SESSION_QUEUES_MAX; i++) {
		(void)snprintf(queues->names[i], sizeof(queues->names[i]), "no-such-%u", i);
		queues->keys[i] = (struct queue_key){.device = 1, .inode = i + 1};
		queues->permissions[i] = PERMISSIONS_ALL;
		queues->last_used[i] = ++queues->clock;
	}
	queues->last_used[1] = ++queues->clock;
	queues->count = SESSION_QUEUES_MAX;
}

static void open_more_and_register(struct stage *stage)
{
	app_pause(stage);
	(void)mq_close(mq_open(stage->queue, O_WRONLY));
	other = open_new(stage->other);
	app_pause(stage);
	(void)mq_unlink(stage->other);
	other = open_new(stage->other);
	stage->results[0] = register_by_signal(other);
}

static long register_after_forgetting(bool deleted)
{
	struct inflight *inflight;
	struct door door;

	door_open(&door, NOBODY, NULL, open_more_and_register);
	cr_assert_eq(inflight_map(door.inflight, &inflight), 0);
	door_wait(&door);
	make_for_others(door.stage->queue);
	door_grant_both(&door, PERMISSION_WRITE, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	fill_queues(&inflight->queues);
	if (deleted)
		(void)mq_unlink(door.stage->queue);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(inflight->queues.forgot, 1U);
	return door.stage->results[0];
}

Test(registrations, past_the_bound_of_queues_the_call_is_refused)
{
	long r = register_after_forgetting(false);

	cr_expect_eq(r, -EACCES, "%ld", r);
}

Test(registrations, but_not_if_what_was_forgotten_is_gone)
{
	long r = register_after_forgetting(true);

	cr_expect_eq(r, 0, "%ld", r);
}

/* --- what was given back before there was anything to watch for --------------------------------
 */

static struct sigevent *event_that_does_not_come;

static void *register_slowly(void *unused)
{
	(void)syscall(SYS_mq_notify, number, event_that_does_not_come);
	return unused;
}

static void serve_page(int faults)
{
	static char page[4096] __attribute__((aligned(4096)));
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	struct uffdio_copy copy = {.dst = (uintptr_t)event_that_does_not_come,
		.src = (uintptr_t)page,
		.len = sizeof(page)};

	memcpy(page, &event, sizeof(event));
	if (ioctl(faults, UFFDIO_COPY, &copy) < 0)
		_exit(113);
}

/* As root, who may let the kernel wait for a page of its own. */
static void hold_up_its_registration(struct stage *stage)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register page = {.range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffd_msg message;
	pthread_t thread;

	app_pause(stage);
	other = open_new(stage->other);
	number = dup(other);
	event_that_does_not_come =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page.range.start = (uintptr_t)event_that_does_not_come;
	if (ioctl(faults, UFFDIO_API, &api) < 0 || ioctl(faults, UFFDIO_REGISTER, &page) < 0 ||
		pthread_create(&thread, NULL, register_slowly, NULL) != 0 ||
		read(faults, &message, sizeof(message)) < 0)
		_exit(114);
	app_pause(stage);
	queue = mq_open(stage->queue, O_WRONLY);
	(void)dup2(queue, number);
	serve_page(faults);
	(void)pthread_join(thread, NULL);
	app_pause(stage);
}

static bool is_alive(const struct door *door)
{
	struct pollfd p = {.fd = door->stage->ready[0], .events = POLLIN};
	siginfo_t information = {0};

	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 100; i++) {
		if (poll(&p, 1, 10) == 1)
			return true;
		(void)waitid(P_PID, (id_t)door->app, &information, WEXITED | WNOHANG | WNOWAIT);
		if (information.si_pid != 0)
			return false;
	}
	cr_assert_fail("it neither comes nor dies");
	return false;
}

/* It comes back, or is killed. */
Test(registrations, no_call_is_on_its_way_when_there_is_something_to_watch_for, .timeout = 60)
{
	struct door door;

	door_open(&door, 0, NULL, hold_up_its_registration);
	door_wait(&door);
	make_for_others(door.stage->queue);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	door_grant_both(&door, PERMISSION_WRITE, PERMISSIONS_ALL);
	door_go(&door);
	if (is_alive(&door)) {
		cr_expect_eq(owner_of(door.stage->queue), 0);
		door_wait(&door);
		door_go(&door);
		door_close(&door);
	} else {
		cr_expect_eq(owner_of(door.stage->queue), 0);
		door_close_killed(&door);
	}
}
