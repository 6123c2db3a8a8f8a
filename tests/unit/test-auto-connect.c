/* SPDX-License-Identifier: MIT */
/* Connections that come and go without mqctl connect: automatic ones over the life of packages,
 * timed ones, and a list that is applied. */
#include "fixture.h"

#include "include/limits.h"

static struct policy policy;

/* A plug and two slots of one publisher, and strangers. */
static const char world[] =
	"name: panel\npublisher: us\nplugs: {watch: posix-mq, steer: posix-mq}\n---\n"
	"name: turbine\npublisher: us\nslots:\n"
	"  watch: {interface: posix-mq, path: /watch, permissions: [read]}\n"
	"  control: {interface: posix-mq, posix-mq: steer, path: /steer}\n---\n"
	"name: stranger\npublisher: them\nplugs: {watch: posix-mq}\n"
	"slots: {steer: {interface: posix-mq, path: /stranger}}\n";

static void setup(void)
{
	fixture_policy(&policy, world);
}

static void teardown(void)
{
	fixture_policy_clear(&policy);
}

TestSuite(auto_connect, .init = setup, .fini = teardown, .timeout = 120);

static void adopt(struct connections *changed)
{
	connections_unref(policy.connections);
	policy.connections = changed;
}

/* As at a reload. */
static size_t settle(void)
{
	struct connections *changed = NULL;
	size_t left_out = 99;

	cr_assert(policy_auto_connect(&policy, &changed, &left_out) == 0);
	adopt(changed);
	return left_out;
}

/* Other documents, the same connections, and a reload. */
static void reload(const char *documents)
{
	struct connections *kept = connections_ref(policy.connections);

	fixture_policy_clear(&policy);
	fixture_policy(&policy, documents);
	adopt(kept);
	cr_expect(settle() == 0);
}

static void expect_connections(const char *expected)
{
	char *text = fixture_connections(policy.connections);

	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
}

static void disconnect(const char *first, const char *second, bool forget, size_t expected)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	size_t count = 99;

	cr_assert(policy_disconnect(&policy, first, second, forget, &changed, &count, &fault) == 0,
		"%s", fault.message);
	cr_expect(count == expected, "%zu", count);
	adopt(changed);
}

static void must_connect(const char *plug, const char *slot, uint64_t until)
{
	struct connections *changed = NULL;
	struct fault fault = {0};

	cr_assert(policy_connect(&policy, plug, slot, until, false, &changed, &fault) == 0, "%s",
		fault.message);
	adopt(changed);
}

#define BOTH                                 \
	"panel:steer turbine:control auto\n" \
	"panel:watch turbine:watch auto\n"

/* --- who is connected ----------------------------------------------------------------------- */

Test(auto_connect, same_publisher_and_same_id)
{
	struct connections *first;

	settle();
	expect_connections(BOTH);
	first = policy.connections;
	settle();
	cr_expect(policy.connections == first, "nothing is new");
}

Test(auto_connect, a_package_may_be_connected_to_itself)
{
	reload("name: ab\npublisher: us\nplugs: {a: posix-mq}\n"
	       "slots: {b: {interface: posix-mq, posix-mq: a, path: /a}}\n");
	expect_connections("ab:a ab:b auto\n");
}

Test(auto_connect, several_plugs_of_one_id)
{
	reload("name: ab\npublisher: us\nplugs: {a: posix-mq, b: {interface: posix-mq, posix-mq: "
	       "a}}\n---\nname: cd\npublisher: us\nslots: {a: {interface: posix-mq, path: /a}}\n");
	expect_connections("ab:a cd:a auto\nab:b cd:a auto\n");
}

#define SECOND                                                                                    \
	"---\nname: rival\npublisher: us\nslots: {other: {interface: posix-mq, posix-mq: watch, " \
	"path: /rival}}\n"

Test(auto_connect, never_with_two_candidates)
{
	char *documents = fixture_format("%s" SECOND, world);

	reload(documents);
	expect_connections("panel:steer turbine:control auto\n");
	free(documents);
}

