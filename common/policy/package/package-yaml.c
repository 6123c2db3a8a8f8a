/* SPDX-License-Identifier: MIT */
/* From a YAML tree to a package: the shapes of snap.yaml and snapcraft.yaml.
 *
 * A wrong shape refuses the whole document, as in snapd; a wrong name, or a wrong attribute of a
 * posix-mq plug or slot, drops only that one. Every fault is reported, not only the first. */
#include "package-yaml.h"

#include "attributes.h"
#include "include/array.h"
#include "include/limits.h"
#include "include/names.h"
#include "package-parts.h"
#include "package-reader.h"

static int copy_text(const char *text, char **ret)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

static int read_name(struct package_reader *reader, const struct value *root)
{
	const struct value *value = value_get(root, "name");
	const char *key;

	if (!value || value->kind == VALUE_NULL) {
		refuse(reader, value ? value : root,
			"name is missing; add \"name: NAME\", of a-z, 0-9 and -");
		return 0;
	}
	if (!value_is_scalar(value)) {
		refuse(reader, value, "name must be a string, not %s; write \"name: NAME\"",
			value_kind_name(value));
		return 0;
	}
	key = strchr(value->text, '_');
	if (key && !instance_key_is_valid(key + 1))
		refuse(reader, value, "invalid instance key: \"%s\"; use 1 to 10 of a-z and 0-9",
			key + 1);
	else if (!package_name_is_valid(value->text))
		refuse(reader, value,
			"invalid package name: \"%s\"; use 2 to 40 of a-z, 0-9 and single inner "
			"\"-\", with at least one letter",
			value->text);
	else
		return copy_text(value->text, &reader->package->name);
	return 0;
}

