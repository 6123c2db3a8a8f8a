/* SPDX-License-Identifier: MIT */
/* The document that gives what was needed: no more and no less, and what a person wrote stays. */
#include "fixture.h"
#include "include/documents.h"
#include "include/learn.h"

#define SUBJECT ((struct subject){.pid = 4711, .uid = 1000})

static struct needs needs;
static struct diagnostics diagnostics;
static char *text, *plug;

static void teardown(void)
{
	needs_clear(&needs);
	diagnostics_clear(&diagnostics);
	free(take_pointer(text));
	free(take_pointer(plug));
}

TestSuite(learn, .fini = teardown);

static void need(const char *name, uint32_t permissions)
{
	const struct subject subject = SUBJECT;

	cr_assert_geq(needs_add(&needs, name, permissions, &subject, "app"), 0);
}

static int learn(const char *before, const char *for_plug)
{
	return learn_document("dir/my-app.yaml", before, for_plug, &needs, "app --run",
		&diagnostics, &text, &plug);
}

static bool has(const char *line)
{
	return strstr(text, line) != NULL;
}

/* The document is read as mq-run --policy reads it. */
static void gives(const char *name, uint32_t permissions)
{
	_cleanup_(policy_release) struct policy policy = {0};
	_cleanup_(grants_freep) struct grants *grants = NULL;
	char path[] = "/tmp/mqgate-learn-XXXXXX", ref[REF_MAX + 1], *files[] = {path};
	const struct subject subject = SUBJECT;
	int fd = mkstemp(path);

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	(void)close(fd);
	cr_assert_eq(policy_from_documents(files, 1, &diagnostics, &policy), 0);
	(void)unlink(path);
	(void)snprintf(ref, sizeof(ref), "%s:%s", policy.packages->items[0]->name, plug);
	cr_assert_eq(grants_new(0, &grants), 0);
	cr_assert_eq(policy_add_plug_grants(&policy, ref, NULL, grants), 0);
	grants_seal(grants);
	cr_expect_eq(grants_find(grants, &subject, name).permissions, permissions, "%s: %u", name,
		grants_find(grants, &subject, name).permissions);
}

#define OPEN   PERMISSION_OPEN
#define READ   (OPEN | PERMISSION_READ)
#define WRITE  (OPEN | PERMISSION_WRITE)
#define DELETE (OPEN | PERMISSION_DELETE)
#define CREATE (OPEN | PERMISSION_CREATE)

Test(learn, exactly_what_was_needed)
{
	need("events", READ);
	need("events", CREATE | PERMISSION_WRITE);
	need("replies", WRITE);
	need("only-looked-at", OPEN);
	cr_assert_eq(learn(NULL, NULL), 0);
	cr_expect_str_eq(plug, "my-app");
	cr_expect(has("name: my-app\nplugs:\n  my-app: posix-mq\nslots:\n"));
	cr_expect(has("# Learned from: app --run\n"));
	cr_expect(has("- /events  # 2 calls by app; first 2"));
	gives("events", READ | WRITE | CREATE);
	gives("replies", WRITE);
	gives("only-looked-at", OPEN);
	gives("other", 0);
}

Test(learn, nothing_needs_nothing)
{
	cr_assert_eq(learn(NULL, "plug"), 0);
	cr_expect_str_eq(plug, "plug");
	cr_expect_not(has("slots"));
	gives("events", 0);
}

Test(learn, an_empty_file_is_a_new_one)
{
	need("events", READ);
	cr_assert_eq(learn(" \n\n", NULL), 0);
	cr_expect(has("# Learned from: app --run\n"));
	gives("events", READ);
}