/* Nor if one of them is undesired: it is a candidate all the same. */
Test(auto_connect, an_undesired_candidate_counts)
{
	char *documents = fixture_format("%s" SECOND, world);

	fixture_connect(&policy, "panel:watch", "turbine:watch", CONNECTION_UNDESIRED);
	reload(documents);
	expect_connections("panel:steer turbine:control auto\n"
			   "panel:watch turbine:watch undesired\n");
	free(documents);
}

Test(auto_connect, a_second_candidate_does_not_undo_what_is)
{
	char *documents = fixture_format("%s" SECOND, world);

	settle();
	reload(documents);
	expect_connections(BOTH);
	free(documents);
}

Test(auto_connect, slots_of_parallel_installations_never)
{
	reload("name: panel\npublisher: us\nplugs: {watch: posix-mq}\n---\n"
	       "name: turbine_two\npublisher: us\n"
	       "slots: {watch: {interface: posix-mq, path: /watch}}\n");
	expect_connections("");
	/* It is no candidate either. */
	reload("name: panel_two\npublisher: us\nplugs: {watch: posix-mq}\n---\n"
	       "name: turbine\npublisher: us\n"
	       "slots: {watch: {interface: posix-mq, path: /watch}}\n---\n"
	       "name: turbine_two\npublisher: us\n"
	       "slots: {watch: {interface: posix-mq, path: /watch}}\n");
	expect_connections("panel_two:watch turbine:watch auto\n");
}

/* --- what becomes of it --------------------------------------------------------------------- */

/* most_likely_9 */
Test(auto_connect, undesired_once_it_is_cut_by_hand)
{
	settle();
	disconnect("panel:watch", "turbine:watch", false, 1);
	settle();
	expect_connections("panel:steer turbine:control auto\n"
			   "panel:watch turbine:watch undesired\n");
	must_connect("panel:watch", "turbine:watch", 0);
	expect_connections("panel:steer turbine:control auto\n"
			   "panel:watch turbine:watch manual\n");
	disconnect("panel:watch", "turbine:watch", false, 1);
	expect_connections("panel:steer turbine:control auto\n");
}

Test(auto_connect, forgotten_it_comes_back)
{
	settle();
	disconnect("panel:watch", "turbine:watch", true, 1);
	expect_connections("panel:steer turbine:control auto\n");
	settle();
	expect_connections(BOTH);
	disconnect("panel:watch", "turbine:watch", false, 1);
	disconnect("panel:watch", "turbine:watch", true, 1);
	settle();
	expect_connections(BOTH);
}

Test(auto_connect, forgetting_by_one_name)
{
	settle();
	disconnect("turbine:watch", "", false, 1);
	disconnect("turbine:watch", "", false, 0);
	disconnect("turbine:watch", "", true, 1);
	disconnect("turbine:watch", "", true, 0);
	expect_connections("panel:steer turbine:control auto\n");
	fixture_connect(&policy, "gone:plug", "lost:slot", CONNECTION_MANUAL);
	disconnect("lost:slot", "", true, 1);
	expect_connections("panel:steer turbine:control auto\n");
}

Test(auto_connect, nothing_to_forget)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	size_t count;

	cr_expect(policy_disconnect(&policy, "panel:watch", "turbine:watch", true, &changed, &count,
			  &fault) == -ENOTCONN);
	cr_expect_str_eq(fault.message,
		"cannot forget connection panel:watch from turbine:watch, it was not connected");
	cr_expect(fault.kind == FAULT_NOT_CONNECTED);
	fault_clear(&fault);
}

/* --- packages that vanish, change and come back --------------------------------------------- */

static const char only_panel[] =
	"name: panel\npublisher: us\nplugs: {watch: posix-mq, steer: posix-mq}\n";

