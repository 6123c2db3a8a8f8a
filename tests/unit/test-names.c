/* SPDX-License-Identifier: MIT */
/* What names mean: those of plugs, with variables, in namespaces; what fits, and what clashes. */
#include "fixture.h"

#include "common/policy/variables.h"

/* --- values of variables ---------------------------------------------------------------------- */

static void expect_values(const char *pattern, const char *name, const char *pid, const char *uid,
	const char *instance)
{
	struct values values = {0};

	cr_expect(values_find(pattern, name, &values), "%s %s", pattern, name);
	cr_expect_str_eq(values.texts[VARIABLE_PID], pid, "%s %s", pattern, name);
	cr_expect_str_eq(values.texts[VARIABLE_UID], uid, "%s %s", pattern, name);
	cr_expect_str_eq(values.texts[VARIABLE_INSTANCE], instance, "%s %s", pattern, name);
}

static void expect_none(const char *pattern, const char *name)
{
	struct values values = {0};

	cr_expect(!values_find(pattern, name, &values), "%s %s", pattern, name);
	cr_expect(!*values.texts[VARIABLE_PID] && !*values.texts[VARIABLE_UID] &&
			  !*values.texts[VARIABLE_INSTANCE],
		"%s %s", pattern, name);
}

Test(values, are_found)
{
	expect_values("r-{pid}", "r-42", "42", "", "");
	expect_values("{uid}", "0", "", "0", "");
	expect_values("a,{instance},b", "a,x:1._-Z,b", "", "", "x:1._-Z");
	expect_values("*-{pid}-{uid}?", "x-1-2-3-44", "3", "4", "");
	expect_values("*.{pid}", "a.b.7", "7", "", "");
	expect_values("{pid}*", "12", "12", "", "");
	expect_values("{pid}-*-{pid}", "12-x-12", "12", "", "");
	/* The longest value is not always the right one. */
	expect_values("{pid}*{pid}", "12x1", "1", "", "");
	expect_values("{pid}2", "42", "4", "", "");
	expect_values("{instance}-{pid}", "a-1-2", "2", "", "a-1");
	expect_values("p*", "plain", "", "", "");
}

Test(values, that_nobody_has_are_none)
{
	static const char *const none[][2] = {
		{"r-{pid}", "r-"},
		{"r-{pid}", "r-0"},
		{"r-{pid}", "r-042"},
		{"r-{pid}", "r-4294967296"},
		{"r-{pid}", "r-12345678901"},
		{"r-{pid}", "r-x"},
		{"r-{pid}", "x-1"},
		{"r-{uid}", "r-65534"},
		{"r-{uid}", "r-4294967295"},
		{"r-{instance}", "r-a,b"},
		{"{pid}-{pid}", "1-2"},
	};

	for (size_t i = 0; i < ELEMENTSOF(none); i++)
		expect_none(none[i][0], none[i][1]);
}

Test(values, that_are_known_stay)
{
	struct values values = {.texts = {[VARIABLE_PID] = "5"}};

	cr_expect(!values_find("r-{pid}", "r-6", &values));
	cr_expect(values_find("r-{pid}-{uid}", "r-5-6", &values));
	cr_expect_str_eq(values.texts[VARIABLE_UID], "6");
	cr_expect_eq(values_subject(&values).pid, 5);
	cr_expect_eq(values_subject(&values).uid, 6);
	cr_expect(!values_instance(&values));
}

/* An instance has at most INSTANCE_MAX. */
Test(values, of_an_instance_are_bounded)
{
	char name[INSTANCE_MAX + 2];

	memset(name, 'i', sizeof(name) - 1);
	name[INSTANCE_MAX + 1] = '\0';
	expect_none("{instance}", name);
	expect_values("{instance}", name + 1, "", "", name + 1);
}

static void repeat(char *at, const char *text, size_t count)
{
	while (count-- > 0)
		at = stpcpy(at, text);
}

