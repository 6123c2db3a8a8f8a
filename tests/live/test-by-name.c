/* SPDX-License-Identifier: MIT */
/* Calls by name that do not go as they should: session processes that are killed at each point of
 * one, queues that come and go meanwhile, and no room for what was opened. */
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/session/call/blocked.h"
#include "daemon/session/call/on-behalf.h"
#include "daemon/session/target/inflight.h"
#include "daemon/session/target/notify.h"
#include "door.h"
#include "include/text.h"
#include "include/verdict.h"
#include "lists.h"
#include "support.h"

/* --- what happens to a session process ------------------------------------------------------- */

enum place {
	NOWHERE,
	BEFORE_ACTING,
	AFTER_ACTING,
	BEFORE_INJECTING,
	AFTER_INJECTING,
	BEFORE_ANSWERING,
	PLACES
};

/* Shared with the session processes. */
static struct plan {
	volatile int deaths[3]; /* where they are killed, one after the other */
	volatile int error;     /* instead of injecting */
	volatile bool vanishes; /* the queue, just before it is opened */
	volatile bool is_full;  /* nobody else may wait */
	volatile bool fills;    /* the app's table, by another thread of it */
	volatile bool no_table; /* of the app is to be had */
	volatile int unseen;    /* this number of the app's has just been closed, it seems */
} * plan;

static void killed_here(enum place place)
{
	if (!plan || plan->deaths[0] != (int)place)
		return;
	plan->deaths[0] = plan->deaths[1];
	plan->deaths[1] = plan->deaths[2];
	plan->deaths[2] = NOWHERE;
	(void)kill(getpid(), SIGKILL);
}

/* The linker puts these in the place of the session's own (--wrap). */
int __real_act_open(const struct own_identity *own, const struct credentials *identity,
	const char *name, const struct request *request, bool *ret_created);
int __wrap_act_open(const struct own_identity *own, const struct credentials *identity,
	const char *name, const struct request *request, bool *ret_created);
int __real_act_unlink(
	const struct own_identity *own, const struct credentials *identity, const char *name);
int __wrap_act_unlink(
	const struct own_identity *own, const struct credentials *identity, const char *name);
int __real_notify_inject(int listener, uint64_t id, int fd);
int __wrap_notify_inject(int listener, uint64_t id, int fd);
int __real_notify_reply(int listener, uint64_t id, const struct answer *answer);
int __wrap_notify_reply(int listener, uint64_t id, const struct answer *answer);
int __real_waiters_add_open(struct waiters *waiters, struct inflight *inflight,
	struct target *target, const struct request *request, const struct wanted *wanted);
int __wrap_waiters_add_open(struct waiters *waiters, struct inflight *inflight,
	struct target *target, const struct request *request, const struct wanted *wanted);

DIR *__real_target_open_table(const struct target *target);
DIR *__wrap_target_open_table(const struct target *target);
int __real_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret);

int __wrap_act_open(const struct own_identity *own, const struct credentials *identity,
	const char *name, const struct request *request, bool *ret_created)
{
	int r;

	killed_here(BEFORE_ACTING);
	if (plan && plan->vanishes)
		(void)syscall(SYS_mq_unlink, name);
	r = __real_act_open(own, identity, name, request, ret_created);
	killed_here(AFTER_ACTING);
	return r;
}

int __wrap_act_unlink(
	const struct own_identity *own, const struct credentials *identity, const char *name)
{
	int r;

	killed_here(BEFORE_ACTING);
	r = __real_act_unlink(own, identity, name);
	killed_here(AFTER_ACTING);
	return r;
}

int __wrap_notify_inject(int listener, uint64_t id, int fd)
{
	int r;

	killed_here(BEFORE_INJECTING);
	if (plan && plan->error != 0)
		return -plan->error;
	r = __real_notify_inject(listener, id, fd);
	killed_here(AFTER_INJECTING);
	return r;
}

int __wrap_notify_reply(int listener, uint64_t id, const struct answer *answer)
{
	killed_here(BEFORE_ANSWERING);
	return __real_notify_reply(listener, id, answer);
}

