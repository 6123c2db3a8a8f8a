/* SPDX-License-Identifier: MIT */
/* The state file: connections.yaml.
 *
 * It is read strictly: whatever would be lost when it is written again (an unknown key, a newer
 * version) is an error, and a file with an error is never overwritten. */
#include <assert.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "connections.h"
#include "include/file.h"
#include "include/limits.h"
#include "include/write.h"
#include "include/names.h"
#include "include/tree.h"

#define STATE_FILE  "connections.yaml"
#define STATE_NEW   ".connections.yaml.new"
#define STATE_OLD   ".connections.yaml.old"
#define STATE_TITLE "# Written by mqgated; use mqctl connect and mqctl disconnect to change it.\n"

#define ITEM_SIZE_MAX                                                                        \
	(sizeof("- plug: \n  slot: \n  state: undesired\n  until: 2000-01-31T23:59:59Z\n") + \
		2 * REF_MAX)
static_assert(
	ITEM_SIZE_MAX * CONNECTIONS_MAX + 256 <= STATE_FILE_MAX, "what can be written can be read");

#define REPAIR                                                                                \
	"repair it, restore a copy, or move it away to start without connections; it is not " \
	"overwritten"

struct state_reader {
	const char *file;
	struct diagnostics *diagnostics;
	struct connections *connections;
};

#define refuse(reader, at, ...)                                                            \
	diagnostics_add((reader)->diagnostics, SEVERITY_ERROR, (reader)->file, (at)->line, \
		(at)->column, __VA_ARGS__)

static void check_keys(const struct state_reader *reader, const struct value *map,
	const char *const *known, size_t known_count)
{
	value_report_duplicates(map, NULL, reader->file, reader->diagnostics);
	for (size_t i = 0; i < map->count; i++) {
		const struct value *key = map->pairs[i].key;
		bool found = false;

		for (size_t j = 0; j < known_count; j++)
			found |= streq(known[j], key->text);
		if (!found)
			refuse(reader, key, "unknown key \"%s\"; " REPAIR, key->text);
	}
}

/* The text of one of a connection's keys; NULL after an error. */
static const char *read_text(
	const struct state_reader *reader, const struct value *map, const char *key)
{
	const struct value *value = value_get(map, key);

	if (value && value->kind == VALUE_STRING)
		return value->text;
	refuse(reader, value ? value : map, "%s %s; " REPAIR, key,
		value ? "must be a string" : "is missing");
	return NULL;
}

static const char *read_ref(
	const struct state_reader *reader, const struct value *map, const char *key)
{
	const char *text = read_text(reader, map, key);
	struct ref ref;

	if (!text || ref_parse(text, &ref) == 0)
		return text;
	refuse(reader, value_get(map, key), "%s: \"%s\" is not package:name; " REPAIR, key, text);
	return NULL;
}

/* 0 if there is none. False after an error. */
static bool read_until(const struct state_reader *reader, const struct value *map,
	enum connection_state state, uint64_t *ret)
{
	const struct value *value = value_get(map, "until");

	*ret = 0;
	if (!value)
		return true;
	if (value->kind != VALUE_STRING || utc_parse(value->text, ret) < 0)
		refuse(reader, value, "until: \"%s\" is no time like 2000-01-31T23:59:59Z; " REPAIR,
			value->text);
	else if (state != CONNECTION_MANUAL)
		refuse(reader, value, "until: only a manual connection has an end; " REPAIR);
	else
		return true;
	return false;
}

