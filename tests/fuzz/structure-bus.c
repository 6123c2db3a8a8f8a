/* SPDX-License-Identifier: MIT */
/* What a peer of the control bus says, made. */
#include "structure-bus.h"

const enum pieces structure_pieces = PIECES_LINES;

/* Plugs and slots by their numbers; further ones are not there. */
static const char *const plugs[] = {"logger:events", "logger:fast", "logger:lost", "logger:own"};
static const char *const slots[] = {"sensor:events", "sensor:many", "sensor:replies", "sensor:two"};
static const char *const nobody[] = {
	"logger:none", "gone:slot", ":", "logger:", "\xc3\xa4:b", "logger", "events", "a:<300>"};
enum { EVENTS, FAST, LOST, OWN };
enum { SLOT_EVENTS, MANY, REPLIES, TWO };

enum made_state { NOT, LIVE, UNDESIRED };
static const enum made_state connected[ELEMENTSOF(plugs)][ELEMENTSOF(slots)] = {
	[EVENTS] = {[SLOT_EVENTS] = LIVE},
	[FAST] = {[SLOT_EVENTS] = LIVE, [REPLIES] = LIVE},
	[LOST] = {[MANY] = UNDESIRED},
	[OWN] = {[MANY] = LIVE, [TWO] = LIVE},
};

static void set_word(struct made_bus *made, size_t i, const char *value)
{
	struct text text = {0};

	text_expand(&text, value);
	text_bytes(&text, "", 1);
	made->words[i] = text.data;
}

static void set_flag(struct input *choices, struct made_bus *made, bool *ret)
{
	*ret = choose(choices, 2);
	set_word(made, 2, *ret ? "x" : "");
}

/* False: one of the two is not there. */
static bool set_pair(struct input *choices, struct made_bus *made, size_t *plug, size_t *slot)
{
	size_t stranger = choose(choices, 8);

	*plug = choose(choices, ELEMENTSOF(plugs));
	*slot = choose(choices, ELEMENTSOF(slots));
	set_word(made, 0,
		stranger == 1 ? nobody[choose(choices, ELEMENTSOF(nobody))] : plugs[*plug]);
	set_word(made, 1, stranger == 2 ? "sensor:none" : slots[*slot]);
	return stranger != 1 && stranger != 2;
}

static void make_connect(struct input *choices, struct made_bus *ret)
{
	size_t plug, slot;
	bool any_id, there = set_pair(choices, ret, &plug, &slot);
	bool same_id = slot == SLOT_EVENTS && (plug == EVENTS || plug == FAST);
	bool fits = plug != OWN || slot == TWO;

	set_flag(choices, ret, &any_id);
	ret->right = there && fits && (same_id || any_id || connected[plug][slot] == LIVE);
}

static void make_disconnect(struct input *choices, struct made_bus *ret)
{
	size_t plug, slot;
	bool forget, there = set_pair(choices, ret, &plug, &slot);

	set_flag(choices, ret, &forget);
	ret->right = there && (connected[plug][slot] == LIVE ||
				      (forget && connected[plug][slot] == UNDESIRED));
}

/* What a plug may with a queue, by its connections. */
static const struct {
	size_t plug;
	const char *queue, *operations;
} allowed[] = {
	{EVENTS, "/events", "open read write"},
	{FAST, "/events", "open read write"},
	{FAST, "/r-7-x,9", "open read write"}, /* as {pid} and {uid} */
	{OWN, "/x", "open read write"},
	{OWN, "/y-5", "open read write"},
	{LOST, "/a", ""},
	{LOST, "/none", ""},
	{EVENTS, "/none", ""},
	{EVENTS, "/<255>", ""},
	{OWN, "/a", ""},
};

static void make_explain(struct input *choices, struct made_bus *ret)
{
	static const char *const operations[] = {"open", "read", "write", "create", "delete"};
	size_t row = choose(choices, ELEMENTSOF(allowed)), deed = choose(choices, 12);
	const char *operation = operations[choose(choices, ELEMENTSOF(operations))];

	set_word(ret, 0, deed == 1 ? "logger:none" : plugs[allowed[row].plug]);
	set_word(ret, 1, deed == 2 ? "fly" : operation);
	set_word(ret, 2,
		deed == 3   ? "/a/b"
		: deed == 4 ? "events"
		: deed == 5 ? "/"
		: deed == 6 ? "/<256>"
			    : allowed[row].queue);
	ret->right = deed == 0 || deed > 6;
	ret->allowed = strstr(allowed[row].operations, operation) != NULL;
}