static bool is_printable(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static int read_publisher(struct package_reader *reader, const struct value *root)
{
	const struct value *value = value_get(root, "publisher");

	if (!value)
		return 0;
	if (value->kind != VALUE_STRING)
		refuse(reader, value, "publisher must be a string, not %s; quote it, or remove it",
			value_kind_name(value));
	else if (strlen(value->text) > PUBLISHER_MAX)
		refuse(reader, value, "publisher has %zu bytes; use at most %d",
			strlen(value->text), PUBLISHER_MAX);
	else if (!is_printable(value->text))
		refuse(reader, value, "publisher: control character in \"%s\"; remove it",
			value->text);
	else
		return copy_text(value->text, &reader->package->publisher);
	return 0;
}

/* Nowhere within an attribute may there be a null or a key that is no string. Each value is looked
 * at once, however many aliases lead to it; the recursion is bounded by YAML_DEPTH_MAX. */
static void check_attribute(struct package_reader *reader, const char *side,
	const struct value *name, const struct value *key, struct value *value)
{
	if (value->kind == VALUE_NULL)
		refuse(reader, value,
			"attribute \"%s\" of %s \"%s\": invalid scalar: null; give it a value, or "
			"remove it",
			key->text, side, name->text);
	if (value_is_scalar(value) || value->visited)
		return;
	value->visited = true;
	for (size_t i = 0; i < value->count; i++) {
		if (value->kind == VALUE_LIST) {
			check_attribute(reader, side, name, key, value->items[i]);
			continue;
		}
		if (value->pairs[i].key->kind != VALUE_STRING)
			refuse(reader, value->pairs[i].key,
				"attribute \"%s\" of %s \"%s\": a key is %s; quote it", key->text,
				side, name->text, value_kind_name(value->pairs[i].key));
		check_attribute(reader, side, name, key, value->pairs[i].value);
	}
}

static void check_attribute_key(struct package_reader *reader, const char *side,
	const struct value *name, const struct value *key)
{
	if (key->kind != VALUE_STRING)
		refuse(reader, key, "%s \"%s\": an attribute's name is %s; quote it", side,
			name->text, value_kind_name(key));
	else if (!*key->text)
		refuse(reader, key, "%s \"%s\": an attribute's name is empty; name it", side,
			name->text);
	else if (*key->text == '$')
		refuse(reader, key,
			"%s \"%s\" uses reserved attribute \"%s\"; no attribute begins with $",
			side, name->text, key->text);
}

static void check_attributes(struct package_reader *reader, const char *side,
	const struct value *name, const struct value *attributes)
{
	for (size_t i = 0; i < attributes->count; i++) {
		const struct value *key = attributes->pairs[i].key;
		struct value *value = attributes->pairs[i].value;

		check_attribute_key(reader, side, name, key);
		if (!streq(key->text, "interface") && !streq(key->text, "label"))
			check_attribute(reader, side, name, key, value);
		else if (value->kind != VALUE_STRING)
			refuse(reader, value, "%s of %s \"%s\" must be a string, not %s; quote it",
				key->text, side, name->text, value_kind_name(value));
	}
}

void check_keys(struct package_reader *reader, const struct value *map, const char *const *keys)
{
	size_t count = 0;

	while (keys[count])
		count++;
	value_report_duplicates(map, keys, reader->package->file, reader->diagnostics);
	for (size_t i = 0; i < map->count; i++) {
		const struct value *key = map->pairs[i].key;
		const char *meant =
			value_is_scalar(key) ? nearest_name(key->text, keys, count) : NULL;

		if (meant && !streq(meant, key->text))
			warn(reader, key, "key \"%s\" is ignored; did you mean \"%s\"?", key->text,
				meant);
	}
}

static void check_sides(struct package_reader *reader, const char *side,
	const struct value *attributes, const char *const *others)
{
	for (; *others; others++)
		if (value_get(attributes, *others))
			warn(reader, value_get(attributes, *others),
				"key \"%s\" is ignored: a %s has none; remove it", *others, side);
}

/* Of other interfaces only the name is read. */
static void check_attribute_keys(struct package_reader *reader, const char *side,
	const struct value *attributes, const char *interface)
{
	static const char *const ours[] = {"interface", "max-mode", "mediation", "namespace",
		"path", "path-pattern", "permissions", "posix-mq", NULL};
	/* Of what snapd knows it ignores what is on the wrong side, and says nothing. */
	static const char *const slots[] = {"max-mode", "namespace", NULL};
	static const char *const plugs[] = {"mediation", NULL};
	static const char *const others[] = {"interface", NULL};

	check_keys(reader, attributes, streq(interface, "posix-mq") ? ours : others);
	if (streq(interface, "posix-mq"))
		check_sides(reader, side, attributes, streq(side, "plug") ? slots : plugs);
}

/* One that nobody has is most likely ours, misspelt. */
static void check_interface(struct package_reader *reader, const char *side,
	const struct value *name, const struct value *interface)
{
	static const char *const ours[] = {"posix-mq"};

	if (nearest_name(interface->text, ours, 1) && !streq(interface->text, "posix-mq"))
		warn(reader, interface,
			"%s \"%s\" is ignored: unknown interface \"%s\"; did you mean \"posix-mq\"?",
			side, name->text, interface->text);
}

/* What names the interface of a plug or slot; NULL if its definition is malformed. */
static const struct value *find_interface(struct package_reader *reader, const char *side,
	const struct value *name, const struct value *definition)
{
	const struct value *interface;

	switch (definition->kind) {
	case VALUE_STRING:
		return definition;
	case VALUE_NULL:
		return name;
	case VALUE_MAP:
		check_attributes(reader, side, name, definition);
		interface = value_get(definition, "interface");
		interface = interface ? interface : name;
		check_attribute_keys(reader, side, definition, interface->text);
		return interface;
	default:
		refuse(reader, definition,
			"%s \"%s\" has malformed definition (found %s); write an interface's name "
			"or a map of attributes",
			side, name->text, value_kind_name(definition));
		return NULL;
	}
}

bool check_name(struct package_reader *reader, const char *side, const struct value *name)
{
	if (value_is_scalar(name) && plug_name_is_valid(name->text))
		return true;
	if (!value_is_scalar(name))
		refuse(reader, name, "invalid %s name: it is %s; write one name", side,
			value_kind_name(name));
	else if (strlen(name->text) > PLUG_NAME_MAX)
		warn(reader, name, "%s dropped: a name of %zu bytes; use at most %d", side,
			strlen(name->text), PLUG_NAME_MAX);
	else
		warn(reader, name,
			"%s \"%s%s%s\" dropped: invalid name; use a-z, 0-9 and single inner "
			"\"-\", beginning with a letter",
			side, reader->package->name, *reader->package->name ? ":" : "", name->text);
	return false;
}

/* 1 if the pair defines a well-formed thing of our interface: then *ret_name is to be freed. 0,
 * -ENOMEM. */
static int read_definition(struct package_reader *reader, const char *side, const struct pair *pair,
	struct definition *ret, char **ret_name)
{
	bool named = check_name(reader, side, pair->key);
	const struct value *interface = find_interface(reader, side, pair->key, pair->value);

	*ret = (struct definition){
		.side = side,
		.package = reader->package,
		.name = pair->key,
		.attributes = pair->value->kind == VALUE_MAP ? pair->value : NULL,
		.diagnostics = reader->diagnostics,
	};
	if (!named || !interface)
		return 0;
	check_interface(reader, side, pair->key, interface);
	if (!streq(interface->text, "posix-mq"))
		return 0;
	*ret_name = strdup(pair->key->text);
	return *ret_name ? 1 : -ENOMEM;
}

static int add_plug(struct package_reader *reader, const struct pair *pair)
{
	struct package *package = reader->package;
	struct plug plug = {
		.package = package, .line = pair->key->line, .column = pair->key->column};
	struct definition definition;
	int r = read_definition(reader, "plug", pair, &definition, &plug.name);

	if (r <= 0)
		return r;
	r = plug_read(&definition, &plug);
	if (r == 0 && !definition.dropped)
		r = array_append(&package->plugs, &package->plug_count, &plug, sizeof(plug));
	if (r < 0 || definition.dropped)
		plug_clear(&plug);
	return r;
}

static int add_slot(struct package_reader *reader, const struct pair *pair)
{
	struct package *package = reader->package;
	struct slot slot = {
		.package = package, .line = pair->key->line, .column = pair->key->column};
	struct definition definition;
	int r = read_definition(reader, "slot", pair, &definition, &slot.name);

	if (r <= 0)
		return r;
	r = slot_read(&definition, &slot);
	if (r == 0 && !definition.dropped)
		r = array_append(&package->slots, &package->slot_count, &slot, sizeof(slot));
	if (r < 0 || definition.dropped)
		slot_clear(&slot);
	return r;
}

const struct value *read_map(
	struct package_reader *reader, const struct value *parent, const char *key)
{
	const struct value *map = value_get(parent, key);

	if (!map || map->kind == VALUE_NULL)
		return NULL;
	if (map->kind != VALUE_MAP) {
		refuse(reader, map, "%s must be a map, not %s; write \"NAME:\" below it for each",
			key, value_kind_name(map));
		return NULL;
	}
	value_report_duplicates(map, NULL, reader->package->file, reader->diagnostics);
	return map;
}

/* One that is only mentioned by an app or a hook has the interface of its own name and no
 * attributes; so one such plug, and one such slot, can be ours. */
static const struct value *find_implicit(const struct value *map, const struct mentions *mentions)
{
	for (size_t i = 0; i < mentions->count; i++) {
		const struct value *name = mentions->items[i].name;

		if (streq(name->text, "posix-mq") && !(map && value_get(map, name->text)))
			return name;
	}
	return NULL;
}

static struct value no_attributes = {.kind = VALUE_NULL};

static int add_all(struct package_reader *reader, const struct value *map,
	const struct mentions *mentions,
	int (*add)(struct package_reader *reader, const struct pair *pair))
{
	const struct value *implicit = find_implicit(map, mentions);
	int r = 0;

	for (size_t i = 0; map && i < map->count && r == 0; i++)
		r = add(reader, &map->pairs[i]);
	if (r == 0 && implicit)
		r = add(reader, &(struct pair){(struct value *)implicit, &no_attributes});
	return r;
}

/* As in snapd what was dropped before is in nobody's way, and here neither is what is not of our
 * interface. */
static void check_shared_names(struct package_reader *reader)
{
	const struct package *package = reader->package;

	for (size_t i = 0; i < package->slot_count; i++)
		if (package_plug(package, package->slots[i].name))
			refuse(reader, &package->slots[i],
				"cannot have plug and slot with the same name: \"%s\"; rename one",
				package->slots[i].name);
}

static int read_sides(struct package_reader *reader, const struct value *root,
	struct mentions *plug_mentions, struct mentions *slot_mentions)
{
	const struct value *plugs = read_map(reader, root, "plugs");
	const struct value *slots = read_map(reader, root, "slots");
	struct package *package = reader->package;
	int r;

	r = apps_read(reader, root, plug_mentions, slot_mentions);
	if (r == 0)
		r = add_all(reader, plugs, plug_mentions, add_plug);
	if (r == 0)
		r = add_all(reader, slots, slot_mentions, add_slot);
	if (r < 0)
		return r;
	sort_by_name(package->plugs, package->plug_count, sizeof(*package->plugs));
	sort_by_name(package->slots, package->slot_count, sizeof(*package->slots));
	check_shared_names(reader);
	return apps_bind(package, plug_mentions, slot_mentions);
}

static int read_root(struct package_reader *reader, const struct value *root)
{
	static const char *const keys[] = {
		"apps", "components", "hooks", "name", "plugs", "publisher", "slots", NULL};
	_cleanup_(mentions_clear) struct mentions plugs = {0}, slots = {0};
	int r;

	check_keys(reader, root, keys);
	r = read_name(reader, root);
	if (r == 0)
		r = read_publisher(reader, root);
	return r < 0 ? r : read_sides(reader, root, &plugs, &slots);
}

int package_from_tree(
	struct package *package, const struct tree *tree, struct diagnostics *diagnostics)
{
	struct package_reader reader = {.package = package, .diagnostics = diagnostics};
	size_t errors = diagnostics->errors;
	int r = 0;

	if (!tree->root || tree->root->kind == VALUE_NULL)
		diagnostics_add(diagnostics, SEVERITY_ERROR, package->file, 1, 1,
			"the document is empty; a package needs at least \"name: NAME\"");
	else if (tree->root->kind != VALUE_MAP)
		refuse(&reader, tree->root,
			"the document is %s; a package is a map with name, plugs and slots",
			value_kind_name(tree->root));
	else
		r = read_root(&reader, tree->root);
	if (r < 0)
		return r;
	return diagnostics->errors > errors ? -EBADMSG : 0;
}
