/* SPDX-License-Identifier: MIT */
/* Connecting, disconnecting, finding, explaining: states, texts and grants. */
#include "fixture.h"

#include "include/limits.h"

static const char world[] =
	"name: logger\n"
	"plugs:\n"
	"  events: posix-mq\n"
	"  spare: {interface: posix-mq, posix-mq: can-read}\n"
	"  shared: posix-mq\n"
	"---\n"
	"name: sensor\n"
	"slots:\n"
	"  events: {interface: posix-mq, path: /events, permissions: [read]}\n"
	"---\n"
	"name: multi\n"
	"plugs:\n"
	"  shared: posix-mq\n"
	"slots:\n"
	"  can-create: {interface: posix-mq, path: /test, permissions: [create]}\n"
	"  can-read: {interface: posix-mq, path: /test, permissions: [read]}\n"
	"  can-write: {interface: posix-mq, path: /test, permissions: [write]}\n"
	"  wild: {interface: posix-mq, path-pattern: /wild-*, permissions: []}\n";

static struct policy policy;

static void setup(void)
{
	fixture_policy(&policy, world);
}

static void teardown(void)
{
	fixture_policy_clear(&policy);
}

TestSuite(connect, .init = setup, .fini = teardown, .timeout = 60);

static void adopt(struct connections *changed)
{
	connections_unref(policy.connections);
	policy.connections = changed;
}

static void expect_connections(const char *expected)
{
	char *text = fixture_connections(policy.connections);

	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
}

static void must_connect(const char *plug, const char *slot)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	int r = policy_connect(&policy, plug, slot, 0, false, &changed, &fault);

	cr_assert(r == 0, "%s %s: %s", plug, slot, fault.message);
	adopt(changed);
}

static size_t must_disconnect(const char *first, const char *second)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	size_t count = 99;
	int r = policy_disconnect(&policy, first, second, false, &changed, &count, &fault);

	cr_assert(r == 0, "%s %s: %s", first, second, fault.message);
	adopt(changed);
	return count;
}

struct refusal {
	const char *first, *second;
	int error;
	enum fault_kind kind;
	const char *message;
};

static void expect_fault(const struct refusal *expected, int r, struct fault *fault)
{
	cr_expect(r == expected->error, "%s %s: %d", expected->first, expected->second, r);
	cr_expect(fault->kind == expected->kind, "%s %s", expected->first, expected->second);
	cr_assert(fault->message != NULL, "%s %s", expected->first, expected->second);
	cr_expect_str_eq(fault->message, expected->message, "%s", fault->message);
	fault_clear(fault);
	cr_expect(fault->kind == FAULT_NONE && fault->message == NULL);
}

/* --- connect ------------------------------------------------------------------------------- */

Test(connect, exact_and_package_only)
{
	must_connect("logger:spare", "multi:can-read");
	must_connect("logger:events", "sensor");
	expect_connections("logger:events sensor:events manual\n"
			   "logger:spare multi:can-read manual\n");
}

/* Returns what connecting did. */
static int try_connect(const char *slot, uint64_t until, bool any_id, struct fault *fault)
{
	struct connections *changed = NULL;
	int r = policy_connect(&policy, "multi:shared", slot, until, any_id, &changed, fault);

	cr_expect((r == 0) == (changed != NULL));
	if (r == 0)
		adopt(changed);
	return r;
}

/* And a package may use itself. */
Test(connect, ids_must_be_the_same_unless_any_will_do)
{
	static const struct refusal refusals[] = {
		{"sensor", "", -EINVAL, FAULT_INVALID,
			"cannot connect multi:shared (id \"shared\") to sensor:events (id "
			"\"events\"): the ids must be the same (posix-mq: events in the plug); to "
			"connect them nevertheless: mqctl connect --any-id multi:shared sensor:events"},
		{"multi:can-write", "", -EINVAL, FAULT_INVALID,
			"cannot connect multi:shared (id \"shared\") to multi:can-write (id "
			"\"can-write\"): the ids must be the same (posix-mq: can-write in the plug); "
			"to connect them nevertheless: mqctl connect --any-id --for SPAN multi:shared multi:can-write"},
	};
	struct fault fault = {0};

	for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
		expect_fault(
			&refusals[i], try_connect(refusals[i].first, i, false, &fault), &fault);
	expect_connections("");
	cr_expect(try_connect("sensor", 0, true, &fault) == 0);
	cr_expect(try_connect("multi:can-write", 1000, true, &fault) == 0);
	expect_connections("multi:shared multi:can-write manual\n"
			   "multi:shared sensor:events manual\n");
}

