/* SPDX-License-Identifier: MIT */
/* Building a YAML tree from libyaml's events.
 *
 * libyaml itself does not recurse; the builder keeps its own stack of at most YAML_DEPTH_MAX open
 * collections. An alias may only name a value that is complete, so the tree has no cycle, and it
 * counts with its height, so a chain of aliases is no deeper than a nest of collections. */
#include <stdarg.h>
#include <yaml.h>

#include "include/array.h"
#include "include/limits.h"
#include "scalar.h"
#include "include/tree.h"

struct frame {
	struct value *collection;
	struct value *key; /* of a map: read, its value not yet */
};

struct anchor {
	char *name;
	struct value *value;
};

struct builder {
	const char *file;
	struct diagnostics *diagnostics;
	struct tree *tree;
	struct frame frames[YAML_DEPTH_MAX];
	size_t depth;
	struct anchor anchors[YAML_ANCHORS_MAX];
	size_t anchor_count;
	size_t merged;
	bool complete; /* the document has ended */
};

static int _printf_(3, 4)
	refuse(const struct builder *builder, yaml_mark_t mark, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (n < 0)
		return -ENOMEM;
	diagnostics_add(builder->diagnostics, SEVERITY_ERROR, builder->file,
		(unsigned)mark.line + 1, (unsigned)mark.column + 1, "%s", text);
	return -EBADMSG;
}

static yaml_mark_t mark_of(const struct value *value)
{
	return (yaml_mark_t){.line = value->line - 1, .column = value->column - 1};
}

static struct value *value_new(struct builder *builder, enum value_kind kind, const char *text,
	size_t length, yaml_mark_t mark)
{
	struct value *value = calloc(1, sizeof(*value) + length + 1);

	if (!value)
		return NULL;
	value->kind = kind;
	value->line = (unsigned)mark.line + 1;
	value->column = (unsigned)mark.column + 1;
	value->height = 1;
	memcpy(value->text, text, length);
	value->next = builder->tree->values;
	builder->tree->values = value;
	return value;
}

static int anchor_add(
	struct builder *builder, const yaml_char_t *name, struct value *value, yaml_mark_t mark)
{
	char *copy;

	if (!name)
		return 0;
	if (builder->anchor_count == YAML_ANCHORS_MAX)
		return refuse(builder, mark, "more than %d anchors; use fewer", YAML_ANCHORS_MAX);
	copy = strdup((const char *)name);
	if (!copy)
		return -ENOMEM;
	builder->anchors[builder->anchor_count++] = (struct anchor){copy, value};
	return 0;
}

/* A name may be given anew; the latest counts. */
static struct value *anchor_find(const struct builder *builder, const yaml_char_t *name)
{
	for (size_t i = builder->anchor_count; i > 0; i--)
		if (streq(builder->anchors[i - 1].name, (const char *)name))
			return builder->anchors[i - 1].value;
	return NULL;
}

static int map_add(struct value *map, struct pair pair)
{
	return array_append(&map->pairs, &map->count, &pair, sizeof(pair));
}

/* Puts a complete value where it belongs: into the innermost open collection, or as the root. */
static int place(struct builder *builder, struct value *value, yaml_mark_t mark)
{
	struct frame *frame;

	if (builder->depth == 0) {
		builder->tree->root = value;
		return 0;
	}
	frame = &builder->frames[builder->depth - 1];
	frame->collection->height = MAX(frame->collection->height, value->height + 1);
	if (frame->collection->height > YAML_DEPTH_MAX)
		return refuse(
			builder, mark, "nested more than %d deep; flatten it", YAML_DEPTH_MAX);
	if (frame->collection->kind == VALUE_MAP && !frame->key) {
		frame->key = value;
		return 0;
	}
	if (frame->collection->kind == VALUE_LIST)
		return array_append(&frame->collection->items, &frame->collection->count, &value,
			sizeof(value));
	return map_add(
		frame->collection, (struct pair){.key = take_pointer(frame->key), .value = value});
}