Test(learn, names_of_every_kind)
{
	static const char *const plain[] = {"a b", "a: b", "#a", "'", "it's", "-", "~", "!x", "&a",
		"%a", "a #b", "\xc3\xbc", "null", "1e3", ",", "@", "`", "|", ">", "=", "a\\nb"};
	static const char *const strange[] = {"a*", "a?b", "[a]", "{pid}", "a^", "a\"b",
		"a\nslots:", "\xff", "\x1b[31m", "\xc2\x85", "a\tb", "a\rb", "\xe2\x80\xaeg",
		"\xef\xbf\xbf"};

	for (size_t i = 0; i < ELEMENTSOF(plain); i++)
		need(plain[i], READ);
	for (size_t i = 0; i < ELEMENTSOF(strange); i++)
		need(strange[i], WRITE);
	cr_assert_eq(learn(NULL, NULL), 0);
	for (size_t i = 0; i < ELEMENTSOF(plain); i++)
		gives(plain[i], READ);
	for (size_t i = 0; i < ELEMENTSOF(strange); i++)
		gives(strange[i], 0);
	cr_expect(has("  # /a*\\x20") || has("  # /a* was used, which no path can be: [write]\n"));
	cr_expect(has("  # /a\\x0aslots: was used"));
	cr_expect_not(has("\x1b"));
	cr_expect_not(has("\xe2\x80\xae"));
}

Test(learn, likes_are_pointed_out_and_nothing_more)
{
	need("job-1", READ);
	need("job-27", READ);
	need("job-x", READ);
	need("job-1-5", READ);
	need("job-1-6", READ);
	need("job-1-07", READ);
	need("pid-4711", WRITE);
	cr_assert_geq(needs_add(&needs, "of-4711-1", DELETE, &(struct subject){.pid = 12}, "x"), 0);
	need("pid-4712", CREATE);
	cr_assert_eq(learn(NULL, NULL), 0);
	cr_expect(has(
		"# /job-1: more names differ only in their digits; to give all of them, write instead of \"path:\" and its names:\n"));
	cr_expect(has("#     path-pattern: \"/job-*\"\n"));
	cr_expect(has(
		"# /pid-4711: the digits are the number of the process; to give each process its own, write instead of \"path:\" and its names:\n"));
	cr_expect(has("#     path-pattern: \"/job-1-*\"\n"));
	cr_expect(has("#     path-pattern: \"/pid-{pid}\"\n"));
	cr_expect(has(
		"# /of-4711-1: the digits are the number of a process, and the next time another one; to give all, write"));
	cr_expect(has("#     path-pattern: \"/of-*-1\"\n"));
	gives("job-3", 0);
}

Test(learn, what_a_person_wrote_stays)
{
	static const char before[] = "# mine\n"
				     "name: mine\n"
				     "\n"
				     "slots:   # all\n"
				     "    there:\n"
				     "        # why\n"
				     "        interface: posix-mq\n"
				     "        posix-mq: data\n"
				     "        path-pattern: ['/t-*', '/own-{pid}']\n"
				     "        permissions: [read]\n"
				     "        # more of it\n"
				     "\n"
				     "# about plugs\n"
				     "plugs:\n"
				     "    in: {interface: posix-mq, posix-mq: data}\n"
				     "# the end";
	const char *at = before;

	need("t-1", READ);
	need("t-2", READ | WRITE);
	need("own-4711", READ);
	need("new", READ);
	cr_assert_eq(learn(before, NULL), 0);
	cr_expect_str_eq(plug, "in");
	gives("t-1", READ);
	gives("t-2", READ | WRITE);
	gives("new", READ);
	cr_expect_not(has("t-1 "));
	cr_expect_not(has("own-4711"));
	cr_expect(has("        # more of it\n    learned-read:\n"));
	/* Every line is still there, in order. */
	for (const char *line = text; *at;) {
		size_t length = strcspn(at, "\n");

		while (strncmp(line, at, length) != 0 || (line[length] && line[length] != '\n')) {
			line = strchr(line, '\n');
			cr_assert(line++, "lost: %.*s", (int)length, at);
		}
		at += length + (at[length] == '\n');
	}
	/* And once more there is nothing to add. */
	{
		_cleanup_free_ char *first = take_pointer(text);

		free(take_pointer(plug));
		cr_assert_eq(learn(first, NULL), 0);
		cr_expect_str_eq(text, first);
	}
}

