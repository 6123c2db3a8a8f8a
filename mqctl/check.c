/* SPDX-License-Identifier: MIT */
/* mqctl check: reads package documents as the manager would, without it. */
#include "mqctl.h"

#include <search.h>
#include <sys/stat.h>

#include "include/policy.h"

/* Those that are not refused, each name once: a tree of tsearch(). */
struct checked {
	void *packages;
};

static void free_package(void *package)
{
	package_free(package);
}

static void checked_clear(struct checked *checked)
{
	tdestroy(checked->packages, free_package);
}

int print_diagnostics(const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&diagnostics->items[i]);

		if (!line)
			return print_no_memory();
		(void)fprintf(stderr, "%s\n", line);
	}
	if (diagnostics->suppressed > 0)
		(void)fprintf(stderr, "%zu more messages are not shown\n", diagnostics->suppressed);
	return diagnostics->count + diagnostics->suppressed > diagnostics->notes ? REFUSED : DONE;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct package *)a)->name, ((const struct package *)b)->name);
}

/* Of two documents with the same file name the manager takes one, that of the later directory. */
static bool is_twin(const struct package *a, const struct package *b)
{
	return !streq(basename(a->file), basename(b->file));
}

static int keep(struct checked *checked, struct package *package, struct diagnostics *diagnostics)
{
	struct package **found = tsearch(package, &checked->packages, compare_names);

	if (found && *found == package)
		return 0;
	if (found && is_twin(*found, package))
		diagnostics_add(diagnostics, SEVERITY_ERROR, package->file, 0, 0,
			"package \"%s\" is also in %s; remove or rename one", package->name,
			(*found)->file);
	package_free(package);
	return found ? 0 : -ENOMEM;
}

static int check_file(struct checked *checked, const char *file)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r;

	if (streq(file, "-"))
		r = package_load_fd(STDIN_FILENO, "<stdin>", &diagnostics, &package);
	else
		r = package_load(file, &diagnostics, &package);
	if (r == 0)
		r = keep(checked, package, &diagnostics);
	if (r < 0 && r != -EBADMSG)
		return print_no_memory();
	return print_diagnostics(&diagnostics);
}

static int check_files(struct checked *checked, char **files, size_t count)
{
	int result = DONE;

	for (size_t i = 0; i < count; i++) {
		int r = check_file(checked, files[i]);

		if (r < 0)
			return r;
		result = MAX(result, r);
	}
	return result;
}

/* What is in no document comes first. */
static int check_directory(struct checked *checked, const char *directory)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	char **files = NULL;
	size_t count = 0;
	int r, result;

	r = packages_list(directory, &diagnostics, &files, &count);
	if (r == -ENOMEM)
		return print_no_memory();
	if (r == 0 && count == 0)
		diagnostics_add(&diagnostics, SEVERITY_NOTE, directory, 0, 0,
			"no .yaml file in this directory; name another one");
	result = print_diagnostics(&diagnostics);
	r = result < 0 ? result : check_files(checked, files, count);
	for (size_t i = 0; i < count; i++)
		free(files[i]);
	free(files);
	return r < 0 ? r : MAX(result, r);
}

static bool is_directory(const char *word)
{
	struct stat st;

	return stat(word, &st) == 0 && S_ISDIR(st.st_mode);
}

int verb_check(const struct arguments *arguments)
{
	_cleanup_(checked_clear) struct checked checked = {0};
	int result = DONE;

	for (char **word = arguments->words; *word; word++) {
		int r = is_directory(*word) ? check_directory(&checked, *word)
					    : check_file(&checked, *word);

		if (r < 0)
			return r;
		result = MAX(result, r);
	}
	return result;
}
