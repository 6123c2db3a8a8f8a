/* SPDX-License-Identifier: MIT */
/* Descriptors that the session did not open: what their links say is believed only if it leads to
 * them. */
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "daemon/session/target/inflight.h"
#include "daemon/session/target/target.h"
#include "door.h"
#include "include/verdict.h"
#include "support.h"

static mqd_t first, second;

static long use(mqd_t queue)
{
	struct mq_attr attributes;

	return result_of(mq_getattr(queue, &attributes));
}

static void must(bool done)
{
	if (!done)
		_exit(110);
}

/* The file of a queue, bound so that its link has a name as if it were a queue's: in a file system
 * that lies on the root. */
static mqd_t bind_as(const char *queue, const char *name)
{
	char from[96], to[96];
	int fd;

	(void)snprintf(from, sizeof(from), "/dev/mqueue%s", queue);
	(void)snprintf(to, sizeof(to), "/srv%s", name);
	must(unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("none", "/srv", "tmpfs", 0, NULL) == 0);
	fd = open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	must(fd >= 0 && close(fd) == 0 && mount(from, to, NULL, MS_BIND, NULL) == 0);
	fd = open(to, O_RDWR | O_CLOEXEC);
	must(fd >= 0 && mount("/srv", "/", NULL, MS_MOVE, NULL) == 0 && use(fd) == 0);
	(void)snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	must(readlink(from, to, sizeof(to)) == (ssize_t)strlen(name) &&
		strncmp(to, name, strlen(name)) == 0);
	return fd;
}

static void use_both(struct stage *stage)
{
	for (int i = 0; i < 2; i++) {
		app_pause(stage);
		stage->results[2 * i] = use(first);
		stage->results[2 * i + 1] = use(second);
	}
}

/* With one set of grants and then with another. */
static void expect_results(void (*before)(struct stage *), const struct grant rules[static 2],
	const long expected[static 4])
{
	struct door door;

	door_open(&door, 0, before, use_both);
	for (int i = 0; i < 2; i++) {
		struct grant rule = rules[i];

		rule.name = door.stage->queue + 1;
		door_wait(&door);
		door_grant_rules(&door, &rule, 1);
		door_go(&door);
	}
	door_close(&door);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(
			door.stage->results[i], expected[i], "%d: %ld", i, door.stage->results[i]);
}

static const struct grant all = {.permissions = PERMISSIONS_ALL};
static const struct grant all_of_host = {.permissions = PERMISSIONS_ALL, .host = true};

static void bind_another(struct stage *stage)
{
	second = open_new(stage->queue);
	(void)mq_close(open_new(stage->other));
	first = bind_as(stage->other, stage->queue);
}

Test(which_queue, not_what_is_bound_where_a_queue_has_its_name)
{
	expect_results(
		bind_another, (struct grant[]){all, all_of_host}, (long[]){-EACCES, 0, -EACCES, 0});
}

static void bind_at_no_name(struct stage *stage)
{
	second = open_new(stage->other);
	first = bind_as(stage->other, stage->queue);
}

Test(which_queue, not_what_is_bound_where_no_queue_has_its_name)
{
	expect_results(bind_at_no_name, (struct grant[]){all, all_of_host},
		(long[]){-EACCES, -EACCES, -EACCES, -EACCES});
}

static void bind_another_abroad(struct stage *stage)
{
	second = open_new(stage->queue);
	(void)mq_close(open_new(stage->other));
	must(unshare(CLONE_NEWIPC) == 0);
	first = bind_as(stage->other, stage->queue);
}

Test(which_queue, nor_in_another_namespace)
{
	expect_results(bind_another_abroad, (struct grant[]){all, all_of_host},
		(long[]){-EACCES, -EACCES, -EACCES, 0});
}

static void bind_itself(struct stage *stage)
{
	second = open_new(stage->queue);
	first = bind_as(stage->queue, stage->queue);
}

/* It was reached by a file system: whoever sent it may have had no right to that name. */
/* Until it is known by a descriptor that is not bound. */
Test(which_queue, not_the_queue_itself_by_a_bound_file)
{
	expect_results(bind_itself, (struct grant[]){all, all_of_host}, (long[]){-EACCES, 0, 0, 0});
}

