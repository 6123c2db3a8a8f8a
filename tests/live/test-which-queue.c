/* SPDX-License-Identifier: MIT */
/* Descriptors that the session did not open: what their links say is believed only if it leads to
 * them. */
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "daemon/session/target/inflight.h"
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

/* --- by a number --- */

static void name_by_uid(char name[static 64], const char *variable)
{
	(void)snprintf(name, 64, "/mqgate-of-%s", variable);
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