int __wrap_waiters_add_open(struct waiters *waiters, struct inflight *inflight,
	struct target *target, const struct request *request, const struct wanted *wanted)
{
	return plan && plan->is_full
		       ? -ENOSPC
		       : __real_waiters_add_open(waiters, inflight, target, request, wanted);
}

DIR *__wrap_target_open_table(const struct target *target)
{
	return plan && plan->no_table ? NULL : __real_target_open_table(target);
}

int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret)
{
	return plan && plan->unseen == fd ? -EBADF : __real_target_descriptor(target, fd, ret);
}

/* --- one call of the app --------------------------------------------------------------------- */

#define UNLINK (-1)
#define HIGH   200 /* a number behind the one that a queue gets */

/* For the app, set before it is started. */
static struct {
	int oflag; /* or UNLINK */
	bool takes_0;
	bool has_other_names; /* descriptors that could be taken for the one that is injected */
} wanted;

enum { RESULT, FLAGS, MORE, OTHER };

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The same queue without the flags, if there is one; and another one with them, before and behind
 * the number that is next. */
static void prepare_descriptors(struct stage *stage)
{
	int other = open_new(stage->other);

	stage->results[OTHER] = other;
	(void)mq_open(stage->queue, O_RDWR);
	if (fcntl(other, F_SETFL, ACT_OPEN_FLAGS) < 0 || dup2(other, HIGH) < 0)
		_exit(111);
	if (wanted.takes_0)
		(void)close(0);
}

static long call_by_name(const struct stage *stage)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};

	return result_of(wanted.oflag == UNLINK ? syscall(SYS_mq_unlink, stage->queue + 1)
						: syscall(SYS_mq_open, stage->queue + 1,
							  wanted.oflag, 0600, &attributes));
}

static void call_once(struct stage *stage)
{
	int before;

	app_pause(stage);
	prepare_descriptors(stage);
	app_pause(stage);
	before = count_descriptors();
	stage->results[RESULT] = call_by_name(stage);
	stage->results[FLAGS] = fcntl((int)stage->results[RESULT], F_GETFL);
	stage->results[MORE] = count_descriptors() - before;
	app_pause(stage);
}

/* --- the test's side -------------------------------------------------------------------------- */

static void make_plan(void)
{
	if (!plan)
		plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	cr_assert_neq(plan, MAP_FAILED);
	*plan = (struct plan){.unseen = -1};
}

/* Whose queue that is, before the app begins; nobody's: there is none. */
enum owner { NONE, APPS, ROOTS };

static void open_queue(const struct door *door, enum owner owner)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};
	int fd = owner == NONE ? -1
			       : mq_open(door->stage->queue, O_RDWR | O_CREAT, 0600, &attributes);

	if (owner == APPS)
		cr_assert_eq(fchown(fd, NOBODY, NOBODY), 0);
	(void)mq_close(fd);
}