static int read_connection(struct state_reader *reader, const struct value *map)
{
	static const char *const known[] = {"plug", "slot", "state", "until"};
	struct connections *connections = reader->connections;
	const char *plug, *slot, *text;
	enum connection_state state;
	uint64_t until;
	int r;

	if (map->kind != VALUE_MAP) {
		refuse(reader, map, "a connection must be a map, not %s; " REPAIR,
			value_kind_name(map));
		return 0;
	}
	check_keys(reader, map, known, ELEMENTSOF(known));
	plug = read_ref(reader, map, "plug");
	slot = read_ref(reader, map, "slot");
	text = read_text(reader, map, "state");
	if (!plug || !slot || !text)
		return 0;
	if (connection_state_from_string(text, &state) < 0) {
		refuse(reader, value_get(map, "state"),
			"state: unknown word \"%s\", not manual, auto or undesired; " REPAIR, text);
		return 0;
	}
	if (!read_until(reader, map, state, &until))
		return 0;
	r = connection_init(&connections->items[connections->count], plug, slot, state);
	if (r < 0)
		return r;
	connections->items[connections->count++].until = until;
	return 0;
}

static void check_version(const struct state_reader *reader, const struct value *root)
{
	const struct value *version = value_get(root, "version");

	if (!version)
		refuse(reader, root, "version is missing; " REPAIR);
	else if (version->kind != VALUE_INTEGER || !streq(version->text, "1"))
		refuse(reader, version,
			"version \"%s\" is not the 1 that this mqgate reads; use the newer mqgate "
			"that wrote it, or " REPAIR,
			version->text);
}

static void check_pairs(const struct state_reader *reader)
{
	const struct connections *connections = reader->connections;

	for (size_t i = 1; i < connections->count; i++)
		if (connection_compare(&connections->items[i - 1], &connections->items[i]) == 0)
			diagnostics_add(reader->diagnostics, SEVERITY_ERROR, reader->file, 0, 0,
				"%s and %s are connected twice; " REPAIR,
				connections->items[i].plug, connections->items[i].slot);
}

static int read_list(struct state_reader *reader, const struct value *root)
{
	const struct value *list = value_get(root, "connections");
	int r;

	if (!list || list->kind != VALUE_LIST) {
		refuse(reader, list ? list : root, "connections %s; " REPAIR,
			list ? "must be a list" : "is missing");
		return 0;
	}
	if (list->count > CONNECTIONS_MAX) {
		refuse(reader, list, "%zu connections, more than %d; " REPAIR, list->count,
			CONNECTIONS_MAX);
		return 0;
	}
	r = connections_new_sized(list->count, &reader->connections);
	for (size_t i = 0; i < list->count && r == 0; i++)
		r = read_connection(reader, list->items[i]);
	if (r < 0)
		return r;
	qsort(reader->connections->items, reader->connections->count,
		sizeof(*reader->connections->items), connection_compare);
	check_pairs(reader);
	return 0;
}

static int read_root(struct state_reader *reader, const struct value *root)
{
	static const char *const known[] = {"version", "connections"};
	size_t errors = reader->diagnostics->errors;

	if (!root || root->kind != VALUE_MAP) {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, reader->file, 1, 1,
			"not a map of version and connections; " REPAIR);
		return 0;
	}
	/* What a newer version looks like is not ours to judge. */
	check_version(reader, root);
	if (reader->diagnostics->errors > errors)
		return 0;
	check_keys(reader, root, known, ELEMENTSOF(known));
	return read_list(reader, root);
}

static int parse(const char *file, const char *text, size_t size, struct diagnostics *diagnostics,
	struct connections **ret)
{
	_cleanup_(tree_freep) struct tree *tree = NULL;
	struct state_reader reader = {.file = file, .diagnostics = diagnostics};
	size_t errors = diagnostics->errors;
	int r;

	r = tree_parse(file, text, size, diagnostics, &tree);
	if (r == -EBADMSG)
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0, "not readable; " REPAIR);
	if (r < 0)
		return r;
	r = read_root(&reader, tree->root);
	if (r == 0 && diagnostics->errors > errors)
		r = -EBADMSG;
	if (r < 0) {
		connections_unref(reader.connections);
		return r;
	}
	*ret = reader.connections;
	return 0;
}