static void open_deleted(struct stage *stage)
{
	char name[80];

	first = open_new(stage->queue);
	(void)mq_unlink(stage->queue);
	(void)snprintf(name, sizeof(name), "%s (deleted)", stage->queue);
	second = open_new(name);
}

/* Its link has that at its end. */
Test(which_queue, not_a_deleted_one_by_a_queue_of_that_name)
{
	struct door door;
	char name[80];

	door_open(&door, 0, open_deleted, use_both);
	(void)snprintf(name, sizeof(name), "%s (deleted)", door.stage->queue);
	for (int i = 0; i < 2; i++) {
		door_wait(&door);
		door_grant_rules(&door,
			&(struct grant){.name = name + 1, .permissions = PERMISSIONS_ALL}, 1);
		door_go(&door);
	}
	door_close(&door);
	(void)mq_unlink(name);
	cr_expect_eq(door.stage->results[0], -EACCES);
	cr_expect_eq(door.stage->results[1], 0);
}

static void open_in_two_namespaces(struct stage *stage)
{
	first = open_new(stage->queue);
	must(unshare(CLONE_NEWIPC) == 0);
	second = open_new(stage->queue);
}

Test(which_queue, a_name_is_of_a_namespace)
{
	expect_results(open_in_two_namespaces, (struct grant[]){all, all_of_host},
		(long[]){-EACCES, 0, 0, -EACCES});
}

static void open_in_one_namespace(struct stage *stage)
{
	first = second = open_new(stage->queue);
}

Test(which_queue, whoever_is_in_the_hosts_namespace_has_both)
{
	expect_results(
		open_in_one_namespace, (struct grant[]){all, all_of_host}, (long[]){0, 0, 0, 0});
}

/* --- what a descriptor from outside could do --- */

static void open_for_both(struct stage *stage)
{
	first = open_new(stage->queue);
}

static void open_for_writing(struct stage *stage)
{
	(void)mq_close(open_new(stage->queue));
	first = mq_open(stage->queue, O_WRONLY);
}

static void open_without_name(struct stage *stage)
{
	open_for_both(stage);
	(void)mq_unlink(stage->queue);
}

static void open_no_queue(struct stage *stage)
{
	first = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	must(first >= 0);
}

static void use_once(struct stage *stage)
{
	app_pause(stage);
	(void)use(first);
	app_pause(stage);
}

/* Whether the session is one that has lost something, after it was used. */
static bool taints(void (*before)(struct stage *), uint32_t permissions)
{
	struct door door;
	bool tainted;

	door_open(&door, 0, before, use_once);
	door_begin(&door, permissions, 0);
	tainted = door_notes(&door)->tainted;
	door_go(&door);
	door_close(&door);
	return tainted;
}

/* What it is noted to be open for, and what it was granted. */
static uint32_t noted(void (*before)(struct stage *), uint32_t permissions)
{
	struct door door;
	uint32_t access;

	door_open(&door, 0, before, use_once);
	door_begin(&door, permissions, 0);
	access = door_notes(&door)->queues.entries[0].opened & (PERMISSION_READ | PERMISSION_WRITE);
	door_go(&door);
	door_close(&door);
	return access;
}

Test(which_queue, what_it_is_open_for_is_noted)
{
	cr_expect_eq(noted(open_for_both, PERMISSION_READ), PERMISSION_READ | PERMISSION_WRITE);
	cr_expect_eq(noted(open_for_writing, 0), PERMISSION_WRITE);
}

Test(which_queue, one_that_could_do_more_than_is_granted_is_a_loss)
{
	cr_expect_not(taints(open_for_both, PERMISSION_READ | PERMISSION_WRITE));
	cr_expect(taints(open_for_both, PERMISSION_WRITE));
	cr_expect(taints(open_for_both, PERMISSION_READ));
	cr_expect(taints(open_for_both, 0));
	cr_expect_not(taints(open_for_writing, PERMISSION_WRITE));
	cr_expect(taints(open_for_writing, PERMISSION_READ));
	cr_expect(taints(open_without_name, PERMISSIONS_ALL));
	cr_expect_not(taints(open_no_queue, 0));
}

Test(which_queue, the_record_says_if_it_is_not_known)
{
	struct door door;

	door_open(&door, 0, bind_at_no_name, use_once);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	cr_expect_eq(door_record(&door).record.reason, REASON_UNKNOWN_QUEUE);
	door_wait(&door);
	door_go(&door);
	door_close(&door);
}