/* Whatever there is, it ends: VALUES_STEPS_MAX. Without a variable twice, nothing is missed. */
Test(values, are_looked_for_in_bounded_time, .timeout = 20)
{
	char pattern[QUEUE_NAME_MAX + 1], name[QUEUE_NAME_MAX + 1];

	memset(name, '1', QUEUE_NAME_MAX);
	name[QUEUE_NAME_MAX] = '\0';
	repeat(pattern, "*1", 100);
	strcat(pattern, "*{pid}x");
	expect_none(pattern, name);
	repeat(pattern, "*{instance}*{pid}", 10);
	strcat(pattern, "x");
	expect_none(pattern, name);
	name[QUEUE_NAME_MAX - 1] = 'x';
	repeat(pattern, "*1", 100);
	strcat(pattern, "*{instance}*{pid}x");
	expect_values(pattern, name, "1111111111", "", strndupa(name, INSTANCE_MAX));
}

Test(values, fill_in)
{
	static const char *const instance[VARIABLE_COUNT] = {[VARIABLE_INSTANCE] = "left"};
	static const char *const stars[VARIABLE_COUNT] = {"*", "*", "*"};
	char name[PATTERN_MAX + 1], filled[PATTERN_MAX + 1], longest[INSTANCE_MAX + 1];
	const char *const with_longest[VARIABLE_COUNT] = {[VARIABLE_INSTANCE] = longest};

	cr_assert(fill_in("{instance}-{pid}{instance}", instance, filled));
	cr_expect_str_eq(filled, "left-{pid}left");
	cr_assert(fill_in("a{instance}-{pid}.{uid}", stars, filled));
	cr_expect_str_eq(filled, "a*-*.*");
	memset(longest, 'i', INSTANCE_MAX);
	longest[INSTANCE_MAX] = '\0';
	memset(name, 'n', QUEUE_NAME_MAX);
	strcpy(name + QUEUE_NAME_MAX, "{instance}");
	cr_expect(fill_in(name, with_longest, filled));
	cr_expect_eq(strlen(filled), PATTERN_MAX);
	memmove(name + 1, name, strlen(name) + 1);
	cr_expect(!fill_in(name, with_longest, filled));
}

/* --- the world -------------------------------------------------------------------------------- */

static const char world[] =
	"name: app\n"
	"plugs:\n"
	"  io: {interface: posix-mq, path: [/in, /out]}\n"
	"  many: {interface: posix-mq, posix-mq: io, path: [/in, \"/out-{instance}\", "
	"\"/reply-{pid}\"]}\n"
	"  one: {interface: posix-mq, posix-mq: io, path: /in}\n"
	"  other: {interface: posix-mq, posix-mq: io, path: /other}\n"
	"  any: {interface: posix-mq, posix-mq: io}\n"
	"  pid: {interface: posix-mq, posix-mq: io, path: \"/p-{pid}\"}\n"
	"  instance: {interface: posix-mq, posix-mq: io, path: \"/i-{instance}\"}\n"
	"---\n"
	"name: srv\n"
	"slots:\n"
	"  host: {interface: posix-mq, posix-mq: io, path: [/left, /b], namespace: host, "
	"max-mode: 0640, permissions: [read, create]}\n"
	"  left: {interface: posix-mq, posix-mq: io, path: [/left, /right]}\n"
	"  pattern: {interface: posix-mq, posix-mq: io, path-pattern: [\"/reply-{pid}\", "
	"\"/u{uid}-*\", \"/{instance}\"]}\n"
	"  single: {interface: posix-mq, posix-mq: io, path: /left}\n"
	"  three: {interface: posix-mq, posix-mq: io, path: [/a, /b, /in]}\n";

static struct policy policy;
static struct grants *grants;

static void setup(void)
{
	fixture_policy(&policy, world);
}

static void teardown(void)
{
	grants = grants_free(grants);
	fixture_policy_clear(&policy);
}

TestSuite(names, .init = setup, .fini = teardown, .timeout = 60);

static void joined(const char *plug, const char *slot)
{
	fixture_connect(&policy, plug, slot, CONNECTION_MANUAL);
}

static void grant(const char *plug, const char *instance)
{
	grants = grants_free(grants);
	cr_assert(grants_new(1, &grants) == 0);
	cr_assert(policy_add_plug_grants(&policy, plug, instance, grants) == 0);
	grants_seal(grants);
}

static struct granted find(const char *name, uint32_t pid, uint32_t uid)
{
	return grants_find(grants, &(struct subject){pid, uid}, name);
}

static void expect_queue(const char *name, uint32_t pid, const char *queue)
{
	struct granted granted = find(name, pid, 0);

	cr_expect(!!granted.permissions == !!queue, "%s", name);
	if (granted.permissions && queue)
		cr_expect_str_eq(granted.queue, queue, "%s", name);
}

