/* SPDX-License-Identifier: MIT */
/* Packages: good and bad documents, bounds. */
#include "fixture.h"

#include <dirent.h>

#include "include/limits.h"

/* --- what a package is, as text ------------------------------------------------------------ */

static void dump_plug(FILE *f, const struct plug *plug)
{
	fprintf(f, "plug %s id=%s mediation=%s%s\n", plug->name, plug->id,
		plug->mediation == MEDIATION_OPEN ? "open" : "call", plug->scoped ? " scoped" : "");
	for (size_t i = 0; i < plug->path_count; i++)
		fprintf(f, "\tpath %s\n", plug->paths[i]);
}

static void dump_slot(FILE *f, const struct slot *slot)
{
	char permissions[PERMISSIONS_STRING_MAX];

	fprintf(f, "slot %s id=%s permissions=%s%s\n", slot->name, slot->id,
		permissions_format(slot->permissions, permissions), slot->scoped ? " scoped" : "");
	if (slot->host)
		fprintf(f, "\tnamespace host\n");
	if (slot->mode_cut)
		fprintf(f, "\tmax-mode %04o\n", ACCESSPERMS & ~slot->mode_cut);
	for (size_t i = 0; i < slot->path_count; i++)
		fprintf(f, "\tpath %s\n", slot->paths[i]);
	for (size_t i = 0; i < slot->pattern_count; i++)
		fprintf(f, "\tpath-pattern %s\n", slot->patterns[i]);
}

/* What is bound to an app, by name. */
static void dump_app(FILE *f, const struct package *package, const struct app *app)
{
	fprintf(f, "app %s:", app->name);
	for (size_t i = 0; i < package->plug_count; i++)
		if (app_has_plug(app, &package->plugs[i]))
			fprintf(f, " %s", package->plugs[i].name);
	for (size_t i = 0; i < package->slot_count; i++)
		if (app_has_slot(app, &package->slots[i]))
			fprintf(f, " %s", package->slots[i].name);
	fprintf(f, "\n");
}

static char *dump(const struct package *package)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, "package %s publisher=%s\n", package->name, package->publisher);
	for (size_t i = 0; i < package->plug_count; i++)
		dump_plug(f, &package->plugs[i]);
	for (size_t i = 0; i < package->slot_count; i++)
		dump_slot(f, &package->slots[i]);
	for (size_t i = 0; i < package->app_count; i++)
		dump_app(f, package, &package->apps[i]);
	fclose(f);
	return text;
}

/* --- the documents in tests/data ----------------------------------------------------------- */

typedef void (*on_document)(const char *name, const char *text, const char *expected);

static size_t each_document(const char *kind, on_document check)
{
	char *directory = fixture_format("%s/packages/%s", getenv("DATA"), kind);
	DIR *stream = opendir(directory);
	size_t count = 0;

	cr_assert(stream != NULL, "%s", directory);
	for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
		char *end = strstr(entry->d_name, ".yaml");
		char *path, *expected_path, *text, *expected;

		if (!end || end[5])
			continue;
		path = fixture_format("%s/%s", directory, entry->d_name);
		expected_path = fixture_format("%.*s.expected", (int)strlen(path) - 5, path);
		text = fixture_read(path);
		expected = fixture_read(expected_path);
		check(entry->d_name, text, expected);
		count++;
		free(path);
		free(expected_path);
		free(text);
		free(expected);
	}
	closedir(stream);
	free(directory);
	return count;
}

static void check_good(const char *name, const char *text, const char *expected)
{
	struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r = package_parse(name, text, strlen(text), &diagnostics, &package);
	char *complaints = fixture_diagnostics(&diagnostics), *got;

	cr_expect_str_eq(complaints, "", "%s: %s", name, complaints);
	cr_assert(r == 0, "%s", name);
	got = dump(package);
	cr_expect_str_eq(got, expected, "%s:\n%s", name, got);
	free(got);
	free(complaints);
	diagnostics_clear(&diagnostics);
	package_free(package);
}