/* --- what cannot be looked at --- */

/* What session processes find that are started from now on, instead of what there is. */
static int descriptor_error, access_error;

/* Shared with session processes: the number that is looked at instead of another one; 0: none. */
static volatile int *exchanged;

/* The linker puts these in the place of the session's own (--wrap). */
int __real_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __real_target_descriptor_access(const struct target *target, int fd, uint32_t *ret);
int __wrap_target_descriptor_access(const struct target *target, int fd, uint32_t *ret);

int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret)
{
	if (descriptor_error)
		return descriptor_error;
	return __real_target_descriptor(target, exchanged && *exchanged ? *exchanged : fd, ret);
}

int __wrap_target_descriptor_access(const struct target *target, int fd, uint32_t *ret)
{
	if (!access_error)
		return __real_target_descriptor_access(target, fd, ret);
	*ret = 0;
	return access_error;
}

static void use_and_tell(struct stage *stage)
{
	app_pause(stage);
	stage->results[0] = use(first);
	app_pause(stage);
}

static void expect_denied(
	void (*before)(struct stage *), uint32_t permissions, uint32_t noted_access)
{
	struct door door;

	door_open(&door, 0, before, use_and_tell);
	door_begin(&door, permissions, 0);
	cr_expect_eq(
		door_notes(&door)->queues.entries[0].opened & (PERMISSION_READ | PERMISSION_WRITE),
		noted_access);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES, "%ld", door.stage->results[0]);
}

Test(which_queue, what_it_is_cannot_be_seen)
{
	descriptor_error = -EIO;
	expect_denied(open_for_both, PERMISSIONS_ALL, 0);
	expect_denied(open_no_queue, PERMISSIONS_ALL, 0);
}

/* Then it is noted to be open for all. */
Test(which_queue, what_it_is_open_for_cannot_be_seen)
{
	access_error = -EIO;
	expect_denied(open_for_writing, PERMISSIONS_ALL, PERMISSION_READ | PERMISSION_WRITE);
	expect_denied(open_for_writing, 0, PERMISSION_READ | PERMISSION_WRITE);
}

/* --- opened by the session --- */

static void open_then_use(struct stage *stage)
{
	app_pause(stage);
	first = open_new(stage->queue);
	stage->results[0] = use(first);
	app_pause(stage);
	stage->results[1] = use(first);
}

static void leave_host(struct stage *stage)
{
	must(unshare(CLONE_NEWIPC) == 0);
}

/* Opened with the first rule, used with both. */
static void expect_use(
	void (*before)(struct stage *), struct grant with, struct grant then, long expected)
{
	struct grant rules[] = {with, then};
	struct door door;

	door_open(&door, 0, before, open_then_use);
	for (int i = 0; i < 2; i++) {
		rules[i].name = door.stage->queue + 1;
		door_wait(&door);
		door_grant_rules(&door, &rules[i], 1);
		door_go(&door);
	}
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], expected, "%ld", door.stage->results[1]);
}

Test(which_queue, what_was_opened_is_of_the_namespace_where_it_was)
{
	expect_use(NULL, all, all_of_host, 0);
	expect_use(NULL, all_of_host, all, 0);
	expect_use(leave_host, all, all_of_host, -EACCES);
	expect_use(leave_host, all_of_host, all, -EACCES);
}

/* What was forgotten to make room is found by its name, as any other. */
Test(which_queue, what_was_forgotten_is_a_stranger)
{
	struct door door;

	door_open(&door, 0, NULL, open_then_use);
	door_begin(&door, PERMISSIONS_ALL, 0);
	cr_assert_eq(door_notes(&door)->queues.count, 1U);
	door_notes(&door)->queues.count = 0;
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[1], 0, "%ld", door.stage->results[1]);
	cr_expect_eq(door_notes(&door)->queues.count, 1U);
}

static void send_twice(struct stage *stage)
{
	app_pause(stage);
	first = open_new(stage->queue);
	second = open_new(stage->other);
	app_pause(stage); /* something is taken away */
	stage->results[0] = result_of(mq_send(first, "text", 4, 0));
	*exchanged = second;
	app_pause(stage); /* the first queue is taken away, and forgotten */
	stage->results[1] = result_of(mq_send(first, "text", 4, 0));
	*exchanged = 0;
}