/* --- grants ----------------------------------------------------------------------------------- */

Test(names, of_a_plug_mean_the_queues_of_the_slot_in_their_order)
{
	joined("app:many", "srv:three");
	grant("app:many", "x");
	expect_queue("in", 7, "a");
	expect_queue("out-x", 7, "b");
	expect_queue("out-y", 7, NULL);
	expect_queue("reply-7", 7, "in");
	expect_queue("reply-8", 7, NULL);
	expect_queue("a", 7, NULL);
	expect_queue("b", 7, NULL);
}

Test(names, without_an_instance_mean_nothing)
{
	joined("app:many", "srv:three");
	grant("app:many", NULL);
	expect_queue("in", 7, "a");
	expect_queue("out-{instance}", 7, NULL);
	cr_expect_eq(grants->exact_count + grants->pattern_count, 2);
}

Test(names, of_patterns_are_for_who_asks)
{
	joined("app:any", "srv:pattern");
	grant("app:any", NULL);
	expect_queue("reply-7", 7, "reply-7");
	expect_queue("reply-7", 8, NULL);
	expect_queue("u0-x", 7, "u0-x");
	expect_queue("left", 7, NULL);
	grant("app:any", "left");
	expect_queue("left", 7, "left");
	cr_expect_eq(grants->pattern_count, 2, "without a variable it is a plain name");
}

Test(names, of_hosts_and_modes_are_in_the_grants)
{
	struct granted granted;

	joined("app:io", "srv:host");
	grant("app:io", NULL);
	granted = find("in", 7, 0);
	cr_expect(granted.host && granted.mode_cut == 07137);
	cr_expect_eq(granted.permissions, PERMISSION_OPEN | PERMISSION_READ | PERMISSION_CREATE);
	cr_expect_str_eq(granted.queue, "left");
}

Test(names, of_slots_are_all_of_their_own)
{
	cr_assert(grants_new(1, &grants) == 0);
	cr_assert(policy_add_slot_grants(&policy, "srv:pattern", "x", grants) == 0);
	cr_assert(policy_add_slot_grants(&policy, "srv:host", "x", grants) == 0);
	grants_seal(grants);
	cr_expect_eq(find("x", 7, 0).permissions, PERMISSIONS_ALL);
	cr_expect_eq(find("reply-7", 7, 0).permissions, PERMISSIONS_ALL);
	cr_expect_eq(find("reply-7", 8, 0).permissions, 0);
	cr_expect(find("b", 7, 0).host && find("b", 7, 0).mode_cut == 07137);
}

Test(names, of_a_scope_are_for_everybody)
{
	cr_assert(grants_new(1, &grants) == 0);
	cr_assert(policy_add_slot_scope(&policy, "srv:pattern", grants) == 0);
	grants_seal(grants);
	cr_expect(find("reply-8", 7, 0).permissions);
	cr_expect(find("u-x", 7, 0).permissions);
	cr_expect(find("whatever", 7, 0).permissions);
}

/* An instance may make a name longer than the kernel takes: such a rule gives nothing, the others
 * stay. */
Test(names, that_get_too_long_mean_nothing)
{
	char name[QUEUE_NAME_MAX + 1], instance[INSTANCE_MAX + 1], *documents;

	memset(name, 'n', QUEUE_NAME_MAX - strlen("{instance}"));
	strcpy(name + QUEUE_NAME_MAX - strlen("{instance}"), "{instance}");
	memset(instance, 'i', INSTANCE_MAX);
	instance[INSTANCE_MAX] = '\0';
	fixture_policy_clear(&policy);
	documents = fixture_format("name: app\nplugs: {p: {interface: posix-mq, path: [\"/%s\", "
				   "/short]}}\nslots: {s: {interface: posix-mq, path: [/a, /b]}}\n",
		name);
	fixture_policy(&policy, documents);
	joined("app:p", "app:s");
	grant("app:p", instance);
	cr_expect_eq(grants->exact_count, 1);
	expect_queue("short", 7, "b");
	grant("app:p", "0123456789");
	cr_expect_eq(grants->exact_count, 2);
	free(documents);
}

/* --- what fits -------------------------------------------------------------------------------- */

static const char other_count[] =
	"names in the path of app:one: 1, queues in the path of srv:left: 2; the n-th name "
	"means the n-th queue: list as many, or remove path from the plug";