Test(package, good_documents)
{
	cr_expect(each_document("good", check_good) >= 13);
}

/* The diagnostics, and then what is left of the package. */
static void check_bad(const char *name, const char *text, const char *expected)
{
	struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r = package_parse(name, text, strlen(text), &diagnostics, &package);
	char *complaints = fixture_diagnostics(&diagnostics);
	char *rest = package ? dump(package) : strdup("refused\n");
	char *got = fixture_format("%s%s", complaints, rest);

	cr_expect_str_eq(got, expected, "%s:\n%s", name, got);
	cr_expect(r == (package ? 0 : -EBADMSG), "%s: %d", name, r);
	cr_expect(diagnostics.count > 0, "%s", name);
	cr_expect((diagnostics.errors > 0) == !package, "%s", name);
	free(complaints);
	free(rest);
	free(got);
	diagnostics_clear(&diagnostics);
	package_free(package);
}

Test(package, bad_documents)
{
	cr_expect(each_document("bad", check_bad) >= 37);
}

/* --- bounds -------------------------------------------------------------------------------- */

/* Parses, and says in a line how it went. */
static char *outcome(const char *text, size_t size)
{
	struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r = package_parse("test.yaml", text, size, &diagnostics, &package);
	char *line;

	if (diagnostics.count > 0)
		line = diagnostic_format(&diagnostics.items[0]);
	else
		line = fixture_format(
			"%d plugs %zu slots %zu", r, package->plug_count, package->slot_count);
	diagnostics_clear(&diagnostics);
	package_free(package);
	return line;
}

static void expect_outcome(char *text, const char *expected)
{
	char *line = outcome(text, strlen(text));

	cr_expect_str_eq(line, expected, "%s", line);
	free(line);
	free(text);
}

/* One character so many times. */
static char *times(char c, size_t count)
{
	char *text = malloc(count + 1);

	memset(text, c, count);
	text[count] = '\0';
	return text;
}

Test(package, queue_name_bound)
{
	char *longest = times('q', QUEUE_NAME_MAX);

	expect_outcome(
		fixture_format("name: ab\nslots: {s: {interface: posix-mq, path: /%s}}", longest),
		"0 plugs 0 slots 1");
	expect_outcome(
		fixture_format("name: ab\nslots: {s: {interface: posix-mq, path: %s}}", longest),
		"0 plugs 0 slots 1");
	expect_outcome(
		fixture_format("name: ab\nslots: {s: {interface: posix-mq, path: /%sq}}", longest),
		"test.yaml:2:40: warning: slot \"ab:s\" dropped: path: a name of 256 bytes; the "
		"kernel takes at most 255 after the slash");
	/* snapd counts characters; the kernel counts bytes. */
	expect_outcome(fixture_format("name: ab\nslots: {s: {interface: posix-mq, path: /é%s}}",
			       longest + 1),
		"test.yaml:2:40: warning: slot \"ab:s\" dropped: path: a name of 256 bytes; the "
		"kernel takes at most 255 after the slash");
	free(longest);
}

