/* SPDX-License-Identifier: MIT */
/* mqctl apply: a list of connections that is to be exactly what is connected. */
#include "connections.h"
#include "fault.h"
#include "include/limits.h"
#include "include/names.h"
#include "include/tree.h"

/* One that is wanted, and where the document says so. */
struct entry {
	struct connection connection;
	const struct value *at;
};

struct apply_reader {
	const struct policy *policy;
	const char *file;
	struct diagnostics *diagnostics;
	struct entry *entries;
	size_t count;
};

#define refuse(reader, at, ...)                                                            \
	diagnostics_add((reader)->diagnostics, SEVERITY_ERROR, (reader)->file, (at)->line, \
		(at)->column, __VA_ARGS__)

static void reader_clear(struct apply_reader *reader)
{
	for (size_t i = 0; i < reader->count; i++)
		connection_clear(&reader->entries[i].connection);
	free(reader->entries);
}

/* known is NULL-terminated; names says the same in words. */
static void check_keys(const struct apply_reader *reader, const struct value *map,
	const char *const *known, const char *names)
{
	value_report_duplicates(map, NULL, reader->file, reader->diagnostics);
	for (size_t i = 0; i < map->count; i++) {
		const struct value *key = map->pairs[i].key;
		const char *const *name = known;

		while (*name && !streq(key->text, *name))
			name++;
		if (!*name)
			refuse(reader, key, "unknown key \"%s\"; use only %s", key->text, names);
	}
}

/* The text of a key; NULL after an error. */
static const struct value *read_text(
	const struct apply_reader *reader, const struct value *map, const char *key)
{
	const struct value *value = value_get(map, key);

	if (value && value->kind == VALUE_STRING)
		return value;
	if (value)
		refuse(reader, value, "%s must be a string, not %s; write package:name", key,
			value_kind_name(value));
	else
		refuse(reader, map, "%s is missing; write \"%s: package:name\"", key, key);
	return NULL;
}

/* Refuses two of differing ids, unless the entry admits that. */
static void check_ids(const struct apply_reader *reader, const struct value *map,
	const struct plug *plug, const struct slot *slot)
{
	const struct value *any_id = value_get(map, "any-id");

	if (any_id && any_id->kind != VALUE_BOOL)
		refuse(reader, any_id, "any-id must be true or false, not %s; write one of them",
			value_kind_name(any_id));
	else if (!streq(plug->id, slot->id) && !(any_id && value_is_true(any_id)))
		refuse(reader, map,
			"the id of %s:%s is \"%s\", that of %s:%s \"%s\", and they must be the "
			"same (posix-mq: %s in the plug); to connect them nevertheless, add "
			"\"any-id: true\"",
			plug->package->name, plug->name, plug->id, slot->package->name, slot->name,
			slot->id, slot->id);
}

/* The fault becomes a diagnostic. 1 after that. */
static int refuse_fault(
	const struct apply_reader *reader, const struct value *at, int r, struct fault *fault)
{
	if (!fault->message)
		return r;
	refuse(reader, at, "%s", fault->message);
	fault_clear(fault);
	return 1;
}

static int read_entry(struct apply_reader *reader, const struct value *map)
{
	static const char *const known[] = {"plug", "slot", "any-id", NULL};
	char plug_ref[REF_MAX + 1], slot_ref[REF_MAX + 1];
	const struct value *plug_text, *slot_text;
	struct entry *entry = &reader->entries[reader->count];
	const struct plug *plug;
	const struct slot *slot;
	struct fault fault = {0};
	int r, q;

	if (map->kind != VALUE_MAP) {
		refuse(reader, map,
			"a connection must be a map, not %s; write {plug: \"package:plug\", slot: "
			"\"package:slot\"}",
			value_kind_name(map));
		return 0;
	}
	check_keys(reader, map, known, "plug, slot and any-id");
	plug_text = read_text(reader, map, "plug");
	slot_text = read_text(reader, map, "slot");
	if (!plug_text || !slot_text)
		return 0;
	r = policy_find_plug(reader->policy, plug_text->text, &plug, &fault);
	if (r < 0)
		r = refuse_fault(reader, plug_text, r, &fault);
	q = policy_find_slot(reader->policy, slot_text->text, &slot, &fault);
	if (q < 0)
		q = refuse_fault(reader, slot_text, q, &fault);
	if (r != 0 || q != 0) {
		r = MIN(r, q);
		return MIN(r, 0);
	}
	check_ids(reader, map, plug, slot);
	r = policy_check_fit(plug, slot, &fault);
	r = r < 0 ? refuse_fault(reader, map, r, &fault) : 0;
	if (r < 0)
		return r;
	ref_format(plug->package->name, plug->name, plug_ref);
	ref_format(slot->package->name, slot->name, slot_ref);
	entry->at = map;
	r = connection_init(&entry->connection, plug_ref, slot_ref, CONNECTION_MANUAL);
	if (r == 0)
		reader->count++;
	return r;
}

static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = connection_compare(&x->connection, &y->connection);

	return c ? c : (x->at->line > y->at->line) - (x->at->line < y->at->line);
}

static void check_pairs(const struct apply_reader *reader)
{
	for (size_t i = 1; i < reader->count; i++) {
		const struct entry *first = &reader->entries[i - 1], *second = &reader->entries[i];

		if (connection_compare(&first->connection, &second->connection) == 0)
			refuse(reader, second->at,
				"%s and %s are already on line %u; keep one of the two",
				second->connection.plug, second->connection.slot, first->at->line);
	}
}

