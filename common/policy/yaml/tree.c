/* SPDX-License-Identifier: MIT */
/* Looking at a YAML tree. */
#include "include/tree.h"

#include "include/array.h"

struct tree *tree_free(struct tree *tree)
{
	struct value *value = tree ? tree->values : NULL;

	while (value) {
		struct value *next = value->next;

		if (value->kind == VALUE_LIST)
			free(value->items);
		else if (value->kind == VALUE_MAP)
			free(value->pairs);
		free(value);
		value = next;
	}
	free(tree);
	return NULL;
}

const char *value_kind_name(const struct value *value)
{
	switch (value->kind) {
	case VALUE_STRING:
		return "a string";
	case VALUE_NULL:
		return "null";
	case VALUE_BOOL:
		return "a boolean";
	case VALUE_INTEGER:
	case VALUE_FLOAT:
		return "a number";
	case VALUE_TAGGED:
		return "a value with a tag";
	case VALUE_LIST:
		return "a list";
	case VALUE_MAP:
		return "a map";
	}
	return "something else";
}

bool value_is_true(const struct value *value)
{
	static const char *const words[] = {"true", "yes", "on", "y"};

	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcasecmp(value->text, words[i]) == 0)
			return true;
	return false;
}

static int compare_key(const void *key, const void *pair)
{
	return strcmp(key, ((const struct pair *)pair)->key->text);
}

const struct value *value_get(const struct value *map, const char *key)
{
	size_t i = array_first(map->pairs, map->count, sizeof(*map->pairs), key, compare_key);

	for (; i < map->count && streq(map->pairs[i].key->text, key); i++)
		if (value_is_scalar(map->pairs[i].key))
			return map->pairs[i].value;
	return NULL;
}

static bool is_read(const char *key, const char *const *read)
{
	if (!read)
		return true;
	for (; *read; read++)
		if (streq(*read, key))
			return true;
	return false;
}

void value_report_duplicates(const struct value *map, const char *const *read, const char *file,
	struct diagnostics *diagnostics)
{
	for (size_t i = 1; i < map->count; i++) {
		const struct value *first = map->pairs[i - 1].key, *second = map->pairs[i].key;

		if (value_is_scalar(first) && value_is_scalar(second) &&
			streq(first->text, second->text))
			diagnostics_add(diagnostics,
				is_read(second->text, read) ? SEVERITY_ERROR : SEVERITY_NOTE, file,
				second->line, second->column,
				"key \"%s\" is already on line %u; keep one of the two",
				second->text, first->line);
	}
}
