/* SPDX-License-Identifier: MIT */
/* Changes of inputs whose structure is known: new choices, and changes of lines or of the nodes of
 * a YAML document. Others are libFuzzer's own, of bytes, so that what they reach is not lost. */
#include <yaml.h>

#include "structure.h"

#define CHOICES_MAX 256

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t size_max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
	size_t other_size, uint8_t *ret, size_t ret_max, unsigned seed);

static size_t below(unsigned *seed, size_t count)
{
	return count > 0 ? (size_t)rand_r(seed) % count : 0;
}

static size_t put(const struct text *text, uint8_t *ret, size_t ret_max)
{
	size_t size = MIN(text->size, ret_max);

	if (size > 0)
		memcpy(ret, text->data, size);
	return size;
}

static size_t new_choices(unsigned *seed, uint8_t *ret, size_t ret_max)
{
	size_t size = MIN(1 + below(seed, CHOICES_MAX), ret_max);

	for (size_t i = 0; i < size; i++)
		ret[i] = i == 0 ? STRUCTURED : (uint8_t)below(seed, 256);
	return size;
}

static void make(unsigned *seed, struct text *ret)
{
	uint8_t bytes[CHOICES_MAX];
	struct input choices = {bytes, new_choices(seed, bytes, sizeof(bytes))};

	(void)take_byte(&choices);
	structure_make(&choices, ret);
}

/* A line, with its end. */
static struct input line_at(const uint8_t *data, size_t size, size_t at)
{
	size_t begin = at, end = at;

	while (begin > 0 && data[begin - 1] != '\n')
		begin--;
	while (end < size && data[end++] != '\n')
		;
	return (struct input){data + begin, end - begin};
}

/* A line goes, comes twice, or gives way to another one, of this input or of the other. */
static void change_lines(
	const struct input *from, const struct input *other, unsigned *seed, struct text *ret)
{
	struct input line = line_at(from->data, from->size, below(seed, from->size));
	const struct input *source = below(seed, 2) ? from : other;
	struct input with = line_at(source->data, source->size, below(seed, source->size));
	size_t deed = below(seed, 4), before = (size_t)(line.data - from->data);

	text_bytes(ret, from->data, before + (deed > 1 ? line.size : 0));
	if (deed > 0)
		text_bytes(ret, with.data, with.size);
	if (deed > 2)
		text_bytes(ret, line.data, line.size);
	text_bytes(ret, line.data + line.size, from->size - before - line.size);
}

static bool load(const struct input *from, yaml_document_t *ret)
{
	yaml_parser_t parser;
	bool loaded;

	REQUIRE(yaml_parser_initialize(&parser));
	yaml_parser_set_input_string(&parser, from->data, from->size);
	loaded = yaml_parser_load(&parser, ret);
	yaml_parser_delete(&parser);
	if (loaded && yaml_document_get_root_node(ret))
		return true;
	if (loaded)
		yaml_document_delete(ret);
	return false;
}

static int on_write(void *text, unsigned char *data, size_t size)
{
	text_bytes(text, data, size);
	return 1;
}

/* Deletes the document. */
static void dump(yaml_document_t *document, struct text *ret)
{
	yaml_emitter_t emitter;

	REQUIRE(yaml_emitter_initialize(&emitter));
	yaml_emitter_set_output(&emitter, on_write, ret);
	yaml_emitter_set_width(&emitter, -1);
	yaml_emitter_set_unicode(&emitter, 1);
	(void)yaml_emitter_dump(&emitter, document);
	yaml_emitter_delete(&emitter);
}

/* What of the other document comes into this one: the number of the copy, 0 if there is none. Depth
 * bounds what names itself. */
static int copy_node(yaml_document_t *to, yaml_document_t *from, int number, int depth)
{
	yaml_node_t *node = yaml_document_get_node(from, number);
	int copy = 0;

	if (!node || depth == 0)
		return 0;
	if (node->type == YAML_SCALAR_NODE)
		return yaml_document_add_scalar(to, node->tag, node->data.scalar.value,
			(int)node->data.scalar.length, node->data.scalar.style);
	if (node->type == YAML_SEQUENCE_NODE) {
		copy = yaml_document_add_sequence(to, node->tag, node->data.sequence.style);
		for (yaml_node_item_t *item = node->data.sequence.items.start;
			item < node->data.sequence.items.top; item++) {
			int child = copy_node(to, from, *item, depth - 1);

			if (child > 0)
				(void)yaml_document_append_sequence_item(to, copy, child);
		}
		return copy;
	}
	copy = yaml_document_add_mapping(to, node->tag, node->data.mapping.style);
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
		pair < node->data.mapping.pairs.top; pair++) {
		int key = copy_node(to, from, pair->key, depth - 1);
		int value = copy_node(to, from, pair->value, depth - 1);

		if (key > 0 && value > 0)
			(void)yaml_document_append_mapping_pair(to, copy, key, value);
	}
	return copy;
}

static bool same_scalar(const yaml_node_t *a, const yaml_node_t *b)
{
	return a->type == YAML_SCALAR_NODE && b->type == YAML_SCALAR_NODE &&
	       streq((const char *)a->data.scalar.value, (const char *)b->data.scalar.value);
}

/* The value that the other document has under a key of this name, or any node of it. */
static int find_like(
	yaml_document_t *document, const yaml_node_t *key, yaml_document_t *other, unsigned *seed)
{
	size_t count = (size_t)(other->nodes.top - other->nodes.start), begin = below(seed, count);

	for (size_t i = 0; key && i < count; i++) {
		yaml_node_t *node = &other->nodes.start[(begin + i) % count];

		if (node->type != YAML_MAPPING_NODE)
			continue;
		for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
			pair < node->data.mapping.pairs.top; pair++)
			if (same_scalar(yaml_document_get_node(other, pair->key), key))
				return copy_node(document, other, pair->value, 8);
	}
	return copy_node(document, other, 1 + (int)begin, 8);
}

