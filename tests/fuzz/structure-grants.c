/* SPDX-License-Identifier: MIT */
/* Grants messages that are made byte by byte: right, or one field, or one more entry, is wrong. */
#include "structure-grants.h"

const enum pieces structure_pieces = PIECES_NONE;

#define HEADER_SIZE 24
#define ENTRY_SIZE  12

/* Ascending as a sealed set is. */
static const struct candidate {
	bool pattern;
	const char *name, *queue;
	bool wrong;
} candidates[] = {
	{false, "", "", true},
	{false, "a", "", false},
	{false, "a", "x", false},
	{false, "a", "<256>", true},
	{false, "b", "{", false},
	{false, "*?", "", false},
	{false, "in", "a-in", false},
	{false, "in", "b-in", false},
	{false, "events", "", false},
	{false, "<255>", "", false},
	{false, "<255>", "<255>", false},
	{false, "<256>", "", true},
	{true, "*", "", false},
	{true, "*<318>", "", false},
	{true, "*<319>", "", true},
	{true, "?x", "all", false},
	{true, "{instance}", "", true},
	{true, "{pid", "", true},
	{true, "{pid}", "", false},
	{true, "{pid}-{pid}", "", false},
	{true, "{uid}", "all", false},
	{true, "u{uid}", "", false},
	{true, "m-*", "", false},
	{true, "m-}", "", true},
	{true, "r-{uid}*", "", false},
	{true, "plain", "", false},
};

/* A field that is wrong: of the header or of an entry; what it is, or how much more than it was. */
static const struct field {
	bool of_header, relative;
	size_t at, size;
	uint32_t value;
} fields[] = {
	{true, true, 0, 4, 1},
	{true, false, 4, 4, 3},
	{true, false, 4, 4, 5},
	{true, true, 16, 4, 1},
	{true, true, 16, 4, UINT32_MAX},
	{true, false, 16, 4, UINT32_MAX},
	{true, false, 20, 4, UINT32_MAX},
	{false, false, 0, 1, 0},
	{false, false, 0, 1, PERMISSIONS_ALL - PERMISSION_OPEN},
	{false, false, 0, 1, PERMISSIONS_ALL + 1 + PERMISSION_OPEN},
	{false, false, 1, 1, 2},
	{false, false, 2, 1, 2},
	{false, false, 3, 1, 1},
	{false, false, 4, 2, 010000},
	{false, true, 6, 2, 1},
	{false, true, 6, 2, UINT32_MAX},
	{false, false, 6, 2, UINT16_MAX},
	{false, true, 8, 2, 1},
	{false, true, 8, 2, UINT32_MAX},
	{false, true, 10, 2, 1000},
	{false, false, 10, 2, UINT16_MAX},
};

struct maker {
	struct input *choices;
	struct made_grants *made;
	uint32_t count, giver_count;
	size_t last; /* where the last entry begins; 0: there is none */
};

static void add_number(struct text *text, uint64_t number, size_t size)
{
	text_bytes(text, &number, size);
}

static void set_number(struct maker *maker, size_t at, size_t size, uint32_t number)
{
	memcpy(maker->made->text.data + at, &number, size);
}

static void add_givers(struct maker *maker)
{
	struct text *text = &maker->made->text;
	size_t count = choose(maker->choices, 4), length;

	if (choose(maker->choices, 64) == 63)
		count = GRANTS_GIVERS_MAX + choose(maker->choices, 2);
	maker->made->wrong = count > GRANTS_GIVERS_MAX;
	for (; maker->giver_count < count; maker->giver_count++) {
		char ref[REF_MAX + 2] = "";

		length = maybe(maker->choices) ? REF_MAX + choose(maker->choices, 2) : 3;
		if (length > REF_MAX && maker->made->wrong)
			length = REF_MAX;
		memset(ref, 'a', length);
		add_number(text, length, 2);
		text_bytes(text, ref, length + 1);
		if (length > REF_MAX || maker->giver_count >= GRANTS_GIVERS_MAX)
			maker->made->wrong = true;
		else
			REQUIRE(grants_set_giver(maker->made->grants, ref) == 0);
	}
}

static void add_entry(
	struct maker *maker, const char *name, const char *queue, bool pattern, bool wrong)
{
	const struct grant rule = {.permissions = PERMISSION_OPEN | choose(maker->choices, 32),
		.mode_cut = (mode_t)choose(maker->choices, 4096),
		.pattern = pattern,
		.host = maybe(maker->choices),
		.giver = (uint16_t)choose(maker->choices, maker->giver_count + 1),
		.name = name,
		.queue = *queue ? queue : NULL};
	struct text *text = &maker->made->text;