Test(auto_connect, vanished_drops_automatic_and_keeps_manual_and_undesired)
{
	settle();
	disconnect("panel:steer", "turbine:control", false, 1);
	must_connect("stranger:watch", "turbine:watch", 0);
	must_connect("panel:steer", "stranger:steer", 0);
	expect_connections("panel:steer stranger:steer manual\n"
			   "panel:steer turbine:control undesired\n"
			   "panel:watch turbine:watch auto\n"
			   "stranger:watch turbine:watch manual\n");
	reload(only_panel);
	expect_connections("panel:steer stranger:steer manual\n"
			   "panel:steer turbine:control undesired\n"
			   "stranger:watch turbine:watch manual\n");
	reload(world);
	expect_connections("panel:steer stranger:steer manual\n"
			   "panel:steer turbine:control undesired\n"
			   "panel:watch turbine:watch auto\n"
			   "stranger:watch turbine:watch manual\n");
}

/* A plug or slot alone, of a package that stays. */
Test(auto_connect, a_vanished_slot_or_plug_is_the_same)
{
	settle();
	reload("name: panel\npublisher: us\nplugs: {watch: posix-mq}\n---\n"
	       "name: turbine\npublisher: us\nslots:\n"
	       "  control: {interface: posix-mq, posix-mq: steer, path: /steer}\n");
	expect_connections("");
}

Test(auto_connect, without_entitlement_it_is_dropped)
{
	settle();
	reload("name: panel\npublisher: us\nplugs: {watch: posix-mq, steer: posix-mq}\n---\n"
	       "name: turbine\npublisher: them\nslots:\n"
	       "  watch: {interface: posix-mq, path: /watch}\n"
	       "  control: {interface: posix-mq, posix-mq: steer, path: /steer}\n");
	expect_connections("");
	reload(world);
	expect_connections(BOTH);
	reload("name: panel\npublisher: us\nplugs: {watch: {interface: posix-mq, posix-mq: x}, "
	       "steer: posix-mq}\n---\n"
	       "name: turbine\npublisher: us\nslots:\n"
	       "  watch: {interface: posix-mq, path: /watch}\n"
	       "  control: {interface: posix-mq, posix-mq: other, path: /steer}\n");
	expect_connections("");
}

/* Permissions are those of the document as it is now. */
Test(auto_connect, permissions_follow_the_document)
{
	static const char *const lists[] = {"[]", "[read]", "[read, write, delete]", "[write]"};
	static const uint32_t expected[] = {0, PERMISSION_READ,
		PERMISSION_READ | PERMISSION_WRITE | PERMISSION_DELETE, PERMISSION_WRITE};

	for (size_t i = 0; i < ELEMENTSOF(lists); i++) {
		char *documents =
			fixture_format("%s---\nname: turbine\npublisher: us\nslots: {watch: "
				       "{interface: posix-mq, path: /w, permissions: %s}}\n",
				only_panel, lists[i]);
		struct grants *grants = NULL;

		reload(documents);
		cr_assert(grants_new(1, &grants) == 0);
		cr_assert(policy_add_plug_grants(&policy, "panel:watch", NULL, grants) == 0);
		grants_seal(grants);
		cr_expect(grants_find(grants, &SUBJECT_NOBODY, "w").permissions ==
			  (expected[i] | PERMISSION_OPEN));
		grants_free(grants);
		free(documents);
	}
}

Test(auto_connect, names_and_patterns_add_up)
{
	struct grants *grants = NULL;

	reload("name: ab\nplugs: {p: posix-mq}\nslots:\n"
	       "  s: {interface: posix-mq, posix-mq: p, path: /x-1, path-pattern: /x-*, "
	       "permissions: [read]}\n"
	       "  t: {interface: posix-mq, posix-mq: p, path-pattern: [/x-?, /y*], "
	       "permissions: [write]}\n");
	must_connect("ab:p", "ab:s", 0);
	must_connect("ab:p", "ab:t", 0);
	cr_assert(grants_new(1, &grants) == 0);
	cr_assert(policy_add_plug_grants(&policy, "ab:p", NULL, grants) == 0);
	grants_seal(grants);
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "x-1").permissions ==
		  (PERMISSION_OPEN | PERMISSION_READ | PERMISSION_WRITE));
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "x-22").permissions ==
		  (PERMISSION_OPEN | PERMISSION_READ));
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "y").permissions ==
		  (PERMISSION_OPEN | PERMISSION_WRITE));
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "x").permissions == 0);
	grants_free(grants);
}

