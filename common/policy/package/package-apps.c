/* SPDX-License-Identifier: MIT */
/* Apps and hooks of a package, and the plugs and slots that they mention. */
#include "include/array.h"
#include "include/limits.h"
#include "include/names.h"
#include "package-parts.h"
#include "package-reader.h"

void mentions_clear(struct mentions *mentions)
{
	free(mentions->items);
	*mentions = (struct mentions){0};
}

static int mentions_add(struct mentions *mentions, const struct value *name, size_t app)
{
	const struct mention mention = {.name = name, .app = app};

	return array_append(&mentions->items, &mentions->count, &mention, sizeof(mention));
}

/* Apps, hooks and hooks of components differ in their names, and the last have no slots. */
struct kind {
	const char *key, *name, *rule;
	bool (*name_is_valid)(const char *name);
	bool of_component;
};

static bool component_hook_name_is_valid(const char *name)
{
	static const char *const names[] = {"install", "post-refresh", "pre-refresh", "remove"};

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (streq(names[i], name))
			return true;
	return false;
}

static const struct kind app_kind = {
	"apps", "app", "use letters, digits and single inner \"-\"", app_name_is_valid, false};
static const struct kind hook_kind = {"hooks", "hook",
	"use a-z, 0-9 and single inner \"-\", beginning with a letter", plug_name_is_valid, false};
static const struct kind component_hook_kind = {"hooks", "component hook",
	"use install, pre-refresh, post-refresh or remove", component_hook_name_is_valid, true};

/* Where the apps or hooks of one map belong. */
struct place {
	const struct kind *kind;
	const char *prefix; /* of their names */
	struct mentions *plugs, *slots;
};

static bool check_list(struct package_reader *reader, const struct kind *kind,
	const struct value *name, const struct value *list, const char *side)
{
	if (list->kind != VALUE_LIST)
		refuse(reader, list,
			"%s of %s \"%s\" must be a list of names, not %s; write [NAME]", side,
			kind->name, name->text, value_kind_name(list));
	else if (kind->of_component && streq(side, "slots") && list->count > 0)
		refuse(reader, list,
			"%s \"%s\" has slots, and a component's hook cannot; name them below an "
			"app",
			kind->name, name->text);
	else
		return true;
	return false;
}

/* The names that the last app mentions under plugs or slots. */
static int read_names(struct package_reader *reader, const struct kind *kind,
	const struct pair *pair, const char *side, struct mentions *mentions)
{
	const struct value *list = value_get(pair->value, side);
	int r = 0;

	if (!list || list->kind == VALUE_NULL || !check_list(reader, kind, pair->key, list, side))
		return 0;
	for (size_t i = 0; i < list->count && r == 0; i++) {
		const struct value *name = list->items[i];

		/* Without its final "s". */
		if (check_name(reader, streq(side, "plugs") ? "plug" : "slot", name))
			r = mentions_add(mentions, name, reader->package->app_count - 1);
	}
	return r;
}

static bool check_app_name(
	struct package_reader *reader, const struct place *place, const struct value *name)
{
	const struct kind *kind = place->kind;

	if (!value_is_scalar(name))
		refuse(reader, name, "invalid %s name: it is %s; write one name", kind->name,
			value_kind_name(name));
	else if (strlen(place->prefix) + strlen(name->text) > APP_NAME_MAX)
		refuse(reader, name, "invalid %s name: %zu bytes long; use at most %zu", kind->name,
			strlen(name->text), APP_NAME_MAX - strlen(place->prefix));
	else if (!kind->name_is_valid(name->text))
		refuse(reader, name, "invalid %s name: \"%s\"; %s", kind->name, name->text,
			kind->rule);
	else
		return true;
	return false;
}

static int add_app(struct package *package, const struct place *place, const char *name)
{
	struct app app = {.of_component = place->kind->of_component};
	int r;

	if (asprintf(&app.name, "%s%s", place->prefix, name) < 0)
		return -ENOMEM;
	r = array_append(&package->apps, &package->app_count, &app, sizeof(app));
	if (r < 0)
		free(app.name);
	return r;
}

static int read_app(
	struct package_reader *reader, const struct place *place, const struct pair *pair)
{
	static const char *const keys[] = {"plugs", "slots", NULL};
	const struct value *map = pair->value;
	int r;

	if (!check_app_name(reader, place, pair->key))
		return 0;
	r = add_app(reader->package, place, pair->key->text);
	if (r < 0 || map->kind == VALUE_NULL)
		return r;
	if (map->kind != VALUE_MAP) {
		refuse(reader, map,
			"%s \"%s\" must be a map, not %s; write \"plugs: [NAME]\" below it",
			place->kind->name, pair->key->text, value_kind_name(map));
		return 0;
	}
	check_keys(reader, map, keys);
	r = read_names(reader, place->kind, pair, "plugs", place->plugs);
	return r < 0 ? r : read_names(reader, place->kind, pair, "slots", place->slots);
}

