/* SPDX-License-Identifier: MIT */
/* The kernel's refusals as people get them. */
#include <criterion/criterion.h>

#include "daemon/manager/sessions/kernel-refusal.h"
#include "include/grants.h"

TestSuite(refusal, .timeout = 60);

static void expect(
	const struct kernel_refusal *why, int error, const char *text, const char *remedy)
{
	const struct refused_call call = {
		.why = why, .error = error, .queue = "q", .pid = 42, .uid = 1000};
	char *found = kernel_refusal_text(&call), *command;

	cr_assert(found && kernel_refusal_remedy(&call, &command) == 0);
	cr_expect_str_eq(found, text, "%s", found);
	cr_expect((!command && !remedy) || (command && remedy && streq(command, remedy)), "%s",
		command ? command : "(none)");
	free(found);
	free(command);
}

Test(refusal, of_attributes)
{
	struct kernel_refusal why = {.why = KERNEL_WHY_TOO_LARGE, .wanted = 100, .limit = 10};

	expect(&why, EINVAL, "EINVAL, it wants room for 100 messages, and fs.mqueue.msg_max is 10",
		"sysctl fs.mqueue.msg_max=100");
	why.elsewhere = 1;
	expect(&why, EINVAL, "EINVAL, it wants room for 100 messages, and fs.mqueue.msg_max is 10",
		"nsenter --target 42 --ipc sysctl fs.mqueue.msg_max=100");
	why.wanted = 65537;
	expect(&why, EINVAL,
		"EINVAL, it wants room for 65537 messages, and fs.mqueue.msg_max is 10, which "
		"cannot be raised to that",
		NULL);
	why = (struct kernel_refusal){
		.why = KERNEL_WHY_TOO_LARGE, .size_wanted = 9000, .size_limit = 8192};
	expect(&why, EINVAL,
		"EINVAL, it wants messages of up to 9000 bytes, and fs.mqueue.msgsize_max is 8192",
		"sysctl fs.mqueue.msgsize_max=9000");
	why.wanted = 25;
	why.limit = 10;
	expect(&why, EINVAL,
		"EINVAL, it wants room for 25 messages, and fs.mqueue.msg_max is 10; messages of up to "
		"9000 bytes, and fs.mqueue.msgsize_max is 8192",
		"sysctl fs.mqueue.msg_max=25 fs.mqueue.msgsize_max=9000");
	why = (struct kernel_refusal){.why = KERNEL_WHY_NOTHING};
	expect(&why, EINVAL, "EINVAL, mq_maxmsg and mq_msgsize must be more than 0", NULL);
}

Test(refusal, of_bytes)
{
	struct kernel_refusal why = {.why = KERNEL_WHY_BYTES,
		.wanted = 84480,
		.limit = 819200,
		.hard = 900000,
		.most = UINT64_MAX};

	expect(&why, EMFILE,
		"EMFILE, the queue takes about 84480 bytes of the 819200 that all queues of user 1000 "
		"may take (RLIMIT_MSGQUEUE)",
		"prlimit --pid 42 --msgqueue=903680");
	why.hard = UINT64_MAX;
	why.used = 760320;
	why.largest[0] = (struct kernel_queue){"big", 700000};
	why.largest[1] = (struct kernel_queue){"x\n", 60320};
	expect(&why, EMFILE,
		"EMFILE, the queue takes about 84480 bytes of the 819200 that all queues of user 1000 "
		"may take (RLIMIT_MSGQUEUE); its queues here have 760320: /big 700000, /x\\x0a 60320",
		"prlimit --pid 42 --msgqueue=903680:");
}

Test(refusal, of_more_bytes_than_mqgated_may_give)
{
	struct kernel_refusal why = {.why = KERNEL_WHY_BYTES,
		.wanted = 100,
		.limit = 1000,
		.hard = UINT64_MAX,
		.used = 950,
		.queues = 5,
		.most = 1099,
		.largest = {{"a", 500}, {"b", 300}, {"c", 100}}};

	expect(&why, EMFILE,
		"EMFILE, the queue takes about 100 bytes of the 1000 that all queues of user 1000 may "
		"take (RLIMIT_MSGQUEUE); its queues here have 950: /a 500, /b 300, /c 100 and 2 more; "
		"more than 1099 mqgated itself may not have (LimitMSGQUEUE=)",
		NULL);
	why.most = 1100;
	expect(&why, EMFILE,
		"EMFILE, the queue takes about 100 bytes of the 1000 that all queues of user 1000 may "
		"take (RLIMIT_MSGQUEUE); its queues here have 950: /a 500, /b 300, /c 100 and 2 more",
		"prlimit --pid 42 --msgqueue=1100:");
}