static void make_options(struct input *choices, struct made_bus *ret)
{
	static const struct made_option candidates[] = {{"forget", 'b', 0}, {"forget", 'b', 1},
		{"wait", 't', 0}, {"wait", 't', UINT32_MAX}, {"file", 's', 0}, {"forget", 't', 1},
		{"wait", 'b', 1}, {"file", 'a', 0}, {"forgot", 'b', 1}, {"", 's', 0},
		{"wait", 's', 0}, {"any-id", 'a', 0}};

	ret->right = true;
	while (ret->option_count < BUS_OPTIONS_MAX && choose(choices, 4) > 0) {
		size_t choice = choose(choices, maybe(choices) ? ELEMENTSOF(candidates) : 5);
		const struct made_option *option = &candidates[choice];

		ret->options[ret->option_count++] = *option;
		ret->right &= choice < 5;
		if (*option->key == 'f' && option->type == 'b')
			ret->forget = option->number;
		if (*option->key == 'w')
			ret->wait = option->number;
	}
}

/* A span of several units, written in many ways. */
static void make_span(struct input *choices, struct made_bus *ret)
{
	static const struct {
		const char *name;
		uint64_t seconds;
	} units[] = {{"s", 1}, {"sec", 1}, {"seconds", 1}, {"m", 60}, {"minutes", 60}, {"h", 3600},
		{"hr", 3600}, {"day", 86400}, {"d", 86400}, {"weeks", 604800}, {"w", 604800}};
	static const char *const wrong[] = {
		"", "x", "1x", "-1s", "1 years", "h", "1.5h", "1s,", "0x1s"};
	struct text text = {0};
	size_t count = 1 + choose(choices, 4), deed = choose(choices, 16);

	for (size_t i = 0; i < count; i++) {
		size_t unit = choose(choices, ELEMENTSOF(units)), number = choose(choices, 60000);

		text_add(&text, "%s%s%zu%s%s", i > 0 && maybe(choices) ? " " : "",
			maybe(choices) ? "00" : "", number, maybe(choices) ? "  " : "",
			units[unit].name);
		ret->seconds += number * units[unit].seconds;
	}
	if (deed == 15)
		text_add(&text, " %s", wrong[1 + choose(choices, ELEMENTSOF(wrong) - 1)]);
	else if (deed == 14)
		text.size = 0;
	text_bytes(&text, "", 1);
	ret->words[0] = text.data;
	ret->right = deed < 14 && ret->seconds > 0 && ret->seconds <= CONNECTION_SPAN_MAX;
}

/* A point of time, which C's own functions know as well. */
static void make_time(struct input *choices, struct made_bus *ret)
{
	static const char *const wrong[] = {"", "2030-02-30T00:00:00Z", "2030-01-01T24:00:00Z",
		"2030-01-01T00:00:00", "2030-01-01T00:00:00Zx", " 2030-01-01T00:00:00Z",
		"2030-1-1T0:0:0Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z"};
	struct tm tm = {.tm_year = 70 + (int)choose(choices, 200),
		.tm_mon = (int)choose(choices, 12),
		.tm_mday = 1 + (int)choose(choices, 28),
		.tm_hour = (int)choose(choices, 24),
		.tm_min = (int)choose(choices, 60),
		.tm_sec = 1 + (int)choose(choices, 59)};
	char text[64];

	ret->right = choose(choices, 4) > 0;
	ret->seconds = (uint64_t)timegm(&tm);
	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	set_word(ret, 0, ret->right ? text : wrong[choose(choices, ELEMENTSOF(wrong))]);
}

void make_bus(struct input *choices, struct made_bus *ret)
{
	static const struct {
		char method;
		void (*make)(struct input *choices, struct made_bus *ret);
	} kinds[] = {{'c', make_connect}, {'d', make_disconnect}, {'e', make_explain},
		{'o', make_options}, {'t', make_span}, {'u', make_time}};
	size_t kind = choose(choices, ELEMENTSOF(kinds));

	*ret = (struct made_bus){.method = kinds[kind].method};
	kinds[kind].make(choices, ret);
}

void made_bus_clear(struct made_bus *made)
{
	for (size_t i = 0; i < ELEMENTSOF(made->words); i++)
		free(made->words[i]);
}

/* Options and times have forms of their own there. */
void structure_make(struct input *choices, struct text *ret)
{
	struct made_bus made;

	make_bus(choices, &made);
	text_bytes(ret, made.method == 'u' ? "t" : &made.method, 1);
	for (size_t i = 0; i < ELEMENTSOF(made.words) && made.words[i]; i++)
		text_add(ret, "%s\n", made.words[i]);
	for (size_t i = 0; i < made.option_count; i++)
		text_add(ret, "%c%s\n%.*s", made.options[i].type, made.options[i].key,
			made.options[i].type == 'b'   ? 1
			: made.options[i].type == 't' ? 4
						      : 0,
			"1234");
	made_bus_clear(&made);
}