static void forget_queue(struct queues *queues, const char *name)
{
	for (uint32_t i = 0; i < queues->count; i++)
		if (streq(queues->entries[i].name, name))
			queues->keys[i].inode = 0;
}

/* Though its file is held, and what lies behind its number when that is looked at is granted. */
Test(which_queue, what_was_forgotten_is_not_used_instead_of_another)
{
	struct mq_attr attributes = {0};
	struct door door;

	exchanged = mmap(NULL, sizeof(*exchanged), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq((void *)exchanged, MAP_FAILED);
	door_open(&door, 0, NULL, send_twice);
	door_begin(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(&door, PERMISSION_WRITE, PERMISSIONS_ALL);
	first = mq_open(door.stage->queue, O_RDONLY);
	door_go(&door);
	door_wait(&door);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	forget_queue(&door_notes(&door)->queues, door.stage->queue + 1);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "%ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], -EBADF, "%ld", door.stage->results[1]);
	cr_assert_eq(mq_getattr(first, &attributes), 0);
	cr_expect_eq(attributes.mq_curmsgs, 1);
}

static void send_to_both(struct stage *stage)
{
	app_pause(stage);
	first = open_new(stage->queue);
	second = open_new(stage->other);
	stage->results[0] = result_of(mq_send(first, "text", 4, 0));
	stage->results[1] = result_of(mq_send(second, "text", 4, 0));
	stage->results[2] = result_of(mq_send(second, "text", 4, 0));
	app_pause(stage);
}

static uint64_t sent_by(const struct door *door, const char *giver)
{
	const struct inflight_head *head = &door_notes(door)->head;

	for (uint32_t i = 0; i < head->counted_count; i++)
		if (streq(head->counted[i].ref, giver))
			return head->counted[i].counters.sent;
	return 0;
}

Test(which_queue, a_message_counts_for_who_gave_its_queue)
{
	struct door door;

	door_open(&door, 0, NULL, send_to_both);
	door_wait(&door);
	door_grant_rules(&door,
		(struct grant[]){
			{.name = door.stage->queue + 1, .permissions = PERMISSIONS_ALL, .giver = 1},
			{.name = door.stage->other + 1,
				.permissions = PERMISSIONS_ALL,
				.giver = 2}},
		2);
	door_go(&door);
	door_wait(&door);
	cr_expect_eq(sent_by(&door, door.stage->queue + 1), 1U);
	cr_expect_eq(sent_by(&door, door.stage->other + 1), 2U);
	door_go(&door);
	door_close(&door);
}

/* --- by a number --- */

static pid_t the_test;

static void note_test(void)
{
	the_test = getpid();
}

TestSuite(which_queue, .init = note_test);

static void name_by_uid(char name[static 64], const char *variable)
{
	(void)snprintf(name, 64, "/mqgate-of-%d-%s", the_test, variable);
}

static void open_by_uid(struct stage *stage)
{
	char name[64];

	name_by_uid(name, "0");
	first = open_new(name);
}

static void expect_use_by_number(
	void (*before)(struct stage *stage), void (*program)(struct stage *stage))
{
	struct door door;
	char pattern[64], name[64];

	name_by_uid(pattern, "{uid}");
	name_by_uid(name, "0");
	door_open(&door, 0, before, program);
	door_wait(&door);
	door_grant_rules(&door,
		&(struct grant){
			.name = pattern + 1, .pattern = true, .permissions = PERMISSIONS_ALL},
		1);
	door_go(&door);
	door_close(&door);
	(void)mq_unlink(name);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], 0);
}

/* Others first, who get it as well once it is known. */
static void use_as_another_and_itself(struct stage *stage)
{
	pid_t child;
	int status;

	app_pause(stage);
	child = fork();
	if (child == 0)
		_exit(setresuid(NOBODY, NOBODY, NOBODY) < 0 ? 111
			: use(first) == -EACCES             ? 0
							    : 112);
	must(waitpid(child, &status, 0) == child);
	stage->results[0] = status;
	stage->results[1] = use(first);
}

Test(which_queue, a_caller_has_what_its_own_number_gives)
{
	expect_use_by_number(open_by_uid, use_as_another_and_itself);
}