static void begin(struct door *door, int oflag, enum owner owner)
{
	make_plan();
	wanted.oflag = oflag;
	door_open(door, NOBODY, NULL, call_once);
	open_queue(door, owner);
	door_begin(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
}

/* It is killed at these places; then something happens, and another one goes on. */
static void die_at(struct door *door, const enum place places[static 3],
	void (*meanwhile)(const struct door *door))
{
	for (int i = 0; i < 3; i++)
		plan->deaths[i] = (int)places[i];
	door_go(door);
	if (places[0] != NOWHERE) {
		door_wait_for_death(door);
		if (meanwhile)
			meanwhile(door);
		for (int i = 1; i < 3 && places[i] != NOWHERE; i++)
			door_replace_in_vain(door);
		door_replace(door);
	}
	door_wait(door);
	cr_expect_eq(plan->deaths[0], NOWHERE, "it did not come to %d", plan->deaths[0]);
}

static bool exists(const struct door *door)
{
	mqd_t fd = mq_open(door->stage->queue, O_RDONLY);

	if (fd >= 0)
		(void)mq_close(fd);
	return fd >= 0;
}

static void end_app(struct door *door)
{
	door_go(door);
	door_close(door);
}

static void expect_opened(struct door *door, const char *what, int place)
{
	const long *results = door->stage->results;

	cr_expect(results[RESULT] >= 0, "%s, %d: %ld", what, place, results[RESULT]);
	cr_expect_eq(results[FLAGS], O_RDWR, "%s, %d: flags %#lx", what, place, results[FLAGS]);
	cr_expect_eq(results[MORE], 1, "%s, %d: %ld descriptors", what, place, results[MORE]);
	cr_expect_eq(door_count_links(door, "/fd"), 0, "%s, %d: a table stays open", what, place);
	cr_expect(exists(door), "%s, %d", what, place);
}

/* --- killed, and carried on ------------------------------------------------------------------- */

static void survive_everywhere(const char *what, int oflag, enum owner owner)
{
	for (enum place place = NOWHERE; place < PLACES; place++)
		for (int takes_0 = 0; takes_0 < 2; takes_0++) {
			struct door door;

			wanted.takes_0 = takes_0;
			begin(&door, oflag, owner);
			die_at(&door, (enum place[]){place, NOWHERE, NOWHERE}, NULL);
			expect_opened(&door, what, place);
			cr_expect_eq(door.stage->results[RESULT] == 0, takes_0);
			end_app(&door);
		}
}

Test(by_name, opening_is_carried_on)
{
	survive_everywhere("open", O_RDWR, APPS);
}

Test(by_name, opening_or_creating_is_carried_on)
{
	survive_everywhere("create", O_RDWR | O_CREAT, NONE);
	survive_everywhere("create, though there is one", O_RDWR | O_CREAT, APPS);
}

Test(by_name, creating_is_carried_on)
{
	survive_everywhere("create exclusively", O_RDWR | O_CREAT | O_EXCL, NONE);
}

Test(by_name, what_was_carried_on_is_carried_on_again)
{
	static const enum place places[][3] = {
		{AFTER_ACTING, AFTER_ACTING, BEFORE_ANSWERING},
		{BEFORE_INJECTING, BEFORE_INJECTING, AFTER_INJECTING},
		{AFTER_INJECTING, BEFORE_ANSWERING, BEFORE_ANSWERING},
	};

	for (size_t i = 0; i < ELEMENTSOF(places); i++) {
		struct door door;

		begin(&door, O_RDWR | O_CREAT | O_EXCL, NONE);
		die_at(&door, places[i], NULL);
		expect_opened(&door, "again", (int)i);
		end_app(&door);
	}
}

/* Where it was put nobody can see: it must not be put there twice. */
static void expect_refused_blindly(enum place place, bool no_table)
{
	struct door door;

	lists_prepare();
	begin(&door, O_RDWR, APPS);
	plan->no_table = no_table;
	lists_spoil("/fd", no_table ? LIST_WELL : LIST_FAILS);
	die_at(&door, (enum place[]){place, NOWHERE, NOWHERE}, NULL);
	cr_expect_eq(door.stage->results[RESULT], -EACCES, "%ld", door.stage->results[RESULT]);
	cr_expect_leq(door.stage->results[MORE], 1);
	end_app(&door);
}

Test(by_name, nothing_is_put_twice_where_nobody_can_look)
{
	for (int no_table = 0; no_table < 2; no_table++) {
		expect_refused_blindly(BEFORE_INJECTING, no_table);
		expect_refused_blindly(AFTER_INJECTING, no_table);
	}
}

Test(by_name, what_is_closed_meanwhile_is_not_taken_for_it)
{
	struct door door;

	begin(&door, O_RDWR, APPS);
	plan->unseen = (int)door.stage->results[OTHER];
	die_at(&door, (enum place[]){AFTER_INJECTING, NOWHERE, NOWHERE}, NULL);
	expect_opened(&door, "open", AFTER_INJECTING);
	cr_expect_neq(door.stage->results[RESULT], plan->unseen);
	end_app(&door);
}

static long unlinked(enum place place, enum owner owner, void (*meanwhile)(const struct door *door),
	bool *ret_exists)
{
	struct door door;

	begin(&door, UNLINK, owner);
	die_at(&door, (enum place[]){place, NOWHERE, NOWHERE}, meanwhile);
	*ret_exists = exists(&door);
	if (owner == APPS)
		cr_expect_eq(door_notes(&door)->head.counted[0].counters.refused, 0U);
	end_app(&door);
	return door.stage->results[RESULT];
}

Test(by_name, deleting_is_carried_on)
{
	static const enum place places[] = {NOWHERE, BEFORE_ACTING, AFTER_ACTING, BEFORE_ANSWERING};
	bool there;

	for (size_t i = 0; i < ELEMENTSOF(places); i++) {
		cr_expect_eq(unlinked(places[i], APPS, NULL, &there), 0, "%d", places[i]);
		cr_expect_not(there);
	}
}

static void make_queue(const struct door *door)
{
	cr_assert_eq(mq_close(open_new(door->stage->queue)), 0);
}

static void remove_queue(const struct door *door)
{
	cr_assert_eq(mq_unlink(door->stage->queue), 0);
}

Test(by_name, a_successor_is_not_deleted)
{
	bool there;

	cr_expect_eq(unlinked(BEFORE_ANSWERING, APPS, make_queue, &there), 0);
	cr_expect(there);
}

Test(by_name, what_was_refused_is_refused_again)
{
	bool there;

	cr_expect_eq(unlinked(BEFORE_ANSWERING, ROOTS, NULL, &there), -EPERM);
	cr_expect(there);
	cr_expect_eq(unlinked(AFTER_ACTING, ROOTS, NULL, &there), -EPERM);
	cr_expect(there);
}

/* --- queues that come and go meanwhile -------------------------------------------------------- */

static long opened_after(
	int oflag, enum owner owner, enum place place, void (*meanwhile)(const struct door *door))
{
	struct door door;

	begin(&door, oflag, owner);
	die_at(&door, (enum place[]){place, NOWHERE, NOWHERE}, meanwhile);
	end_app(&door);
	return door.stage->results[RESULT];
}

Test(by_name, what_has_gone_is_created_by_who_may_find_it)
{
	cr_expect_geq(opened_after(O_RDWR | O_CREAT, APPS, AFTER_ACTING, remove_queue), 0);
}

Test(by_name, what_was_in_the_way_and_has_gone_is_so_no_longer)
{
	const int oflag = O_RDWR | O_CREAT | O_EXCL;

	cr_expect_eq(opened_after(oflag, APPS, BEFORE_ANSWERING, NULL), -EEXIST);
	cr_expect_geq(opened_after(oflag, APPS, BEFORE_ANSWERING, remove_queue), 0);
}

/* It is not created twice. */
Test(by_name, what_was_created_and_has_gone_is_gone)
{
	cr_expect_eq(opened_after(O_RDWR | O_CREAT | O_EXCL, NONE, BEFORE_INJECTING, remove_queue),
		-ENOENT);
}

static struct session_message last_record(struct door *door)
{
	door_grant_rules(door, NULL, 0);
	cr_assert_gt(door->record_count, 0);
	return door->last_record;
}

static void exchange_for_roots(const struct door *door)
{
	remove_queue(door);
	open_queue(door, ROOTS);
}

/* The record says what was asked for. */
Test(by_name, nor_is_what_has_come_in_its_place_given)
{
	const int oflag = O_RDWR | O_CREAT | O_EXCL;
	struct session_message message;
	struct door door;

	begin(&door, oflag, NONE);
	die_at(&door, (enum place[]){AFTER_ACTING, NOWHERE, NOWHERE}, exchange_for_roots);
	cr_expect_eq(door.stage->results[RESULT], -EACCES, "%ld", door.stage->results[RESULT]);
	message = last_record(&door);
	cr_expect_eq(message.record.reason, REASON_REFUSED);
	cr_expect_eq(message.record.oflag, oflag);
	end_app(&door);
}

/* --- what was opened cannot be given to the app ----------------------------------------------- */

static long not_given_after(
	enum place place, int error, int oflag, enum owner owner, bool *ret_exists)
{
	struct door door;

	begin(&door, oflag, owner);
	plan->error = error;
	die_at(&door, (enum place[]){place, NOWHERE, NOWHERE}, NULL);
	*ret_exists = exists(&door);
	end_app(&door);
	return door.stage->results[RESULT];
}

static long not_given(int error, int oflag, enum owner owner, bool *ret_exists)
{
	return not_given_after(NOWHERE, error, oflag, owner, ret_exists);
}

Test(by_name, what_was_created_in_vain_is_taken_back)
{
	bool there;

	cr_expect_eq(not_given(EMFILE, O_RDWR | O_CREAT, NONE, &there), -EMFILE);
	cr_expect_not(there);
	cr_expect_eq(not_given(EPERM, O_RDWR | O_CREAT | O_EXCL, NONE, &there), -EACCES);
	cr_expect_not(there);
}

Test(by_name, what_was_there_before_is_not_taken_back)
{
	bool there;

	cr_expect_eq(not_given(EMFILE, O_RDWR | O_CREAT, APPS, &there), -EMFILE);
	cr_expect(there);
	cr_expect_eq(not_given(EMFILE, O_RDWR, APPS, &there), -EMFILE);
	cr_expect(there);
}

/* As the kernel leaves what a program has created that is killed then. */
Test(by_name, what_a_dead_app_has_created_is_not_taken_back)
{
	bool there;

	cr_expect_eq(not_given(ENOENT, O_RDWR | O_CREAT, NONE, &there), -EACCES);
	cr_expect(there);
}

Test(by_name, whoever_was_killed_on_the_way)
{
	const int exclusively = O_RDWR | O_CREAT | O_EXCL;
	bool there;

	cr_expect_eq(not_given_after(AFTER_ACTING, EMFILE, exclusively, NONE, &there), -EMFILE);
	cr_expect_not(there, "it is taken back");
	cr_expect_eq(
		not_given_after(BEFORE_INJECTING, EMFILE, O_RDWR | O_EXCL, APPS, &there), -EMFILE);
	cr_expect(there, "it is not");
}

static void *fill_when_told(void *unused)
{
	const struct rlimit least = {1, 1};

	(void)unused;
	while (!plan->fills)
		(void)usleep(1000);
	(void)setrlimit(RLIMIT_NOFILE, &least);
	plan->fills = false;
	return NULL;
}

static void fill_table(const struct door *door)
{
	(void)door;
	plan->fills = true;
	while (plan->fills)
		(void)usleep(1000);
}

static void call_beside_a_thread(struct stage *stage)
{
	in_background(fill_when_told);
	call_once(stage);
}

Test(by_name, what_was_created_before_the_table_was_full_is_taken_back)
{
	struct door door;

	make_plan();
	wanted.oflag = O_RDWR | O_CREAT | O_EXCL;
	door_open(&door, NOBODY, NULL, call_beside_a_thread);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	die_at(&door, (enum place[]){AFTER_ACTING, NOWHERE, NOWHERE}, fill_table);
	cr_expect_eq(door.stage->results[RESULT], -EMFILE, "%ld", door.stage->results[RESULT]);
	cr_expect_not(exists(&door));
	end_app(&door);
}

/* --- no room ---------------------------------------------------------------------------------- */

static void open_with_a_full_table(struct stage *stage)
{
	const struct rlimit limit = {.rlim_cur = 32, .rlim_max = 40};

	(void)setrlimit(RLIMIT_NOFILE, &limit);
	while (dup(0) >= 0)
		;
	app_pause(stage);
	stage->results[RESULT] = call_by_name(stage);
	app_pause(stage);
}

static void expect_no_room(int oflag, enum owner owner)
{
	struct session_message message;
	struct door door;

	make_plan();
	wanted.oflag = oflag;
	door_open(&door, NOBODY, NULL, open_with_a_full_table);
	open_queue(&door, owner);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	message = door_record(&door);
	cr_expect_eq(message.record.reason, REASON_REFUSED);
	cr_expect_eq(message.record.error, EMFILE);
	cr_expect_eq(message.record.refusal.why, KERNEL_WHY_TABLE);
	cr_expect_eq(message.record.refusal.limit, 32U);
	cr_expect_eq(message.record.refusal.hard, 40U);
	door_wait(&door);
	cr_expect_eq(door.stage->results[RESULT], -EMFILE, "%#x: %ld", (unsigned)oflag,
		door.stage->results[RESULT]);
	end_app(&door);
}

Test(by_name, a_full_table_comes_first)
{
	expect_no_room(O_RDWR, NONE);
	expect_no_room(O_RDWR, APPS);
	expect_no_room(O_RDWR | O_CREAT, NONE);
	expect_no_room(O_RDWR | O_CREAT | O_EXCL, APPS);
}

Test(by_name, who_cannot_wait_for_a_lease_is_refused)
{
	struct door door;
	int lease;

	begin(&door, O_RDWR, NONE);
	lease = open_new(door.stage->queue);
	cr_assert_eq(fchown(lease, NOBODY, NOBODY), 0);
	(void)signal(SIGIO, SIG_IGN);
	cr_assert_eq(fcntl(lease, F_SETLEASE, F_WRLCK), 0);
	plan->is_full = true;
	die_at(&door, (enum place[]){NOWHERE, NOWHERE, NOWHERE}, NULL);
	cr_expect_eq(door.stage->results[RESULT], -EACCES, "%ld", door.stage->results[RESULT]);
	(void)close(lease);
	end_app(&door);
}

/* --- queues that are held --------------------------------------------------------------------- */

static void send_create_send_delete(struct stage *stage)
{
	int queue;

	app_pause(stage);
	(void)open_new(stage->queue);
	queue = open_new(stage->other);
	app_pause(stage); /* the first one is taken away */
	stage->results[0] = result_of(mq_send(queue, "text", 4, 0));
	app_pause(stage);
	(void)open_new(stage->other);
	app_pause(stage);
	stage->results[1] = result_of(mq_send(queue, "text", 4, 0));
	app_pause(stage);
	stage->results[2] = result_of(mq_unlink(stage->other));
	app_pause(stage);
}

static void expect_held(struct door *door, unsigned count)
{
	uint64_t deadline;

	door_go(door);
	door_wait(door);
	deadline = now_usec() + HELD_USEC / 2;
	while (door_count_links(door, door->stage->other) != count && now_usec() < deadline)
		(void)usleep(1000);
	cr_expect_eq(door_count_links(door, door->stage->other), count);
}

/* A queue that is deleted and held counts against its user's bytes still. */
Test(by_name, none_is_held_when_one_is_created_or_deleted)
{
	struct door door;

	door_open(&door, NOBODY, NULL, send_create_send_delete);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	expect_held(&door, 1);
	expect_held(&door, 0);
	expect_held(&door, 1);
	expect_held(&door, 0);
	end_app(&door);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(door.stage->results[i], 0, "%d: %ld", i, door.stage->results[i]);
}

/* --- what a slot says besides ------------------------------------------------------------------
 */

static void create_with_all_bits(struct stage *stage)
{
	struct stat st = {0};

	(void)umask(0);
	app_pause(stage);
	(void)fstat(open_new(stage->queue), &st);
	stage->results[0] = st.st_mode & ALLPERMS;
}

Test(by_name, no_more_mode_bits_than_may_be)
{
	struct door door;

	door_open(&door, NOBODY, NULL, create_with_all_bits);
	door_wait(&door);
	door_grant_rules(&door,
		&(struct grant){.name = door.stage->queue + 1,
			.permissions = PERMISSIONS_ALL,
			.mode_cut = 0137},
		1);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0640, "%#lo", door.stage->results[0]);
}