Test(package, name_bounds)
{
	char *forty = times('a', 40), *plug = times('p', PLUG_NAME_MAX);
	char *publisher = times('x', PUBLISHER_MAX);

	expect_outcome(fixture_format("name: %s_0123456789", forty), "0 plugs 0 slots 0");
	expect_outcome(fixture_format("name: %s_0123456789a", forty),
		"test.yaml:1:7: error: invalid instance key: \"0123456789a\"; use 1 to 10 of a-z "
		"and 0-9");
	expect_outcome(
		fixture_format("name: ab\nplugs: {%s: posix-mq}", plug), "0 plugs 1 slots 0");
	expect_outcome(fixture_format("name: ab\nplugs: {%sp: posix-mq}", plug),
		"test.yaml:2:9: warning: plug dropped: a name of 129 bytes; use at most 128");
	expect_outcome(
		fixture_format("name: ab\nplugs: {p: {interface: posix-mq, posix-mq: %s}}", plug),
		"0 plugs 1 slots 0");
	expect_outcome(
		fixture_format("name: ab\nplugs: {p: {interface: posix-mq, posix-mq: %sp}}", plug),
		"test.yaml:2:44: warning: plug \"ab:p\" dropped: posix-mq: the id has 129 bytes; "
		"use at most 128");
	expect_outcome(fixture_format("name: ab\npublisher: %s", publisher), "0 plugs 0 slots 0");
	expect_outcome(fixture_format("name: ab\npublisher: %sx", publisher),
		"test.yaml:2:12: error: publisher has 256 bytes; use at most 255");
	free(forty);
	free(plug);
	free(publisher);
}

Test(package, app_name_bound)
{
	char *longest = times('A', APP_NAME_MAX), *hook = times('h', APP_NAME_MAX - 5);

	expect_outcome(fixture_format("name: ab\napps: {%s: }", longest), "0 plugs 0 slots 0");
	expect_outcome(fixture_format("name: ab\napps: {%sA: }", longest),
		"test.yaml:2:8: error: invalid app name: 129 bytes long; use at most 128");
	expect_outcome(fixture_format("name: ab\nhooks: {%s: }", hook), "0 plugs 0 slots 0");
	expect_outcome(fixture_format("name: ab\nhooks: {%sh: }", hook),
		"test.yaml:2:9: error: invalid hook name: 124 bytes long; use at most 123");
	free(longest);
	free(hook);
}

static char *slot_of(size_t paths, size_t patterns)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, "name: ab\nslots:\n  s:\n    interface: posix-mq\n    path:\n");
	for (size_t i = 0; i < paths; i++)
		fprintf(f, "    - /q%zu\n", i);
	if (patterns > 0)
		fprintf(f, "    path-pattern:\n");
	for (size_t i = 0; i < patterns; i++)
		fprintf(f, "    - /p%zu*\n", i);
	fclose(f);
	return text;
}

Test(package, slot_queues_bound)
{
	expect_outcome(slot_of(SLOT_QUEUES_MAX, 0), "0 plugs 0 slots 1");
	expect_outcome(slot_of(SLOT_QUEUES_MAX - 1, 1), "0 plugs 0 slots 1");
	expect_outcome(slot_of(SLOT_QUEUES_MAX + 1, 0),
		"test.yaml:6:5: warning: slot \"ab:s\" dropped: path: 1025 queues; a slot takes at "
		"most 1024, use several slots");
	expect_outcome(slot_of(SLOT_QUEUES_MAX, 1),
		"test.yaml:3:3: warning: slot \"ab:s\" dropped: path and path-pattern: 1025 queues "
		"together; a slot takes at most 1024, use several slots");
}

/* A document whose root is one deep and whose attribute x is depth - 1 more. */
static char *nested(size_t lists)
{
	char *open = times('[', lists), *close = times(']', lists);
	char *text = fixture_format("name: ab\nx: %s%s", open, close);

	free(open);
	free(close);
	return text;
}

Test(package, depth_bound)
{
	expect_outcome(nested(YAML_DEPTH_MAX - 1), "0 plugs 0 slots 0");
	expect_outcome(nested(YAML_DEPTH_MAX),
		"test.yaml:2:67: error: nested more than 64 deep; flatten it");
	expect_outcome(
		nested(100000), "test.yaml:2:67: error: nested more than 64 deep; flatten it");
}

/* Each alias puts one more list around the one before. */
static char *alias_chain(size_t links)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, "name: ab\na0: &a0 [x]\n");
	for (size_t i = 1; i <= links; i++)
		fprintf(f, "a%zu: &a%zu [*a%zu]\n", i, i, i - 1);
	fclose(f);
	return text;
}

