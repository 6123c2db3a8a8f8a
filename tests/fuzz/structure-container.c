/* SPDX-License-Identifier: MIT */
/* What a container runtime says, made: a grammar in tables. */
#include "structure-container.h"

const enum pieces structure_pieces = PIECES_NODES;

#define NO_JSON     "no JSON"
#define NO_STATE    "no containerProcessState"
#define NO_METADATA "mqctl oci-profile"

#define MISSING(words) REFUSE(made_missing, words)

/* What fds mean: 16 × how many, and which is the listener. */
enum { FDS, PID, METADATA, ROOT_OTHERS };
static const struct rule root_rules[] = {
	[FDS] = {"fds", true, 0,
		{{"[\"seccompFd\"]", 16}, {"[\"pidFd\",\"seccompFd\"]", 33},
			{"[\"a\",\"seccompFd\",\"seccompFd\"]", 49},
			{"[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"seccompFd\"]", 135}},
		{MISSING(NO_STATE), REFUSE("[]", NO_STATE), REFUSE("null", NO_STATE),
			REFUSE("\"seccompFd\"", NO_STATE), REFUSE("[\"seccompfd\"]", NO_STATE),
			REFUSE("{\"seccompFd\":0}", NO_STATE),
			REFUSE("[[\"seccompFd\"]]", NO_STATE),
			REFUSE("[\"seccompFd\",1,2,3,4,5,6,7,8]", NO_STATE)}},
	[PID] = {"pid", true, 0, {{"18181", 18181}, {"0", 0}, {"1", 1}, {"999999999", 999999999}},
		{MISSING(NO_STATE), REFUSE("-1", NO_STATE), REFUSE("1000000000", NO_STATE),
			REFUSE("\"1\"", NO_STATE), REFUSE("1.5", NO_STATE), REFUSE("[1]", NO_STATE),
			REFUSE("1e3", NO_STATE), REFUSE("null", NO_STATE),
			REFUSE("true", NO_STATE)}},
	[METADATA] = {"metadata", true, 0,
		{{"\"mqgate:1 id=001611165398959c plug=worker:jobs\"", 1},
			{"\"mqgate:1 plug=a plug=b id=ffffffffffffffff\"", 2},
			{"\"mqgate:1 id=1 plug=<187>\"", 1}},
		{MISSING(NO_METADATA), REFUSE("7", NO_METADATA), REFUSE("\"\"", NO_METADATA),
			REFUSE("\"mqgate:2 id=1 plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=0 plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id= plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=A plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=-1 plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=0x1 plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=10000000000000000 plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=1\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=1 plug=\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=1 plug=<188>\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=1 slot=a plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=1  plug=a\"", NO_METADATA),
			REFUSE("\"mqgate:1 id=1 plug=a \"", NO_METADATA)}},
	[ROOT_OTHERS] = {"ociVersion", false, 0,
		{{"\"1.0.2\"", 0}, {"[<[60>]", 0}, {"{\"a\":{\"b\":null},\"\":0.1e-3}", 0}},
		{REFUSE("\"a\\u0000b\"", NO_JSON), REFUSE("[<[63>]", NO_JSON),
			REFUSE("*a", NO_JSON), REFUSE("\"\\q\"", NO_JSON),
			REFUSE("{\"<<\": 1, <<: 2}", NO_JSON)}},
};

