/* SPDX-License-Identifier: MIT */
/* Registrations for notification that are not made: on what was taken away, and where it cannot be
 * told. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/target/inflight.h"
#include "door.h"
#include "include/verdict.h"
#include "support.h"

static mqd_t queue, other;

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
	struct session_message message;
	struct door door;
	int kept;

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
	door_expect_killed(&door);
	cr_expect_eq(owner_by_descriptor(kept), 0);
	cr_expect_eq(door.stage->results[2], 0, "registering where it is granted: %ld",
		door.stage->results[2]);
	door_sweep(&door);
}

Test(registrations_refused, who_registers_by_exchanging_descriptors_is_killed)
{
	expect_killed_for_exchanging(LOST);
}

Test(registrations_refused, who_does_so_on_a_deleted_queue_is_killed)
{
	expect_killed_for_exchanging(DELETED);
}

Test(registrations_refused, who_does_so_on_one_that_may_only_be_written_is_killed)
{
	expect_killed_for_exchanging(WRITE_ONLY);
}

/* --- what cannot be asked before ------------------------------------------------------------ */

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

Test(registrations_refused, what_cannot_be_asked_before_refuses_the_call)
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
		(void)snprintf(
			queues->entries[i].name, sizeof(queues->entries[i].name), "no-such-%u", i);
		queues->keys[i] = (struct queue_key){.device = 1, .inode = i + 1};
		queues->entries[i].permissions = PERMISSIONS_ALL;
		queues->entries[i].last_used = ++queues->clock;
	}
	queues->entries[1].last_used = ++queues->clock;
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
	inflight = door_notes(&door);
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

Test(registrations_refused, past_the_bound_of_queues_the_call_is_refused)
{
	long r = register_after_forgetting(false);

	cr_expect_eq(r, -EACCES, "%ld", r);
}

Test(registrations_refused, but_not_if_what_was_forgotten_is_gone)
{
	long r = register_after_forgetting(true);

	cr_expect_eq(r, 0, "%ld", r);
}

/* --- what was given back before there was anything to watch for ----------------------------- */

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
Test(registrations_refused, no_call_is_on_its_way_when_there_is_something_to_watch_for)
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
		door_expect_killed(&door);
		cr_expect_eq(owner_of(door.stage->queue), 0);
		door_sweep(&door);
	}
}
