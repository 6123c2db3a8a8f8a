/* SPDX-License-Identifier: MIT */
/* Package documents that are made: a grammar in tables. A document is valid, or exactly one of its
 * rules is broken: one value of the tables' wrong ones, or a key that is missing or there twice. */
#include "structure-package.h"

#define WRONG_QUEUES                                                                         \
	REFUSE("~", "null"), REFUSE("[/a, ~]", "null"), REFUSE("{1: b}", "quote it"), TWICE, \
		WARN("/", "after the slash"), WARN("/a/b", "slash within"),                  \
		WARN("/<256>", "at most"), WARN("'/a[b]'", "reserved"),                      \
		WARN("[]", "the list is empty"), WARN("7", "not a number"),                  \
		WARN("[/a, true]", "an element must be a string"), WARN("{a: b}", "a map"),  \
		WARN("''", "cannot be empty"), WARN("/..", "clean path"),                    \
		WARN("[</1025>]", "takes at most"), WARN("2001-01-01/", "slash within")

#define ID                                                                                   \
	{                                                                                    \
		"posix-mq", .good = {{"other", 5}, {"''", 0}, {"'a b'", 3}, {"<128>", 128}}, \
			    .wrong = {                                                       \
				    TWICE,                                                   \
				    NOT_A_STRING("7"),                                       \
				    NOT_A_STRING("[a]"),                                     \
				    WARN("<129>", "use at most"),                            \
				    WARN("\"a\\tb\"", "control character"),                  \
				    REFUSE("null", "null"),                                  \
			    }                                                                \
	}

#define PAIRS                                                      \
	{                                                          \
		.wrong = {                                         \
			REFUSE("$x: y", "reserved"),               \
			REFUSE("7: y", "quote it"),                \
			REFUSE("'': y", "is empty"),               \
			REFUSE("label: 7", "must be a string"),    \
			REFUSE("colour: [{a: ~}]", "null"),        \
			KEEP("permision: [read]", "did you mean"), \
		}                                                  \
	}

static const struct rule slot_rules[] = {
	[ATTRIBUTE_PATH] = {"path", true, 0,
		{{"/events", 1}, {"events", 1}, {"[/a, 'b']", 2}, {"\"/it's\"", 1}, {"/<255>", 1},
			{"[</1000>]", 1000}},
		{{made_missing, SEVERITY_WARNING, "path is missing", false},
			WARN("/a*", "reserved"), WARN("'/r-{pid}'", "reserved"), WRONG_QUEUES}},
	[ATTRIBUTE_PATTERN] = {"path-pattern", false, 0,
		{{"/m-*", 1}, {"'/r-{pid}'", 1}, {"['/a-{uid}-x', b?]", 2}, {"'{instance}*'", 1},
			{"'/<250>{pid}'", 1}},
		{WARN("'/{pid}{uid}'", "side by side"), WARN("'/<251>{pid}'", "at most"),
			WARN("'/a-{gid}'", "unknown variable"), WARN("'/a-{pid'", "not closed"),
			WARN("'/a-pid}'", "closes nothing"), WARN("'/a-1{pid}*'", "beside"),
			WARN("'/*-{uid}-*'", "on both sides"), WRONG_QUEUES}},
	[ATTRIBUTE_PERMISSIONS] = {"permissions", false, 7,
		{{"[]", 1}, {"[open]", 1}, {"[read]", 3}, {"[write, write]", 5}, {"[create]", 9},
			{"[delete, read]", 19}, {"[open, read, write, create, delete]", 31}},
		{TWICE, WARN("read", "must be a list"), WARN("[fly]", "unknown word"),
			WARN("[Read]", "unknown word"), WARN("[1]", "must be a string"),
			WARN("{read: yes}", "must be a list"), REFUSE("[read, ~]", "null"),
			REFUSE("", "null")}},
	[ATTRIBUTE_ID] = ID,
	[ATTRIBUTE_NAMESPACE] = {"namespace", false, 0, {{"caller", 0}, {"host", 1}, {"'host'", 1}},
		{TWICE, WARN("Host", "unknown word"), NOT_A_STRING("[host]"), NOT_A_STRING("true"),
			REFUSE("null", "null")}},
	[ATTRIBUTE_MAX_MODE] = {"max-mode", false, 0,
		{{"0660", 07117}, {"'0777'", 07000}, {"0000", 07777}, {"0640", 07137}},
		{TWICE, WARN("66", "octal"), WARN("00660", "octal"), WARN("1777", "octal"),
			WARN("0680", "octal"), WARN("0o66", "octal"), WARN("-660", "octal"),
			WARN("06.0", "octal"), WARN("[0660]", "octal"), WARN("0_60", "octal"),
			REFUSE("~", "null")}},
	PAIRS,
	{.wrong = {WARN("max-mod: 0660", "did you mean"), WARN("name-space: host", "did you mean"),
		 KEEP("mediation: open", "a slot has none")}},
};