/* Texts mean how long they are. */
enum { ID, BUNDLE, NAME, STATE_OTHERS };
static const struct rule state_rules[] = {
	[ID] = {"id", true, 0, {{"\"4a0a7d5f\"", 8}, {"\"A_.+-9\"", 6}, {"\"<128>\"", 128}},
		{MISSING(NO_STATE), REFUSE("\"\"", NO_STATE), REFUSE("7", NO_STATE),
			REFUSE("null", NO_STATE), REFUSE("\"<129>\"", NO_STATE),
			REFUSE("\"a b\"", NO_STATE), REFUSE("\"a/b\"", NO_STATE),
			REFUSE("\"a\\nb\"", NO_STATE), REFUSE("[\"a\"]", NO_STATE)}},
	[BUNDLE] = {"bundle", true, 0,
		{{"\"/run/b\"", 6}, {"\".\"", 0}, {"\"\"", 0}, {"\"/\\u00e4\\\"\"", 4},
			{"\"/<510>\"", 511}, {"\"<600>\"", 0}},
		{MISSING(NO_STATE), REFUSE("7", NO_STATE), REFUSE("{}", NO_STATE),
			REFUSE("\"/<511>\"", "longer than"), REFUSE("\"/<2000>\"", "longer than")}},
	[NAME] = {"annotations", false, 0,
		{{"{\"a\":\"b\",\"io.kubernetes.container.name\":\"web\"}", 3},
			{"{\"io.kubernetes.cri.container-name\":\"<128>\"}", 128},
			{"{\"io.kubernetes.cri-o.ContainerName\":\"x\",\"io.kubernetes.container.name\":\"web\"}",
				3},
			{"{\"io.kubernetes.container.name\":\"a b\",\"io.kubernetes.cri-o.ContainerName\":\"x\"}",
				1},
			{"{\"io.kubernetes.container.name\":\"<129>\"}", 0},
			{"{\"io.kubernetes.container.name\":7}", 0}, {"null", 0}, {"[\"a\"]", 0},
			{"{\"{[\\\\\\\"\":\"}]\\\"\"}", 0}, {"{\"a\":\"<3000>\"}", 0}},
		{{0}}},
	[STATE_OTHERS] = {"status", false, 0, {{"\"creating\"", 0}, {"[{}]", 0}}, {{0}}},
};

/* Instead of the state, or of everything. */
static const struct rule whole_rules[] = {
	{"state", true, 0, {{0}},
		{MISSING(NO_STATE), REFUSE("null", NO_STATE), REFUSE("[]", NO_STATE),
			REFUSE("\"id\"", NO_STATE)}},
};
static const struct wrong roots[] = {
	REFUSE("[]", NO_STATE),
	REFUSE("{}", NO_STATE),
	REFUSE("[{\"state\":{}}]", NO_STATE),
	REFUSE("{\"a\":[}", NO_JSON),
	REFUSE("{\"a\" \"b\"}", NO_JSON),
};

struct maker {
	struct input *choices;
	struct made_container *made;
	const struct rule *rule;
	const struct wrong *wrong;
	bool spaces, further;
};

/* A letter or digit as JSON may write it as well. */
static void add_value(struct maker *maker, const char *value)
{
	struct text *text = &maker->made->text;

	if (value[0] == '"' && strchr("abcdefmnw/", value[1]) && value[1] &&
		maybe(maker->choices)) {
		text_add(text, "\"\\u%04x", (unsigned)value[1]);
		value += 2;
	}
	text_expand(text, value);
}

static void begin_pair(struct maker *maker, const char *key)
{
	static const char *const spaces[] = {"", " ", "\n    ", "\t", "\r\n"};
	const char *space = maker->spaces ? spaces[choose(maker->choices, ELEMENTSOF(spaces))] : "";

	text_add(&maker->made->text, "%s%s\"%s\"%s:%s", maker->further ? "," : "", space, key,
		maker->spaces && maybe(maker->choices) ? " " : "", maker->spaces ? " " : "");
	maker->further = true;
}

/* What it means now. */
static unsigned add_rule(struct maker *maker, const struct rule *rule)
{
	const struct good *good = choose_good(maker->choices, rule);

	if (maker->rule == rule && maker->wrong) {
		maker->made->wrong = maker->wrong->words;
		if (maker->wrong->value != made_missing) {
			begin_pair(maker, rule->key);
			add_value(maker, maker->wrong->value);
		}
		return 0;
	}
	if (!good || (!rule->needed && maybe(maker->choices)))
		return rule->absent;
	begin_pair(maker, rule->key);
	add_value(maker, good->value);
	return good->means;
}