/* --- bounds --------------------------------------------------------------------------------- */

/* So many manual connections, as if read from the state. */
static struct connections *many(size_t count)
{
	char *directory = fixture_directory();
	char *path = fixture_format("%s/connections.yaml", directory);
	struct diagnostics diagnostics = {0};
	struct connections *connections = NULL;
	FILE *f = fopen(path, "we");

	fprintf(f, "version: 1\nconnections:\n");
	for (size_t i = 0; i < count; i++)
		fprintf(f, "- {plug: app%zu:events, slot: sensor:events, state: manual}\n", i);
	fclose(f);
	cr_assert(connections_load(directory, &diagnostics, &connections) == 0);
	free(path);
	fixture_remove(directory);
	return connections;
}

Test(auto_connect, no_more_than_there_may_be)
{
	adopt(many(CONNECTIONS_MAX - 1));
	cr_expect(settle() == 1, "one is left out");
	cr_expect(policy.connections->count == CONNECTIONS_MAX);
	cr_expect(settle() == 1);
}

/* --- timed ones ----------------------------------------------------------------------------- */

static struct connections *expire(uint64_t now)
{
	struct connections *changed = NULL;

	cr_assert(connections_expire(policy.connections, now, &changed) == 0);
	return changed;
}

Test(auto_connect, a_timed_connection_runs_out)
{
	struct connections *changed;

	cr_expect(connections_next_end(policy.connections) == 0);
	must_connect("panel:watch", "turbine:watch", 2000);
	must_connect("panel:steer", "turbine:control", 1000);
	must_connect("stranger:watch", "turbine:watch", 0);
	cr_expect(connections_next_end(policy.connections) == 1000);
	changed = expire(999);
	cr_expect(changed == policy.connections);
	connections_unref(changed);
	adopt(expire(1000));
	expect_connections("panel:watch turbine:watch manual\n"
			   "stranger:watch turbine:watch manual\n");
	cr_expect(connections_next_end(policy.connections) == 2000);
	adopt(expire(UINT64_MAX));
	expect_connections("stranger:watch turbine:watch manual\n");
}

Test(auto_connect, connecting_again_sets_or_takes_the_end)
{
	struct connections *timed;

	must_connect("panel:watch", "turbine:watch", 1000);
	timed = policy.connections;
	must_connect("panel:watch", "turbine:watch", 1000);
	cr_expect(policy.connections == timed);
	must_connect("panel:watch", "turbine:watch", 500);
	cr_expect(policy.connections->items[0].until == 500);
	must_connect("panel:watch", "turbine:watch", 0);
	cr_expect(policy.connections->items[0].until == 0 && policy.connections->count == 1);
	cr_expect(connections_next_end(policy.connections) == 0);
	/* An automatic one is by hand from then on. */
	fixture_connect(&policy, "panel:steer", "turbine:control", CONNECTION_AUTO);
	must_connect("panel:steer", "turbine:control", 700);
	adopt(expire(700));
	expect_connections("panel:watch turbine:watch manual\n");
}

