/* SPDX-License-Identifier: MIT */
/* All packages: the documents of several directories. */
#include <dirent.h>

#include "packages.h"

#include "include/array.h"
#include "include/limits.h"

/* The documents to read, one path for each file name. */
struct paths {
	char **items;
	size_t count;
};

static void paths_clear(struct paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i]);
	free(paths->items);
}

static char *join(const char *directory, const char *name)
{
	size_t length = strlen(directory);
	const char *slash = length > 0 && directory[length - 1] == '/' ? "" : "/";
	char *path;

	return asprintf(&path, "%s%s%s", directory, slash, name) < 0 ? NULL : path;
}

static int paths_add(struct paths *paths, const char *directory, const char *name)
{
	_cleanup_free_ char *path = join(directory, name);
	int r = path ? array_append(&paths->items, &paths->count, &path, sizeof(path)) : -ENOMEM;

	if (r == 0)
		(void)take_pointer(path);
	return r;
}

static const char *file_name(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int compare_file_names(const void *a, const void *b)
{
	return strcmp(file_name(*(char *const *)a), file_name(*(char *const *)b));
}

/* A file that is not hidden and has this ending. */
static bool has_ending(const char *name, const char *ending)
{
	size_t length = strlen(name), ending_length = strlen(ending);

	return name[0] != '.' && length > ending_length &&
	       streq(name + length - ending_length, ending);
}

static void note_unread(const char *directory, const char *name, struct diagnostics *diagnostics)
{
	_cleanup_free_ char *path = join(directory, name);

	diagnostics_add(diagnostics, SEVERITY_NOTE, path ? path : name, 0, 0,
		"not read, only .yaml files are; rename it to \"%.*s.yaml\"",
		(int)(strlen(name) - strlen(".yml")), name);
}

static void closedirp(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

/* Appends to paths, which are empty, sorted by file name. */
static int list_directory(
	const char *directory, struct diagnostics *diagnostics, struct paths *paths)
{
	_cleanup_(closedirp) DIR *stream = opendir(directory);
	int r;

	if (!stream && errno == ENOENT)
		return 0;
	errno = stream ? 0 : errno;
	for (struct dirent *entry; stream && (entry = readdir(stream)) != NULL; errno = 0) {
		if (has_ending(entry->d_name, ".yml"))
			note_unread(directory, entry->d_name, diagnostics);
		if (!has_ending(entry->d_name, ".yaml"))
			continue;
		r = paths_add(paths, directory, entry->d_name);
		if (r < 0)
			return r;
	}
	if (errno == 0) {
		if (paths->count > 1)
			qsort(paths->items, paths->count, sizeof(*paths->items),
				compare_file_names);
		return 0;
	}
	diagnostics_add(diagnostics, SEVERITY_ERROR, directory, 0, 0,
		"cannot be read: %s; make it a readable directory", strerror(errno));
	return -EIO;
}

/* Merges the sorted paths with those of a later directory, whose file names win. */
static int paths_settle(struct paths *paths, struct paths *later)
{
	struct paths merged = {0};
	size_t i = 0, j = 0;

	merged.items = calloc(MAX(paths->count + later->count, 1U), sizeof(*merged.items));
	if (!merged.items)
		return -ENOMEM;
	while (i < paths->count || j < later->count) {
		int c = i == paths->count ? 1
			: j == later->count
				? -1
				: compare_file_names(&paths->items[i], &later->items[j]);

		if (c == 0)
			free(paths->items[i++]);
		merged.items[merged.count++] = c < 0 ? paths->items[i++] : later->items[j++];
	}
	free(paths->items);
	free(later->items);
	*paths = merged;
	*later = (struct paths){0};
	return 0;
}

int packages_list(const char *directory, struct diagnostics *diagnostics, char ***ret_paths,
	size_t *ret_count)
{
	_cleanup_(paths_clear) struct paths paths = {0};
	int r;

	r = list_directory(directory, diagnostics, &paths);
	if (r < 0)
		return r;
	*ret_count = paths.count;
	*ret_paths = paths.items;
	paths = (struct paths){0};
	return 0;
}

static int list_documents(const char *const *directories, size_t directory_count,
	struct diagnostics *diagnostics, struct paths *ret)
{
	int r = 0;

	for (size_t i = 0; i < directory_count && r == 0; i++) {
		struct paths later = {0};

		r = list_directory(directories[i], diagnostics, &later);
		if (r == 0)
			r = paths_settle(ret, &later);
		paths_clear(&later);
	}
	return r;
}

static int load_documents(
	const struct paths *paths, struct diagnostics *diagnostics, struct packages *packages)
{
	packages->items = calloc(MAX(paths->count, 1U), sizeof(*packages->items));
	if (!packages->items)
		return -ENOMEM;
	for (size_t i = 0; i < paths->count; i++) {
		int r;

		if (i == PACKAGES_MAX) {
			diagnostics_add(diagnostics, SEVERITY_ERROR, paths->items[i], 0, 0,
				"more than %d packages; this one and %zu more are left out, remove "
				"some",
				PACKAGES_MAX, paths->count - i - 1);
			break;
		}
		r = package_load_listed(
			paths->items[i], diagnostics, &packages->items[packages->count]);
		if (r == 0)
			packages->count++;
		else if (r != -EBADMSG && r != -ENOENT)
			return r;
	}
	return 0;
}

static int compare_packages(const void *a, const void *b)
{
	const struct package *x = *(struct package *const *)a, *y = *(struct package *const *)b;
	int c = strcmp(x->name, y->name);

	return c ? c : strcmp(x->file, y->file);
}

/* Sorts, and takes out all packages whose name is not theirs alone. */
static void packages_settle(struct packages *packages, struct diagnostics *diagnostics)
{
	struct package **items = packages->items;
	size_t kept = 0, next;

	if (packages->count > 1)
		qsort(items, packages->count, sizeof(*items), compare_packages);
	for (size_t i = 0; i < packages->count; i = next) {
		for (next = i + 1; next < packages->count; next++) {
			if (!streq(items[next]->name, items[i]->name))
				break;
			diagnostics_add(diagnostics, SEVERITY_ERROR, items[next]->file, 0, 0,
				"package \"%s\" is also in %s, so neither is used; remove or "
				"rename one",
				items[i]->name, items[i]->file);
		}
		if (next == i + 1) {
			items[kept++] = items[i];
			continue;
		}
		for (size_t j = i; j < next; j++)
			package_free(items[j]);
	}
	packages->count = kept;
}

static int copy_directories(
	const char *const *directories, size_t directory_count, struct packages *packages)
{
	packages->directories = calloc(directory_count + 1, sizeof(*packages->directories));
	if (!packages->directories)
		return -ENOMEM;
	for (size_t i = 0; i < directory_count; i++) {
		packages->directories[i] = strdup(directories[i]);
		if (!packages->directories[i])
			return -ENOMEM;
		packages->directory_count++;
	}
	return 0;
}

int packages_load(const char *const *directories, size_t directory_count,
	struct diagnostics *diagnostics, struct packages **ret)
{
	_cleanup_(packages_unrefp) struct packages *packages = calloc(1, sizeof(*packages));
	_cleanup_(paths_clear) struct paths paths = {0};
	int r;

	if (!packages)
		return -ENOMEM;
	packages->references = 1;
	r = copy_directories(directories, directory_count, packages);
	if (r < 0)
		return r;
	r = list_documents(directories, directory_count, diagnostics, &paths);
	if (r < 0)
		return r;
	r = load_documents(&paths, diagnostics, packages);
	if (r < 0)
		return r;
	packages_settle(packages, diagnostics);
	*ret = take_pointer(packages);
	return 0;
}

int packages_from(struct package ***items, size_t *count, struct diagnostics *diagnostics,
	struct packages **ret)
{
	_cleanup_(packages_unrefp) struct packages *packages = calloc(1, sizeof(*packages));
	int r;

	if (!packages)
		return -ENOMEM;
	packages->references = 1;
	r = copy_directories(NULL, 0, packages);
	if (r < 0)
		return r;
	packages->items = take_pointer(*items);
	packages->count = *count;
	*count = 0;
	packages_settle(packages, diagnostics);
	*ret = take_pointer(packages);
	return 0;
}

struct packages *packages_ref(struct packages *packages)
{
	packages->references++;
	return packages;
}

struct packages *packages_unref(struct packages *packages)
{
	if (!packages || --packages->references > 0)
		return NULL;
	for (size_t i = 0; i < packages->count; i++)
		package_free(packages->items[i]);
	for (size_t i = 0; i < packages->directory_count; i++)
		free(packages->directories[i]);
	free(packages->items);
	free(packages->directories);
	free(packages);
	return NULL;
}

static int compare_name(const void *name, const void *package)
{
	return strcmp(name, (*(struct package *const *)package)->name);
}

const struct package *packages_find(const struct packages *packages, const char *name)
{
	struct package *const *found = NULL;

	if (packages->count > 0)
		found = bsearch(name, packages->items, packages->count, sizeof(*packages->items),
			compare_name);
	return found ? *found : NULL;
}

void policy_release(struct policy *policy)
{
	if (policy->packages)
		policy->packages = packages_unref(policy->packages);
	if (policy->connections)
		policy->connections = connections_unref(policy->connections);
}
