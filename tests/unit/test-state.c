/* SPDX-License-Identifier: MIT */
/* The state file: written, read back, refused, and never half of anything. */
#include "fixture.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "include/limits.h"

static char *directory;
static int fsync_fails_at; /* 1: the next one */

/* Stands in for the C library's. */
int fsync(int fd)
{
	if (fsync_fails_at > 0 && --fsync_fails_at == 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

static void setup(void)
{
	directory = fixture_directory();
}

static void teardown(void)
{
	fixture_remove(directory);
}

TestSuite(state, .init = setup, .fini = teardown, .timeout = 60);

static struct connections *load(void)
{
	struct diagnostics diagnostics = {0};
	struct connections *connections = NULL;
	int r = connections_load(directory, &diagnostics, &connections);
	char *text = fixture_diagnostics(&diagnostics);

	cr_assert(r == 0 && diagnostics.count == 0, "%d %s", r, text);
	free(text);
	return connections;
}

/* So many connections, made in one go by reading them. */
static struct connections *many(size_t count)
{
	char *path = fixture_format("%s/connections.yaml", directory);
	FILE *f = fopen(path, "we");

	fprintf(f, "version: 1\nconnections:\n");
	for (size_t i = 0; i < count; i++)
		fprintf(f, "- {plug: app%zu:events, slot: sensor%zu:events, state: manual}\n", i,
			i % 100);
	fclose(f);
	free(path);
	return load();
}

static char *state_text(void)
{
	char *path = fixture_format("%s/connections.yaml", directory);
	char *text = fixture_read(path);

	free(path);
	return text;
}

static size_t files_in_directory(void)
{
	DIR *stream = opendir(directory);
	size_t count = 0;

	for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
		count += !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
	closedir(stream);
	return count;
}

static struct connections *three(void)
{
	struct connections *empty, *one, *two, *all;

	cr_assert(connections_new(&empty) == 0);
	cr_assert(connections_with(empty, "bb:p", "cc:s", CONNECTION_MANUAL, &one) == 0);
	cr_assert(connections_with(one, "aa:p", "cc:s", CONNECTION_UNDESIRED, &two) == 0);
	cr_assert(connections_with(two, "aa:p", "bb_1:s-2", CONNECTION_AUTO, &all) == 0);
	connections_unref(empty);
	connections_unref(one);
	connections_unref(two);
	return all;
}

Test(state, missing_file_is_empty)
{
	struct connections *connections = load();

	cr_expect(connections->count == 0 && connections->references == 1);
	connections_unref(connections);
}

Test(state, written_and_read_back)
{
	struct connections *connections = three(), *back;
	char *text, *path = fixture_format("%s/connections.yaml", directory);
	struct stat st;

	(void)umask(0077);
	cr_assert(connections_save(directory, connections) == 0);
	cr_assert(stat(path, &st) == 0);
	cr_expect((st.st_mode & 07777) == 0644, "%o", st.st_mode);
	cr_expect(files_in_directory() == 1);
	text = state_text();
	cr_expect_str_eq(text,
		"# Written by mqgated; use mqctl connect and mqctl disconnect to change it.\n"
		"version: 1\n"
		"connections:\n"
		"- plug: aa:p\n"
		"  slot: bb_1:s-2\n"
		"  state: auto\n"
		"- plug: aa:p\n"
		"  slot: cc:s\n"
		"  state: undesired\n"
		"- plug: bb:p\n"
		"  slot: cc:s\n"
		"  state: manual\n",
		"%s", text);
	free(text);
	back = load();
	text = fixture_connections(back);
	cr_expect_str_eq(
		text, "aa:p bb_1:s-2 auto\naa:p cc:s undesired\nbb:p cc:s manual\n", "%s", text);
	free(text);
	free(path);
	connections_unref(connections);
	connections_unref(back);
}

Test(state, an_end_is_written_and_read_back)
{
	struct connections *empty, *timed, *back;
	char *text;

	cr_assert(connections_new(&empty) == 0);
	cr_assert(connections_with_end(
			  empty, "aa:p", "cc:s", CONNECTION_MANUAL, 4102444799, &timed) == 0);
	cr_assert(connections_save(directory, timed) == 0);
	text = state_text();
	cr_expect(strstr(text, "  state: manual\n  until: 2099-12-31T23:59:59Z\n") != NULL, "%s",
		text);
	back = load();
	cr_assert(back->count == 1);
	cr_expect(back->items[0].until == 4102444799);
	free(text);
	connections_unref(empty);
	connections_unref(timed);
	connections_unref(back);
}

Test(state, any_order_and_style_is_read)
{
	struct connections *connections;
	char *text;

	fixture_write(directory, "connections.yaml",
		"version: 1\nconnections:\n"
		"- {plug: bb:p, slot: cc:s, state: manual}\n"
		"- {state: auto, slot: \"aa_1:s-2\", plug: 'aa:p'}\n");
	connections = load();
	text = fixture_connections(connections);
	cr_expect_str_eq(text, "aa:p aa_1:s-2 auto\nbb:p cc:s manual\n", "%s", text);
	free(text);
	connections_unref(connections);
}

Test(state, an_empty_set_can_be_read_back)
{
	struct connections *connections;

	cr_assert(connections_new(&connections) == 0);
	cr_assert(connections_save(directory, connections) == 0);
	connections_unref(connections);
	connections = load();
	cr_expect(connections->count == 0);
	connections_unref(connections);
}

#define REPAIR                                                                                  \
	"; repair it, restore a copy, or move it away to start without connections; it is not " \
	"overwritten\n"

Test(state, refused_documents)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", "1:1: error: not a map of version and connections" REPAIR},
		{"[]", "1:1: error: not a map of version and connections" REPAIR},
		{"connections: []", "1:1: error: version is missing" REPAIR},
		{"version: 2\nfuture: x",
			"1:10: error: version \"2\" is not the 1 that this mqgate reads; use the "
			"newer mqgate that wrote it, or repair it, restore a copy, or move it away to "
			"start without connections; it is not overwritten\n"},
		{"version: 1", "1:1: error: connections is missing" REPAIR},
		{"version: 1\nconnections:", "2:13: error: connections must be a list" REPAIR},
		{"version: 1\nconnections: []\nother: 1",
			"3:1: error: unknown key \"other\"" REPAIR},
		{"version: 1\nconnections:\n- text",
			"3:3: error: a connection must be a map, not a string" REPAIR},
		{"version: 1\nconnections:\n- {slot: cc:s, state: manual}",
			"3:3: error: plug is missing" REPAIR},
		{"version: 1\nconnections:\n- {plug: 5, slot: cc:s, state: manual}",
			"3:10: error: plug must be a string" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa, slot: cc:s, state: manual}",
			"3:10: error: plug: \"aa\" is not package:name" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa:p, slot: \"cc:s\\n\", state: manual}",
			"3:22: error: slot: \"cc:s\\x0a\" is not package:name" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa:p, slot: cc:s, state: maybe}",
			"3:35: error: state: unknown word \"maybe\", not manual, auto or "
			"undesired" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa:p, slot: cc:s, state: auto, ends: 7}",
			"3:41: error: unknown key \"ends\"" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa:p, slot: cc:s, state: manual, until: 7}",
			"3:50: error: until: \"7\" is no time like 2000-01-31T23:59:59Z" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa:p, slot: cc:s, state: manual, until: "
		 "2026-13-01T00:00:00Z}",
			"3:50: error: until: \"2026-13-01T00:00:00Z\" is no time like "
			"2000-01-31T23:59:59Z" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa:p, slot: cc:s, state: manual, until: "
		 "2026-01-01T00:00:00}",
			"3:50: error: until: \"2026-01-01T00:00:00\" is no time like "
			"2000-01-31T23:59:59Z" REPAIR},
		{"version: 1\nconnections:\n- {plug: aa:p, slot: cc:s, state: auto, until: "
		 "2026-01-01T00:00:00Z}",
			"3:48: error: until: only a manual connection has an end" REPAIR},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct diagnostics diagnostics = {0};
		struct connections *connections = NULL;
		char *text, *expected, *after;
		int r;

		fixture_write(directory, "connections.yaml", cases[i].text);
		r = connections_load(directory, &diagnostics, &connections);
		text = fixture_diagnostics(&diagnostics);
		expected = fixture_format("%s/connections.yaml:%s", directory, cases[i].expected);
		after = state_text();
		cr_expect(r == -EBADMSG && connections == NULL, "%s", cases[i].text);
		cr_expect_str_eq(text, expected, "%s", text);
		cr_expect_str_eq(after, cases[i].text);
		free(text);
		free(expected);
		free(after);
		diagnostics_clear(&diagnostics);
	}
}