/* It stays, and may get or lose an end. One that is not wanted is not connected. */
Test(connect, what_is_connected_needs_no_option)
{
	struct fault fault = {0};

	fixture_connect(&policy, "multi:shared", "sensor:events", CONNECTION_MANUAL);
	cr_expect(try_connect("sensor:events", 0, false, &fault) == 0);
	cr_expect(try_connect("sensor:events", 1000, false, &fault) == 0);
	cr_expect(policy.connections->items[0].until == 1000);
	fixture_connect(&policy, "multi:shared", "sensor:events", CONNECTION_UNDESIRED);
	cr_expect(try_connect("sensor:events", 0, false, &fault) == -EINVAL);
	fault_clear(&fault);
	expect_connections("multi:shared sensor:events undesired\n");
}

Test(connect, again_is_the_same_set)
{
	struct connections *before, *again = NULL;
	struct fault fault = {0};

	must_connect("logger:events", "sensor:events");
	before = policy.connections;
	cr_assert(
		policy_connect(&policy, "logger:events", "sensor", 0, false, &again, &fault) == 0);
	cr_expect(again == before && before->references == 2);
	connections_unref(again);
}

Test(connect, auto_and_undesired_become_manual)
{
	fixture_connect(&policy, "logger:events", "sensor:events", CONNECTION_AUTO);
	fixture_connect(&policy, "logger:spare", "multi:can-read", CONNECTION_UNDESIRED);
	must_connect("logger:events", "sensor:events");
	must_connect("logger:spare", "multi:can-read");
	expect_connections("logger:events sensor:events manual\n"
			   "logger:spare multi:can-read manual\n");
}