int connections_load_file(
	const char *file, struct diagnostics *diagnostics, struct connections **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = file_read(file, STATE_FILE_MAX, &text, &size);
	if (r == -ENOMEM || r == -ENOENT)
		return r;
	if (r == -EFBIG)
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0,
			"larger than %d bytes; " REPAIR, STATE_FILE_MAX);
	else if (r < 0)
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0, "cannot be read: %s; %s",
			strerror(-r), file_remedy(r));
	if (r < 0)
		return -EBADMSG;
	return parse(file, text, size, diagnostics, ret);
}

int connections_load(
	const char *directory, struct diagnostics *diagnostics, struct connections **ret)
{
	_cleanup_free_ char *file = NULL;
	int r;

	if (asprintf(&file, "%s/" STATE_FILE, directory) < 0) {
		file = NULL;
		return -ENOMEM;
	}
	r = connections_load_file(file, diagnostics, ret);
	return r == -ENOENT ? connections_new(ret) : r;
}

/* References and states consist of characters that need no quotes. */
static int emit(const struct connections *connections, char **ret_text, size_t *ret_size)
{
	char *text, *at, until[UTC_STRING_MAX];
	size_t size = 256;

	for (size_t i = 0; i < connections->count; i++)
		size += ITEM_SIZE_MAX - 2 * REF_MAX + strlen(connections->items[i].plug) +
			strlen(connections->items[i].slot);
	text = malloc(size);
	if (!text)
		return -ENOMEM;
	at = stpcpy(text, STATE_TITLE "version: 1\n");
	at = stpcpy(at, connections->count > 0 ? "connections:\n" : "connections: []\n");
	for (size_t i = 0; i < connections->count; i++) {
		const struct connection *item = &connections->items[i];

		at = stpcpy(stpcpy(at, "- plug: "), item->plug);
		at = stpcpy(stpcpy(at, "\n  slot: "), item->slot);
		at = stpcpy(stpcpy(at, "\n  state: "), connection_state_to_string(item->state));
		if (item->until > 0)
			at = stpcpy(stpcpy(at, "\n  until: "), utc_format(item->until, until));
		at = stpcpy(at, "\n");
	}
	*ret_text = text;
	*ret_size = (size_t)(at - text);
	return 0;
}

static int write_new(int directory, const char *text, size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	/* A crash may have left one. */
	if (unlinkat(directory, STATE_NEW, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(
		directory, STATE_NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text, size);
	if (r == 0 && (fchmod(fd, 0644) < 0 || fsync(fd) < 0))
		r = -errno;
	return r;
}

/* Gives the current file a second name, by which it can come back. Returns 1, or 0 if there is no
 * current file, or a negative errno. */
static int keep_old(int directory)
{
	if (unlinkat(directory, STATE_OLD, 0) < 0 && errno != ENOENT)
		return -errno;
	if (linkat(directory, STATE_FILE, directory, STATE_OLD, 0) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

/* The rename counts only once the directory is on disk. If that fails, the old file comes back, so
 * that what is on disk is what is in force. */
static int replace(int directory)
{
	int kept, r = 0;

	kept = keep_old(directory);
	if (kept < 0)
		return kept;
	if (renameat(directory, STATE_NEW, directory, STATE_FILE) < 0) {
		r = -errno;
	} else if (fsync(directory) < 0) {
		r = -errno;
		if (kept)
			(void)renameat(directory, STATE_OLD, directory, STATE_FILE);
		else
			(void)unlinkat(directory, STATE_FILE, 0);
	}
	(void)unlinkat(directory, STATE_OLD, 0);
	return r;
}

int connections_save(const char *directory, const struct connections *connections)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = emit(connections, &text, &size);
	if (r < 0)
		return r;
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = write_new(fd, text, size);
	if (r == 0)
		r = replace(fd);
	if (r < 0)
		(void)unlinkat(fd, STATE_NEW, 0);
	return r;
}
