/* SPDX-License-Identifier: MIT */
/* Packages: one document, one file. */
#include "package.h"

#include "file.h"
#include "include/limits.h"
#include "package-yaml.h"
#include "tree.h"

static void free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

void plug_clear(struct plug *plug)
{
	free(plug->name);
	free(plug->id);
	*plug = (struct plug){0};
}

void slot_clear(struct slot *slot)
{
	free(slot->name);
	free(slot->id);
	free_names(slot->paths, slot->path_count);
	free_names(slot->patterns, slot->pattern_count);
	*slot = (struct slot){0};
}

static void app_clear(struct app *app)
{
	free(app->name);
	free_names(app->plugs, app->plug_count);
	free_names(app->slots, app->slot_count);
	*app = (struct app){0};
}

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

static int refuse_unread(const char *file, int error, struct diagnostics *diagnostics)
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
	int r;

	r = file_read(file, PACKAGE_FILE_MAX, &text, &size);
	if (r < 0)
		return refuse_unread(file, r, diagnostics);
	return package_parse(file, text, size, diagnostics, ret);
}

int package_load_fd(int fd, const char *file, struct diagnostics *diagnostics, struct package **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	/* One byte too many is enough to be refused. */
	r = file_read_fd(fd, PACKAGE_FILE_MAX + 1, &text, &size);
	if (r < 0)
		return refuse_unread(file, r, diagnostics);
	return package_parse(file, text, size, diagnostics, ret);
}

static int compare_plug(const void *name, const void *plug)
{
	return strcmp(name, ((const struct plug *)plug)->name);
}

const struct plug *package_plug(const struct package *package, const char *name)
{
	if (package->plug_count == 0)
		return NULL;
	return bsearch(
		name, package->plugs, package->plug_count, sizeof(*package->plugs), compare_plug);
}

static int compare_slot(const void *name, const void *slot)
{
	return strcmp(name, ((const struct slot *)slot)->name);
}

const struct slot *package_slot(const struct package *package, const char *name)
{
	if (package->slot_count == 0)
		return NULL;
	return bsearch(
		name, package->slots, package->slot_count, sizeof(*package->slots), compare_slot);
}

static int compare_app(const void *name, const void *app)
{
	return strcmp(name, ((const struct app *)app)->name);
}

const struct app *package_app(const struct package *package, const char *name)
{
	if (package->app_count == 0)
		return NULL;
	return bsearch(
		name, package->apps, package->app_count, sizeof(*package->apps), compare_app);
}

static int compare_text(const void *text, const void *item)
{
	return strcmp(text, *(char *const *)item);
}

static bool names_have(char *const *names, size_t count, const char *name)
{
	return count > 0 && bsearch(name, names, count, sizeof(*names), compare_text);
}

bool app_has_plug(const struct app *app, const struct plug *plug)
{
	return !plug->scoped || names_have(app->plugs, app->plug_count, plug->name);
}

bool app_has_slot(const struct app *app, const struct slot *slot)
{
	return !app->of_component &&
	       (!slot->scoped || names_have(app->slots, app->slot_count, slot->name));
}