static int read_apps(
	struct package_reader *reader, const struct value *parent, const struct place *place)
{
	const struct value *map = read_map(reader, parent, place->kind->key);
	int r = 0;

	for (size_t i = 0; map && i < map->count && r == 0; i++)
		r = read_app(reader, place, &map->pairs[i]);
	return r;
}

static bool component_name_is_valid(const char *name)
{
	return !strchr(name, '_') && package_name_is_valid(name);
}

static int read_component(
	struct package_reader *reader, const struct pair *pair, struct place *place)
{
	static const char *const keys[] = {"hooks", NULL};
	const struct value *name = pair->key, *map = pair->value;
	_cleanup_free_ char *prefix = NULL;

	if (!value_is_scalar(name) || !component_name_is_valid(name->text)) {
		refuse(reader, name,
			"invalid component name: \"%s\"; use 2 to 40 of a-z, 0-9 and single inner "
			"\"-\", with at least one letter",
			name->text);
		return 0;
	}
	if (map->kind == VALUE_NULL)
		return 0;
	if (map->kind != VALUE_MAP) {
		refuse(reader, map,
			"component \"%s\" must be a map, not %s; write \"hooks:\" below it",
			name->text, value_kind_name(map));
		return 0;
	}
	check_keys(reader, map, keys);
	if (asprintf(&prefix, "+%s.hook.", name->text) < 0) {
		prefix = NULL;
		return -ENOMEM;
	}
	place->prefix = prefix;
	return read_apps(reader, map, place);
}

static int read_components(
	struct package_reader *reader, const struct value *root, struct place *place)
{
	const struct value *map = read_map(reader, root, "components");
	int r = 0;

	for (size_t i = 0; map && i < map->count && r == 0; i++)
		r = read_component(reader, &map->pairs[i], place);
	return r;
}

int apps_read(struct package_reader *reader, const struct value *root, struct mentions *plugs,
	struct mentions *slots)
{
	struct place apps = {&app_kind, "", plugs, slots};
	struct place hooks = {&hook_kind, "hook.", plugs, slots};
	struct place component_hooks = {&component_hook_kind, NULL, plugs, slots};
	int r;

	r = read_apps(reader, root, &apps);
	if (r == 0)
		r = read_apps(reader, root, &hooks);
	return r < 0 ? r : read_components(reader, root, &component_hooks);
}

static int compare_mentions(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;

	if (x->app != y->app)
		return x->app < y->app ? -1 : 1;
	return strcmp(x->name->text, y->name->text);
}

/* Mentions by app, then name: so each list grows at its end, sorted and without doubles. */
static int add_name(char ***names, size_t *count, const char *name)
{
	_cleanup_free_ char *copy = NULL;
	int r;

	if (*count > 0 && streq((*names)[*count - 1], name))
		return 0;
	copy = strdup(name);
	r = copy ? array_append(names, count, &copy, sizeof(copy)) : -ENOMEM;
	if (r == 0)
		(void)take_pointer(copy);
	return r;
}

static int bind_plugs(struct package *package, const struct mentions *mentions)
{
	int r = 0;

	for (size_t i = 0; i < mentions->count && r == 0; i++) {
		struct app *app = &package->apps[mentions->items[i].app];
		const char *name = mentions->items[i].name->text;
		const struct plug *plug = package_plug(package, name);

		if (!plug)
			continue;
		package->plugs[plug - package->plugs].scoped = true;
		r = add_name(&app->plugs, &app->plug_count, name);
	}
	return r;
}

static int bind_slots(struct package *package, const struct mentions *mentions)
{
	int r = 0;

	for (size_t i = 0; i < mentions->count && r == 0; i++) {
		struct app *app = &package->apps[mentions->items[i].app];
		const char *name = mentions->items[i].name->text;
		const struct slot *slot = package_slot(package, name);

		if (!slot)
			continue;
		package->slots[slot - package->slots].scoped = true;
		r = add_name(&app->slots, &app->slot_count, name);
	}
	return r;
}

static void sort_mentions(const struct mentions *mentions)
{
	if (mentions->count > 1)
		qsort(mentions->items, mentions->count, sizeof(*mentions->items), compare_mentions);
}

int apps_bind(struct package *package, const struct mentions *plugs, const struct mentions *slots)
{
	int r;

	sort_mentions(plugs);
	sort_mentions(slots);
	r = bind_plugs(package, plugs);
	if (r == 0)
		r = bind_slots(package, slots);
	if (r == 0)
		sort_by_name(package->apps, package->app_count, sizeof(*package->apps));
	return r;
}