Test(connect, refusals)
{
	static const struct refusal refusals[] = {
		{"logger", "sensor", -EINVAL, FAULT_INVALID,
			"invalid value: \"logger\" (want package:name); the plugs of package "
			"\"logger\" are: events, shared, spare"},
		{"logger:", "sensor", -EINVAL, FAULT_INVALID,
			"invalid value: \"logger:\" (want package:name)"},
		{":events", "sensor", -EINVAL, FAULT_INVALID,
			"invalid value: \":events\" (want package:name)"},
		{"a:b:c", "sensor", -EINVAL, FAULT_INVALID,
			"invalid value: \"a:b:c\" (want package:name)"},
		{"x\x1b\n:", "sensor", -EINVAL, FAULT_INVALID,
			"invalid value: \"x\\x1b\\x0a:\" (want package:name)"},
		{"loger:events", "sensor", -ENOENT, FAULT_NOT_FOUND,
			"package \"loger\" is not known; did you mean \"logger\"?"},
		{"logger:evnets", "sensor", -ENOENT, FAULT_NOT_FOUND,
			"package \"logger\" has no plug named \"evnets\"; did you mean \"events\"?"},
		{"multi:wild", "sensor", -ENOENT, FAULT_NOT_FOUND,
			"package \"multi\" has no plug named \"wild\"; it is a slot"},
		{"logger:zzzzzzzz", "sensor", -ENOENT, FAULT_NOT_FOUND,
			"package \"logger\" has no plug named \"zzzzzzzz\"; its plugs are: events, "
			"shared, spare"},
		{"logger:events", "sensr", -ENOENT, FAULT_NOT_FOUND,
			"package \"sensr\" is not known; did you mean \"sensor\"?"},
		{"logger:events", "sensor:evens", -ENOENT, FAULT_NOT_FOUND,
			"package \"sensor\" has no slot named \"evens\"; did you mean \"events\"?"},
		{"logger:events", "multi:shared", -ENOENT, FAULT_NOT_FOUND,
			"package \"multi\" has no slot named \"shared\"; it is a plug"},
		{"logger:events", "logger", -ENOENT, FAULT_NOT_FOUND,
			"package \"logger\" has no \"posix-mq\" interface slots; see mqctl slots"},
		{"logger:events", "multi", -ENOTUNIQ, FAULT_AMBIGUOUS,
			"package \"multi\" has multiple \"posix-mq\" interface slots: can-create, "
			"can-read, can-write, wild; name one: mqctl connect --any-id logger:events "
			"multi:can-create"},
		{"logger:spare", "multi", -ENOTUNIQ, FAULT_AMBIGUOUS,
			"package \"multi\" has multiple \"posix-mq\" interface slots: can-create, "
			"can-read, can-write, wild; name one: mqctl connect logger:spare "
			"multi:can-read"},
		{"sensor:events", "logger:events", -EINVAL, FAULT_INVALID,
			"sensor:events is a slot and logger:events a plug, and the plug comes "
			"first: mqctl connect logger:events sensor:events"},
		{"sensor:events", "logger:spare", -EINVAL, FAULT_INVALID,
			"sensor:events is a slot and logger:spare a plug, and the plug comes "
			"first: mqctl connect --any-id logger:spare sensor:events"},
		{"logger:events", "", -ENOENT, FAULT_NOT_FOUND,
			"the slot is missing; name one: mqctl connect logger:events sensor:events"},
		{"logger:shared", "", -ENOENT, FAULT_NOT_FOUND,
			"the slot is missing; name one, \"mqctl slots\" lists them"},
	};

	for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
		struct connections *changed = NULL;
		struct fault fault = {0};
		int r = policy_connect(
			&policy, refusals[i].first, refusals[i].second, 0, false, &changed, &fault);

		expect_fault(&refusals[i], r, &fault);
		cr_expect(changed == NULL);
	}
	expect_connections("");
}

Test(connect, unknown_package_says_where_packages_are)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	char *expected = fixture_format("package \"zzzzzzzzzz\" is not known; packages are read "
					"from %s, then mqctl reload",
		policy.packages->directories[0]);

	cr_expect(
		policy_connect(&policy, "zzzzzzzzzz:a", "", 0, false, &changed, &fault) == -ENOENT);
	cr_expect_str_eq(fault.message, expected, "%s", fault.message);
	fault_clear(&fault);
	free(expected);
}

Test(connect, package_name_bound)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	char *ref = fixture_format("%0*d:events", PACKAGE_NAME_MAX + 1, 7);

	cr_expect(policy_connect(&policy, ref, "sensor", 0, false, &changed, &fault) == -ENOENT);
	cr_expect(strstr(fault.message, "at most 51 characters") != NULL, "%s", fault.message);
	fault_clear(&fault);
	free(ref);
}

/* Half a character would be no text for the bus, which then drops the connection. */
Test(connect, long_names_are_cut_between_characters)
{
	static const char cut[] =
		"package \"aééééééééééééééé…\" is not known; names have at most 51 "
		"characters";
	char text[128] = "a";
	struct connections *changed = NULL;
	const struct package *package;
	const struct app *app;
	struct fault fault = {0};
	size_t length;

	for (size_t i = 0; i < 30; i++)
		(void)strcat(text, "é");
	length = strlen(text);
	(void)strcpy(text + length, ":events");
	cr_expect(policy_connect(&policy, text, "", 0, false, &changed, &fault) == -ENOENT);
	cr_expect_str_eq(fault.message, cut, "%s", fault.message);
	fault_clear(&fault);
	(void)strcpy(text + length, ".app");
	cr_expect(policy_find_app(&policy, text, &package, &app, &fault) == -ENOENT);
	cr_expect_str_eq(fault.message, cut, "%s", fault.message);
	fault_clear(&fault);
}

/* --- disconnect ---------------------------------------------------------------------------- */

