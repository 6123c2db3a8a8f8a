/* SPDX-License-Identifier: MIT */
/* The state file: what is accepted can be written, and reads again the same. What was made is
 * accepted, or what is wrong in it is said at its line. */
#include "structure-connections.h"

static const struct rule pairs[] = {
	{"version",
		.wrong = {REFUSE(made_missing, "version is missing"), REFUSE("2", "is not the 1"),
			REFUSE("'1'", "is not the 1"), REFUSE("0x1", "is not the 1"),
			REFUSE("{a: b}", "is not the 1"), REFUSE("~", "is not the 1"), TWICE}},
	{"connections", .wrong = {REFUSE(made_missing, "connections is missing"),
				REFUSE("7", "must be a list"), REFUSE("{}", "must be a list"),
				REFUSE("~", "must be a list")}},
	{.wrong = {REFUSE("conections: []", "unknown key"), REFUSE("~: 1", "unknown key")}},
};

static const struct rule wrong = {
	.wrong = {
		REFUSE("7", "must be a map"),
		REFUSE("[]", "must be a map"),
		REFUSE("{slot: aa:b, state: auto}", "plug is missing"),
		REFUSE("{plug: aa:b, state: auto}", "slot is missing"),
		REFUSE("{plug: aa:b, slot: cc:d}", "state is missing"),
		REFUSE("{plug: 7, slot: cc:d, state: auto}", "must be a string"),
		REFUSE("{plug: aa, slot: cc:d, state: auto}", "is not package:name"),
		REFUSE("{plug: aa:b, slot: 'c:d', state: auto}", "is not package:name"),
		REFUSE("{plug: aa:b, slot: cc:D, state: auto}", "is not package:name"),
		REFUSE("{plug: aa:b, slot: cc:d, state: Auto}", "unknown word"),
		REFUSE("{plug: aa:b, slot: cc:d, state: 1}", "must be a string"),
		REFUSE("{plug: aa:b, slot: cc:d, state: auto, until: 2030-01-31T23:59:59Z}",
			"has an end"),
		REFUSE("{plug: aa:b, slot: cc:d, state: manual, until: 2030-02-29T23:59:59Z}",
			"no time"),
		REFUSE("{plug: aa:b, slot: cc:d, state: manual, until: 1970-01-01T00:00:00Z}",
			"no time"),
		REFUSE("{plug: aa:b, slot: cc:d, state: manual, until: 7}", "no time"),
		REFUSE("{plug: aa:b, slot: cc:d, state: manual, until: 2030-01-31T23:59:60Z}",
			"no time"),
		REFUSE("{plug: aa:b, slot: cc:d, slot: cc:d, state: auto}", "is already on line"),
		REFUSE("{plug: aa:b, slot: cc:d, state: auto, extra: 1}", "unknown key"),
	}};

const struct connections_grammar connections_grammar = {
	{"plug: logger:events, slot: sensor:events, state: manual",
		"plug: logger:events, slot: sensor:other, state: auto",
		"plug: logger_k:x, slot: sensor:events, state: undesired",
		"plug: logger:events, slot: sensor:timed, state: manual, until: 2030-01-31T23:59:59Z",
		"plug: z9:x, slot: sensor:events, state: manual, until: '2028-02-29T00:00:00Z'",
		"plug: a1:x, slot: a1:y, state: \"manual\", until: 1970-01-01T00:00:01Z"},
	"are connected twice", false, pairs, &wrong};

static void check_written(const struct connections *connections)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *again = NULL;

	REQUIRE(connections_save(fuzz_directory(), connections) == 0);
	REQUIRE(connections_load(fuzz_directory(), &diagnostics, &again) == 0);
	REQUIRE(diagnostics.count == 0);
	REQUIRE(connections_same(connections, again));
}

void check_text(const void *data, size_t size, const struct made_connections *made)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	int r = connections_load_file(fuzz_file(data, size), &diagnostics, &connections);

	check_diagnostics(r, &diagnostics);
	if (r == 0) {
		check_connections(connections);
		check_written(connections);
	}
	if (made)
		check_expected(&made->expected, r, &diagnostics);
	if (made && r == 0)
		REQUIRE(connections->count == made->count);
}