Test(package, alias_depth_and_anchors_bounds)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	/* The scalar, its list, the root: three. */
	expect_outcome(alias_chain(YAML_DEPTH_MAX - 3), "0 plugs 0 slots 0");
	expect_outcome(alias_chain(YAML_DEPTH_MAX - 2),
		"test.yaml:64:6: error: nested more than 64 deep; flatten it");
	fprintf(f, "name: ab\nx:\n");
	for (size_t i = 0; i < YAML_ANCHORS_MAX; i++)
		fprintf(f, "- &a%zu x\n", i);
	fflush(f);
	expect_outcome(strdup(text), "0 plugs 0 slots 0");
	fprintf(f, "- &last x\n");
	fclose(f);
	expect_outcome(text, "test.yaml:259:3: error: more than 256 anchors; use fewer");
}

Test(package, merge_bound)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, "name: ab\nbase: &base\n");
	for (size_t i = 0; i < 1024; i++)
		fprintf(f, "  k%zu: x\n", i);
	for (size_t i = 0; i < YAML_MERGED_MAX / 1024; i++)
		fprintf(f, "m%zu: {<<: *base}\n", i);
	fflush(f);
	expect_outcome(strdup(text), "0 plugs 0 slots 0");
	fprintf(f, "last: {<<: *base}\n");
	fclose(f);
	expect_outcome(text,
		"test.yaml:1091:7: error: merging (\"<<\") adds more than 65536 keys; write fewer");
}

Test(package, document_size_bound)
{
	char *text = times(' ', PACKAGE_FILE_MAX + 1), *line;

	memcpy(text, "name: ab\n#", 10);
	line = outcome(text, PACKAGE_FILE_MAX);
	cr_expect_str_eq(line, "0 plugs 0 slots 0");
	free(line);
	line = outcome(text, PACKAGE_FILE_MAX + 1);
	cr_expect_str_eq(line, "test.yaml: error: larger than 1048576 bytes; split the package");
	free(line);
	free(text);
}

Test(package, embedded_nul_is_refused)
{
	static const char text[] = "name: ab\nplugs: {a\0b: posix-mq}\n";
	char *line = outcome(text, sizeof(text) - 1);

	cr_expect_str_eq(line,
		"test.yaml:2:10: error: control characters are not allowed; write plain UTF-8 "
		"text");
	free(line);
}

/* A tab where libyaml wants none, wherever its scanner is at that moment. */
Test(package, tabs_are_named)
{
	static const struct {
		const char *text, *place;
	} tabs[] = {
		{"\tname: ab\n", "1:1"},
		{"name: ab\nplugs:\n\ta: posix-mq\n", "3:1"},
		{"name: ab\nplugs:\n  a: posix-mq\n\tb: posix-mq\n", "4:1"},
		{"name: ab\nplugs:\n  é: posix-mq\n  \tb: posix-mq\n", "4:3"},
		{"name: ab\nplugs:\n  a: \"posix-mq\"\n  \tb: posix-mq\n", "4:3"},
		{"name: ab\napps:\n-\ta: b\n", "3:2"},
		{"name: ab\nsummary: |\n\ttext\n", "3:1"},
		{"\xef\xbb\xbfname: ab\r\nplugs:\r\n\ta: posix-mq\r\n", "3:1"},
	};

	for (size_t i = 0; i < ELEMENTSOF(tabs); i++) {
		char *expected = fixture_format("test.yaml:%s: error: a tab, where YAML takes only "
						"spaces; indent with spaces",
			tabs[i].place);

		expect_outcome(strdup(tabs[i].text), expected);
		free(expected);
	}
	/* Where a tab may stand it is not to blame. */
	expect_outcome(strdup("name: ab\nplugs: {\n\ta: @}\n"),
		"test.yaml:3:5: error: found character that cannot start any token, while scanning "
		"for the next token that began on line 3; fix the YAML there");
}