static const struct rule plug_rules[] = {
	[ATTRIBUTE_PATH] = {"path", false, 0,
		{{"in", 1}, {"[/in, '/out-{instance}', '/reply-{pid}-{uid}']", 3}, {"/<255>", 1},
			{"[</1024>]", 1024}},
		{WARN("/a*", "reserved"), WARN("[/a, /b, a]", "is there twice"),
			WARN("['/a-{uid}', '/a-{pid}']", "can be the same name"),
			WARN("'/{pid}{uid}'", "side by side"), WRONG_QUEUES}},
	[ATTRIBUTE_MEDIATION] = {"mediation", false, 0, {{"call", 0}, {"open", 1}, {"\"open\"", 1}},
		{TWICE, WARN("Open", "unknown word"), NOT_A_STRING("[open]"), NOT_A_STRING("on"),
			REFUSE("~", "null")}},
	[ATTRIBUTE_ID] = ID,
	PAIRS,
	{.wrong = {KEEP("namespace: host", "a plug has none"),
		 KEEP("max-mode: 0660", "a plug has none")}},
};

static const struct rule root_rules[] = {
	{"name", true, 0,
		{{"ab", 2}, {"a1", 2}, {"1a", 2}, {"a-b-c", 5}, {"ab_k", 4}, {"<40>_<10>", 51}},
		{{made_missing, SEVERITY_ERROR, "name is missing", false}, TWICE,
			REFUSE("a", "invalid package name"), REFUSE("<41>", "invalid package name"),
			REFUSE("aB", "invalid package name"), REFUSE("12", "invalid package name"),
			REFUSE("a--b", "invalid package name"),
			REFUSE("-ab", "invalid package name"),
			REFUSE("ab_", "invalid instance key"),
			REFUSE("<40>_<11>", "invalid instance key"),
			REFUSE("[ab]", "must be a string"), REFUSE("~", "name is missing")}},
	{"publisher", false, 0, {{"acme", 4}, {"''", 0}, {"<255>", 255}, {"\"\\u00e4\"", 2}},
		{TWICE, REFUSE("<256>", "use at most"), REFUSE("7", "must be a string"),
			REFUSE("{a: b}", "must be a string"), REFUSE("~", "must be a string"),
			REFUSE("\"a\\nb\"", "control character")}},
	{"x-1", false, 0, {{"[a, {b: [c]}]", 0}, {"~", 0}, {"<[63>", 0}, {"<2000>", 0}},
		{REFUSE("<[64>", "nested more than"), REFUSE("*nobody", "no anchor"),
			REFUSE("&a [*a]", "inside the very value"), REFUSE("\"a\\0b\"", "NUL"),
			REFUSE("{<<: a}", "it takes a map")}},
	{.wrong = {REFUSE("apps: 7", "must be a map"), REFUSE("hooks: [a]", "must be a map"),
		 REFUSE("components: x", "must be a map"), REFUSE("apps: {a_b: ~}", "invalid app"),
		 REFUSE("apps: {[a]: ~}", "invalid app name"),
		 REFUSE("apps: {a: 7}", "must be a map"),
		 REFUSE("apps: {a: {plugs: p0}}", "must be a list"),
		 REFUSE("apps: {a: {slots: [[s]]}}", "invalid slot name"),
		 REFUSE("apps: {a: ~, a: ~}", "is already on line"),
		 REFUSE("apps: {<129>: ~}", "bytes long"),
		 REFUSE("hooks: {<124>: ~}", "bytes long"),
		 REFUSE("hooks: {Up: ~}", "invalid hook name"),
		 REFUSE("components: {a: ~}", "invalid component name"),
		 REFUSE("components: {ab: 7}", "must be a map"),
		 REFUSE("components: {ab: {hooks: {run: ~}}}", "invalid component hook"),
		 REFUSE("components: {ab: {hooks: {remove: {slots: [s]}}}}", "cannot"),
		 KEEP("apps: {a: {plugs: [Pq]}}", "dropped: invalid name"),
		 KEEP("aps: {}", "did you mean"), KEEP("publsher: x", "did you mean")}},
	{"apps", false, 0,
		{{"~", 0}, {"{A1: ~, <128>: {plugs: [p0, other], slots: []}}", 0},
			{"{a: {plugs: [p0, p1, p0], slots: ~, x: [7]}}", 0}},
		{{0}}},
	{"hooks", false, 0, {{"{}", 0}, {"{configure: ~, <123>: {plugs: [p1]}}", 0}}, {{0}}},
	{"components", false, 0,
		{{"{ab: ~, c-d: {hooks: {install: {plugs: [p0]}}}}", 0}, {"{ab: {type: x}}", 0}},
		{{0}}},
};