static void expect_refused(const char *expected)
{
	struct diagnostics diagnostics = {0};
	struct connections *connections = NULL;
	char *text;

	cr_expect(connections_load(directory, &diagnostics, &connections) == -EBADMSG);
	text = fixture_diagnostics(&diagnostics);
	cr_expect(strstr(text, expected) != NULL, "%s", text);
	free(text);
	diagnostics_clear(&diagnostics);
}

Test(state, a_pair_twice_is_refused)
{
	fixture_write(directory, "connections.yaml",
		"version: 1\nconnections:\n"
		"- {plug: aa:p, slot: cc:s, state: auto}\n"
		"- {plug: bb:p, slot: cc:s, state: auto}\n"
		"- {plug: aa:p, slot: cc:s, state: manual}\n");
	expect_refused("connections.yaml: error: aa:p and cc:s are connected twice");
}

Test(state, broken_yaml_says_how_to_repair)
{
	fixture_write(directory, "connections.yaml", "version: 1\nconnections: [\n");
	expect_refused("connections.yaml:3:1: error: did not find expected node content");
	expect_refused("connections.yaml: error: not readable; repair it, restore a copy");
}

Test(state, unreadable_file_is_not_an_empty_one)
{
	char *path = fixture_format("%s/connections.yaml", directory);

	cr_assert(mkdir(path, 0755) == 0);
	expect_refused("cannot be read: Is a directory; put a regular file there");
	free(path);
}