static bool is_merge_key(const yaml_event_t *event)
{
	const char *tag = (const char *)event->data.scalar.tag;

	return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       streq((const char *)event->data.scalar.value, "<<") &&
	       (!tag || streq(tag, "tag:yaml.org,2002:merge"));
}

static int on_scalar(struct builder *builder, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t length = event->data.scalar.length;
	struct value *value;
	int r;

	if (strlen(text) != length)
		return refuse(builder, event->start_mark, "a NUL character; remove it");
	value = value_new(builder, scalar_kind(event), text, length, event->start_mark);
	if (!value)
		return -ENOMEM;
	value->merges = is_merge_key(event);
	r = anchor_add(builder, event->data.scalar.anchor, value, event->start_mark);
	return r < 0 ? r : place(builder, value, event->start_mark);
}

static int on_alias(struct builder *builder, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	struct value *value = anchor_find(builder, event->data.alias.anchor);

	if (!value)
		return refuse(builder, event->start_mark,
			"alias \"%s\" has no anchor before it; define &%s first", name, name);
	if (value->open)
		return refuse(builder, event->start_mark,
			"alias \"%s\" is inside the very value that it names; write it out", name);
	return place(builder, value, event->start_mark);
}

static int on_start(struct builder *builder, enum value_kind kind, const yaml_char_t *anchor,
	const yaml_event_t *event)
{
	struct value *value;

	if (builder->depth == YAML_DEPTH_MAX)
		return refuse(builder, event->start_mark, "nested more than %d deep; flatten it",
			YAML_DEPTH_MAX);
	value = value_new(builder, kind, "", 0, event->start_mark);
	if (!value)
		return -ENOMEM;
	value->open = true;
	builder->frames[builder->depth++] = (struct frame){.collection = value};
	return anchor_add(builder, anchor, value, event->start_mark);
}

static int merge_map(
	struct builder *builder, struct value *collection, const struct value *map, unsigned rank)
{
	int r = 0;

	if (map->kind != VALUE_MAP)
		return refuse(builder, mark_of(map),
			"\"<<\" merges %s; it takes a map or a list of maps", value_kind_name(map));
	builder->merged += map->count;
	if (builder->merged > YAML_MERGED_MAX)
		return refuse(builder, mark_of(collection),
			"merging (\"<<\") adds more than %d keys; write fewer", YAML_MERGED_MAX);
	for (size_t i = 0; r == 0 && i < map->count; i++)
		r = map_add(
			collection, (struct pair){map->pairs[i].key, map->pairs[i].value, rank});
	return r;
}

static int merge_value(
	struct builder *builder, struct value *map, const struct value *value, unsigned *rank)
{
	int r;