/* Definitions of a plug or slot that are no map. */
static const struct rule definition_rules[] = {
	{.wrong = {REFUSE("[a]", "malformed"), REFUSE("7", "malformed"), REFUSE("yes", "malformed"),
		 KEEP("posix-mp", "did you mean"), KEEP("{interface: pozix-mq}", "did you mean"),
		 REFUSE("{interface: 7}", "must be a string")}},
};

/* Names of a plug or slot. */
static const struct rule name_rules[] = {
	{.wrong = {WARN("Up", "invalid name"), WARN("9x", "invalid name"),
		 WARN("a-", "invalid name"), WARN("a_b", "invalid name"),
		 WARN("''", "invalid name"), WARN("a--b", "invalid name"),
		 WARN("<129>", "use at most"), REFUSE("[a]", "invalid"), TWICE}},
};
static const struct rule shared_name_rules[] = {
	{.wrong = {REFUSE("p0", "same name")}},
};

/* What is broken, if anything: a wrong thing of a rule, in the so-many-th plug or slot. */
struct breach {
	const struct rule *rules; /* the table; NULL: nothing */
	bool of_slot;
	const struct rule *rule;
	const struct wrong *wrong;
	size_t at;
};

static const struct table {
	const struct rule *rules;
	size_t count;
	bool of_slot;
} tables[] = {
	{slot_rules, ELEMENTSOF(slot_rules), true},
	{plug_rules, ELEMENTSOF(plug_rules), false},
	{root_rules, ELEMENTSOF(root_rules), false},
	{definition_rules, ELEMENTSOF(definition_rules), false},
	{definition_rules, ELEMENTSOF(definition_rules), true},
	{name_rules, ELEMENTSOF(name_rules), false},
	{name_rules, ELEMENTSOF(name_rules), true},
	{shared_name_rules, ELEMENTSOF(shared_name_rules), true},
};

struct anchored {
	const struct rule *rule;
	size_t number;
	unsigned means;
};

struct maker {
	struct input *choices;
	struct made_package *made;
	struct text *text;
	struct breach breach;
	struct anchored anchored[YAML_ANCHORS_MAX];
	size_t anchors;
	unsigned root_line, side_line,
		elsewhere; /* the last: of a wrong value, named by an alias */
	bool base;         /* there is a map to merge */
};

/* Where pairs are written: one on each line, or within braces. */
struct style {
	bool flow, further;
	int indent;
};

/* The so-many-th of all wrong things. False: there are not so many. */
static bool find_breach(size_t number, struct breach *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(tables); i++)
		for (size_t j = 0; j < tables[i].count; j++) {
			const struct rule *rule = &tables[i].rules[j];
			size_t count = count_wrong(rule);

			if (number < count) {
				*ret = (struct breach){tables[i].rules, tables[i].of_slot, rule,
					&rule->wrong[number], 0};
				return true;
			}
			number -= count;
		}
	return false;
}