static void open_and_pass_on(struct stage *stage)
{
	char name[64];
	pid_t child;
	int status;

	name_by_uid(name, "0");
	app_pause(stage);
	first = open_new(name);
	child = fork();
	if (child == 0)
		_exit(setresuid(NOBODY, NOBODY, NOBODY) < 0 || use(first) < 0);
	must(waitpid(child, &status, 0) == child);
	stage->results[0] = status;
	stage->results[1] = use(first);
}

Test(which_queue, what_was_opened_by_a_number_can_be_passed_on)
{
	expect_use_by_number(NULL, open_and_pass_on);
}

/* By its number to whom the first is given; to everybody the second. */
static void grant_by_number(struct door *door, uint32_t permissions, uint32_t on_other)
{
	struct grant rules[2];
	char pattern[64];

	name_by_uid(pattern, "{uid}");
	rules[0] = (struct grant){.name = pattern + 1, .pattern = true, .permissions = permissions};
	rules[1] = (struct grant){.name = door->stage->other + 1, .permissions = on_other};
	door_grant_rules(door, rules, on_other ? 2 : 1);
}

static void unlink_by_uid(void)
{
	char name[64];

	name_by_uid(name, "0");
	(void)mq_unlink(name);
}

static void receive_by_uid(struct stage *stage)
{
	char text[32];

	app_pause(stage);
	open_by_uid(stage);
	(void)open_new(stage->other);
	app_pause(stage); /* the other one is taken away */
	stage->results[0] = result_of(mq_receive(first, text, sizeof(text), NULL));
}

static void expect_waiting(const struct door *door)
{
	const struct inflight *inflight = door_notes(door);

	for (int i = 0; i < 100 * DOOR_DEADLINE_SECONDS; i++) {
		if (inflight->waiting[0].id != 0)
			return;
		(void)usleep(10000);
	}
	cr_assert_fail("it does not wait");
}

static void wait_by_number(struct door *door)
{
	door_open(door, 0, NULL, receive_by_uid);
	door_wait(door);
	grant_by_number(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
	grant_by_number(door, PERMISSIONS_ALL, 0);
	door_go(door);
	expect_waiting(door);
}

Test(which_queue, who_waits_by_its_number_waits_on)
{
	struct door door;

	wait_by_number(&door);
	grant_by_number(&door, PERMISSIONS_ALL & ~(uint32_t)PERMISSION_DELETE, 0);
	open_by_uid(door.stage);
	cr_assert_eq(mq_send(first, "text", 4, 0), 0);
	door_close(&door);
	unlink_by_uid();
	cr_expect_eq(door.stage->results[0], 4, "%ld", door.stage->results[0]);
}

Test(which_queue, who_waits_by_its_number_loses_it)
{
	struct door door;

	wait_by_number(&door);
	grant_by_number(&door, PERMISSION_WRITE, 0);
	door_close(&door);
	unlink_by_uid();
	cr_expect_eq(door.stage->results[0], -EACCES, "%ld", door.stage->results[0]);
}

static void let_another_try(struct stage *stage)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};
	char name[64];
	pid_t child;
	int status;

	name_by_uid(name, "0");
	app_pause(stage);
	first = mq_open(name, O_RDONLY | O_CREAT, 0600, &attributes);
	child = fork();
	if (child == 0)
		_exit(setresuid(NOBODY, NOBODY, NOBODY) == 0 &&
					result_of(mq_send(first, "text", 4, 0)) == -EACCES
				? 0
				: 113);
	must(waitpid(child, &status, 0) == child);
	stage->results[0] = status;
	app_pause(stage);
}

/* Who has nothing more changes nothing. */
Test(which_queue, a_caller_that_has_less_takes_nothing_away)
{
	const uint32_t permissions = PERMISSION_READ | PERMISSION_CREATE;
	struct door door;

	door_open(&door, 0, NULL, let_another_try);
	door_wait(&door);
	grant_by_number(&door, permissions, 0);
	door_go(&door);
	door_wait(&door);
	grant_by_number(&door, permissions, PERMISSIONS_ALL);
	cr_expect_not(door_notes(&door)->tainted);
	door_go(&door);
	door_close(&door);
	unlink_by_uid();
	cr_expect_eq(door.stage->results[0], 0, "%#lx", door.stage->results[0]);
}