static void add_state(struct maker *maker)
{
	unsigned means[ELEMENTSOF(state_rules)];
	size_t order[ELEMENTSOF(state_rules)];
	struct made_container *made = maker->made;

	if (maker->rule == whole_rules && maker->wrong) {
		(void)add_rule(maker, whole_rules);
		return;
	}
	begin_pair(maker, "state");
	text_add(&made->text, "{");
	maker->further = false;
	shuffle(maker->choices, order, ELEMENTSOF(order));
	for (size_t i = 0; i < ELEMENTSOF(order); i++)
		means[order[i]] = add_rule(maker, &state_rules[order[i]]);
	text_add(&made->text, "}");
	maker->further = true;
	made->id_length = means[ID];
	made->bundle_length = means[BUNDLE];
	made->name_length = means[NAME];
}

/* All plugs that there may be, or one more. */
static unsigned add_plugs(struct maker *maker)
{
	size_t over = choose(maker->choices, 2);

	begin_pair(maker, "metadata");
	text_add(&maker->made->text, "\"" CONTAINER_METADATA " id=1");
	for (size_t i = 0; i < LAUNCH_REFS_MAX + over; i++)
		text_add(&maker->made->text, " plug=p%zu", i);
	text_add(&maker->made->text, "\"");
	if (over > 0)
		maker->made->wrong = NO_METADATA;
	return LAUNCH_REFS_MAX;
}

static void add_root(struct maker *maker)
{
	unsigned means[ELEMENTSOF(root_rules)];
	size_t order[ELEMENTSOF(root_rules) + 1];
	struct made_container *made = maker->made;

	shuffle(maker->choices, order, ELEMENTSOF(order));
	for (size_t i = 0; i < ELEMENTSOF(order); i++)
		if (order[i] == ELEMENTSOF(root_rules))
			add_state(maker);
		else if (order[i] == METADATA && !maker->wrong && maybe(maker->choices))
			means[METADATA] = add_plugs(maker);
		else
			means[order[i]] = add_rule(maker, &root_rules[order[i]]);
	made->pid = means[PID];
	made->plugs = means[METADATA];
	made->descriptors = means[FDS] / 16;
	made->listener = means[FDS] % 16;
	/* Of a process that is put into a container there is none. */
	if (made->pid == 0)
		made->bundle_length = 0;
}

static void choose_wrong(struct maker *maker)
{
	static const struct {
		const struct rule *rules;
		size_t count;
	} tables[] = {{root_rules, ELEMENTSOF(root_rules)}, {state_rules, ELEMENTSOF(state_rules)},
		{whole_rules, ELEMENTSOF(whole_rules)}};
	size_t kind = choose(maker->choices, 2 + ELEMENTSOF(tables)), count;

	if (kind < 2)
		return;
	maker->rule = &tables[kind - 2].rules[choose(maker->choices, tables[kind - 2].count)];
	count = count_wrong(maker->rule);
	if (count > 0)
		maker->wrong = &maker->rule->wrong[choose(maker->choices, count)];
}

void make_container(struct input *choices, struct made_container *ret)
{
	struct maker maker = {.choices = choices, .made = ret};

	choose_wrong(&maker);
	maker.spaces = maybe(choices);
	if (!maker.wrong && choose(choices, 32) == 31) {
		const struct wrong *root = &roots[choose(choices, ELEMENTSOF(roots))];

		text_add(&ret->text, "%s", root->value);
		ret->wrong = root->words;
		return;
	}
	text_add(&ret->text, maker.spaces ? "\n {" : "{");
	add_root(&maker);
	text_add(&ret->text, maker.spaces ? "\n}" : "}");
}

void structure_make(struct input *choices, struct text *ret)
{
	struct made_container made = {0};

	make_container(choices, &made);
	text_bytes(ret, made.text.data, made.text.size);
	text_clear(&made.text);
}