Test(state, file_size_bound)
{
	char *path = fixture_format("%s/connections.yaml", directory);

	fixture_write(directory, "connections.yaml", "version: 1\nconnections: []\n");
	cr_assert(truncate(path, STATE_FILE_MAX + 1) == 0);
	expect_refused("larger than 100663296 bytes");
	free(path);
}

/* Without a byte to write, the old file stands and nothing else is left. */
Test(state, a_failing_write_changes_nothing)
{
	struct connections *connections = three();
	struct rlimit limit = {.rlim_cur = 16, .rlim_max = RLIM_INFINITY};
	char *text;

	fixture_write(directory, "connections.yaml", "version: 1\nconnections: []\n");
	(void)signal(SIGXFSZ, SIG_IGN);
	cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	cr_expect(connections_save(directory, connections) == -EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	text = state_text();
	cr_expect_str_eq(text, "version: 1\nconnections: []\n");
	cr_expect(files_in_directory() == 1);
	free(text);
	connections_unref(connections);
}

/* Where the file cannot be replaced (a directory has its name), no temporary file is left. */
Test(state, a_failing_rename_leaves_nothing)
{
	struct connections *connections = three();
	char *path = fixture_format("%s/connections.yaml", directory);

	cr_assert(mkdir(path, 0755) == 0);
	cr_expect(connections_save(directory, connections) < 0);
	cr_expect(files_in_directory() == 1);
	cr_expect(connections_save("/nonexistent/directory", connections) == -ENOENT);
	free(path);
	connections_unref(connections);
}

/* First the file's, then the directory's, with and without a file that was there before. */
Test(state, a_failing_fsync_changes_nothing)
{
	struct connections *connections = three();

	for (int at = 1; at <= 2; at++) {
		char *path = fixture_format("%s/connections.yaml", directory), *text;

		cr_assert(unlink(path) == 0 || errno == ENOENT);
		fsync_fails_at = at;
		cr_expect(connections_save(directory, connections) == -EIO);
		cr_expect(files_in_directory() == 0);
		fixture_write(directory, "connections.yaml", "version: 1\nconnections: []\n");
		fsync_fails_at = at;
		cr_expect(connections_save(directory, connections) == -EIO);
		text = state_text();
		cr_expect_str_eq(text, "version: 1\nconnections: []\n", "%d: %s", at, text);
		cr_expect(files_in_directory() == 1);
		cr_expect(fsync_fails_at == 0);
		free(text);
		free(path);
	}
	connections_unref(connections);
}

Test(state, what_a_crash_left_is_no_hindrance)
{
	struct connections *connections = three();

	fixture_write(directory, ".connections.yaml.new", "half");
	fixture_write(directory, ".connections.yaml.old", "older");
	cr_expect(connections_save(directory, connections) == 0);
	cr_expect(files_in_directory() == 1);
	connections_unref(connections);
}

Test(state, connections_bound)
{
	struct connections *full = many(CONNECTIONS_MAX), *more = NULL;
	struct policy policy = {.connections = full};
	struct fault fault = {0};

	cr_assert(full->count == CONNECTIONS_MAX);
	cr_expect(connections_with(full, "new:p", "new:s", CONNECTION_MANUAL, &more) == -E2BIG);
	cr_expect(connections_with(full, "app7:events", "sensor7:events", CONNECTION_AUTO, &more) ==
		  0);
	connections_unref(more);
	fixture_policy(&policy, "name: plug\nplugs: {p: posix-mq}\n---\nname: slot\n"
				"slots: {s: {interface: posix-mq, path: /s}}\n");
	connections_unref(policy.connections);
	policy.connections = full;
	cr_expect(policy_connect(&policy, "plug:p", "slot:s", 0, true, &more, &fault) == -E2BIG);
	cr_expect_str_eq(fault.message, "there are already 200000 connections, which is the limit; "
					"disconnect some first");
	fault_clear(&fault);
	fixture_policy_clear(&policy);
}

Test(state, one_more_than_the_bound_is_refused)
{
	char *path = fixture_format("%s/connections.yaml", directory);
	FILE *f = fopen(path, "we");

	fprintf(f, "version: 1\nconnections:\n");
	for (size_t i = 0; i < CONNECTIONS_MAX + 1; i++)
		fprintf(f, "- {}\n");
	fclose(f);
	free(path);
	expect_refused("200001 connections, more than 200000");
}
