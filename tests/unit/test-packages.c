/* SPDX-License-Identifier: MIT */
/* All packages of several directories. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>

#include "include/limits.h"

static struct packages *load(
	const char *first, const char *second, struct diagnostics *diagnostics, int expected)
{
	const char *directories[] = {first, second};
	struct packages *packages = NULL;
	int r = packages_load(directories, second ? 2 : 1, diagnostics, &packages);

	cr_assert(r == expected, "%d", r);
	return packages;
}

Test(packages, directories_override_and_leave_out)
{
	char *first = fixture_directory(), *second = fixture_directory(), *text;
	struct diagnostics diagnostics = {0};
	struct packages *packages;

	fixture_write(first, "b.yaml", "name: from-first");
	fixture_write(first, "a.yaml", "name: only-first");
	fixture_write(second, "b.yaml", "name: from-second");
	fixture_write(second, "c.yaml", "name: [bad]");
	fixture_write(second, ".hidden.yaml", "not: read");
	fixture_write(second, ".hidden.yml", "not: read");
	packages = load(first, second, &diagnostics, 0);
	cr_expect(packages->count == 2);
	cr_expect(packages_find(packages, "only-first") != NULL);
	cr_expect(packages_find(packages, "from-second") != NULL);
	cr_expect(packages_find(packages, "from-first") == NULL);
	cr_expect(packages->directory_count == 2);
	cr_expect_str_eq(packages->directories[1], second);
	text = fixture_format("%s/c.yaml", second);
	cr_expect(diagnostics.count == 1 && diagnostics.errors == 1);
	cr_expect_str_eq(diagnostics.items[0].file, text);
	free(text);
	diagnostics_clear(&diagnostics);
	packages_unref(packages);
	fixture_remove(first);
	fixture_remove(second);
}

static char *removed_meanwhile, *moved_to, *moved_in;

static void remove_it(int number)
{
	(void)unlink(removed_meanwhile);
}

static void replace_it(int number)
{
	(void)rename(removed_meanwhile, moved_to);
	(void)rename(moved_in, removed_meanwhile);
}

/* The kernel calls the handler, by the lease, when the first file is opened; that one cannot be
 * read then. */
static struct packages *load_meanwhile(
	const char *directory, void (*handler)(int), struct diagnostics *diagnostics)
{
	char *first = fixture_format("%s/a.yaml", directory);
	struct packages *packages;
	int fd;

	fixture_write(directory, "a.yaml", "name: first");
	fixture_write(directory, "b.yaml", "name: second");
	fixture_write(directory, "c.yaml", "name: third");
	(void)signal(SIGIO, handler);
	fd = open(first, O_WRONLY | O_CLOEXEC);
	cr_assert(fcntl(fd, F_SETLEASE, F_WRLCK) == 0);
	packages = load(directory, NULL, diagnostics, 0);
	cr_assert(diagnostics->errors > 0);
	cr_expect_str_eq(diagnostics->items[0].file, first);
	(void)close(fd);
	free(first);
	return packages;
}

Test(packages, one_that_is_removed_meanwhile_is_no_error)
{
	char *directory = fixture_directory();
	char *dangling = fixture_format("%s/d.yaml", directory);
	struct diagnostics diagnostics = {0};
	struct packages *packages;

	removed_meanwhile = fixture_format("%s/b.yaml", directory);
	cr_assert(symlink("nowhere", dangling) == 0);
	packages = load_meanwhile(directory, remove_it, &diagnostics);
	cr_expect(packages->count == 1 && packages_find(packages, "third"));
	cr_expect(diagnostics.errors == 2);
	cr_expect_str_eq(diagnostics.items[1].file, dangling);
	free(removed_meanwhile);
	free(dangling);
	diagnostics_clear(&diagnostics);
	packages_unref(packages);
	fixture_remove(directory);
}

/* Not one of its files counts as removed. */
Test(packages, a_directory_that_is_replaced_meanwhile_is_read_to_its_end)
{
	char *parent = fixture_directory();
	struct diagnostics diagnostics = {0};
	struct packages *packages;

	removed_meanwhile = fixture_format("%s/now", parent);
	moved_to = fixture_format("%s/before", parent);
	moved_in = fixture_format("%s/next", parent);
	cr_assert(mkdir(removed_meanwhile, 0755) == 0 && mkdir(moved_in, 0755) == 0);
	packages = load_meanwhile(removed_meanwhile, replace_it, &diagnostics);
	cr_expect(access(moved_in, F_OK) < 0, "it was not replaced");
	cr_expect(packages->count == 2);
	cr_expect(packages_find(packages, "second") && packages_find(packages, "third"));
	cr_expect(diagnostics.errors == 1);
	free(removed_meanwhile);
	free(moved_to);
	free(moved_in);
	diagnostics_clear(&diagnostics);
	packages_unref(packages);
	fixture_remove(parent);
}

