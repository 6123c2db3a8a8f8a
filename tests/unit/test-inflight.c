/* SPDX-License-Identifier: MIT */
/* What outlives a session process: the request in hand and the known queues. */
#include <criterion/criterion.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "daemon/session/target/inflight.h"
#include "include/util.h"

static int make_memfd(off_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert(fd >= 0);
	cr_assert_eq(ftruncate(fd, size), 0);
	return fd;
}

Test(inflight, is_seen_by_the_next_process)
{
	_cleanup_close_ int fd = make_memfd((off_t)INFLIGHT_SIZE);
	struct inflight *first, *second;

	cr_assert_eq(inflight_map(fd, &first), 0);
	inflight_begin(first);
	first->notification.id = 42;
	inflight_acting(first, true);

	cr_assert_eq(inflight_map(fd, &second), 0);
	cr_expect(second->head.since > 0);
	cr_expect(second->notification.id == 42);
	cr_expect(second->phase == INFLIGHT_ACTING);
	cr_expect(second->existed == 1);
	inflight_acted(second, -ENOENT);
	cr_expect(first->phase == INFLIGHT_ACTED && first->result == -ENOENT);
	inflight_end(second);
	cr_expect(first->notification.id == 0 && first->head.since == 0);
	inflight_begin(first);
	cr_expect(second->phase == INFLIGHT_RECEIVED);
}

Test(inflight, refuses_other_sizes_and_versions)
{
	_cleanup_close_ int small = make_memfd((off_t)INFLIGHT_SIZE - 1);
	_cleanup_close_ int other = make_memfd((off_t)INFLIGHT_SIZE);
	struct inflight *inflight;

	cr_expect_eq(inflight_map(small, &inflight), -EBADMSG);
	cr_assert_eq(inflight_map(other, &inflight), 0);
	inflight->head.version = INFLIGHT_VERSION + 1;
	cr_expect_eq(inflight_map(other, &inflight), -EPROTONOSUPPORT);
}

static pid_t claim_in_child(int fd, bool *claimed)
{
	pid_t pid = fork();

	if (pid == 0) {
		*claimed = inflight_claim(fd) == 0;
		for (;;)
			(void)pause();
	}
	cr_assert_gt(pid, 0);
	for (int i = 0; i < 1000 && !*(volatile bool *)claimed; i++)
		(void)usleep(1000);
	cr_assert(*claimed);
	return pid;
}

/* The descriptor is the same one everywhere, as it is for session processes. */
Test(inflight, is_one_process_s_at_a_time)
{
	_cleanup_close_ int fd = make_memfd((off_t)INFLIGHT_SIZE);
	bool *claimed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t first = claim_in_child(fd, claimed), second;
	int status = 0;

	*claimed = false;
	second = claim_in_child(fd, claimed);
	cr_assert_eq(waitpid(first, &status, 0), first);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the earlier one is killed");
	(void)kill(second, SIGKILL);
	cr_assert_eq(waitpid(second, &status, 0), second);
	cr_expect_eq(inflight_claim(fd), 0, "nobody has it any more");
	cr_expect_eq(inflight_claim(fd), 0, "it is ours");
}

/* Whoever has it is out of sight, so it cannot be killed. */
Test(inflight, is_not_waited_for_for_ever)
{
	_cleanup_close_ int fd = make_memfd((off_t)INFLIGHT_SIZE);
	uint64_t begin = now_usec();
	int status = 0;
	pid_t pid;

	cr_assert_eq(inflight_claim(fd), 0);
	cr_assert_eq(unshare((geteuid() == 0 ? 0 : CLONE_NEWUSER) | CLONE_NEWPID), 0);
	pid = fork();
	if (pid == 0)
		_exit(inflight_claim(fd) == -EBUSY ? 0 : 1);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	cr_expect_geq(now_usec() - begin, CLAIM_DEADLINE_USEC);
	cr_expect_lt(now_usec() - begin, 3 * CLAIM_DEADLINE_USEC);
}