static const char has_patterns[] =
	"app:one calls its queues by names of its own (path), and srv:pattern has the path-pattern "
	"/reply-{pid}, whose queues have no other names; remove path from the plug, or make a slot "
	"without path-pattern";

static void expect_refused(const char *plug, const char *slot, const char *text)
{
	struct connections *changed = NULL;
	struct fault fault = {0};

	cr_expect_eq(policy_connect(&policy, plug, slot, 0, true, &changed, &fault), -EINVAL);
	cr_expect_eq(fault.kind, FAULT_INVALID);
	cr_expect_str_eq(fault.message, text);
	fault_clear(&fault);
}

Test(names, that_do_not_fit_are_not_connected)
{
	expect_refused("app:one", "srv:left", other_count);
	expect_refused("app:one", "srv:pattern", has_patterns);
	joined("app:one", "srv:left");
	expect_refused("app:one", "srv:left", other_count);
}

Test(names, that_do_not_fit_are_not_applied)
{
	static const char list[] = "version: 1\nconnections:\n"
				   "- {plug: app:io, slot: srv:left}\n"
				   "- {plug: app:one, slot: srv:left}\n";
	struct diagnostics diagnostics = {0};
	struct connections *changed = NULL;
	char *expected = fixture_format("l.yaml:4:3: error: %s\n", other_count), *text;

	cr_expect_eq(policy_apply(&policy, "l.yaml", list, strlen(list), &diagnostics, &changed),
		-EBADMSG);
	text = fixture_diagnostics(&diagnostics);
	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
	free(expected);
	diagnostics_clear(&diagnostics);
}

Test(names, that_no_longer_fit_give_nothing)
{
	struct diagnostics diagnostics = {0};
	char *text, *expected;

	joined("app:one", "srv:left");
	joined("app:one", "srv:single");
	fixture_connect(&policy, "app:one", "srv:pattern", CONNECTION_UNDESIRED);
	grant("app:one", NULL);
	cr_expect_eq(grants->exact_count, 1);
	expect_queue("in", 7, "left");
	policy_report_misfits(&policy, &diagnostics);
	text = fixture_diagnostics(&diagnostics);
	expected = fixture_format("%.*s/000.yaml:5:3: warning: the connection of app:one to "
				  "srv:left gives nothing: %s\n",
		(int)(strstr(text, "/000.yaml") - text), text, other_count);
	cr_expect_str_eq(text, expected, "%s", text);
	free(text);
	free(expected);
	diagnostics_clear(&diagnostics);
}

/* Only what fits is connected without a command, and stays so. */
Test(names, that_do_not_fit_are_not_connected_automatically)
{
	static const char documents[] =
		"name: app\npublisher: us\nplugs: {q: {interface: posix-mq, path: /a}}\n---\n"
		"name: srv\npublisher: us\nslots: {q: {interface: posix-mq, path: %s}}\n";
	static const char *const paths[] = {"[/x, /y]", "/x", "[/x, /y]", "/x"};
	char *text;

	fixture_policy_clear(&policy);
	policy = (struct policy){0};
	for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
		struct policy next = {0};
		struct connections *changed = NULL;
		size_t left_out;

		text = fixture_format(documents, paths[i]);
		fixture_policy(&next, text);
		free(text);
		if (policy.connections) {
			connections_unref(next.connections);
			next.connections = connections_ref(policy.connections);
		}
		fixture_policy_clear(&policy);
		cr_assert(policy_auto_connect(&next, &changed, &left_out) == 0);
		connections_unref(next.connections);
		policy = next;
		policy.connections = changed;
		text = fixture_connections(policy.connections);
		cr_expect_str_eq(text, i % 2 == 0 ? "" : "app:q srv:q auto\n", "%s", text);
		free(text);
	}
}

