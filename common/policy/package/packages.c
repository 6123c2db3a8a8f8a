/* SPDX-License-Identifier: MIT */
/* All packages: the documents of several directories. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "packages.h"

#include "include/array.h"
#include "include/file.h"
#include "include/limits.h"

/* A document to read, one for each file name. */
struct path {
	char *text;
	int directory; /* open; not owned */
};

struct paths {
	struct path *items;
	size_t count;
};

static void paths_clear(struct paths *paths)
{
	for (size_t i = 0; i < paths->count; i++)
		free(paths->items[i].text);
	free(paths->items);
}

/* They stay open until all is read: a directory that is replaced meanwhile, by two renames, is read
 * to its end, and its files do not count as removed. */
struct streams {
	DIR **items;
	size_t count;
};

static void streams_clear(struct streams *streams)
{
	for (size_t i = 0; i < streams->count; i++)
		if (streams->items[i])
			(void)closedir(streams->items[i]);
	free(streams->items);
}

static char *join(const char *directory, const char *name)
{
	size_t length = strlen(directory);
	const char *slash = length > 0 && directory[length - 1] == '/' ? "" : "/";
	char *path;

	return asprintf(&path, "%s%s%s", directory, slash, name) < 0 ? NULL : path;
}

static int paths_add(struct paths *paths, const char *directory, DIR *stream, const char *name)
{
	_cleanup_free_ char *text = join(directory, name);
	struct path path = {.text = text, .directory = dirfd(stream)};
	int r = text ? array_append(&paths->items, &paths->count, &path, sizeof(path)) : -ENOMEM;

	if (r == 0)
		(void)take_pointer(text);
	return r;
}

static const char *file_name(const struct path *path)
{
	return strrchr(path->text, '/') + 1;
}

static int compare_file_names(const void *a, const void *b)
{
	return strcmp(file_name(a), file_name(b));
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

/* Appends to paths, which are empty, sorted by file name. */
static int list_stream(
	DIR *stream, const char *directory, struct diagnostics *diagnostics, struct paths *paths)
{
	errno = 0;
	for (struct dirent *entry; (entry = readdir(stream)) != NULL; errno = 0) {
		int r;

		if (has_ending(entry->d_name, ".yml"))
			note_unread(directory, entry->d_name, diagnostics);
		if (!has_ending(entry->d_name, ".yaml"))
			continue;
		r = paths_add(paths, directory, stream, entry->d_name);
		if (r < 0)
			return r;
	}
	if (errno > 0)
		return -EIO;
	if (paths->count > 1)
		qsort(paths->items, paths->count, sizeof(*paths->items), compare_file_names);
	return 0;
}

/* The same; the stream, which the paths need, is among the streams then. */
static int list_directory(const char *directory, struct diagnostics *diagnostics,
	struct streams *streams, struct paths *paths)
{
	DIR *stream = opendir(directory);
	int r;

	if (!stream && errno == ENOENT)
		return 0;
	r = stream ? array_append(&streams->items, &streams->count, &stream, sizeof(stream)) : -EIO;
	if (r == 0)
		r = list_stream(stream, directory, diagnostics, paths);
	else if (stream)
		(void)closedir(stream);
	if (r == -EIO)
		diagnostics_add(diagnostics, SEVERITY_ERROR, directory, 0, 0,
			"cannot be read: %s; make it a readable directory", strerror(errno));
	return r;
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
			free(paths->items[i++].text);
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
	_cleanup_(streams_clear) struct streams streams = {0};
	_cleanup_(paths_clear) struct paths paths = {0};
	_cleanup_free_ char **texts = NULL;
	int r;

	r = list_directory(directory, diagnostics, &streams, &paths);
	if (r < 0)
		return r;
	texts = calloc(MAX(paths.count, 1U), sizeof(*texts));
	if (!texts)
		return -ENOMEM;
	for (size_t i = 0; i < paths.count; i++)
		texts[i] = take_pointer(paths.items[i].text);
	*ret_count = paths.count;
	*ret_paths = take_pointer(texts);
	return 0;
}

static int list_documents(const char *const *directories, size_t directory_count,
	struct diagnostics *diagnostics, struct streams *streams, struct paths *ret)
{
	int r = 0;

	for (size_t i = 0; i < directory_count && r == 0; i++) {
		struct paths later = {0};

		r = list_directory(directories[i], diagnostics, streams, &later);
		if (r == 0)
			r = paths_settle(ret, &later);
		paths_clear(&later);
	}
	return r;
}

/* -ENOENT: it has been removed since it was listed. */
static int load_listed(
	const struct path *path, struct diagnostics *diagnostics, struct package **ret)
{
	_cleanup_free_ char *text = NULL;
	const char *name = file_name(path);
	struct stat st;
	size_t size;
	int r;

	r = file_read_at(path->directory, name, PACKAGE_FILE_MAX, &text, &size);
	if (r == 0)
		return package_parse(path->text, text, size, diagnostics, ret);
	if (r == -ENOENT && fstatat(path->directory, name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
		errno == ENOENT)
		return -ENOENT;
	return package_refuse_unread(path->text, r, diagnostics);
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
			diagnostics_add(diagnostics, SEVERITY_ERROR, paths->items[i].text, 0, 0,
				"more than %d packages; this one and %zu more are left out, remove "
				"some",
				PACKAGES_MAX, paths->count - i - 1);
			break;
		}
		r = load_listed(&paths->items[i], diagnostics, &packages->items[packages->count]);
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
	_cleanup_(streams_clear) struct streams streams = {0};
	_cleanup_(paths_clear) struct paths paths = {0};
	int r;

	if (!packages)
		return -ENOMEM;
	packages->references = 1;
	r = copy_directories(directories, directory_count, packages);
	if (r < 0)
		return r;
	r = list_documents(directories, directory_count, diagnostics, &streams, &paths);
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