Test(auto_connect, spans)
{
	static const struct {
		const char *text;
		int r;
		uint64_t seconds;
	} cases[] = {
		{"90s", 0, 90},
		{"10m", 0, 600},
		{"2h", 0, 7200},
		{"1d", 0, 86400},
		{"1w", 0, 604800},
		{"1h30m", 0, 5400},
		{"1h 30 min 1 second", 0, 5401},
		{" 5 minutes ", 0, 300},
		{"1s", 0, 1},
		{"3660d", 0, CONNECTION_SPAN_MAX},
		{"3660d 1s", -ERANGE, 0},
		{"99999999999999999999999w", -ERANGE, 0},
		{"0s", -ERANGE, 0},
		{"10", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"m", -EINVAL, 0},
		{"10x", -EINVAL, 0},
		{"-5m", -EINVAL, 0},
		{"1.5h", -EINVAL, 0},
		{"5m,", -EINVAL, 0},
		{"5M", -EINVAL, 0},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		uint64_t seconds = 0;
		int r = span_parse(cases[i].text, &seconds);

		cr_expect(r == cases[i].r && seconds == cases[i].seconds, "%s: %d %lu",
			cases[i].text, r, seconds);
	}
}

Test(auto_connect, times_are_utc_and_only_that)
{
	char buffer[UTC_STRING_MAX];
	uint64_t seconds = 0;

	(void)setenv("TZ", "Asia/Tokyo", 1);
	cr_expect_str_eq(utc_format(951827696, buffer), "2000-02-29T12:34:56Z");
	cr_expect(utc_parse("2000-02-29T12:34:56Z", &seconds) == 0 && seconds == 951827696);
	cr_expect(utc_parse("2001-02-29T12:34:56Z", &seconds) == -EINVAL);
	cr_expect(utc_parse("2000-02-29T12:34:56", &seconds) == -EINVAL);
	cr_expect(utc_parse("2000-02-29T12:34:56Z ", &seconds) == -EINVAL);
	cr_expect(utc_parse("1969-12-31T23:59:59Z", &seconds) == -EINVAL);
	cr_expect(utc_parse("tomorrow", &seconds) == -EINVAL);
}

/* --- what differs --------------------------------------------------------------------------- */

static void print_difference(
	const struct connection *connection, enum connection_difference difference, void *userdata)
{
	fprintf(userdata, "%c %s %s\n", "+-="[difference], connection -> plug, connection -> slot);
}

static void expect_differences(const struct connections *old, const char *expected)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	connections_compare(old, policy.connections, print_difference, f);
	fclose(f);
	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
}

/* --- apply ---------------------------------------------------------------------------------- */

static void apply(const char *list, const char *differences)
{
	struct connections *old = connections_ref(policy.connections), *changed = NULL;
	struct diagnostics diagnostics = {0};
	char *text = fixture_format("version: 1\nconnections:\n%s", list);
	int r = policy_apply(&policy, "l.yaml", text, strlen(text), &diagnostics, &changed);
	char *all = fixture_diagnostics(&diagnostics);

	cr_assert(r == 0, "%s", all);
	adopt(changed);
	expect_differences(old, differences);
	if (!*differences)
		cr_expect(changed == old, "nothing is new");
	connections_unref(old);
	free(all);
	free(text);
}

Test(auto_connect, apply_connects_and_disconnects)
{
	settle();
	must_connect("stranger:watch", "turbine:watch", 0);
	fixture_connect(&policy, "panel:watch", "stranger:steer", CONNECTION_MANUAL);
	must_connect("panel:watch", "stranger:steer", 1000);
	fixture_connect(&policy, "gone:plug", "turbine:watch", CONNECTION_MANUAL);
	apply("- {plug: \"panel:steer\", slot: \"turbine:control\"}\n"
	      "- slot: stranger:steer\n  plug: panel:watch\n  any-id: yes\n"
	      "- {plug: stranger:watch, slot: turbine:control, any-id: true}\n",
		"- gone:plug turbine:watch\n"
		"= panel:steer turbine:control\n"
		"= panel:watch stranger:steer\n"
		"- panel:watch turbine:watch\n"
		"+ stranger:watch turbine:control\n"
		"- stranger:watch turbine:watch\n");
	expect_connections("panel:steer turbine:control manual\n"
			   "panel:watch stranger:steer manual\n"
			   "panel:watch turbine:watch undesired\n"
			   "stranger:watch turbine:control manual\n");
	cr_expect(connections_next_end(policy.connections) == 0);
	apply("- {plug: panel:watch, slot: stranger:steer, any-id: true}\n"
	      "- {plug: panel:steer, slot: turbine:control, any-id: true}\n"
	      "- {plug: stranger:watch, slot: turbine:control, any-id: true}\n",
		"");
	settle();
	expect_connections("panel:steer turbine:control manual\n"
			   "panel:watch stranger:steer manual\n"
			   "panel:watch turbine:watch undesired\n"
			   "stranger:watch turbine:control manual\n");
	apply("  []\n", "- panel:steer turbine:control\n"
			"- panel:watch stranger:steer\n"
			"- stranger:watch turbine:control\n");
	apply("- {plug: panel:watch, slot: turbine:watch}\n", "+ panel:watch turbine:watch\n");
	expect_connections("panel:watch turbine:watch manual\n");
}

