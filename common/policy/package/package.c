/* SPDX-License-Identifier: MIT */
/* Packages: one document, one file. */
#include "include/policy.h"

#include "include/file.h"
#include "include/limits.h"
#include "package-parts.h"
#include "package-yaml.h"
#include "packages.h"
#include "include/tree.h"

struct package *package_free(struct package *package)
{
	if (!package)
		return NULL;
	for (size_t i = 0; i < package->plug_count; i++)
		plug_clear(&package->plugs[i]);
	for (size_t i = 0; i < package->slot_count; i++)
		slot_clear(&package->slots[i]);
	for (size_t i = 0; i < package->app_count; i++)
		app_clear(&package->apps[i]);
	free(package->plugs);
	free(package->slots);
	free(package->apps);
	free(package->name);
	free(package->publisher);
	free(package->file);
	free(package);
	return NULL;
}

static struct package *package_new(const char *file)
{
	_cleanup_(package_freep) struct package *package = calloc(1, sizeof(*package));

	if (!package)
		return NULL;
	package->name = strdup("");
	package->publisher = strdup("");
	package->file = strdup(file);
	if (!package->name || !package->publisher || !package->file)
		return NULL;
	return take_pointer(package);
}

static int compare_places(const void *a, const void *b)
{
	const struct diagnostic *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return (x->column > y->column) - (x->column < y->column);
}

int package_parse(const char *file, const char *text, size_t size, struct diagnostics *diagnostics,
	struct package **ret)
{
	_cleanup_(package_freep) struct package *package = package_new(file);
	_cleanup_(tree_freep) struct tree *tree = NULL;
	size_t before = diagnostics->count;
	int r;

	if (!package)
		return -ENOMEM;
	if (size > PACKAGE_FILE_MAX) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0,
			"larger than %d bytes; split the package", PACKAGE_FILE_MAX);
		return -EBADMSG;
	}
	r = tree_parse(file, text, size, diagnostics, &tree);
	if (r < 0)
		return r;
	r = package_from_tree(package, tree, diagnostics);
	if (diagnostics->count > before + 1)
		qsort(diagnostics->items + before, diagnostics->count - before,
			sizeof(*diagnostics->items), compare_places);
	if (r < 0)
		return r;
	*ret = take_pointer(package);
	return 0;
}

int package_refuse_unread(const char *file, int error, struct diagnostics *diagnostics)
{
	if (error == -ENOMEM)
		return error;
	if (error == -EFBIG)
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0,
			"larger than %d bytes; split the package", PACKAGE_FILE_MAX);
	else
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0, "cannot be read: %s; %s",
			strerror(-error), file_remedy(error));
	return -EBADMSG;
}

int package_load(const char *file, struct diagnostics *diagnostics, struct package **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = file_read(file, PACKAGE_FILE_MAX, &text, &size);

	return r < 0 ? package_refuse_unread(file, r, diagnostics)
		     : package_parse(file, text, size, diagnostics, ret);
}

int package_load_fd(int fd, const char *file, struct diagnostics *diagnostics, struct package **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	/* One byte too many is enough to be refused. */
	r = file_read_fd(fd, PACKAGE_FILE_MAX + 1, &text, &size);
	if (r < 0)
		return package_refuse_unread(file, r, diagnostics);
	return package_parse(file, text, size, diagnostics, ret);
}

static int compare_name(const void *name, const void *item)
{
	return strcmp(name, *(char *const *)item);
}

static const void *find(const char *name, const void *items, size_t count, size_t size)
{
	return count > 0 ? bsearch(name, items, count, size, compare_name) : NULL;
}

const struct plug *package_plug(const struct package *package, const char *name)
{
	return find(name, package->plugs, package->plug_count, sizeof(*package->plugs));
}

const struct slot *package_slot(const struct package *package, const char *name)
{
	return find(name, package->slots, package->slot_count, sizeof(*package->slots));
}

const struct app *package_app(const struct package *package, const char *name)
{
	return find(name, package->apps, package->app_count, sizeof(*package->apps));
}

bool app_has_plug(const struct app *app, const struct plug *plug)
{
	return !plug->scoped || find(plug->name, app->plugs, app->plug_count, sizeof(char *));
}

bool app_has_slot(const struct app *app, const struct slot *slot)
{
	return !app->of_component &&
	       (!slot->scoped || find(slot->name, app->slots, app->slot_count, sizeof(char *)));
}
