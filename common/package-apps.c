/* SPDX-License-Identifier: MIT */
/* Apps and hooks of a package, and the plugs and slots that they mention. */
#include "include/limits.h"
#include "names.h"
#include "package-reader.h"

void mentions_clear(struct mentions *mentions)
{
	free(mentions->items);
	*mentions = (struct mentions){0};
}

static int mentions_add(struct mentions *mentions, const struct value *name, size_t app)
{
	if (mentions->count == mentions->allocated) {
		size_t wanted = mentions->allocated ? 2 * mentions->allocated : 16;
		struct mention *grown = reallocarray(mentions->items, wanted, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		mentions->items = grown;
		mentions->allocated = wanted;
	}
	mentions->items[mentions->count++] = (struct mention){.name = name, .app = app};
	return 0;
}

/* Apps and hooks differ in their names. */
struct kind {
	const char *key, *name, *prefix, *rule;
	bool (*name_is_valid)(const char *name);
};

static const struct kind app_kind = {
	"apps", "app", "", "use letters, digits and single inner \"-\"", app_name_is_valid};
static const struct kind hook_kind = {"hooks", "hook", "hook.",
	"use a-z, 0-9 and single inner \"-\", beginning with a letter", plug_name_is_valid};

/* One app or hook that is being read. */
struct place {
	const struct kind *kind;
	const struct value *name;
	size_t index;
};

static int read_names(struct reader *reader, const struct place *place, const struct value *map,
	const char *side, struct mentions *mentions)
{
	const struct value *list = value_get(map, side);
	int r = 0;

	if (!list || list->kind == VALUE_NULL)
		return 0;
	if (list->kind != VALUE_LIST) {
		refuse(reader, list,
			"%s of %s \"%s\" must be a list of names, not %s; write [NAME]", side,
			place->kind->name, place->name->text, value_kind_name(list));
		return 0;
	}
	for (size_t i = 0; i < list->count && r == 0; i++) {
		const struct value *name = list->items[i];

		/* Without its final "s". */
		if (check_name(reader, streq(side, "plugs") ? "plug" : "slot", name))
			r = mentions_add(mentions, name, place->index);
	}
	return r;
}

static bool check_app_name(struct reader *reader, const struct kind *kind, const struct value *name)
{
	if (!value_is_scalar(name))
		refuse(reader, name, "invalid %s name: it is %s; write one name", kind->name,
			value_kind_name(name));
	else if (strlen(kind->prefix) + strlen(name->text) > APP_NAME_MAX)
		refuse(reader, name, "invalid %s name: %zu bytes long; use at most %zu", kind->name,
			strlen(name->text), APP_NAME_MAX - strlen(kind->prefix));
	else if (!kind->name_is_valid(name->text))
		refuse(reader, name, "invalid %s name: \"%s\"; %s", kind->name, name->text,
			kind->rule);
	else
		return true;
	return false;
}

static int read_app(struct reader *reader, const struct kind *kind, const struct pair *pair,
	struct mentions *plugs, struct mentions *slots)
{
	struct package *package = reader->package;
	struct place place = {.kind = kind, .name = pair->key, .index = package->app_count};
	const struct value *map = pair->value;
	int r;

	if (!check_app_name(reader, kind, pair->key))
		return 0;
	if (asprintf(&package->apps[place.index].name, "%s%s", kind->prefix, pair->key->text) < 0) {
		package->apps[place.index].name = NULL;
		return -ENOMEM;
	}
	package->app_count++;
	if (map->kind == VALUE_NULL)
		return 0;
	if (map->kind != VALUE_MAP) {
		refuse(reader, map,
			"%s \"%s\" must be a map, not %s; write \"plugs: [NAME]\" below it",
			kind->name, pair->key->text, value_kind_name(map));
		return 0;
	}
	value_report_duplicates(map, package->file, reader->diagnostics);
	r = read_names(reader, &place, map, "plugs", plugs);
	return r < 0 ? r : read_names(reader, &place, map, "slots", slots);
}

/* The map under "apps" or "hooks"; NULL if there is none. */
static const struct value *find_map(
	struct reader *reader, const struct value *root, const struct kind *kind)
{
	const struct value *map = value_get(root, kind->key);

	if (!map || map->kind == VALUE_NULL)
		return NULL;
	if (map->kind != VALUE_MAP) {
		refuse(reader, map, "%s must be a map, not %s; write \"NAME:\" below it for each",
			kind->key, value_kind_name(map));
		return NULL;
	}
	value_report_duplicates(map, reader->package->file, reader->diagnostics);
	return map;
}

int apps_read(struct reader *reader, const struct value *root, struct mentions *plugs,
	struct mentions *slots)
{
	static const struct kind *const kinds[] = {&app_kind, &hook_kind};
	const struct value *maps[ELEMENTSOF(kinds)];
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		maps[i] = find_map(reader, root, kinds[i]);
		count += maps[i] ? maps[i]->count : 0;
	}
	if (count == 0)
		return 0;
	reader->package->apps = calloc(count, sizeof(*reader->package->apps));
	if (!reader->package->apps)
		return -ENOMEM;
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		for (size_t j = 0; maps[i] && j < maps[i]->count && r == 0; j++)
			r = read_app(reader, kinds[i], &maps[i]->pairs[j], plugs, slots);
	return r;
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
	char **grown, *copy;

	if (*count > 0 && streq((*names)[*count - 1], name))
		return 0;
	grown = reallocarray(*names, *count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	*names = grown;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	grown[(*count)++] = copy;
	return 0;
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

static int compare_apps(const void *a, const void *b)
{
	return strcmp(((const struct app *)a)->name, ((const struct app *)b)->name);
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
	if (r == 0 && package->app_count > 1)
		qsort(package->apps, package->app_count, sizeof(*package->apps), compare_apps);
	return r;
}