Test(names, that_do_not_fit_are_not_suggested)
{
	static const char *const one[] = {"app:one"}, *const any[] = {"app:any"};
	struct connections *changed = NULL;
	struct fault fault = {0};
	char *plug, *command;

	cr_assert(policy_suggest(&policy, one, 1, "in", PERMISSION_READ, &plug, &command) == 0);
	cr_expect_str_eq(command, "mqctl connect app:one srv:single");
	free(plug);
	free(command);
	cr_assert(policy_suggest(&policy, one, 1, "left", PERMISSION_READ, &plug, &command) == 0);
	cr_expect(!command, "the program does not say so");
	cr_assert(
		policy_suggest(&policy, any, 1, "reply-5", PERMISSION_READ, &plug, &command) == 0);
	cr_expect_str_eq(command, "mqctl connect app:any srv:pattern");
	free(plug);
	free(command);
	cr_expect_eq(
		policy_connect(&policy, "app:one", "srv", 0, false, &changed, &fault), -ENOTUNIQ);
	cr_expect(strstr(fault.message, "mqctl connect app:one srv:single"), "%s", fault.message);
	fault_clear(&fault);
}

/* --- what clashes ----------------------------------------------------------------------------- */

static int check_names(const struct bound *bound, bool has_host, char **ret_text)
{
	struct fault fault = {0};
	int r = policy_check_names(&policy, bound, has_host, &fault);

	*ret_text = fault.message;
	cr_expect((r == 0) == !fault.message);
	return r;
}

static void expect_clash(const char *const *plugs, size_t plug_count, const char *const *slots,
	size_t slot_count, const char *text)
{
	const struct bound bound = {plugs, plug_count, slots, slot_count};
	char *got;
	int r = check_names(&bound, true, &got);

	cr_expect_eq(r, text ? -EEXIST : 0, "%s", got);
	if (text && got)
		cr_expect(strstr(got, text), "%s", got);
	free(got);
}

#define expect_plugs(text, ...)                          \
	expect_clash((const char *const[]){__VA_ARGS__}, \
		sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), NULL, 0, text)

Test(names, that_mean_themselves_never_clash)
{
	joined("app:any", "srv:left");
	joined("app:any", "srv:single");
	joined("app:any", "srv:pattern");
	expect_plugs(NULL, "app:any");
}

Test(names, of_one_plug_clash_if_they_mean_two_queues)
{
	joined("app:one", "srv:single");
	expect_plugs(NULL, "app:one");
	joined("app:io", "srv:left");
	expect_plugs(NULL, "app:io");
	/* /in is /left by both. */
	expect_plugs(NULL, "app:io", "app:one");
	joined("app:many", "srv:three");
	expect_plugs(
		"a name can mean one queue only, and these clash: /in of app:io connected to "
		"srv:left (the queue /left), and /in of app:many connected to srv:three (the "
		"queue /a); disconnect one of them first, or change both with mqctl apply; or give a plug "
		"other names (path)",
		"app:io", "app:many");
	/* A plug's name, and a queue that another plug has by its own. */
	joined("app:any", "srv:three");
	expect_plugs("/in of app:any connected to srv:three (the queue /in)", "app:one", "app:any");
	expect_clash((const char *const[]){"app:one"}, 1, (const char *const[]){"srv:three"}, 1,
		"/in of srv:three (the queue /in)");
}

Test(names, clash_if_they_are_in_two_namespaces)
{
	joined("app:any", "srv:left");
	joined("app:any", "srv:host");
	expect_plugs("/left of app:any connected to srv:host (the queue /left in the host's IPC "
		     "namespace)",
		"app:any");
	expect_clash(NULL, 0, (const char *const[]){"srv:host", "srv:single"}, 2,
		"/left of srv:single (the queue /left)");
	expect_clash(NULL, 0, (const char *const[]){"srv:host", "srv:pattern"}, 2,
		"/{instance} of srv:pattern (queues of such names)");
}

/* Of patterns it is enough that neither beginnings nor ends tell them apart. */
Test(names, of_patterns_clash_unless_told_apart)
{
	static const struct {
		const char *path, *pattern;
		bool clash;
	} cases[] = {
		{"/p-1", "/p-*", true},
		{"/p-1", "/q-*", false},
		{"/p-1", "/*-1", true},
		{"/p-1", "/*-2", false},
		{"/p-1", "/p-1*1", false},
		{"/p-1", "/p-*1*", true},
		{"/p-1", "/p-11*", false},
		{"/x", "/*", true},
		{"/a-{pid}", "/a-7", true},
		{"/a-{pid}", "/b-7", false},
		{"/a-{pid}-z", "/a-{uid}-y", false},
		{"/a-{pid}-z", "/*z", true},
		{"/{pid}-z", "/{instance}", true},
		{"/ab-{pid}", "/a-{pid}", false},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		char *documents = fixture_format(
			"name: app\nplugs: {p: {interface: posix-mq, path: \"%s\"}}\n"
			"slots:\n  a: {interface: posix-mq, path: /meant}\n"
			"  b: {interface: posix-mq, path-pattern: \"%s\"}\n",
			cases[i].path, cases[i].pattern);

		fixture_policy_clear(&policy);
		fixture_policy(&policy, documents);
		joined("app:p", "app:a");
		expect_clash((const char *const[]){"app:p"}, 1, (const char *const[]){"app:b"}, 1,
			cases[i].clash ? "/meant" : NULL);
		free(documents);
	}
}