/* What is counted or named there leads beyond it: it is not used. */
Test(inflight, is_refused_if_it_leads_beyond_itself)
{
	static const struct {
		const char *what;
		size_t offset, size;
		uint64_t most;
	} bounds[] = {
		{"waiting", offsetof(struct inflight, waiting_used), 4, SESSION_WAITING_MAX},
		{"queues", offsetof(struct inflight, queues.count), 4, SESSION_QUEUES_MAX},
		{"threads", offsetof(struct inflight, threads.count), 4, SESSION_THREADS_MAX},
		{"message kept", offsetof(struct inflight, done.used), 4, SESSION_MESSAGE_MAX},
		{"message", offsetof(struct inflight, done.result), 8, SESSION_MESSAGE_MAX},
	};

	for (size_t i = 0; i < ELEMENTSOF(bounds); i++) {
		_cleanup_close_ int fd = make_memfd((off_t)INFLIGHT_SIZE);
		uint64_t more = bounds[i].most + 1;
		struct inflight *inflight;

		cr_assert(pwrite(fd, &bounds[i].most, bounds[i].size, (off_t)bounds[i].offset) > 0);
		cr_expect_eq(inflight_map(fd, &inflight), 0, "%s", bounds[i].what);
		cr_assert(pwrite(fd, &more, bounds[i].size, (off_t)bounds[i].offset) > 0);
		cr_expect_eq(inflight_map(fd, &inflight), -EBADMSG, "%s", bounds[i].what);
	}
}

Test(inflight, is_refused_with_a_name_without_end)
{
	_cleanup_close_ int fd = make_memfd((off_t)INFLIGHT_SIZE);
	struct inflight *inflight, *again;

	cr_assert_eq(inflight_map(fd, &inflight), 0);
	memset(inflight->queues.entries[0].name, 'x', sizeof(inflight->queues.entries[0].name));
	cr_expect_eq(inflight_map(fd, &again), 0, "an entry that is not in use");
	inflight->queues.count = 1;
	cr_expect_eq(inflight_map(fd, &again), -EBADMSG);
}

static struct queues *new_queues(void)
{
	struct queues *queues = calloc(1, sizeof(*queues));

	cr_assert_not_null(queues);
	return queues;
}

static struct grants *grants_on(const char *name, uint32_t permissions)
{
	struct grants *grants;

	cr_assert_eq(grants_new(1, &grants), 0);
	if (permissions)
		cr_assert_eq(grants_add(grants,
				     &(struct grant){.name = name, .permissions = permissions}),
			0);
	grants_seal(grants);
	return grants;
}

static void remember(
	struct queues *queues, struct queue_key key, const char *name, uint32_t permissions)
{
	_cleanup_(grants_freep) struct grants *grants =
		grants_on(strlen(name) <= QUEUE_NAME_MAX ? name : "a", permissions);
	const struct queue_facts facts = {
		.name = name, .alias = name, .spaces = SPACE_CALLER, .subject = SUBJECT_NOBODY};

	queues_remember(queues, key, &facts, grants);
}

static const char *find(struct queues *queues, uint64_t inode)
{
	uint32_t place = queues_find(queues, (struct queue_key){.device = 1, .inode = inode});

	return place < SESSION_QUEUES_MAX ? queues->entries[place].name : "(unknown)";
}

Test(queues, remembers_by_device_and_inode)
{
	struct queues *queues = new_queues();

	remember(queues, (struct queue_key){1, 10}, "a", PERMISSIONS_ALL);
	remember(queues, (struct queue_key){2, 10}, "b", PERMISSIONS_ALL);
	cr_expect_str_eq(find(queues, 10), "a");
	cr_expect_eq(queues_find(queues, (struct queue_key){2, 10}), 1U);
	cr_expect_str_eq(queues->entries[1].name, "b");
	cr_expect_str_eq(find(queues, 11), "(unknown)");
	cr_expect_eq(queues_find(queues, (struct queue_key){0, 0}), SESSION_QUEUES_MAX);
	remember(queues, (struct queue_key){1, 10}, "renamed", PERMISSIONS_ALL);
	cr_expect_str_eq(find(queues, 10), "renamed");
	cr_expect(queues->count == 2);
	free(queues);
}