static int read_list(struct apply_reader *reader, const struct value *root)
{
	const struct value *list = value_get(root, "connections");
	int r = 0;

	if (!list || list->kind != VALUE_LIST) {
		refuse(reader, list ? list : root,
			"connections %s; for none at all write \"connections: []\"",
			list ? "must be a list" : "is missing");
		return 0;
	}
	if (list->count > CONNECTIONS_MAX) {
		refuse(reader, list, "%zu connections; there may be at most %d", list->count,
			CONNECTIONS_MAX);
		return 0;
	}
	reader->entries = calloc(MAX(list->count, 1U), sizeof(*reader->entries));
	if (!reader->entries)
		return -ENOMEM;
	for (size_t i = 0; i < list->count && r == 0; i++)
		r = read_entry(reader, list->items[i]);
	if (r < 0)
		return r;
	qsort(reader->entries, reader->count, sizeof(*reader->entries), compare_entries);
	check_pairs(reader);
	return 0;
}

/* False: there is no list to be read. */
static bool check_root(const struct apply_reader *reader, const struct value *root)
{
	static const char *const known[] = {"version", "connections", NULL};
	const struct value *version;

	if (!root || root->kind != VALUE_MAP) {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, reader->file, 1, 1,
			"not a map; write \"version: 1\" and \"connections:\" with a list below it");
		return false;
	}
	check_keys(reader, root, known, "version and connections");
	version = value_get(root, "version");
	if (!version || version->kind != VALUE_INTEGER || !streq(version->text, "1"))
		refuse(reader, version ? version : root, "version %s; write \"version: 1\"",
			version ? "is not 1" : "is missing");
	return true;
}

/* One that was there and is not wanted: as policy_disconnect() does it. */
static bool drop(const struct connection *old, struct connections *changed)
{
	if (old->state == CONNECTION_MANUAL)
		return true;
	connections_append(changed, old);
	changed->items[changed->count - 1].state = CONNECTION_UNDESIRED;
	return old->state != CONNECTION_UNDESIRED;
}

/* One that was there and is wanted: by hand and without an end. */
static bool keep(const struct connection *old, struct connections *changed)
{
	connections_append(changed, old);
	changed->items[changed->count - 1].state = CONNECTION_MANUAL;
	changed->items[changed->count - 1].until = 0;
	return old->state != CONNECTION_MANUAL || old->until != 0;
}

/* changed has room for all of both. True if it differs from old. */
static bool merge(const struct connections *old, const struct apply_reader *wanted,
	struct connections *changed)
{
	bool differs = false;
	size_t i = 0, j = 0;

	while (i < old->count || j < wanted->count) {
		int c = i == old->count      ? 1
			: j == wanted->count ? -1
					     : connection_compare(&old->items[i],
						       &wanted->entries[j].connection);

		if (c > 0)
			connections_append(changed, &wanted->entries[j].connection);
		differs |= c > 0   ? true
			   : c < 0 ? drop(&old->items[i], changed)
				   : keep(&old->items[i], changed);
		i += c <= 0;
		j += c >= 0;
	}
	return differs;
}

static int apply(const struct apply_reader *reader, struct connections **ret)
{
	struct connections *old = reader->policy->connections, *changed;
	int r;

	r = connections_new_sized(old->count + reader->count, &changed);
	if (r < 0)
		return r;
	if (!merge(old, reader, changed)) {
		connections_unref(changed);
		changed = connections_ref(old);
	}
	if (changed->count > CONNECTIONS_MAX) {
		diagnostics_add(reader->diagnostics, SEVERITY_ERROR, reader->file, 0, 0,
			"%zu connections, including undesired ones; there may be at most %d, forget "
			"some (mqctl disconnect --forget)",
			changed->count, CONNECTIONS_MAX);
		connections_unref(changed);
		return -EBADMSG;
	}
	*ret = changed;
	return 0;
}

int apply_list(const struct policy *policy, const char *file, const struct value *root,
	struct diagnostics *diagnostics, struct connections **ret_connections)
{
	_cleanup_(reader_clear) struct apply_reader reader = {
		.policy = policy, .file = file, .diagnostics = diagnostics};
	size_t errors = diagnostics->errors;
	int r = read_list(&reader, root);

	if (r == 0 && diagnostics->errors > errors)
		r = -EBADMSG;
	return r < 0 ? r : apply(&reader, ret_connections);
}

int policy_apply(const struct policy *policy, const char *file, const char *text, size_t size,
	struct diagnostics *diagnostics, struct connections **ret_connections)
{
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	_cleanup_(tree_freep) struct tree *tree = NULL;
	struct apply_reader reader = {.policy = policy, .file = file, .diagnostics = diagnostics};
	size_t errors = diagnostics->errors;
	int r;

	if (size > APPLY_FILE_MAX) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0,
			"larger than %d bytes; remove comments", APPLY_FILE_MAX);
		return -EBADMSG;
	}
	r = tree_parse(file, text, size, diagnostics, &tree);
	if (r < 0)
		return r;
	if (!check_root(&reader, tree->root))
		return -EBADMSG;
	r = apply_list(policy, file, tree->root, diagnostics, &connections);
	if (r == 0 && diagnostics->errors > errors)
		r = -EBADMSG;
	if (r == 0)
		*ret_connections = take_pointer(connections);
	return r;
}