Test(connect, disconnect_manual_leaves_nothing)
{
	must_connect("logger:events", "sensor:events");
	fixture_connect(&policy, "logger:events", "multi:can-read", CONNECTION_MANUAL);
	cr_expect(must_disconnect("logger:events", "sensor:events") == 1);
	expect_connections("logger:events multi:can-read manual\n");
}

Test(connect, disconnect_auto_leaves_undesired)
{
	fixture_connect(&policy, "logger:events", "sensor:events", CONNECTION_AUTO);
	cr_expect(must_disconnect("logger:events", "sensor:events") == 1);
	expect_connections("logger:events sensor:events undesired\n");
}

Test(connect, disconnect_all_of_a_plug_or_of_a_slot)
{
	must_connect("logger:events", "sensor:events");
	fixture_connect(&policy, "logger:spare", "sensor:events", CONNECTION_MANUAL);
	fixture_connect(&policy, "logger:events", "multi:can-read", CONNECTION_MANUAL);
	fixture_connect(&policy, "multi:shared", "sensor:events", CONNECTION_AUTO);
	fixture_connect(&policy, "logger:shared", "sensor:events", CONNECTION_UNDESIRED);
	cr_expect(must_disconnect("sensor:events", "") == 3);
	expect_connections("logger:events multi:can-read manual\n"
			   "logger:shared sensor:events undesired\n"
			   "multi:shared sensor:events undesired\n");
	cr_expect(must_disconnect("logger:events", "") == 1);
	cr_expect(must_disconnect("logger:events", "") == 0);
	cr_expect(must_disconnect("sensor:events", "") == 0);
	expect_connections("logger:shared sensor:events undesired\n"
			   "multi:shared sensor:events undesired\n");
}

Test(connect, what_no_longer_exists_can_be_cut)
{
	fixture_connect(&policy, "gone:plug", "sensor:events", CONNECTION_MANUAL);
	fixture_connect(&policy, "gone:plug", "lost:slot", CONNECTION_MANUAL);
	cr_expect(must_disconnect("gone:plug", "lost:slot") == 1);
	cr_expect(must_disconnect("gone:plug", "") == 1);
	expect_connections("");
}

Test(connect, disconnect_refusals)
{
	static const struct refusal refusals[] = {
		{"logger:events", "sensor:events", -ENOTCONN, FAULT_NOT_CONNECTED,
			"cannot disconnect logger:events from sensor:events, it is not connected; "
			"logger:events is connected to multi:wild"},
		{"logger:spare", "sensor:events", -ENOTCONN, FAULT_NOT_CONNECTED,
			"cannot disconnect logger:spare from sensor:events, it is not connected; "
			"logger:spare is connected to nothing"},
		{"sensor", "", -EINVAL, FAULT_INVALID,
			"invalid value: \"sensor\"; allowed forms are PACKAGE:PLUG PACKAGE:SLOT or "
			"PACKAGE:PLUG-OR-SLOT; see mqctl connections"},
		{"logger:events", "sensor", -EINVAL, FAULT_INVALID,
			"invalid value: \"sensor\" (want package:name); the slots of package "
			"\"sensor\" are: events"},
		{"snesor:events", "", -ENOENT, FAULT_NOT_FOUND,
			"package \"snesor\" is not known; did you mean \"sensor\"?"},
		{"sensor:nothing", "", -ENOENT, FAULT_NOT_FOUND,
			"package \"sensor\" has no plug or slot named \"nothing\"; see mqctl "
			"connections --all"},
		{"sensor:events", "logger:events", -EINVAL, FAULT_INVALID,
			"sensor:events is a slot and logger:events a plug, and the plug comes "
			"first: mqctl disconnect logger:events sensor:events"},
		{"sensor:events", "logger:spare", -EINVAL, FAULT_INVALID,
			"sensor:events is a slot and logger:spare a plug, and the plug comes "
			"first: mqctl disconnect logger:spare sensor:events"},
	};

	fixture_connect(&policy, "logger:events", "multi:wild", CONNECTION_MANUAL);
	fixture_connect(&policy, "logger:spare", "sensor:events", CONNECTION_UNDESIRED);
	for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
		struct connections *changed = NULL;
		struct fault fault = {0};
		size_t count;
		int r = policy_disconnect(&policy, refusals[i].first, refusals[i].second, false,
			&changed, &count, &fault);

		expect_fault(&refusals[i], r, &fault);
		cr_expect(changed == NULL);
	}
}

