/* SPDX-License-Identifier: MIT */
/* mqctl check: reads package documents as the manager would, without it. */
#include "mqctl.h"

#include "include/policy.h"

struct checked {
	struct package **items; /* those that are not refused */
	size_t count;
};

static void checked_clear(struct checked *checked)
{
	for (size_t i = 0; i < checked->count; i++)
		package_free(checked->items[i]);
	free(checked->items);
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
		(void)fprintf(stderr, "%zu more are not shown\n", diagnostics->suppressed);
	return diagnostics->count + diagnostics->suppressed > 0 ? REFUSED : DONE;
}

/* Of two documents with the same file name the manager takes one, that of the later directory. */
static bool is_twin(const struct package *a, const struct package *b)
{
	return streq(a->name, b->name) && !streq(basename(a->file), basename(b->file));
}

static void find_twin(const struct checked *checked, const struct package *package,
	struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < checked->count; i++)
		if (is_twin(checked->items[i], package)) {
			diagnostics_add(diagnostics, SEVERITY_ERROR, package->file, 0, 0,
				"package \"%s\" is also in %s; remove or rename one", package->name,
				checked->items[i]->file);
			return;
		}
}

static int check_file(struct checked *checked, const char *file)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r;

	r = package_load(file, &diagnostics, &package);
	if (r < 0 && r != -EBADMSG)
		return print_no_memory();
	if (r == 0) {
		find_twin(checked, package, &diagnostics);
		checked->items[checked->count++] = package;
	}
	return print_diagnostics(&diagnostics);
}

int verb_check(const struct arguments *arguments)
{
	_cleanup_(checked_clear) struct checked checked = {0};
	int result = DONE;

	checked.items = calloc((size_t)arguments->word_count, sizeof(*checked.items));
	if (!checked.items)
		return print_no_memory();
	for (char **file = arguments->words; *file; file++) {
		int r = check_file(&checked, *file);

		if (r < 0)
			return r;
		result = MAX(result, r);
	}
	return result;
}