Test(names, of_variables_do_not_clash_with_the_same_meaning)
{
	joined("app:pid", "srv:single");
	joined("app:instance", "srv:single");
	expect_plugs(NULL, "app:pid", "app:instance");
	joined("app:other", "srv:single");
	expect_plugs(NULL, "app:other");
}

Test(names, of_the_host_need_one)
{
	static const char *const slots[] = {"srv:single", "srv:host"};
	const struct bound bound = {.slots = slots, .slot_count = 2};
	char *text;

	cr_expect_eq(check_names(&bound, false, &text), -EXDEV);
	cr_expect(strstr(text, "srv:host has \"namespace: host\""), "%s", text);
	free(text);
	cr_expect_eq(
		check_names(&(struct bound){.slots = slots, .slot_count = 1}, false, &text), 0);
}

/* Slots s0, s1 … with so many names each, or patterns. The plug's one name is in the first of them,
 * and means another queue. */
static void many(const char *key, const size_t *counts, size_t slots)
{
	char *documents = NULL;
	size_t size, name = 0;
	FILE *f = open_memstream(&documents, &size);

	fprintf(f, "name: app\nplugs: {p: {interface: posix-mq, path: /0}}\nslots:\n"
		   "  z: {interface: posix-mq, path: /meant}\n");
	for (size_t i = 0; i < slots; i++) {
		fprintf(f, "  s%zu: {interface: posix-mq, %s: [", i, key);
		for (size_t j = 0; j < counts[i]; j++)
			fprintf(f, "%s/%zu%s", j > 0 ? ", " : "", name++,
				streq(key, "path") ? "" : "*");
		fprintf(f, "]}\n");
	}
	fclose(f);
	fixture_policy_clear(&policy);
	fixture_policy(&policy, documents);
	free(documents);
	joined("app:p", "app:z");
}

static void expect_many(size_t slots, bool clash)
{
	static const char *const plugs[] = {"app:p"};
	const char *refs[32];
	struct bound bound = {plugs, 1, refs, slots};
	char *text;

	for (size_t i = 0; i < slots; i++)
		refs[i] = fixture_format("app:s%zu", i);
	cr_expect_eq(check_names(&bound, true, &text), clash ? -EEXIST : 0, "%s", text);
	free(text);
	for (size_t i = 0; i < slots; i++)
		free((char *)refs[i]);
}

/* What no session can have is not compared: it will be refused for its number. */
Test(names, are_compared_up_to_what_a_session_can_have)
{
	size_t counts[GRANTS_MAX / SLOT_QUEUES_MAX + 1];

	for (size_t i = 0; i < ELEMENTSOF(counts); i++)
		counts[i] = SLOT_QUEUES_MAX;
	/* With the plug's one it is GRANTS_MAX. */
	counts[ELEMENTSOF(counts) - 2]--;
	counts[ELEMENTSOF(counts) - 1] = 1;
	many("path", counts, ELEMENTSOF(counts));
	expect_many(ELEMENTSOF(counts) - 1, true);
	expect_many(ELEMENTSOF(counts), false);
}

Test(names, of_patterns_are_compared_up_to_what_a_session_can_have)
{
	static const size_t counts[] = {GRANTS_PATTERNS_MAX / 2, GRANTS_PATTERNS_MAX / 2, 1};

	many("path-pattern", counts, ELEMENTSOF(counts));
	expect_many(ELEMENTSOF(counts) - 1, true);
	expect_many(ELEMENTSOF(counts), false);
}

/* --- explain ---------------------------------------------------------------------------------- */