Test(queues, forgets_the_least_recently_used)
{
	struct queues *queues = new_queues();

	for (uint64_t i = 1; i <= SESSION_QUEUES_MAX; i++)
		remember(queues, (struct queue_key){1, i}, "full", PERMISSIONS_ALL);
	cr_expect_str_eq(find(queues, 1), "full");
	remember(
		queues, (struct queue_key){1, SESSION_QUEUES_MAX + 1}, "one more", PERMISSIONS_ALL);
	cr_expect_str_eq(find(queues, SESSION_QUEUES_MAX + 1), "one more");
	cr_expect_str_eq(find(queues, 1), "full", "used since, therefore kept");
	cr_expect_str_eq(find(queues, 2), "(unknown)");
	cr_expect_str_eq(find(queues, 3), "full");
	free(queues);
}

Test(queues, names_that_no_queue_has_are_not_remembered)
{
	struct queues *queues = new_queues();
	char name[QUEUE_NAME_MAX + 2];

	memset(name, 'a', sizeof(name));
	name[QUEUE_NAME_MAX + 1] = '\0';
	remember(queues, (struct queue_key){1, 5}, name, PERMISSIONS_ALL);
	cr_expect_str_eq(find(queues, 5), "(unknown)");
	name[QUEUE_NAME_MAX] = '\0';
	remember(queues, (struct queue_key){1, 5}, name, PERMISSIONS_ALL);
	cr_expect_str_eq(find(queues, 5), name);
	free(queues);
}

Test(queues, a_lost_permission_is_noticed_once)
{
	struct queues *queues = new_queues();
	struct grants *all = grants_on("a", PERMISSIONS_ALL);
	struct grants *read = grants_on("a", PERMISSION_READ);
	struct grants *other = grants_on("b", PERMISSIONS_ALL);

	cr_expect_not(queues_lose(queues, other), "nothing was open");
	remember(queues, (struct queue_key){1, 1}, "a", PERMISSION_OPEN | PERMISSION_READ);
	cr_expect_not(queues_lose(queues, read));
	cr_expect_not(queues_lose(queues, all));
	queues_update(queues, all);
	cr_expect(queues_lose(queues, read));
	cr_expect(queues_lose(queues, other));
	queues_update(queues, other);
	cr_expect_not(queues_lose(queues, other));
	(void)grants_free(all);
	(void)grants_free(read);
	(void)grants_free(other);
	free(queues);
}

static struct grants *reading(const char *name, const char *other)
{
	struct grants *grants;

	cr_assert_eq(grants_new(0, &grants), 0);
	if (name)
		cr_assert_eq(grants_add(grants,
				     &(struct grant){.name = name, .permissions = PERMISSION_READ}),
			0);
	if (other)
		cr_assert_eq(grants_add(grants, &(struct grant){.name = other,
							.permissions = PERMISSION_READ}),
			0);
	grants_seal(grants);
	return grants;
}