static char *outcome_of_pipe(size_t size)
{
	struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	char *text = times(' ', size), *line;
	FILE *f = tmpfile();

	memcpy(text, "name: ab\n#", 10);
	cr_assert(f && fwrite(text, 1, size, f) == size && fflush(f) == 0);
	rewind(f);
	(void)package_load_fd(fileno(f), "<stdin>", &diagnostics, &package);
	line = package ? fixture_format("package %s", package->name)
		       : diagnostic_format(&diagnostics.items[0]);
	package_free(package);
	diagnostics_clear(&diagnostics);
	fclose(f);
	free(text);
	return line;
}

Test(package, document_size_bound_of_a_stream)
{
	char *line = outcome_of_pipe(PACKAGE_FILE_MAX);

	cr_expect_str_eq(line, "package ab");
	free(line);
	line = outcome_of_pipe(PACKAGE_FILE_MAX + 1);
	cr_expect_str_eq(line, "<stdin>: error: larger than 1048576 bytes; split the package");
	free(line);
}

Test(package, diagnostics_bound)
{
	struct diagnostics diagnostics = {0};

	diagnostics_add(&diagnostics, SEVERITY_NOTE, "f", 0, 0, "kept");
	for (size_t i = 1; i < DIAGNOSTICS_MAX + 5; i++)
		diagnostics_add(&diagnostics, i % 2 ? SEVERITY_ERROR : SEVERITY_WARNING, "f", 1, 2,
			"number %zu\n", i);
	cr_expect(diagnostics.count == DIAGNOSTICS_MAX);
	cr_expect(diagnostics.suppressed == 5);
	cr_expect(diagnostics.errors == (DIAGNOSTICS_MAX + 5) / 2);
	cr_expect(diagnostics.notes == 1);
	diagnostics_add(&diagnostics, SEVERITY_NOTE, "f", 0, 0, "counted");
	cr_expect(diagnostics.notes == 2 && diagnostics.suppressed == 6);
	cr_expect_str_eq(diagnostics.items[DIAGNOSTICS_MAX - 1].text, "number 199\\x0a");
	diagnostics_clear(&diagnostics);
	cr_expect(diagnostics.count == 0 && diagnostics.items == NULL);
}

Test(package, lookup)
{
	struct package *package = fixture_package(
		"name: ab\nplugs: {b: posix-mq, a: posix-mq, c: home}\n"
		"slots: {z: {interface: posix-mq, path: /z}, y: {interface: posix-mq, path: yy}}\n");

	cr_expect_str_eq(package_plug(package, "a")->name, "a");
	cr_expect_str_eq(package_plug(package, "b")->name, "b");
	cr_expect(package_plug(package, "b")->line == 2 && package_plug(package, "b")->column == 9);
	cr_expect(package_plug(package, "c") == NULL);
	cr_expect_str_eq(package_slot(package, "y")->paths[0], "/yy");
	cr_expect(package_slot(package, "z")->package == package);
	cr_expect(package_slot(package, "a") == NULL);
	package_free(package);
}

/* Whoever is named by nobody is everybody's. */
Test(package, apps_are_found)
{
	struct package *package = fixture_package(
		"name: ab\nplugs: {a: posix-mq, b: posix-mq, net: network}\n"
		"apps: {zz: {plugs: [a, net, a]}, Aa: {plugs: []}}\nhooks: {configure: }\n");
	const struct app *named = package_app(package, "zz"), *none = package_app(package, "Aa");

	cr_assert(named && none && package_app(package, "hook.configure"));
	cr_expect(package_app(package, "configure") == NULL);
	cr_expect(package_app(package, "z") == NULL);
	cr_expect(named->plug_count == 1, "of our interface, once");
	cr_expect(app_has_plug(named, package_plug(package, "a")));
	cr_expect(app_has_plug(named, package_plug(package, "b")));
	cr_expect(!app_has_plug(none, package_plug(package, "a")));
	cr_expect(app_has_plug(none, package_plug(package, "b")));
	package_free(package);
}