	if (value->kind != VALUE_LIST)
		return merge_map(builder, map, value, ++*rank);
	for (size_t i = 0; i < value->count; i++) {
		r = merge_map(builder, map, value->items[i], ++*rank);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Replaces each "<<" by the pairs of what it merges. */
static int apply_merges(struct builder *builder, struct value *map)
{
	size_t written = map->count;
	unsigned rank = 0;
	int r;

	for (size_t i = 0; i < written; i++)
		if (map->pairs[i].key->merges) {
			r = merge_value(builder, map, map->pairs[i].value, &rank);
			if (r < 0)
				return r;
		}
	if (rank > 0) {
		size_t kept = 0;

		for (size_t i = 0; i < map->count; i++)
			if (i >= written || !map->pairs[i].key->merges)
				map->pairs[kept++] = map->pairs[i];
		map->count = kept;
	}
	return 0;
}

static int compare_pairs(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int c = strcmp(x->key->text, y->key->text);

	if (c == 0)
		c = (x->rank > y->rank) - (x->rank < y->rank);
	if (c == 0)
		c = (x->key->line > y->key->line) - (x->key->line < y->key->line);
	return c ? c : (x->key->column > y->key->column) - (x->key->column < y->key->column);
}

/* Sorts; of one key, what was merged gives way to what is written here or was merged before,
 * wherever it stands. What one map has twice stays, to be reported. */
static void settle_map(struct value *map)
{
	size_t kept = 0;

	if (map->count > 1)
		qsort(map->pairs, map->count, sizeof(*map->pairs), compare_pairs);
	for (size_t i = 0; i < map->count; i++)
		if (kept == 0 || map->pairs[i].rank == map->pairs[kept - 1].rank ||
			!streq(map->pairs[kept - 1].key->text, map->pairs[i].key->text))
			map->pairs[kept++] = map->pairs[i];
	map->count = kept;
}

static int on_end(struct builder *builder, const yaml_event_t *event)
{
	struct frame *frame = &builder->frames[builder->depth - 1];
	struct value *collection = frame->collection;
	int r;

	if (collection->kind == VALUE_MAP) {
		r = apply_merges(builder, frame->collection);
		if (r < 0)
			return r;
		settle_map(collection);
	}
	collection->open = false;
	builder->depth--;
	return place(builder, collection, mark_of(collection));
}

static int on_event(struct builder *builder, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (builder->complete)
			return refuse(builder, event->start_mark,
				"a second document begins here; write one document per file");
		return 0;
	case YAML_DOCUMENT_END_EVENT:
		builder->complete = true;
		return 0;
	case YAML_SCALAR_EVENT:
		return on_scalar(builder, event);
	case YAML_ALIAS_EVENT:
		return on_alias(builder, event);
	case YAML_SEQUENCE_START_EVENT:
		return on_start(builder, VALUE_LIST, event->data.sequence_start.anchor, event);
	case YAML_MAPPING_START_EVENT:
		return on_start(builder, VALUE_MAP, event->data.mapping_start.anchor, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_end(builder, event);
	default:
		return 0;
	}
}

/* The reader of libyaml knows only the offset of a bad byte. */
static yaml_mark_t mark_of_offset(const char *text, size_t size, size_t offset)
{
	yaml_mark_t mark = {0};

	for (size_t i = 0; i < MIN(offset, size); i++) {
		if (text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

/* Whether the character that libyaml stumbled over is a tab; index counts characters, without a
 * byte order mark. */
static bool is_tab(const char *text, size_t size, size_t index)
{
	for (size_t i = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0; i < size; i++)
		if (((unsigned char)text[i] & 0xc0) != 0x80 && index-- == 0)
			return text[i] == '\t';
	return false;
}

static int refuse_syntax(
	const struct builder *builder, const yaml_parser_t *parser, const char *text, size_t size)
{
	const char *problem = parser->problem ? parser->problem : "unreadable";

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		return refuse(builder, mark_of_offset(text, size, parser->problem_offset),
			"%s; write plain UTF-8 text", problem);
	if (is_tab(text, size, parser->problem_mark.index))
		return refuse(builder, parser->problem_mark,
			"a tab, where YAML takes only spaces; indent with spaces");
	if (parser->context)
		return refuse(builder, parser->problem_mark,
			"%s, %s that began on line %zu; fix the YAML there", problem,
			parser->context, parser->context_mark.line + 1);
	return refuse(builder, parser->problem_mark, "%s; fix the YAML there", problem);
}

static int build(struct builder *builder, yaml_parser_t *parser, const char *text, size_t size)
{
	bool end = false;
	int r = 0;

	while (!end && r == 0) {
		yaml_event_t event;

		if (!yaml_parser_parse(parser, &event))
			return refuse_syntax(builder, parser, text, size);
		end = event.type == YAML_STREAM_END_EVENT;
		r = on_event(builder, &event);
		yaml_event_delete(&event);
	}
	return r;
}

int tree_parse(const char *file, const char *text, size_t size, struct diagnostics *diagnostics,
	struct tree **ret)
{
	_cleanup_(tree_freep) struct tree *tree = calloc(1, sizeof(*tree));
	struct builder builder = {.file = file, .diagnostics = diagnostics, .tree = tree};
	yaml_parser_t parser;
	int r;

	if (!tree || !yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	r = build(&builder, &parser, text, size);
	yaml_parser_delete(&parser);
	for (size_t i = 0; i < builder.anchor_count; i++)
		free(builder.anchors[i].name);
	if (r < 0)
		return r;
	*ret = take_pointer(tree);
	return 0;
}