Test(learn, connections_that_are_listed_get_one_more)
{
	need("a", READ);
	cr_assert_eq(learn("name: mine\n"
			   "plugs:\n"
			   "  in: posix-mq\n"
			   "slots:\n"
			   "connections:\n"
			   "- {plug: \"mine:in\", slot: \"mine:other\", any-id: true}\n"
			   "apps: {}\n",
			     NULL),
		-EBADMSG);
	diagnostics_clear(&diagnostics);
	diagnostics = (struct diagnostics){0};
	cr_assert_eq(learn("name: mine\n"
			   "plugs:\n"
			   "  in: posix-mq\n"
			   "slots:\n"
			   "  other: {interface: posix-mq, path: /other}\n"
			   "connections:\n"
			   "- {plug: \"mine:in\", slot: \"mine:other\", any-id: true}\n"
			   "apps: {}\n",
			     NULL),
		0);
	gives("a", READ);
	gives("other", READ | WRITE);
}

static void refuses(const char *before, const char *for_plug, const char *expected)
{
	_cleanup_free_ char *line = NULL;

	cr_assert_eq(learn(before, for_plug), -EBADMSG, "%s", before);
	cr_assert_gt(diagnostics.count, 0U);
	line = diagnostic_format(&diagnostics.items[0]);
	cr_expect(strstr(line, expected), "%s", line);
	diagnostics_clear(&diagnostics);
	diagnostics = (struct diagnostics){0};
}

Test(learn, what_cannot_be_added_to)
{
	need("a", READ);
	refuses("name: mine\nplugs: [\n", NULL, "my-app.yaml:3:1: error: ");
	refuses("{name: mine}\n", NULL,
		"my-app.yaml:1:1: error: nothing can be added between brackets");
	refuses("name: mine\nplugs: {in: posix-mq}\nslots: {}\n", NULL,
		"my-app.yaml:3:8: error: nothing can be added between brackets");
	refuses("name: mine\nplugs: {a: posix-mq, b: posix-mq}\n", NULL, "more than one plug");
	refuses("name: mine\n", "No Plug", "\"No Plug\" is no name for a plug");
	refuses("name: mine\nplugs:\n  in: posix-mq\n...\n", NULL, "error: ");
	refuses("name: mine\nplugs:\n  in: {interface: posix-mq, path: /a}\n", NULL,
		"my-app.yaml:3:3: error: the names in \"path\" mean a slot's queues in order");
}

Test(learn, more_than_learned_max_are_left_out)
{
	const struct subject subject = SUBJECT;
	char name[16];

	for (int i = 0; i < LEARNED_MAX; i++) {
		(void)snprintf(name, sizeof(name), "q%c%d", 'a' + i % 26, i);
		need(name, READ);
	}
	cr_assert_eq(needs_add(&needs, "one-more", READ, &subject, "app"), -E2BIG);
	cr_expect_eq(needs.left_out, 1U);
	cr_expect_eq(needs_add(&needs, name, READ, &subject, "app"), 0);
	cr_assert_eq(learn(NULL, NULL), 0);
	gives(name, READ);
	gives("qa0", READ);
	gives("one-more", 0);
}

/* So that the document is not too large to be read. */
Test(learn, more_than_learned_bytes_max_are_left_out)
{
	const struct subject subject = SUBJECT;
	char name[QUEUE_NAME_MAX + 1], last[QUEUE_NAME_MAX + 1];
	int r, i = 0;

	(void)memset(name, '\'', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	do {
		(void)memcpy(last, name, sizeof(name));
		name[0] = (char)('a' + i % 26);
		name[1] = (char)('a' + i / 26 % 26);
		name[2] = (char)('a' + i / 26 / 26);
		r = needs_add(&needs, name, READ, &subject, "app");
		i++;
	} while (r == 1 && i < LEARNED_MAX);
	cr_assert_eq(r, -E2BIG);
	cr_expect_leq(needs.bytes, (size_t)LEARNED_BYTES_MAX);
	cr_assert_eq(learn(NULL, NULL), 0);
	cr_expect_leq(strlen(text), (size_t)PACKAGE_FILE_MAX);
	gives(last, READ);
	gives(name, 0);
}