/* --- sets ---------------------------------------------------------------------------------- */

Test(connect, sets_are_sorted_shared_and_unchanged)
{
	struct connections *one = policy.connections, *two = NULL, *three = NULL, *four = NULL;

	cr_assert(connections_with(one, "b:b", "x:x", CONNECTION_MANUAL, &two) == 0);
	cr_assert(connections_with(two, "b:b", "a:a", CONNECTION_AUTO, &three) == 0);
	cr_assert(connections_without(three, "b:b", "x:x", &four) == 0);
	cr_expect(one->count == 0 && two->count == 1 && three->count == 2 && four->count == 1);
	cr_expect_str_eq(three->items[0].slot, "a:a");
	cr_expect(three->items[1].plug == two->items[0].plug, "texts are shared");
	cr_expect(connections_find(three, "b:b", "x:x") == &three->items[1]);
	cr_expect(connections_find(four, "b:b", "x:x") == NULL);
	cr_expect(connections_without(four, "b:b", "x:x", &one) == -ENOENT);
	connections_unref(two);
	connections_unref(three);
	cr_expect_str_eq(four->items[0].plug, "b:b");
	connections_unref(four);
}

Test(connect, states_have_names)
{
	for (enum connection_state i = CONNECTION_MANUAL; i <= CONNECTION_UNDESIRED; i++) {
		enum connection_state back = CONNECTION_UNDESIRED;

		cr_expect(connection_state_from_string(connection_state_to_string(i), &back) == 0);
		cr_expect(back == i);
	}
	cr_expect(connection_state_from_string("Manual", &(enum connection_state){0}) == -EINVAL);
}

/* --- finding ------------------------------------------------------------------------------- */

Test(connect, resolving_bare_names)
{
	const struct plug *plug = NULL;
	const struct slot *slot = NULL;
	struct fault fault = {0};

	cr_assert(policy_resolve_plug(&policy, "events", &plug, &fault) == 0);
	cr_expect_str_eq(plug->package->name, "logger");
	cr_assert(policy_resolve_plug(&policy, "multi:shared", &plug, &fault) == 0);
	cr_expect_str_eq(plug->package->name, "multi");
	cr_assert(policy_resolve_slot(&policy, "wild", &slot, &fault) == 0);
	cr_expect_str_eq(slot->package->name, "multi");
	cr_assert(policy_resolve_slot(&policy, "sensor:events", &slot, &fault) == 0);
	cr_expect_str_eq(slot->package->name, "sensor");
}

Test(connect, resolving_refusals)
{
	static const struct refusal plugs[] = {
		{"shared", "", -ENOTUNIQ, FAULT_AMBIGUOUS,
			"several packages have a plug named \"shared\": logger, multi; write "
			"PACKAGE:shared"},
		{"evnets", "", -ENOENT, FAULT_NOT_FOUND,
			"no package has a plug named \"evnets\"; did you mean \"events\"?"},
		{"wild", "", -ENOENT, FAULT_NOT_FOUND,
			"no package has a plug named \"wild\"; package \"multi\" has a slot of "
			"that name, use --slot"},
		{"zzzzzz", "", -ENOENT, FAULT_NOT_FOUND,
			"no package has a plug named \"zzzzzz\"; see mqctl plugs"},
		{"", "", -ENOENT, FAULT_NOT_FOUND,
			"no package has a plug named \"\"; see mqctl plugs"},
		{"logger:", "", -EINVAL, FAULT_INVALID,
			"invalid value: \"logger:\" (want package:name)"},
	};
	static const struct refusal slot = {"can-raed", "", -ENOENT, FAULT_NOT_FOUND,
		"no package has a slot named \"can-raed\"; did you mean \"can-read\"?"};
	const struct slot *found_slot;
	const struct plug *found;
	struct fault fault = {0};

	for (size_t i = 0; i < ELEMENTSOF(plugs); i++)
		expect_fault(&plugs[i],
			policy_resolve_plug(&policy, plugs[i].first, &found, &fault), &fault);
	expect_fault(&slot, policy_resolve_slot(&policy, slot.first, &found_slot, &fault), &fault);
}