/* --- on the host, from another IPC namespace ---------------------------------------------------
 */

static void leave_host(struct stage *stage)
{
	(void)stage;
	if (unshare(CLONE_NEWIPC) < 0)
		_exit(112);
}

static int open_nth(const struct stage *stage, int i, int oflag)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
	char name[80];

	(void)snprintf(name, sizeof(name), "%s-%d", stage->queue, i);
	return (int)result_of(mq_open(name, O_RDWR | oflag, 0600, &attributes));
}

static void unlink_nth(const struct stage *stage, int i)
{
	char name[80];

	(void)snprintf(name, sizeof(name), "%s-%d", stage->queue, i);
	(void)mq_unlink(name);
}

enum { NTH_THERE = 1000, NTH_MISSING };

static void try_at_the_bound(struct stage *stage)
{
	stage->results[0] = open_nth(stage, NTH_MISSING, O_CREAT);
	stage->results[1] = open_nth(stage, NTH_MISSING, O_CREAT | O_EXCL);
	stage->results[2] = open_nth(stage, NTH_MISSING, 0);
	stage->results[3] = open_nth(stage, NTH_THERE, O_CREAT);
	stage->results[4] = open_nth(stage, NTH_THERE, O_CREAT | O_EXCL);
	stage->results[5] = open_nth(stage, NTH_THERE, 0);
}