/* None if there are no more choices. */
static void choose_breach(struct maker *maker)
{
	size_t number = choose(maker->choices, 256);

	if (find_breach(255 - number, &maker->breach))
		maker->breach.at = choose(maker->choices, MADE_MAX);
}

/* Whether this rule of this thing is the one to be broken. */
static bool breaks(const struct maker *maker, const struct rule *rule, bool of_slot, size_t at)
{
	const struct made_package *made = maker->made;
	size_t count = of_slot ? made->slot_count : made->plug_count;

	return maker->breach.rule == rule && maker->breach.of_slot == of_slot &&
	       (rule >= root_rules && rule < root_rules + ELEMENTSOF(root_rules)
			       ? true
			       : maker->breach.at % count == at);
}

static void expect(struct maker *maker, unsigned line)
{
	const struct wrong *wrong = maker->breach.wrong;

	maker->made->expected = (struct expected){true, wrong->severity, line, wrong->words};
}

static void begin_pair(struct maker *maker, struct style *style)
{
	if (style->flow) {
		text_add(maker->text, "%s", style->further ? ", " : "");
	} else {
		if (maker->text->size > 0 && maker->text->data[maker->text->size - 1] != '\n')
			text_add(maker->text, maybe(maker->choices) ? " # so\n" : "\n");
		if (maybe(maker->choices))
			text_add(maker->text, "\n%*s# more\n", style->indent, "");
		text_add(maker->text, "%*s", style->indent, "");
	}
	style->further = true;
	if (style->indent == 0 && !style->flow && maker->root_line == 0)
		maker->root_line = maker->text->line;
}

static bool takes_anchor(const char *value)
{
	return *value && *value != '&' && *value != '*';
}

/* What it means, which is that of an earlier value if that is named. */
static unsigned add_good(struct maker *maker, const struct rule *rule, const struct good *good)
{
	for (size_t i = 0; i < maker->anchors; i++)
		if (maker->anchored[i].rule == rule && maybe(maker->choices)) {
			text_add(maker->text, "*a%zu ", maker->anchored[i].number);
			return maker->anchored[i].means;
		}
	if (takes_anchor(good->value) && maker->anchors < 64 && maybe(maker->choices)) {
		text_add(maker->text, "&a%zu ", maker->anchors);
		maker->anchored[maker->anchors] =
			(struct anchored){rule, maker->anchors, good->means};
		maker->anchors++;
	}
	text_expand(maker->text, good->value);
	return good->means;
}

static void add_wrong(struct maker *maker, struct style *style, const struct rule *rule)
{
	const struct wrong *wrong = maker->breach.wrong;

	if (wrong->value == made_missing) {
		expect(maker, maker->side_line);
		return;
	}
	begin_pair(maker, style);
	if (wrong->value == made_twice) {
		text_add(maker->text, "%s: ", rule->key);
		text_expand(maker->text, rule->good[0].value);
		begin_pair(maker, style);
	}
	expect(maker, maker->elsewhere > 0 ? maker->elsewhere : maker->text->line);
	if (rule->key)
		text_add(maker->text, "%s: ", rule->key);
	if (maker->elsewhere > 0)
		text_add(maker->text, "*bad ");
	else
		text_expand(maker->text,
			wrong->value == made_twice ? rule->good[0].value : wrong->value);
}

/* What the rule means now. */
static unsigned add_rule(struct maker *maker, struct style *style, const struct rule *rule,
	unsigned absent, bool needed)
{
	const struct good *good = choose_good(maker->choices, rule);

	if (!good || (!needed && !maybe(maker->choices)))
		return absent;
	begin_pair(maker, style);
	text_add(maker->text, "%s: %s", rule->key, maybe(maker->choices) ? "  " : "");
	return add_good(maker, rule, good);
}