Test(connect, apps_are_found_or_named)
{
	static const struct refusal refusals[] = {
		{"station", "", -EINVAL, FAULT_INVALID,
			"invalid value: \"station\" (want package.app)"},
		{".tool", "", -EINVAL, FAULT_INVALID,
			"invalid value: \".tool\" (want package.app)"},
		{"station.", "", -EINVAL, FAULT_INVALID,
			"invalid value: \"station.\" (want package.app)"},
		{"statoin.tool", "", -ENOENT, FAULT_NOT_FOUND,
			"package \"statoin\" is not known; did you mean \"station\"?"},
		{"station.tol", "", -ENOENT, FAULT_NOT_FOUND,
			"package \"station\" has no app named \"tol\"; did you mean \"tool\"?"},
		{"station.zzzzzz", "", -ENOENT, FAULT_NOT_FOUND,
			"package \"station\" has no app named \"zzzzzz\"; its apps are: "
			"+models.hook.install, hook.configure, tool"},
		{"station+", "", -EINVAL, FAULT_INVALID,
			"invalid value: \"station+\" (want package.app)"},
		{"station+models", "", -ENOENT, FAULT_NOT_FOUND,
			"package \"station\" has no app named \"+models\"; its apps are: "
			"+models.hook.install, hook.configure, tool"},
	};
	const struct package *package = NULL;
	const struct app *app = NULL;
	struct fault fault = {0};

	fixture_policy_clear(&policy);
	fixture_policy(&policy, "name: station\napps: {tool: }\nhooks: {configure: }\n"
				"components: {models: {hooks: {install: }}}\n");
	for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
		expect_fault(&refusals[i],
			policy_find_app(&policy, refusals[i].first, &package, &app, &fault),
			&fault);
	cr_assert(policy_find_app(&policy, "station.tool", &package, &app, &fault) == 0);
	cr_expect_str_eq(package->name, "station");
	cr_expect_str_eq(app->name, "tool");
	cr_expect(policy_find_app(&policy, "station.hook.configure", &package, &app, &fault) == 0);
	cr_assert(policy_find_app(&policy, "station+models.hook.install", &package, &app, &fault) ==
		  0);
	cr_expect_str_eq(app->name, "+models.hook.install");
}

/* --- grants -------------------------------------------------------------------------------- */

static uint32_t granted(const char *plug, const char *slot, const char *queue)
{
	struct grants *grants = NULL;
	uint32_t permissions;

	cr_assert(grants_new(1, &grants) == 0);
	if (plug)
		cr_assert(policy_add_plug_grants(&policy, plug, NULL, grants) == 0);
	if (slot)
		cr_assert(policy_add_slot_grants(&policy, slot, NULL, grants) == 0);
	grants_seal(grants);
	permissions = grants_find(grants, &SUBJECT_NOBODY, queue).permissions;
	grants_free(grants);
	return permissions;
}

Test(connect, grants_of_a_plug_add_up)
{
	cr_expect(granted("logger:events", NULL, "test") == 0);
	fixture_connect(&policy, "logger:events", "multi:can-create", CONNECTION_MANUAL);
	cr_expect(granted("logger:events", NULL, "test") == (PERMISSION_OPEN | PERMISSION_CREATE));
	fixture_connect(&policy, "logger:events", "multi:can-read", CONNECTION_AUTO);
	cr_expect(granted("logger:events", NULL, "test") ==
		  (PERMISSION_OPEN | PERMISSION_CREATE | PERMISSION_READ));
	fixture_connect(&policy, "logger:events", "multi:can-write", CONNECTION_UNDESIRED);
	cr_expect(granted("logger:events", NULL, "test") ==
		  (PERMISSION_OPEN | PERMISSION_CREATE | PERMISSION_READ));
	cr_expect(granted("logger:spare", NULL, "test") == 0);
	cr_expect(granted("logger:event", NULL, "test") == 0);
	fixture_connect(&policy, "logger:events", "multi:wild", CONNECTION_MANUAL);
	cr_expect(granted("logger:events", NULL, "wild-1") == PERMISSION_OPEN);
}

