/* SPDX-License-Identifier: MIT */
/* What a record proposes: the narrowest that helps, and nothing that does not. */
#include "fixture.h"

static const char world[] =
	"name: app\n"
	"plugs:\n"
	"  in: {interface: posix-mq, posix-mq: mine}\n"
	"  own: {interface: posix-mq, posix-mq: mine, path: /here}\n"
	"---\n"
	"name: narrow\n"
	"slots:\n"
	"  wild: {interface: posix-mq, posix-mq: mine, path-pattern: '/a*', permissions: [read]}\n"
	"  numbered: {interface: posix-mq, posix-mq: mine, path-pattern: '/a-{pid}', permissions: "
	"[read]}\n"
	"  exact-other: {interface: posix-mq, path: /a-7, permissions: [read]}\n"
	"  exact: {interface: posix-mq, posix-mq: mine, path: [/ab, /ac], permissions: [read]}\n"
	"  exact-more: {interface: posix-mq, posix-mq: mine, path: /ab, permissions: [read, write]}\n"
	"  exact-one: {interface: posix-mq, posix-mq: mine, path: /ab, permissions: [read]}\n"
	"---\n"
	"name: parts\n"
	"slots:\n"
	"  reads: {interface: posix-mq, posix-mq: mine, path: /p, permissions: [read]}\n"
	"  writes: {interface: posix-mq, posix-mq: mine, path: /p, permissions: [write]}\n"
	"  deletes: {interface: posix-mq, posix-mq: mine, path: /p, permissions: [delete]}\n"
	"---\n"
	"name: all\n"
	"slots:\n"
	"  any: {interface: posix-mq, posix-mq: mine, path-pattern: '/*', permissions: [open]}\n"
	"  there: {interface: posix-mq, posix-mq: mine, path: /there, permissions: [read]}\n"
	"  twice: {interface: posix-mq, posix-mq: mine, path: /twice, permissions: [read]}\n";

static struct policy policy;

static void setup(void)
{
	fixture_policy(&policy, world);
}

static void teardown(void)
{
	fixture_policy_clear(&policy);
}

TestSuite(suggest, .init = setup, .fini = teardown, .timeout = 60);

/* expected: after "mqctl connect "; NULL: none */
static void expect_suggestion(
	const char *plug, const char *queue, uint32_t missing, const char *expected)
{
	const char *const plugs[] = {plug};
	char *found = NULL, *command = NULL, *text;

	cr_assert(policy_suggest(&policy, plugs, 1, queue, missing, &found, &command) == 0);
	if (!expected) {
		cr_expect_null(command, "%s: %s", queue, command);
	} else {
		text = fixture_format("mqctl connect %s", expected);
		cr_assert_not_null(command, "%s", queue);
		cr_expect_str_eq(command, text, "%s: %s", queue, command);
		cr_expect_str_eq(found, plug);
		free(text);
	}
	free(found);
	free(command);
}

Test(suggest, an_exact_name_before_a_pattern)
{
	expect_suggestion("app:in", "ac", PERMISSION_READ, "app:in narrow:exact");
	expect_suggestion("app:in", "azure", PERMISSION_READ, "app:in narrow:wild");
	expect_suggestion("app:in", "a-8", PERMISSION_READ, "app:in narrow:numbered");
}

Test(suggest, an_exact_name_of_another_id_before_a_pattern)
{
	expect_suggestion("app:in", "a-7", PERMISSION_READ, "--any-id app:in narrow:exact-other");
}

Test(suggest, the_fewest_permissions_then_the_fewest_queues)
{
	expect_suggestion("app:in", "ab", PERMISSION_READ, "app:in narrow:exact-one");
	expect_suggestion(
		"app:in", "ab", PERMISSION_READ | PERMISSION_WRITE, "app:in narrow:exact-more");
}

Test(suggest, what_only_several_give_together)
{
	expect_suggestion("app:in", "p", PERMISSION_READ | PERMISSION_DELETE,
		"app:in parts:deletes && mqctl connect app:in parts:reads");
	expect_suggestion("app:in", "p", PERMISSION_OPEN | PERMISSION_READ, "app:in parts:reads");
}

Test(suggest, nothing_that_would_not_help)
{
	expect_suggestion("app:in", "p", PERMISSION_CREATE, NULL);
	expect_suggestion("app:in", "p", PERMISSION_READ | PERMISSION_CREATE, NULL);
	fixture_connect(&policy, "app:in", "narrow:exact-one", CONNECTION_MANUAL);
	expect_suggestion("app:in", "ab", PERMISSION_DELETE, NULL);
}

Test(suggest, no_name_that_the_kernel_refuses_anyhow)
{
	char longest[QUEUE_NAME_MAX + 2];

	expect_suggestion("app:in", "what/ever", PERMISSION_OPEN, NULL);
	expect_suggestion("app:in", ".", PERMISSION_OPEN, NULL);
	expect_suggestion("app:in", "..", PERMISSION_OPEN, NULL);
	memset(longest, 'x', sizeof(longest));
	longest[QUEUE_NAME_MAX + 1] = '\0';
	expect_suggestion("app:in", longest, PERMISSION_OPEN, NULL);
	longest[QUEUE_NAME_MAX] = '\0';
	expect_suggestion("app:in", longest, PERMISSION_OPEN, "app:in all:any");
}

Test(suggest, nothing_that_would_be_refused)
{
	expect_suggestion("app:own", "here", PERMISSION_READ, "app:own all:there");
	fixture_connect(&policy, "app:own", "all:there", CONNECTION_MANUAL);
	expect_suggestion("app:own", "here", PERMISSION_WRITE, NULL);
}