static void expect_answer(
	const char *plug, const char *operation, const char *queue, bool allowed, const char *text)
{
	struct explanation explanation = {0};
	struct fault fault = {0};

	cr_assert(policy_explain(&policy, plug, operation, queue, &explanation, &fault) == 0, "%s",
		fault.message);
	cr_expect_eq(explanation.allowed, allowed, "%s", explanation.text);
	cr_expect_str_eq(explanation.text, text, "%s", explanation.text);
	explanation_clear(&explanation);
}

Test(names, are_explained)
{
	joined("app:io", "srv:host");
	expect_answer("app:io", "read", "/in", true,
		"app:io may read /in, which is the queue /left: it is connected to srv:host, which "
		"gives open,read,create, in the host's IPC namespace");
	expect_answer("app:io", "create", "/out", true,
		"app:io may create /out, which is the queue /b: it is connected to srv:host, which "
		"gives open,read,create, in the host's IPC namespace, with at most mode 0640");
	expect_answer("app:io", "read", "/left", false,
		"app:io may not read /left: it lacks read\n"
		"the plug has queues by the names of its path only: /in, /out");
	expect_answer("app:io", "delete", "/in", false,
		"app:io may not delete /in: it lacks delete\n"
		"no slot gives that; srv:host offers the queue, but only with open,read,create");
}

Test(names, that_would_clash_are_not_proposed)
{
	static const char *const plugs[] = {"app:io"};
	char *plug, *command;

	joined("app:io", "srv:host");
	expect_answer("app:io", "write", "/in", false,
		"app:io may not write /in: it lacks write\nsrv:left gives it, but with it a name of "
		"the plug would mean two queues; mqctl connect says which");
	cr_assert_eq(policy_suggest(&policy, plugs, 1, "in", PERMISSION_WRITE, &plug, &command), 0);
	cr_expect_null(command);
	cr_expect_null(plug);
}

Test(names, are_explained_with_their_values)
{
	joined("app:any", "srv:pattern");
	expect_answer("app:any", "read", "/reply-42", true,
		"app:any may read /reply-42: it is connected to srv:pattern, which gives "
		"open,read,write to /reply-{pid}, with {pid} = 42\nonly the process 42, in the PID "
		"namespace in which mq-run was started, has this name");
	expect_answer("app:any", "read", "/u10-x", true,
		"app:any may read /u10-x: it is connected to srv:pattern, which gives "
		"open,read,write to /u{uid}-*, with {uid} = 10\nonly processes of the user 10 have "
		"this name");
	expect_answer("app:any", "read", "/left", true,
		"app:any may read /left: it is connected to srv:pattern, which gives "
		"open,read,write to /{instance}, with {instance} = left\nonly what \"mq-run "
		"--instance left\" has started has this name");
	expect_answer("app:any", "read", "/a,b", false,
		"app:any may not read /a,b: it lacks read\nno slot offers that queue");
	joined("app:pid", "srv:single");
	expect_answer("app:pid", "write", "/p-9", true,
		"app:pid may write /p-9, which is the queue /left: it is connected to srv:single, "
		"which gives open,read,write by the name /p-{pid}, with {pid} = 9\nonly the process 9, in "
		"the PID namespace in which mq-run was started, has this name");
	expect_answer("app:pid", "write", "/p-x", false,
		"app:pid may not write /p-x: it lacks write\n"
		"the plug has queues by the names of its path only: /p-{pid}");
}

Test(names, that_give_nothing_are_explained)
{
	char *text;

	joined("app:one", "srv:left");
	text = fixture_format("app:one may not read /in: it lacks read\n"
			      "srv:single gives it, but is not connected\n"
			      "it is connected to srv:left, but that gives nothing: %s",
		other_count);
	expect_answer("app:one", "read", "/in", false, text);
	free(text);
}

/* As after a start with documents that were changed meanwhile. */
Test(names, that_clash_are_explained)
{
	joined("app:any", "srv:left");
	joined("app:any", "srv:host");
	expect_answer("app:any", "read", "/left", false,
		"app:any may not read /left: it lacks read\n"
		"a name can mean one queue only, and these clash: /left of app:any connected to "
		"srv:host (the queue /left in the host's IPC namespace), and /left of app:any "
		"connected to srv:left (the queue /left); disconnect one of them first, or change both "
		"with mqctl apply; or give a plug other names (path)");
	expect_answer("app:any", "read", "/right", true,
		"app:any may read /right: it is connected to srv:left, which gives "
		"open,read,write");
}