static void add_attributes(struct maker *maker, struct style *style, const struct table *table,
	size_t at, struct made_side *side)
{
	const struct wrong *wrong = maker->breach.wrong;
	bool merges =
		maker->base && (!wrong || wrong->value != made_missing) && maybe(maker->choices);
	/* Either of path and path-pattern would do. */
	bool nameless = breaks(maker, &slot_rules[ATTRIBUTE_PATH], true, at) && table->of_slot &&
			wrong->value == made_missing;
	size_t order[16];

	if (merges) {
		begin_pair(maker, style);
		text_add(maker->text, "<<: *base ");
	} else {
		begin_pair(maker, style);
		text_add(maker->text, "interface: posix-mq");
	}
	shuffle(maker->choices, order, table->count);
	for (size_t i = 0; i < table->count; i++) {
		const struct rule *rule = &table->rules[order[i]];
		bool merged =
			merges && (order[i] == ATTRIBUTE_PATH ||
					  (table->of_slot && order[i] == ATTRIBUTE_PERMISSIONS));

		if (breaks(maker, rule, table->of_slot, at)) {
			add_wrong(maker, style, rule);
			side->dropped = !maker->breach.wrong->keeps;
		} else if (order[i] < ATTRIBUTE_COUNT &&
			   !(nameless && order[i] == ATTRIBUTE_PATTERN)) {
			side->means[order[i]] = add_rule(maker, style, rule,
				merged ? (order[i] == ATTRIBUTE_PATH ? 1 : 3) : rule->absent,
				rule->needed && !merges);
		}
	}
}

static void add_definition(
	struct maker *maker, const struct table *table, size_t at, struct made_side *side)
{
	struct style style = {.flow = maybe(maker->choices), .indent = 4};

	if (breaks(maker, definition_rules, table->of_slot, at)) {
		expect(maker, maker->text->line);
		text_expand(maker->text, maker->breach.wrong->value);
		side->dropped = true;
		return;
	}
	if (style.flow)
		text_add(maker->text, "{");
	add_attributes(maker, &style, table, at, side);
	if (style.flow)
		text_add(maker->text, "}");
}

static void add_side(struct maker *maker, const struct table *table, size_t at, struct style *style,
	struct made_side *sides)
{
	const struct rule *names = breaks(maker, name_rules, table->of_slot, at) ? name_rules
				   : breaks(maker, shared_name_rules, table->of_slot, at)
					   ? shared_name_rules
					   : NULL;
	struct made_side *side = &sides[at];
	const char *wrong = names ? maker->breach.wrong->value : NULL;

	(void)snprintf(side->name, sizeof(side->name), "%c%zu", table->of_slot ? 's' : 'p', at);
	/* p0 is named elsewhere. */
	if (at > 0 && choose(maker->choices, 16) == 15)
		memset(side->name + 2, 'n', PLUG_NAME_MAX - 2);
	if (wrong == made_twice && at == 0)
		wrong = NULL;
	begin_pair(maker, style);
	maker->side_line = maker->text->line;
	if (wrong) {
		expect(maker, maker->text->line);
		side->dropped = true;
	}
	text_expand(maker->text, !wrong                ? side->name
				 : wrong == made_twice ? sides[at - 1].name
						       : wrong);
	text_add(maker->text, ": ");
	add_definition(maker, table, at, side);
}

static void add_sides(
	struct maker *maker, const struct table *table, struct made_side *sides, size_t count)
{
	struct style root = {0}, style = {.indent = 2};

	begin_pair(maker, &root);
	text_add(maker->text, table->of_slot ? "slots:" : "plugs:");
	for (size_t i = 0; i < count; i++)
		add_side(maker, table, i, &style, sides);
}

/* Before what merges or names them: a map to be merged, and a wrong value. */
static void add_bases(struct maker *maker)
{
	const struct wrong *wrong = maker->breach.wrong;
	struct style root = {0};

	if (maybe(maker->choices)) {
		begin_pair(maker, &root);
		text_add(maker->text, "x-base: &base {interface: posix-mq, path: /merged, "
				      "permissions: [read], x: y}");
		maker->base = true;
	}
	if (!wrong || (maker->breach.rules != slot_rules && maker->breach.rules != plug_rules) ||
		!maker->breach.rule->key || wrong->value == made_twice ||
		wrong->value == made_missing || !takes_anchor(wrong->value) ||
		!maybe(maker->choices))
		return;
	begin_pair(maker, &root);
	maker->elsewhere = maker->text->line;
	text_add(maker->text, "x-bad: &bad ");
	text_expand(maker->text, wrong->value);
}

