/* SPDX-License-Identifier: MIT */
/* Documents of mqctl apply and state files that are made. */
#include "structure-connections.h"

const enum pieces structure_pieces = PIECES_NODES;

enum { VERSION, CONNECTIONS, OTHERS, PAIR_COUNT };
#define PAIRS_MAX 8

struct maker {
	struct input *choices;
	struct made_connections *made;
	const struct rule *rule;
	const struct wrong *wrong;
};

static void expect(struct maker *maker, const char *words, unsigned line)
{
	maker->made->expected = (struct expected){true, SEVERITY_ERROR, line, words};
}

/* The pairs in any order, in braces or a line each. */
static void add_entry(struct maker *maker, const char *entry)
{
	struct text *text = &maker->made->text;
	_cleanup_free_ char *copy = strdup(entry);
	char *rest = copy, *pairs[PAIRS_MAX];
	bool flow = !maybe(maker->choices);
	size_t order[PAIRS_MAX], count = 0;

	REQUIRE(copy);
	for (char *next; rest; rest = next ? next + 2 : NULL) {
		next = strstr(rest, ", ");
		if (next)
			*next = '\0';
		pairs[count++] = rest;
	}
	shuffle(maker->choices, order, count);
	text_add(text, flow ? "- {" : "- ");
	for (size_t i = 0; i < count; i++)
		text_add(text, "%s%s", i == 0 ? "" : flow ? ", " : "\n  ", pairs[order[i]]);
	text_add(text, flow ? "}\n" : "\n");
}

static void add_entries(struct maker *maker)
{
	const char *const *entries = connections_grammar.entries;
	bool wrong = maker->rule == connections_grammar.wrong && maker->wrong, twice = false;
	struct text *text = &maker->made->text;

	for (size_t i = 0; i < ENTRIES_MAX && entries[i]; i++) {
		if (wrong && choose(maker->choices, 4) == 0) {
			expect(maker, maker->wrong->words, text->line);
			text_add(text, "- %s\n", maker->wrong->value);
			wrong = false;
		}
		if (!maybe(maker->choices))
			continue;
		maker->made->count++;
		add_entry(maker, entries[i]);
		if (maker->wrong || twice || choose(maker->choices, 32) != 31)
			continue;
		twice = true;
		expect(maker, connections_grammar.twice,
			connections_grammar.twice_at_second ? text->line : 0);
		add_entry(maker, entries[i]);
	}
}

static void add_list(struct maker *maker)
{
	struct text *text = &maker->made->text;
	size_t size;

	text_add(text, "connections:\n");
	size = text->size;
	add_entries(maker);
	if (text->size == size) {
		text->size--;
		text->line--;
		text_add(text, " []\n");
	}
}

static void add_pair(struct maker *maker, size_t number)
{
	const struct rule *rule = &connections_grammar.pairs[number];
	struct text *text = &maker->made->text;
	bool wrong = maker->rule == rule && maker->wrong;

	if (wrong && maker->wrong->value == made_missing) {
		expect(maker, maker->wrong->words, 1);
		return;
	}
	if (number == CONNECTIONS && !wrong)
		add_list(maker);
	else if (number == VERSION && (!wrong || maker->wrong->value == made_twice))
		text_add(text, "version: 1\n");
	if (!wrong)
		return;
	expect(maker, maker->wrong->words, text->line);
	if (maker->wrong->value == made_twice)
		text_add(text, number == VERSION ? "version: 1\n" : "connections: []\n");
	else
		text_add(text, "%s%s%s\n", rule->key ? rule->key : "", rule->key ? ": " : "",
			maker->wrong->value);
}

static void choose_wrong(struct maker *maker)
{
	size_t kind = choose(maker->choices, PAIR_COUNT + 5), count;

	if (kind >= PAIR_COUNT + 2)
		return;
	maker->rule =
		kind < PAIR_COUNT ? &connections_grammar.pairs[kind] : connections_grammar.wrong;
	count = count_wrong(maker->rule);
	maker->wrong = &maker->rule->wrong[choose(maker->choices, count)];
}

static void make(struct input *choices, struct made_connections *ret)
{
	struct maker maker = {.choices = choices, .made = ret};
	size_t order[PAIR_COUNT];

	ret->text.line = 1;
	choose_wrong(&maker);
	shuffle(choices, order, PAIR_COUNT);
	for (size_t i = 0; i < PAIR_COUNT; i++)
		add_pair(&maker, order[i]);
}

void structure_make(struct input *choices, struct text *ret)
{
	struct made_connections made = {0};

	make(choices, &made);
	text_bytes(ret, made.text.data, made.text.size);
	text_clear(&made.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct made_connections made = {0};
	struct input choices = {data, size};

	if (size == 0 || take_byte(&choices) != STRUCTURED) {
		check_text(data, size, NULL);
		return 0;
	}
	make(&choices, &made);
	check_text(made.text.data, made.text.size, &made);
	text_clear(&made.text);
	return 0;
}
