/* SPDX-License-Identifier: MIT */
/* Processes that come and go while members of a session are looked for. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "door.h"
#include "member-processes.h"
#include "support.h"

TestSuite(members_come_and_go, .init = choose_filter_id);

/* It forks and ends, and so does its child, and so on; until the test ends. */
static pid_t run_away(void)
{
	pid_t test = getppid(), pid;

	confine(filter_id);
	pid = fork();
	if (pid == 0) {
		(void)signal(SIGCHLD, SIG_IGN);
		while (kill(test, 0) == 0 && access(directory, F_OK) == 0)
			if (fork() != 0)
				_exit(0);
		_exit(0);
	}
	return 0;
}

static pid_t start_running_away(void)
{
	cr_assert_not_null(mkdtemp(directory));
	return start(run_away, NULL);
}

static bool is_no_parent(void *context, const struct member *member)
{
	return member->pid != *(pid_t *)context && is_of_this_test(NULL, member);
}

/* Each one lives for some 300 microseconds. */
Test(members_come_and_go, one_that_forks_and_ends_again_and_again_is_found,
	.fini = remove_directory)
{
	struct members *members = new_members();
	pid_t parent = start_running_away();
	const struct member_visitor visitor = {
		.context = &parent, .wants = is_no_parent, .visit = see, .some = true};

	for (int i = 0; i < 20; i++) {
		cr_expect_eq(look_once(members, &visitor), 0);
		cr_expect(seen->found_count + seen->unknown_count + members->unseen > 0);
	}
	remove_directory();
	end(parent);
}

/* There is always one more. */
static bool make_newcomer(void *context)
{
	pid_t pid = fork();

	(void)context;
	if (pid == 0)
		_exit(0);
	(void)waitpid(pid, NULL, 0);
	return false;
}

Test(members_come_and_go, at_the_bound_newcomers_are_left_and_told)
{
	struct members *members = new_members();
	const struct member_visitor visitor = {
		.wants = is_of_this_test, .visit = see, .is_over = make_newcomer};

	need_root();
	/* Their numbers begin again once in a while. */
	for (int i = 0; i < 3 && members->newcomers <= NEWCOMERS_MAX; i++)
		cr_expect_eq(look_once(members, &visitor), 0);
	cr_expect_eq(members->newcomers, NEWCOMERS_MAX + 1);
	cr_expect_gt(members->unseen, 0);
}

/* Strangers that come and go leave no doubt. */
static pid_t fork_strangers(void)
{
	pid_t test = getppid();

	if (fork() == 0) {
		(void)prctl(PR_SET_NAME, "stranger");
		while (kill(test, 0) == 0 && access(directory, F_OK) == 0) {
			if (fork() == 0)
				_exit(0);
			(void)wait(NULL);
		}
		_exit(0);
	}
	return 0;
}

Test(members_come_and_go, strangers_that_come_and_go_do_no_harm, .fini = remove_directory)
{
	struct members *members = new_members();
	const struct member_visitor visitor = {.wants = is_of_this_test, .visit = see};
	unsigned unseen = 0;
	pid_t parent;

	cr_assert_not_null(mkdtemp(directory));
	parent = start(fork_strangers, NULL);
	for (int i = 0; i < 50; i++) {
		cr_expect_eq(look_once(members, &visitor), 0);
		cr_expect_eq(seen->found_count, 0);
		unseen += members->unseen > 0;
	}
	/* Numbers begin again once in a while. */
	cr_expect_leq(unseen, 2, "%u", unseen);
	remove_directory();
	end(parent);
}