Test(packages, yml_is_not_read_and_told)
{
	char *directory = fixture_directory(), *text, *expected;
	struct diagnostics diagnostics = {0};
	struct packages *packages;

	fixture_write(directory, "a.yml", "name: [bad]");
	fixture_write(directory, "b.yaml", "name: read");
	fixture_write(directory, "yml", "no ending");
	packages = load(directory, NULL, &diagnostics, 0);
	cr_expect(packages->count == 1 && packages_find(packages, "read"));
	text = fixture_diagnostics(&diagnostics);
	expected = fixture_format("%s/a.yml: note: not read, only .yaml files are; rename it "
				  "to \"a.yaml\"\n",
		directory);
	cr_expect_str_eq(text, expected, "%s", text);
	cr_expect(diagnostics.errors == 0 && diagnostics.notes == 1);
	free(text);
	free(expected);
	diagnostics_clear(&diagnostics);
	packages_unref(packages);
	fixture_remove(directory);
}

Test(packages, missing_directory_is_empty)
{
	struct diagnostics diagnostics = {0};
	struct packages *packages = load("/nonexistent/a", NULL, &diagnostics, 0);

	cr_expect(packages->count == 0 && diagnostics.count == 0);
	cr_expect(packages_find(packages, "a") == NULL);
	packages_unref(packages);
}

Test(packages, unreadable_directory_is_an_error)
{
	struct diagnostics diagnostics = {0};

	(void)load("/dev/null", NULL, &diagnostics, -EIO);
	cr_assert(diagnostics.errors == 1);
	cr_expect_str_eq(diagnostics.items[0].text,
		"cannot be read: Not a directory; make it a readable directory");
	diagnostics_clear(&diagnostics);
}

Test(packages, one_name_twice_uses_neither)
{
	char *directory = fixture_directory(), *text, *expected;
	struct diagnostics diagnostics = {0};
	struct packages *packages;

	fixture_write(directory, "a.yaml", "name: same");
	fixture_write(directory, "b.yaml", "name: other");
	fixture_write(directory, "c.yaml", "name: same");
	packages = load(directory, NULL, &diagnostics, 0);
	cr_expect(packages->count == 1 && packages_find(packages, "other"));
	text = fixture_diagnostics(&diagnostics);
	expected = fixture_format("%s/c.yaml: error: package \"same\" is also in %s/a.yaml, so "
				  "neither is used; remove or rename one\n",
		directory, directory);
	cr_expect_str_eq(text, expected, "%s", text);
	cr_expect(diagnostics.errors == 1);
	free(text);
	free(expected);
	diagnostics_clear(&diagnostics);
	packages_unref(packages);
	fixture_remove(directory);
}

Test(packages, what_is_no_regular_file_is_refused, .timeout = 10)
{
	char *directory = fixture_directory(), *path, *link, *text, *expected;
	struct diagnostics diagnostics = {0};
	struct packages *packages;

	path = fixture_format("%s/fifo.yaml", directory);
	cr_assert(mkfifo(path, 0600) == 0);
	link = fixture_format("%s/link.yaml", directory);
	cr_assert(symlink("nowhere", link) == 0);
	packages = load(directory, NULL, &diagnostics, 0);
	text = fixture_diagnostics(&diagnostics);
	expected = fixture_format("%s: error: cannot be read: Operation not supported; put a "
				  "regular file there\n"
				  "%s: error: cannot be read: No such file or directory; check the "
				  "name\n",
		path, link);
	cr_expect_str_eq(text, expected, "%s", text);
	free(path);
	free(link);
	free(text);
	free(expected);
	diagnostics_clear(&diagnostics);
	packages_unref(packages);
	fixture_remove(directory);
}

Test(packages, too_many_packages, .timeout = 60)
{
	char *directory = fixture_directory(), *text;
	struct diagnostics diagnostics = {0};
	struct packages *packages;

	for (size_t i = 0; i < PACKAGES_MAX + 2; i++) {
		char *name = fixture_format("%05zu.yaml", i);
		char *document = fixture_format("name: p%zu", i);

		fixture_write(directory, name, document);
		free(name);
		free(document);
	}
	packages = load(directory, NULL, &diagnostics, 0);
	cr_expect(packages->count == PACKAGES_MAX);
	cr_expect(diagnostics.errors == 1);
	text = fixture_diagnostics(&diagnostics);
	cr_expect(strstr(text, "/20000.yaml: error: more than 20000 packages; this one and 1 more "
			       "are left out, remove some") != NULL,
		"%s", text);
	free(text);
	diagnostics_clear(&diagnostics);
	packages_unref(packages);
	fixture_remove(directory);
}

Test(packages, references)
{
	struct packages *packages = load("/nonexistent/a", NULL, &(struct diagnostics){0}, 0);

	cr_expect(packages_ref(packages) == packages && packages->references == 2);
	cr_expect(packages_unref(packages) == NULL && packages->references == 1);
	packages_unref(packages);
}