static void create_to_the_bound(struct stage *stage)
{
	int first, i;

	app_pause(stage);
	for (i = 0; i < HOST_QUEUES_MAX; i++)
		(void)close(open_nth(stage, NTH_THERE, O_CREAT));
	first = open_nth(stage, 0, O_CREAT);
	for (i = 1; i < HOST_QUEUES_MAX; i++)
		if (open_nth(stage, i, i % 2 ? O_CREAT : O_CREAT | O_EXCL) < 0)
			stage->results[10]++;
	try_at_the_bound(stage);
	for (i = 0; i < HOST_QUEUES_MAX; i++)
		unlink_nth(stage, i);
	stage->results[11] = open_nth(stage, NTH_MISSING, O_CREAT);
	(void)close(first);
	stage->results[12] = open_nth(stage, NTH_MISSING, O_CREAT);
	stage->results[13] = open_nth(stage, NTH_MISSING + 1, O_CREAT);
	app_pause(stage);
	stage->results[14] = open_nth(stage, NTH_THERE, O_CREAT);
	app_pause(stage);
}

Test(by_name, so_many_queues_on_the_host_and_no_more)
{
	struct session_message message;
	struct door door;
	char pattern[80];

	make_plan();
	door_open(&door, 0, leave_host, create_to_the_bound);
	(void)snprintf(pattern, sizeof(pattern), "%s-*", door.stage->queue + 1);
	cr_assert_geq(open_nth(door.stage, NTH_THERE, O_CREAT), 0);
	door_wait(&door);
	door_grant_rules(&door,
		&(struct grant){.name = pattern,
			.pattern = true,
			.host = true,
			.permissions = PERMISSIONS_ALL},
		1);
	door_go(&door);
	door_wait(&door);
	plan->vanishes = true;
	door_go(&door);
	door_wait(&door);
	message = last_record(&door);
	end_app(&door);
	for (int i = NTH_THERE; i <= NTH_MISSING + 1; i++)
		unlink_nth(door.stage, i);
	cr_expect_eq(door.stage->results[10], 0, "%ld", door.stage->results[10]);
	cr_expect_eq(door.stage->results[0], -ENOSPC, "%ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], -ENOSPC, "%ld", door.stage->results[1]);
	cr_expect_eq(door.stage->results[2], -ENOENT, "%ld", door.stage->results[2]);
	cr_expect_geq(door.stage->results[3], 0, "%ld", door.stage->results[3]);
	cr_expect_eq(door.stage->results[4], -EEXIST, "%ld", door.stage->results[4]);
	cr_expect_geq(door.stage->results[5], 0, "%ld", door.stage->results[5]);
	cr_expect_eq(
		door.stage->results[11], -ENOSPC, "they are open: %ld", door.stage->results[11]);
	cr_expect_geq(door.stage->results[12], 0, "%ld", door.stage->results[12]);
	cr_expect_eq(door.stage->results[13], -ENOSPC, "%ld", door.stage->results[13]);
	cr_expect_eq(door.stage->results[14], -ENOSPC, "it has gone: %ld", door.stage->results[14]);
	cr_expect_eq(message.record.refusal.why, KERNEL_WHY_HOST);
	cr_expect_eq(message.record.oflag, O_RDWR | O_CREAT);
}