Test(connect, what_no_longer_exists_grants_nothing)
{
	fixture_connect(&policy, "gone:plug", "multi:can-read", CONNECTION_MANUAL);
	fixture_connect(&policy, "logger:events", "gone:slot", CONNECTION_MANUAL);
	fixture_connect(&policy, "logger:events", "multi:gone", CONNECTION_MANUAL);
	cr_expect(granted("gone:plug", NULL, "test") == 0);
	cr_expect(granted("logger:events", "gone:slot", "test") == 0);
}

Test(connect, a_slot_has_everything_on_its_own_queues)
{
	cr_expect(granted(NULL, "multi:can-read", "test") == PERMISSIONS_ALL);
	cr_expect(granted(NULL, "multi:wild", "wild-x") == PERMISSIONS_ALL);
	cr_expect(granted(NULL, "multi:wild", "test") == 0);
}

/* --- explain ------------------------------------------------------------------------------- */

struct answer {
	const char *plug, *operation, *queue;
	bool allowed;
	uint32_t missing;
	const char *slot, *command, *text;
};

static void expect_text(const char *text, const char *expected, const char *what)
{
	cr_expect((!text && !expected) || (text && expected && streq(text, expected)), "%s: %s",
		what, text ? text : "(null)");
}

static void expect_answers(const struct answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct explanation explanation = {0};
		struct fault fault = {0};
		int r = policy_explain(&policy, answers[i].plug, answers[i].operation,
			answers[i].queue, &explanation, &fault);

		cr_assert(r == 0, "%s", fault.message);
		cr_expect(explanation.allowed == answers[i].allowed, "%s", answers[i].text);
		cr_expect(explanation.missing == answers[i].missing, "%s", answers[i].text);
		expect_text(explanation.slot, answers[i].slot, "slot");
		expect_text(explanation.command, answers[i].command, "command");
		expect_text(explanation.text, answers[i].text, "text");
		explanation_clear(&explanation);
	}
}

Test(connect, explain_denials)
{
	static const struct answer answers[] = {
		{"logger:events", "read", "/events", false, PERMISSION_READ, "sensor:events",
			"mqctl connect logger:events sensor:events",
			"logger:events may not read /events: it lacks read\n"
			"sensor:events gives it, but is not connected"},
		{"logger:events", "delete", "/events", false, PERMISSION_DELETE, NULL, NULL,
			"logger:events may not delete /events: it lacks delete\n"
			"no slot gives that; sensor:events offers the queue, but only with "
			"open,read"},
		{"logger:events", "write", "/evnets", false, PERMISSION_WRITE, NULL, NULL,
			"logger:events may not write /evnets: it lacks write\n"
			"no slot offers that queue; did you mean /events?"},
		{"logger:events", "open", "/some\nthing", false, PERMISSION_OPEN, NULL, NULL,
			"logger:events may not open /some\\x0athing: it lacks open\n"
			"no slot offers that queue"},
		{"logger:events", "open", "/wild-1", false, PERMISSION_OPEN, "multi:wild",
			"mqctl connect --any-id logger:events multi:wild",
			"logger:events may not open /wild-1: it lacks open\n"
			"multi:wild gives it, but is not connected, and has another id"},
		/* To create is to open as well. */
		{"logger:events", "create", "/test", false,
			PERMISSION_CREATE | PERMISSION_READ | PERMISSION_OPEN, "multi:can-create",
			"mqctl connect --any-id logger:events multi:can-create && "
			"mqctl connect --any-id logger:events multi:can-read",
			"logger:events may not create /test: it lacks open,read,create\n"
			"multi:can-create and multi:can-read together give it, but are not "
			"connected, and not all have its id"},
	};

	expect_answers(answers, ELEMENTSOF(answers));
}