Test(auto_connect, apply_is_all_or_nothing)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"", "l.yaml:1:1: error: not a map; write \"version: 1\" and \"connections:\" with "
		     "a list below it\n"},
		{"connections: []",
			"l.yaml:1:1: error: version is missing; write \"version: 1\"\n"},
		{"version: 2\nconnections: []",
			"l.yaml:1:10: error: version is not 1; write \"version: 1\"\n"},
		{"version: 1", "l.yaml:1:1: error: connections is missing; for none at all write "
			       "\"connections: []\"\n"},
		{"version: 1\nconnections:",
			"l.yaml:2:13: error: connections must be a list; for none at all write "
			"\"connections: []\"\n"},
		{"version: 1\nconnections: []\nmore: 1",
			"l.yaml:3:1: error: unknown key \"more\"; use only version and connections\n"},
		{"version: 1\nconnections:\n- panel:watch\n- {plug: panel:watch}\n"
		 "- {plug: 5, slot: turbine:watch, state: manual}\n"
		 "- {plug: panel:wtach, slot: turbin:watch}\n"
		 "- {plug: panel, slot: turbine:watch}\n",
			"l.yaml:3:3: error: a connection must be a map, not a string; write {plug: "
			"\"package:plug\", slot: \"package:slot\"}\n"
			"l.yaml:4:3: error: slot is missing; write \"slot: package:name\"\n"
			"l.yaml:5:34: error: unknown key \"state\"; use only plug, slot and "
			"any-id\n"
			"l.yaml:5:10: error: plug must be a string, not a number; write "
			"package:name\n"
			"l.yaml:6:10: error: package \"panel\" has no plug named \"wtach\"; did you "
			"mean \"watch\"?\n"
			"l.yaml:6:29: error: package \"turbin\" is not known; did you mean "
			"\"turbine\"?\n"
			"l.yaml:7:10: error: invalid value: \"panel\" (want package:name); the plugs of "
			"package \"panel\" are: steer, watch\n"},
		{"version: 1\nconnections:\n- {plug: panel:watch, slot: turbine:watch}\n"
		 "- {plug: panel:steer, slot: turbine:watch, any-id: true}\n"
		 "- {plug: panel:watch, slot: turbine:watch}\n",
			"l.yaml:5:3: error: panel:watch and turbine:watch are already on line 3; "
			"keep one of the two\n"},
		{"version: 1\nconnections:\n- {plug: panel:watch, slot: turbine:control}\n"
		 "- {plug: panel:watch, slot: turbine:control, any-id: false}\n"
		 "- {plug: panel:watch, slot: stranger:steer, any-id: steer}\n"
		 "- {plug: panel:watch, slot: turbine:watch, any-id: 1}\n",
			"l.yaml:3:3: error: the id of panel:watch is \"watch\", that of "
			"turbine:control \"steer\", and they must be the same (posix-mq: steer in the "
			"plug); to connect them nevertheless, add \"any-id: true\"\n"
			"l.yaml:4:3: error: the id of panel:watch is \"watch\", that of "
			"turbine:control \"steer\", and they must be the same (posix-mq: steer in the "
			"plug); to connect them nevertheless, add \"any-id: true\"\n"
			"l.yaml:5:53: error: any-id must be true or false, not a string; write one "
			"of them\n"
			"l.yaml:6:52: error: any-id must be true or false, not a number; write one "
			"of them\n"
			"l.yaml:4:3: error: panel:watch and turbine:control are already on line 3; "
			"keep one of the two\n"},
		{"version: 1\nconnections: [\n",
			"l.yaml:3:1: error: did not find expected node content, while parsing a "
			"flow node that began on line 3; fix the YAML there\n"},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct diagnostics diagnostics = {0};
		struct connections *changed = NULL;
		int r = policy_apply(&policy, "l.yaml", cases[i].text, strlen(cases[i].text),
			&diagnostics, &changed);
		char *all = fixture_diagnostics(&diagnostics);

		cr_expect(r == -EBADMSG && changed == NULL);
		cr_expect_str_eq(all, cases[i].expected, "%s", all);
		free(all);
		diagnostics_clear(&diagnostics);
	}
}