Test(refusal, of_the_rest)
{
	struct kernel_refusal why = {.why = KERNEL_WHY_TABLE, .limit = 64, .hard = 128};

	expect(&why, EMFILE,
		"EMFILE, it has as many descriptors open as it may (RLIMIT_NOFILE: 64)",
		"prlimit --pid 42 --nofile=128:");
	why = (struct kernel_refusal){.why = KERNEL_WHY_QUEUES, .limit = 256};
	expect(&why, ENOSPC,
		"ENOSPC, its IPC namespace may not have more queues (fs.mqueue.queues_max: 256)",
		"sysctl fs.mqueue.queues_max=512");
	why.queues = 300;
	expect(&why, ENOSPC,
		"ENOSPC, its IPC namespace may not have more queues (fs.mqueue.queues_max: 256)",
		"sysctl fs.mqueue.queues_max=600");
	why = (struct kernel_refusal){.why = KERNEL_WHY_OWNER,
		.uid = 1,
		.gid = 2,
		.mode = 0600,
		.has_owner = 1,
		.class = 'g',
		.wanted = PERMISSION_READ};
	expect(&why, EACCES, "EACCES, the queue is of user 1 and group 2, and its mode is 0600",
		"chmod g+r /dev/mqueue/q");
	why.class = 'o';
	why.caller_gid = 77;
	expect(&why, EACCES, "EACCES, the queue is of user 1 and group 2, and its mode is 0600",
		"chgrp 77 /dev/mqueue/q && chmod g+r /dev/mqueue/q");
	why.mode = 0640;
	expect(&why, EACCES, "EACCES, the queue is of user 1 and group 2, and its mode is 0640",
		"chmod o+r /dev/mqueue/q");
	why.wanted = PERMISSION_DELETE;
	expect(&why, EPERM, "EPERM, the queue is of user 1, who alone may delete it", NULL);
	why.has_owner = 0;
	why.class = 0;
	expect(&why, EACCES, "EACCES, the queue's owner and mode do not allow it", NULL);
	why = (struct kernel_refusal){.why = KERNEL_WHY_HOST};
	expect(&why, ENOSPC,
		"ENOSPC, the session has created as many queues on the host as it may "
		"(HOST_QUEUES_MAX: 32)",
		NULL);
	why = (struct kernel_refusal){.why = KERNEL_WHY_OTHER};
	expect(&why, ENOMEM, "ENOMEM, Cannot allocate memory", NULL);
}

Test(refusal, of_a_name_that_no_queue_has)
{
	static const char *const names[] = {"..", ".", "a/b", ""};
	const struct kernel_refusal why = {
		.why = KERNEL_WHY_OWNER, .has_owner = 1, .class = 'o', .wanted = PERMISSION_READ};

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		const struct refused_call call = {
			.why = &why, .error = EACCES, .queue = names[i], .pid = 42, .uid = 1000};
		char *text = kernel_refusal_text(&call), *command;

		cr_assert_eq(kernel_refusal_remedy(&call, &command), 0);
		cr_expect_str_eq(text, "EACCES, no queue can have this name");
		cr_expect_null(command);
		free(text);
	}
}

Test(refusal, that_no_session_process_sends)
{
	struct kernel_refusal why = {.why = KERNEL_WHY_COUNT};

	cr_expect(!kernel_refusal_is_valid(&why));
	why = (struct kernel_refusal){.has_owner = 2};
	cr_expect(!kernel_refusal_is_valid(&why));
	why = (struct kernel_refusal){.why = KERNEL_WHY_TOO_LARGE, .wanted = 10, .limit = 10};
	cr_expect(!kernel_refusal_is_valid(&why));
	why = (struct kernel_refusal){.class = 'x'};
	cr_expect(!kernel_refusal_is_valid(&why));
	why = (struct kernel_refusal){.elsewhere = 2};
	cr_expect(!kernel_refusal_is_valid(&why));
	why = (struct kernel_refusal){0};
	cr_expect(kernel_refusal_is_valid(&why));
	memset(why.largest[KERNEL_QUEUES_TOLD_MAX - 1].name, 'x', sizeof(why.largest[0].name));
	cr_expect(!kernel_refusal_is_valid(&why));
}