/* A pair goes, comes twice, gets a new place, another value of this document (by an alias) or of
 * the other one; or a pair of the other one comes in. */
static void change_map(
	yaml_document_t *document, int number, yaml_document_t *other, unsigned *seed)
{
	yaml_node_t *map = yaml_document_get_node(document, number);
	size_t count = (size_t)(map->data.mapping.pairs.top - map->data.mapping.pairs.start);
	size_t at = below(seed, count), second = below(seed, count);
	yaml_node_pair_t *pairs = map->data.mapping.pairs.start, pair;
	int value;

	if (count == 0)
		return;
	pair = pairs[at];
	switch (below(seed, 5)) {
	case 0:
		memmove(&pairs[at], &pairs[at + 1], (count - at - 1) * sizeof(pair));
		map->data.mapping.pairs.top--;
		break;
	case 1:
		(void)yaml_document_append_mapping_pair(document, number, pair.key,
			below(seed, 2) ? pair.value : pairs[second].value);
		break;
	case 2:
		pairs[at] = pairs[second];
		pairs[second] = pair;
		break;
	case 3:
		pairs[at].value =
			1 + (int)below(seed, (size_t)(document->nodes.top - document->nodes.start));
		break;
	default:
		value = find_like(
			document, yaml_document_get_node(document, pair.key), other, seed);
		/* Adding nodes may have moved them. */
		map = yaml_document_get_node(document, number);
		if (value > 0)
			map->data.mapping.pairs.start[at].value = value;
		break;
	}
}

static void change_list(
	yaml_document_t *document, int number, yaml_document_t *other, unsigned *seed)
{
	yaml_node_t *list = yaml_document_get_node(document, number);
	size_t count = (size_t)(list->data.sequence.items.top - list->data.sequence.items.start);
	size_t at = below(seed, count);
	int item;

	if (count > 0 && below(seed, 4) == 0) {
		list->data.sequence.items.start[at] = list->data.sequence.items.top[-1];
		list->data.sequence.items.top--;
		return;
	}
	item = count > 0 && below(seed, 2) ? list->data.sequence.items.start[at]
					   : find_like(document, NULL, other, seed);
	if (item > 0)
		(void)yaml_document_append_sequence_item(document, number, item);
}

/* A pair that the other root has comes in. */
static void add_pair(yaml_document_t *document, yaml_document_t *other, unsigned *seed)
{
	yaml_node_t *root = yaml_document_get_root_node(other);
	yaml_node_pair_t *pairs;
	int key, value;

	if (root->type != YAML_MAPPING_NODE ||
		yaml_document_get_root_node(document)->type != YAML_MAPPING_NODE ||
		root->data.mapping.pairs.top == root->data.mapping.pairs.start)
		return;
	pairs = root->data.mapping.pairs.start;
	pairs += below(seed, (size_t)(root->data.mapping.pairs.top - pairs));
	key = copy_node(document, other, pairs->key, 8);
	value = copy_node(document, other, pairs->value, 8);
	if (key > 0 && value > 0)
		(void)yaml_document_append_mapping_pair(document, 1, key, value);
}

static void change_node(yaml_document_t *document, yaml_document_t *other, unsigned *seed)
{
	size_t count = (size_t)(document->nodes.top - document->nodes.start);
	int number = 1 + (int)below(seed, count);
	yaml_node_t *node = yaml_document_get_node(document, number);

	if (below(seed, 8) == 0)
		add_pair(document, other, seed);
	else if (node->type == YAML_MAPPING_NODE)
		change_map(document, number, other, seed);
	else if (node->type == YAML_SEQUENCE_NODE)
		change_list(document, number, other, seed);
}

static void change_nodes(
	const struct input *from, const struct input *other, unsigned *seed, struct text *ret)
{
	yaml_document_t document, donor;

	if (!load(from, &document))
		return;
	if (load(other, &donor)) {
		for (size_t i = 1 + below(seed, 8); i > 0; i--)
			change_node(&document, &donor, seed);
		yaml_document_delete(&donor);
	}
	dump(&document, ret);
}

static void change(
	const struct input *from, const struct input *other, unsigned *seed, struct text *ret)
{
	if (structure_pieces == PIECES_LINES && from->size > 0 && other->size > 0)
		change_lines(from, other, seed, ret);
	else if (structure_pieces == PIECES_NODES)
		change_nodes(from, other, seed, ret);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t size_max, unsigned seed)
{
	_cleanup_(text_clear) struct text text = {.line = 1}, made = {.line = 1};
	size_t deed = below(&seed, 8);

	if (deed < 2)
		return new_choices(&seed, data, size_max);
	if (deed >= 5 || (size > 0 && *data == STRUCTURED))
		return LLVMFuzzerMutate(data, size, size_max);
	make(&seed, &made);
	if (deed > 2)
		change(&(struct input){data, size},
			&(struct input){(const uint8_t *)made.data, made.size}, &seed, &text);
	return put(text.size > 0 ? &text : &made, data, size_max);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
	size_t other_size, uint8_t *ret, size_t ret_max, unsigned seed)
{
	_cleanup_(text_clear) struct text text = {.line = 1};
	size_t at = below(&seed, size), from = below(&seed, other_size);

	if (size > 0 && *data != STRUCTURED && other_size > 0 && *other != STRUCTURED)
		change(&(struct input){data, size}, &(struct input){other, other_size}, &seed,
			&text);
	if (text.size == 0) {
		text_bytes(&text, data, at);
		text_bytes(&text, other + from, other_size - from);
	}
	return put(&text, ret, ret_max);
}