	maker->last = text->size;
	add_number(text, rule.permissions, 1);
	add_number(text, pattern, 1);
	add_number(text, rule.host, 2);
	add_number(text, rule.mode_cut, 2);
	add_number(text, strlen(name), 2);
	add_number(text, strlen(queue), 2);
	add_number(text, rule.giver, 2);
	text_bytes(text, name, strlen(name) + 1);
	text_bytes(text, queue, strlen(queue) + 1);
	maker->count++;
	if (wrong)
		maker->made->wrong = true;
	else if (!maker->made->wrong)
		REQUIRE(grants_add(maker->made->grants, &rule) == 0);
}

static void add_candidate(struct maker *maker, const struct candidate *candidate)
{
	struct text name = {0}, queue = {0};

	if (candidate->wrong && maker->made->wrong)
		return;
	text_expand(&name, candidate->name);
	text_expand(&queue, candidate->queue);
	text_bytes(&name, "", 1);
	text_bytes(&queue, "", 1);
	add_entry(maker, name.data, queue.data, candidate->pattern, candidate->wrong);
	text_clear(&name);
	text_clear(&queue);
}

/* As many entries as there may be, or one more. */
static void add_many(struct maker *maker)
{
	bool patterns = choose(maker->choices, 2);
	size_t over = choose(maker->choices, 2);
	size_t count = (patterns ? GRANTS_PATTERNS_MAX : GRANTS_MAX) + over;

	for (size_t i = 0; i < count; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "%06zu%s", i, patterns ? "*" : "");
		add_entry(maker, name, "", patterns, over > 0 && i + 1 == count);
	}
}

static void add_entries(struct maker *maker)
{
	if (choose(maker->choices, 256) == 255) {
		add_many(maker);
		return;
	}
	for (size_t i = 0; i < ELEMENTSOF(candidates); i++)
		if (choose(maker->choices, candidates[i].wrong ? 16 : 3) == 1)
			add_candidate(maker, &candidates[i]);
}

static void break_field(struct maker *maker, const struct field *field)
{
	size_t at = field->at + (field->of_header ? 0 : maker->last);
	uint32_t value = 0;

	if (!field->of_header && maker->last == 0)
		return;
	memcpy(&value, maker->made->text.data + at, field->size);
	set_number(maker, at, field->size, field->relative ? value + field->value : field->value);
	maker->made->wrong = true;
}

/* One thing goes wrong in what was right. */
static void break_message(struct maker *maker)
{
	struct text *text = &maker->made->text;
	size_t deed = choose(maker->choices, 8), size;

	if (deed < 4) {
		break_field(maker, &fields[choose(maker->choices, ELEMENTSOF(fields))]);
	} else if (deed == 4) {
		text->size -= 1 + choose(maker->choices, text->size - 1);
		maker->made->wrong = true;
	} else if (deed == 5) {
		text_bytes(text, "", 1);
		maker->made->wrong = true;
	} else if (maker->last > 0) {
		/* The last entry twice. */
		_cleanup_free_ char *copy = NULL;

		size = text->size - maker->last;
		copy = malloc(size);
		REQUIRE(copy);
		memcpy(copy, text->data + maker->last, size);
		text_bytes(text, copy, size);
		set_number(maker, 16, 4, maker->count + 1);
		maker->made->wrong = true;
	}
}

void make_grants(struct input *choices, struct made_grants *ret)
{
	struct maker maker = {.choices = choices, .made = ret};
	bool breaks = choose(choices, 2);
	uint64_t generation = choose(choices, 256);

	REQUIRE(grants_new(generation, &ret->grants) == 0);
	add_number(&ret->text, UINT32_C(0x6d716772), 4);
	add_number(&ret->text, 4, 4);
	add_number(&ret->text, generation, 8);
	add_number(&ret->text, 0, 8);
	add_givers(&maker);
	add_entries(&maker);
	set_number(&maker, 16, 4, maker.count);
	set_number(&maker, 20, 4, maker.giver_count);
	if (breaks && !ret->wrong)
		break_message(&maker);
	grants_seal(ret->grants);
}

void structure_make(struct input *choices, struct text *ret)
{
	struct made_grants made = {0};

	make_grants(choices, &made);
	text_bytes(ret, made.text.data, made.text.size);
	text_clear(&made.text);
	(void)grants_free(made.grants);
}
