/* SPDX-License-Identifier: MIT */
/* A document of mqctl apply: all of it or nothing, and a second time it changes nothing. What was
 * made is in force, or what is wrong in it is said at its line. */
#include "structure-connections.h"

static const struct rule pairs[] = {
	{"version", .wrong = {REFUSE(made_missing, "version is missing"), REFUSE("2", "is not 1"),
			    REFUSE("'1'", "is not 1"), REFUSE("1.0", "is not 1"),
			    REFUSE("[1]", "is not 1"), REFUSE("~", "is not 1"), TWICE}},
	{"connections", .wrong = {REFUSE(made_missing, "connections is missing"),
				REFUSE("7", "must be a list"), REFUSE("{}", "must be a list"),
				REFUSE("~", "must be a list")}},
	{.wrong = {REFUSE("conections: []", "unknown key"), REFUSE("'': 1", "unknown key"),
		 REFUSE("Version: 1", "unknown key")}},
};

static const struct rule wrong = {
	.wrong = {
		REFUSE("7", "must be a map"),
		REFUSE("[]", "must be a map"),
		REFUSE("~", "must be a map"),
		REFUSE("{slot: sensor:events}", "plug is missing"),
		REFUSE("{plug: logger:events}", "slot is missing"),
		REFUSE("{plug: 7, slot: sensor:events}", "must be a string"),
		REFUSE("{plug: logger:events, slot: []}", "must be a string"),
		REFUSE("{plug: logger:none, slot: sensor:events}", "none"),
		REFUSE("{plug: logger:events, slot: gone:slot}", "gone"),
		REFUSE("{plug: events, slot: sensor:events}", "events"),
		REFUSE("{plug: sensor:events, slot: logger:events}", "sensor"),
		REFUSE("{plug: logger:lost, slot: sensor:replies}", "must be the same"),
		REFUSE("{plug: logger:lost, slot: sensor:replies, any-id: no}", "must be the same"),
		REFUSE("{plug: logger:lost, slot: sensor:replies, any-id: 1}",
			"must be true or false"),
		REFUSE("{plug: logger:lost, slot: sensor:replies, any-id: 'yes'}",
			"must be true or false"),
		REFUSE("{plug: logger:own, slot: sensor:many, any-id: yes}", "path"),
		REFUSE("{plug: logger:own, slot: sensor:events, any-id: on}", "path"),
		REFUSE("{plug: logger:lost, plug: logger:lost, slot: sensor:two, any-id: y}",
			"is already on line"),
		REFUSE("{plug: logger:lost, slot: sensor:two, any_id: y}", "unknown key"),
	}};

const struct connections_grammar connections_grammar = {
	{"plug: logger:events, slot: sensor:events", "plug: \"logger:fast\", slot: sensor:events",
		"plug: logger:fast, slot: sensor:replies, any-id: true",
		"plug: logger:events, slot: 'sensor:two', any-id: on",
		"plug: logger:lost, slot: sensor:many, any-id: yes",
		"plug: logger:own, slot: sensor:two, any-id: True"},
	"are already on line", true, pairs, &wrong};

static void check_applied(struct connections *connections, const uint8_t *data, size_t size)
{
	const struct policy changed = {fuzz_policy()->packages, connections};
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *again = NULL;

	check_connections(connections);
	REQUIRE(policy_apply(&changed, "input.yaml", (const char *)data, size, &diagnostics,
			&again) == 0);
	REQUIRE(again == connections);
	for (size_t i = 0; i < connections->count; i++)
		REQUIRE(connections->items[i].state != CONNECTION_AUTO &&
			connections->items[i].until == 0);
}

static size_t count_manual(const struct connections *connections)
{
	size_t count = 0;

	for (size_t i = 0; i < connections->count; i++)
		count += connections->items[i].state == CONNECTION_MANUAL;
	return count;
}

void check_text(const void *data, size_t size, const struct made_connections *made)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	int r = policy_apply(fuzz_policy(), "input.yaml", data, size, &diagnostics, &connections);

	check_diagnostics(r, &diagnostics);
	if (r == 0)
		check_applied(connections, data, size);
	else
		REQUIRE(!connections);
	if (made)
		check_expected(&made->expected, r, &diagnostics);
	if (made && r == 0)
		REQUIRE(count_manual(connections) == made->count);
}