static void expect_apply_refused(const char *text, size_t size, const char *expected)
{
	struct diagnostics diagnostics = {0};
	struct connections *changed = NULL;
	char *all;

	cr_expect(policy_apply(&policy, "l.yaml", text, size, &diagnostics, &changed) == -EBADMSG);
	all = fixture_diagnostics(&diagnostics);
	cr_expect(strstr(all, expected) != NULL, "%s", all);
	free(all);
	diagnostics_clear(&diagnostics);
}

/* What is connected stays and needs no leave afterwards. A list is right or wrong by itself. */
Test(auto_connect, ids_that_differ_from_now_on)
{
	static const char list[] =
		"version: 1\nconnections:\n- {plug: panel:watch, slot: turbine:watch}\n";

	must_connect("panel:watch", "turbine:watch", 0);
	reload("name: panel\npublisher: us\nplugs: {watch: posix-mq, steer: posix-mq}\n---\n"
	       "name: turbine\npublisher: us\nslots:\n"
	       "  watch: {interface: posix-mq, posix-mq: other, path: /watch}\n");
	expect_connections("panel:watch turbine:watch manual\n");
	must_connect("panel:watch", "turbine:watch", 0);
	expect_apply_refused(list, strlen(list), "l.yaml:3:3: error: the id of panel:watch is");
	apply("- {plug: panel:watch, slot: turbine:watch, any-id: true}\n", "");
}

Test(auto_connect, apply_bounds)
{
	char *text = malloc(APPLY_FILE_MAX + 2), *at = text;
	struct connections *changed = NULL;
	struct diagnostics diagnostics = {0};

	memset(text, ' ', APPLY_FILE_MAX + 1);
	memcpy(text, "version: 1\nconnections: []\n#", 28);
	cr_expect(
		policy_apply(&policy, "l.yaml", text, APPLY_FILE_MAX, &diagnostics, &changed) == 0);
	connections_unref(changed);
	expect_apply_refused(text, APPLY_FILE_MAX + 1, "larger than 33554432 bytes");
	at = stpcpy(at, "version: 1\nconnections:\n");
	for (size_t i = 0; i < CONNECTIONS_MAX + 1; i++)
		at = stpcpy(at, "- {}\n");
	expect_apply_refused(
		text, (size_t)(at - text), "200001 connections; there may be at most 200000");
	free(text);
}

/* Undesired ones count as well. */
Test(auto_connect, apply_on_a_full_set)
{
	static const char one[] =
		"version: 1\nconnections:\n- {plug: panel:watch, slot: turbine:watch}\n";
	struct connections *full = many(CONNECTIONS_MAX);

	for (size_t i = 0; i < full->count; i++)
		full->items[i].state = CONNECTION_UNDESIRED;
	adopt(full);
	expect_apply_refused(one, strlen(one),
		"200001 connections, including undesired ones; there may be at "
		"most 200000");
}