static void add_root_rule(struct maker *maker, size_t number)
{
	const struct rule *rule = &root_rules[number];
	/* Wrong pairs are of the keys that have no wrong values. */
	bool conflicts = maker->breach.rule && maker->breach.rules == root_rules &&
			 !maker->breach.rule->key && count_wrong(rule) == 0;
	struct style root = {0};

	if (maker->breach.rule == rule) {
		maker->side_line = 0;
		add_wrong(maker, &root, rule);
	} else if (!conflicts) {
		(void)add_rule(maker, &root, rule, 0, rule->needed);
	}
}

static void add_root(struct maker *maker)
{
	struct made_package *made = maker->made;
	size_t order[ELEMENTSOF(root_rules) + 2];

	shuffle(maker->choices, order, ELEMENTSOF(order));
	for (size_t i = 0; i < ELEMENTSOF(order); i++)
		if (order[i] < ELEMENTSOF(root_rules))
			add_root_rule(maker, order[i]);
		else if (order[i] == ELEMENTSOF(root_rules))
			add_sides(maker, &tables[0], made->slots, made->slot_count);
		else
			add_sides(maker, &tables[1], made->plugs, made->plug_count);
}

/* Bounds of the whole document: reached, or passed by one if nothing else is wrong. */
static const struct wrong bounds[] = {
	REFUSE("anchors", "more than 256 anchors"),
	REFUSE("merged", "adds more than 65536 keys"),
	REFUSE("size", "larger than 1048576 bytes"),
};

static void add_anchors(struct maker *maker, size_t over)
{
	size_t count =
		YAML_ANCHORS_MAX + over - maker->anchors - maker->base - (maker->elsewhere > 0);

	text_add(maker->text, "x-anchors: [");
	for (size_t i = 0; i < count; i++)
		text_add(maker->text, "%s&x%zu x", i > 0 ? ", " : "", i);
	text_add(maker->text, "]");
}

static void add_merged(struct maker *maker, size_t over)
{
	text_add(maker->text, "x-keys: &keys {");
	for (size_t i = 0; i < 256; i++)
		text_add(maker->text, "%sk%zu: 0", i > 0 ? ", " : "", i);
	text_add(maker->text, "}\nx-merged: [");
	for (size_t i = 0; i < YAML_MERGED_MAX / 256 + over; i++)
		text_add(maker->text, "%s{<<: *keys }", i > 0 ? ", " : "");
	text_add(maker->text, "]");
}

static void add_bound(struct maker *maker)
{
	/* The last two take long. */
	size_t choice = choose(maker->choices, 32), over = choice % 2;
	struct style root = {0};

	if (choice < 28 || (choice < 30 && choose(maker->choices, 8) > 0))
		return;
	choice = choice >= 30 ? 0 : 1 + choose(maker->choices, 2);
	maker->breach.wrong = &bounds[choice];
	begin_pair(maker, &root);
	if (choice == 0)
		add_anchors(maker, over);
	else if (choice == 1)
		add_merged(maker, over);
	else
		text_add(maker->text, "x-size: %*s",
			(int)(PACKAGE_FILE_MAX + over - maker->text->size - strlen("x-size: ")),
			"x");
	if (over > 0)
		expect(maker, choice < 2 ? maker->text->line : 0);
}

void make_package(struct input *choices, struct made_package *ret)
{
	struct maker maker = {.choices = choices, .made = ret, .text = &ret->text};
	static const char *const beginnings[] = {"", "# A package.\n", "---\n", "%YAML 1.1\n---\n"};

	ret->text.line = 1;
	choose_breach(&maker);
	ret->plug_count = 1 + choose(choices, MADE_MAX);
	ret->slot_count = 1 + choose(choices, MADE_MAX);
	text_add(&ret->text, "%s", beginnings[choose(choices, ELEMENTSOF(beginnings))]);
	add_bases(&maker);
	add_root(&maker);
	/* Only now is it known where the first pair is. */
	if (maker.breach.wrong && maker.breach.wrong->value == made_missing &&
		ret->expected.line == 0)
		ret->expected.line = maker.root_line;
	/* What merging adds is counted in the whole document. */
	if (!maker.breach.wrong && !maker.base)
		add_bound(&maker);
	if (ret->text.size < PACKAGE_FILE_MAX)
		text_add(&ret->text, maybe(choices) ? "\n...\n" : "\n");
}