/* One process of the session may read it, by its number, and another one may write to it. */
Test(queues, what_somebody_was_given_is_not_forgotten_for_another_one)
{
	const struct grant rules[] = {
		{.name = "r-{pid}-*", .pattern = true, .permissions = PERMISSION_READ},
		{.name = "r-*-{pid}", .pattern = true, .permissions = PERMISSION_WRITE},
	};
	const struct queue_key key = {1, 10};
	struct queue_facts facts = {
		.name = "r-5-6", .alias = "r-5-6", .spaces = SPACE_CALLER, .subject = {.pid = 5}};
	_cleanup_(grants_freep) struct grants *both = NULL, *writing = NULL;
	struct queues *queues = new_queues();

	cr_assert_eq(grants_new(1, &both), 0);
	cr_assert_eq(grants_new(1, &writing), 0);
	cr_assert_eq(grants_add(both, &rules[0]), 0);
	cr_assert_eq(grants_add(both, &rules[1]), 0);
	cr_assert_eq(grants_add(writing, &rules[1]), 0);
	grants_seal(both);
	grants_seal(writing);
	queues_remember(queues, key, &facts, both);
	facts.subject.pid = 6;
	queues_remember(queues, key, &facts, both);
	cr_expect_eq(queues->entries[0].permissions,
		PERMISSION_OPEN | PERMISSION_READ | PERMISSION_WRITE);
	cr_expect(queues_lose(queues, writing), "opened by another one");
	queues_update(queues, both);
	queues_adopt(queues, 0, &(struct subject){.pid = 5}, both);
	cr_expect_eq(queues->entries[0].permissions,
		PERMISSION_OPEN | PERMISSION_READ | PERMISSION_WRITE);
	cr_expect(queues_lose(queues, writing), "come to another one");
	free(queues);
}

Test(queues, tell_what_may_be_held)
{
	_cleanup_(grants_freep) struct grants *nothing = reading(NULL, NULL);
	_cleanup_(grants_freep) struct grants *a = reading("a", NULL), *b = reading("b", NULL);
	_cleanup_(grants_freep) struct grants *both = reading("a", "b");
	struct queues *queues = new_queues();

	remember(queues, (struct queue_key){1, 10}, "a", PERMISSION_READ);
	cr_expect_not(queues_may_be_held(queues, both), "it is granted");
	queues_update(queues, nothing);
	cr_expect(queues_may_be_held(queues, both));
	cr_expect(queues_may_be_held(queues, a));
	cr_expect_not(queues_may_be_held(queues, b), "another queue is in question");
	queues_update(queues, a);
	cr_expect_not(queues_may_be_held(queues, both), "it is granted again");
	/* Opened with more, once: that descriptor may be open still. */
	remember(queues, (struct queue_key){1, 10}, "a", PERMISSIONS_ALL);
	remember(queues, (struct queue_key){1, 10}, "a", PERMISSION_READ);
	queues_update(queues, a);
	cr_expect(queues_may_be_held(queues, a));
	free(queues);
}

Test(queues, what_comes_from_outside_may_be_held_though_it_was_not_granted)
{
	_cleanup_(grants_freep) struct grants *nothing = reading(NULL, NULL);
	_cleanup_(grants_freep) struct grants *a = reading("a", NULL), *b = reading("b", NULL);
	struct queues *queues = new_queues();

	remember(queues, (struct queue_key){1, 10}, "a", 0);
	queues_note_access(queues, (struct queue_key){1, 10}, PERMISSION_READ);
	queues_note_access(queues, (struct queue_key){1, 11}, PERMISSION_WRITE);
	cr_expect(queues_may_be_held(queues, a), "it can do more than is granted");
	cr_expect_not(queues_may_be_held(queues, b));
	queues_update(queues, a);
	cr_expect_not(queues_may_be_held(queues, a), "now it cannot");
	queues_update(queues, nothing);
	cr_expect(queues_may_be_held(queues, a), "it was taken back");
	cr_expect_eq(queues_find_lost(queues, "a", PERMISSION_READ), 0);
	cr_expect_eq(queues_find_lost(queues, "a", PERMISSION_WRITE), SESSION_QUEUES_MAX);
	free(queues);
}

Test(queues, what_cannot_be_in_a_descriptor_is_not_held)
{
	_cleanup_(grants_freep) struct grants *a = reading("a", NULL);
	struct queues *queues = new_queues();

	remember(queues, (struct queue_key){1, 10}, "a",
		PERMISSION_READ | PERMISSION_CREATE | PERMISSION_DELETE);
	queues_update(queues, a);
	cr_expect_not(queues_may_be_held(queues, a));
	queues->forgot = 1;
	cr_expect(queues_may_be_held(queues, a), "one was forgotten that may be open still");
	free(queues);
}
