/* SPDX-License-Identifier: MIT */
/* What the kernel promises of capabilities, and what mqgate's processes make of it. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "daemon/session/call/on-behalf.h"
#include "door.h"
#include "support.h"
#include "include/capabilities.h"
#include "tests/must-work.h"

TestSuite(capabilities, .init = need_root);

/* The sets as /proc/self/status shows them, to whoever was executed to look. */
static const char show_sets[] = "sed -n 's/^Cap\\(...\\):\\t0*/\\1 /p' /proc/self/status";

/* What the last line of that kind is after before() and an exec. */
static uint64_t permitted_after_exec(void (*before)(void))
{
	int ends[2];
	char text[1024];
	const char *at;
	ssize_t n;
	pid_t child;

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		before();
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execl("/bin/sh", "sh", "-c", show_sets, NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	n = read(ends[0], text, sizeof(text) - 1);
	cr_assert_gt(n, 0);
	text[n] = '\0';
	(void)close(ends[0]);
	at = strstr(text, "Prm ");
	cr_assert(at);
	return strtoull(at + 4, NULL, 16);
}

/* The kernel's promise on which a session process gives up what its launcher lacked. */
Test(capabilities, no_exec_gives_more_under_no_new_privs)
{
	uint64_t all;

	cr_assert_eq(capabilities_get(&all), 0);
	cr_assert_neq(all, CAPABILITY(FOWNER), "the road must be open");
	cr_expect_eq(permitted_after_exec(become_root_with_one), all, "without it exec gives all");
	cr_expect_eq(permitted_after_exec(become_root_with_one_for_good), CAPABILITY(FOWNER));
}

static void keep_two(void)
{
	if (capabilities_keep(CAPABILITY(FOWNER) | CAPABILITY(KILL)) < 0)
		_exit(103);
}

Test(capabilities, what_is_given_up_does_not_come_back)
{
	cr_expect_eq(permitted_after_exec(keep_two), CAPABILITY(FOWNER) | CAPABILITY(KILL));
}

static uint64_t limited(uint64_t capabilities)
{
	struct own_identity own;
	uint64_t permitted;
	pid_t child;
	int ends[2];

	cr_assert_eq(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		if (own_identity_get(&own) < 0 || own_identity_limit(&own, capabilities) < 0 ||
			capabilities_get(&permitted) < 0 || permitted != own.permitted)
			_exit(104);
		_exit(write(ends[1], &permitted, sizeof(permitted)) != sizeof(permitted));
	}
	(void)close(ends[1]);
	cr_assert_eq(read(ends[0], &permitted, sizeof(permitted)), (ssize_t)sizeof(permitted));
	cr_assert_eq(waitpid(child, NULL, 0), child);
	(void)close(ends[0]);
	return permitted;
}

Test(capabilities, a_session_process_keeps_what_its_session_can_need)
{
	const uint64_t always = CAPABILITY(SETUID) | CAPABILITY(SETGID) | CAPABILITY(SYS_PTRACE) |
				CAPABILITY(DAC_OVERRIDE) | CAPABILITY(SYS_ADMIN) |
				CAPABILITY(KILL) | CAPABILITY(SYS_NICE);
	uint64_t all;

	cr_expect_eq(limited(0), always);
	cr_expect_eq(limited(CAPABILITY(FOWNER)), always | CAPABILITY(FOWNER));
	cr_expect_eq(limited(CAPABILITY(SETPCAP) | CAPABILITY(DAC_READ_SEARCH)),
		always | CAPABILITY(DAC_READ_SEARCH), "nothing that message queues do not ask for");
	/* Root of a container may lack one itself. */
	cr_assert_eq(capabilities_get(&all), 0);
	cr_expect_eq(limited(CAPABILITIES_ALL),
		always | (all & (CAPABILITY(DAC_READ_SEARCH) | CAPABILITY(FOWNER) |
					CAPABILITY(SYS_RESOURCE))));
}

static bool may_write_and_execute(void)
{
	void *memory = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return false;
	(void)munmap(memory, 4096);
	return true;
}

Test(capabilities, a_restricted_process_executes_no_memory_that_it_can_write)
{
	int status;
	pid_t child;

	cr_assert(may_write_and_execute());
	child = fork();
	if (child == 0)
		_exit(process_restrict() < 0                          ? 2
			: prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 3
								      : may_write_and_execute());
	cr_assert_eq(waitpid(child, &status, 0), child);
	if (prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0) < 0 && errno == EINVAL)
		machine_lacks("has no PR_SET_MDWE (before Linux 6.3)");
	cr_expect_eq(WEXITSTATUS(status), 0);
}