Test(connect, explain_after_connecting)
{
	static const struct answer answers[] = {
		{"logger:events", "create", "/test", false, PERMISSION_READ, "multi:can-read",
			"mqctl connect --any-id logger:events multi:can-read",
			"logger:events may not create /test: it lacks read\n"
			"multi:can-read gives it, but is not connected, and has another id"},
		{"logger:events", "open", "/test", true, 0, "multi:can-create", NULL,
			"logger:events may open /test: it is connected to multi:can-create, which "
			"gives open,create"},
	};
	static const struct answer with_write = {"logger:events", "create", "/test", true, 0,
		"multi:can-create", NULL,
		"logger:events may create /test: it is connected to multi:can-create, which gives "
		"open,create"};

	fixture_connect(&policy, "logger:events", "multi:can-create", CONNECTION_MANUAL);
	expect_answers(answers, ELEMENTSOF(answers));
	fixture_connect(&policy, "logger:events", "multi:can-write", CONNECTION_MANUAL);
	expect_answers(&with_write, 1);
}

Test(connect, explain_refusals)
{
	static const struct refusal refusals[] = {
		{"raed", "/q", -EINVAL, FAULT_INVALID,
			"unknown operation \"raed\"; use one of open, read, write, create, delete"},
		{"read", "q", -EINVAL, FAULT_INVALID, "\"q\" is not a queue; write /NAME"},
		{"read", "/", -EINVAL, FAULT_INVALID,
			"\"/\" is not a queue; a name is \"/\" and 1 to 255 bytes without another "
			"slash"},
		{"read", "/a/b", -EINVAL, FAULT_INVALID,
			"\"/a/b\" is not a queue; a name is \"/\" and 1 to 255 bytes without "
			"another slash"},
	};
	struct explanation explanation = {0};
	struct fault fault = {0};

	for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
		expect_fault(&refusals[i],
			policy_explain(&policy, "logger:events", refusals[i].first,
				refusals[i].second, &explanation, &fault),
			&fault);
	cr_expect(policy_explain(&policy, "x:y", "read", "/q", &explanation, &fault) == -ENOENT);
	cr_expect(fault.kind == FAULT_NOT_FOUND);
	fault_clear(&fault);
}

/* --- suggest ------------------------------------------------------------------------------- */

Test(connect, suggestions)
{
	static const char *const one[] = {"logger:events"}, *const two[] = {"logger:events",
								    "logger:spare"};
	static const struct {
		const char *const *plugs;
		size_t count;
		const char *queue;
		uint32_t missing;
		const char *plug, *command;
	} cases[] = {
		{one, 1, "events", PERMISSION_READ, "logger:events",
			"mqctl connect logger:events sensor:events"},
		{one, 1, "test", PERMISSION_OPEN, "logger:events",
			"mqctl connect --any-id logger:events multi:can-create"},
		/* The second plug's own id is a better match than any slot for the first. */
		{two, 2, "test", PERMISSION_OPEN, "logger:spare",
			"mqctl connect logger:spare multi:can-read"},
		{two, 2, "test", PERMISSION_WRITE, "logger:events",
			"mqctl connect --any-id logger:events multi:can-write"},
		{one, 1, "wild-7", PERMISSION_OPEN, "logger:events",
			"mqctl connect --any-id logger:events multi:wild"},
		{one, 1, "test", PERMISSION_READ | PERMISSION_WRITE, "logger:events",
			"mqctl connect --any-id logger:events multi:can-read && "
			"mqctl connect --any-id logger:events multi:can-write"},
		{one, 1, "test", PERMISSION_DELETE, NULL, NULL},
		{one, 1, "nowhere", PERMISSION_READ, NULL, NULL},
		{one, 0, "events", PERMISSION_READ, NULL, NULL},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		char *plug = NULL, *command = NULL;

		cr_assert(policy_suggest(&policy, cases[i].plugs, cases[i].count, cases[i].queue,
				  cases[i].missing, &plug, &command) == 0);
		expect_text(plug, cases[i].plug, "plug");
		expect_text(command, cases[i].command, "command");
		free(plug);
		free(command);
	}
}
