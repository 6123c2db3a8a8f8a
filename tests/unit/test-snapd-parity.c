/* SPDX-License-Identifier: MIT */
/* Parity with snapd's posix-mq interface: its test cases by their numbers, and what a
 * re-implementation is most likely to get wrong. snapd's rules are translated into grants.
 *
 * What has no counterpart, and why:
 *
 *   O1, O2    levels and features of AppArmor: the wall and the door need none. What a kernel lacks
 *             is told by mq-run, which then refuses, and by "mqctl status"
 *   B2        a snap declaration that allows auto-connection: there is no store that would sign
 *             one. The publisher in the document decides (b1)
 *   A1–A5     getattr on "/": stat of /dev/mqueue is not mediated, and always allowed
 *   A1–A5     getattr and setattr as words of their own: the kernel asks nobody; here any
 *             permission on the queue will do (most_likely_6)
 *   seccomp   counts of system calls: the filter is the same for all; each call is decided by
 *             permission and name instead, which the same cases test
 *   slot      allow-installation: false (a super-privileged slot): only root writes packages.d
 *   EPERM     for a system call that no connection gives: here every denial is EACCES
 *   base      rules of snap declarations before those of the base declaration: no declarations
 *   conns     attributes stored in connections: packages are read at each start, so what is in the
 *             documents is in force; an automatic connection to which a plug is no longer entitled
 *             is dropped where snapd would keep the old attributes
 *   removal   of a snap wipes its records: a document that is missing may come back, so manual and
 *             undesired records stay until somebody disconnects or forgets them
 *   gadget, hotplug, snap-change-conflict, "snap interface": no such things
 */
#include "fixture.h"

#include <fcntl.h>

#include "include/limits.h"
#include "include/verdict.h"

/* A package with one slot (or plug) of this name and these attributes. */
static char *document(const char *side, const char *name, const char *attributes)
{
	return fixture_format(
		"name: producer\n%s:\n  %s:\n    interface: posix-mq\n%s", side, name, attributes);
}

/* Parses a document that works, perhaps with warnings, which come back as text. */
static struct package *parse(char *text, char **ret_warnings)
{
	struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r = package_parse("p.yaml", text, strlen(text), &diagnostics, &package);

	cr_assert(r == 0, "%s", text);
	*ret_warnings = fixture_diagnostics(&diagnostics);
	diagnostics_clear(&diagnostics);
	free(text);
	return package;
}

static void expect_slot(const char *name, const char *attributes, const char *id,
	uint32_t permissions, const char *paths)
{
	char *warnings, *joined = strdup("");
	struct package *package = parse(document("slots", name, attributes), &warnings);
	const struct slot *slot = package_slot(package, name);

	cr_assert(slot != NULL && streq(warnings, ""), "%s", warnings);
	cr_expect_str_eq(slot->id, id);
	cr_expect(slot->permissions == (permissions | PERMISSION_OPEN), "%u", slot->permissions);
	for (size_t i = 0; i < slot->path_count; i++) {
		char *longer = fixture_format("%s%s ", joined, slot->paths[i]);

		free(joined);
		joined = longer;
	}
	cr_expect_str_eq(joined, paths, "%s", joined);
	free(joined);
	free(warnings);
	package_free(package);
}

static void expect_bad(
	const char *side, const char *name, const char *attributes, const char *reason)
{
	char *warnings, *expected;
	struct package *package = parse(document(side, name, attributes), &warnings);

	cr_expect(package->slot_count == 0 && package->plug_count == 0);
	expected = fixture_format("warning: %.4s \"producer:%s\" dropped: %s", side, name, reason);
	cr_expect(strstr(warnings, expected) != NULL, "%s is not in %s", expected, warnings);
	free(expected);
	free(warnings);
	package_free(package);
}

static void expect_plug(const char *name, const char *attributes, const char *id)
{
	char *warnings;
	struct package *package = parse(document("plugs", name, attributes), &warnings);
	const struct plug *plug = package_plug(package, name);

	cr_assert(plug != NULL && streq(warnings, ""), "%s", warnings);
	cr_expect_str_eq(plug->id, id);
	free(warnings);
	package_free(package);
}

#define READ_WRITE (PERMISSION_READ | PERMISSION_WRITE)

/* --- S: slots --------------------------------------------------------------------------------- */

Test(snapd_parity, s1_read_and_write)
{
	expect_slot("test-rw", "    path: /test-rw\n    permissions: [read, write]\n", "test-rw",
		READ_WRITE, "/test-rw ");
}

Test(snapd_parity, s2_default_permissions)
{
	expect_slot("test-default", "    path: /test-default\n", "test-default", READ_WRITE,
		"/test-default ");
}

Test(snapd_parity, s3_read_only)
{
	expect_slot("test-ro", "    path: /test-ro\n    permissions: [read]\n", "test-ro",
		PERMISSION_READ, "/test-ro ");
}

Test(snapd_parity, s4_all_permissions)
{
	expect_slot("test-all-perms",
		"    path: /test-all-perms\n    permissions: [create, delete, read, write]\n",
		"test-all-perms", PERMISSIONS_ALL, "/test-all-perms ");
}

Test(snapd_parity, s5_several_paths)
{
	expect_slot("test-path-array", "    path: [/test-array-1, /test-array-2, /test-array-3]\n",
		"test-path-array", READ_WRITE, "/test-array-1 /test-array-2 /test-array-3 ");
}

Test(snapd_parity, s6_id_of_its_own)
{
	expect_slot("test-label", "    posix-mq: this-is-a-test-label\n    path: /test-label\n",
		"this-is-a-test-label", READ_WRITE, "/test-label ");
}

Test(snapd_parity, s7_path_with_slashes)
{
	expect_bad("slots", "test-invalid-path-1", "    path: ../../test-invalid\n",
		"path: \"/../../test-invalid\" has a slash within");
}

Test(snapd_parity, s8_path_with_reserved_characters)
{
	expect_bad("slots", "test-invalid-path-2", "    path: /test-invalid-2\"[\n",
		"path: \"/test-invalid-2\"[\" contains \"\"\", which is reserved");
}

Test(snapd_parity, s9_path_is_a_map)
{
	expect_bad("slots", "test-invalid-path-3",
		"    path:\n      this-is-not-a-valid-path: true\n",
		"path must be a string or a list of strings, not a map");
}

Test(snapd_parity, s10_no_path)
{
	expect_bad("slots", "test-invalid-path-4", "", "path is missing");
}

Test(snapd_parity, s11_path_is_a_dot)
{
	expect_bad("slots", "test-invalid-path-5", "    path: /.\n",
		"path: \"/.\" is not a clean path");
}

Test(snapd_parity, s12_unknown_permission)
{
	expect_bad("slots", "test-invalid-perms-1",
		"    path: /p\n    permissions: [create, delete, break-everything]\n",
		"permissions: unknown word \"break-everything\"; use any of open, read, write, "
		"create, delete");
}

Test(snapd_parity, s13_permissions_are_no_list)
{
	expect_bad("slots", "test-invalid-perms-2", "    path: /p\n    permissions: not-a-list\n",
		"permissions must be a list, not a string");
}

Test(snapd_parity, s14_permission_is_no_string)
{
	expect_bad("slots", "test-invalid-perms-3",
		"    path: /p\n    permissions: [create, [not-a-string]]\n",
		"permissions: an element must be a string, not a list");
}

Test(snapd_parity, s15_id_is_a_list)
{
	expect_bad("slots", "test-broken-label", "    posix-mq: [broken]\n    path: /p\n",
		"posix-mq must be a string, not a list");
}

Test(snapd_parity, s16_no_path_in_the_list)
{
	expect_bad("slots", "test-empty-path-array", "    path: []\n",
		"path: the list is empty; name at least one queue");
}

Test(snapd_parity, s17_path_is_empty)
{
	expect_bad("slots", "test-empty-path", "    path: \"\"\n",
		"path: a queue name cannot be empty");
}

Test(snapd_parity, s18_one_path_is_empty)
{
	expect_bad("slots", "test-one-empty-path-array", "    path: [/test-array-1, \"\"]\n",
		"path: a queue name cannot be empty");
}

/* --- P: plugs --------------------------------------------------------------------------------- */

Test(snapd_parity, p1_id_is_the_name)
{
	static const char *const names[] = {"test-rw", "test-default", "test-ro", "test-all-perms",
		"test-path-array", "test-invalid-perms-1"};

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		expect_plug(names[i], "", names[i]);
}

Test(snapd_parity, p2_id_of_its_own)
{
	expect_plug("test-label", "    posix-mq: this-is-a-test-label\n", "this-is-a-test-label");
}

Test(snapd_parity, p3_id_is_a_list)
{
	expect_bad("plugs", "test-label", "    posix-mq: [this-is-a-broken-test-label]\n",
		"posix-mq must be a string, not a list");
}

/* --- A: rules, as grants ---------------------------------------------------------------------- */

static struct policy policy;

static const char world[] =
	"name: producer\n"
	"slots:\n"
	"  rw: {interface: posix-mq, path: /test-rw, permissions: [read, write]}\n"
	"  default: {interface: posix-mq, path: /test-default}\n"
	"  ro: {interface: posix-mq, path: /test-ro, permissions: [read]}\n"
	"  array: {interface: posix-mq, path: [/test-array-1, /test-array-2, /test-array-3]}\n"
	"  all: {interface: posix-mq, path: /test-all, permissions: [create, delete, read, write]}\n"
	"  nothing: {interface: posix-mq, path: /test-nothing, permissions: []}\n"
	"  create: {interface: posix-mq, path: /test-create, permissions: [create]}\n"
	"  delete: {interface: posix-mq, path: /test-create, permissions: [delete]}\n"
	"---\n"
	"name: consumer\n"
	"plugs: {q: posix-mq, other: posix-mq}\n";

static void setup(void)
{
	fixture_policy(&policy, world);
}

static void teardown(void)
{
	fixture_policy_clear(&policy);
}

TestSuite(rules, .init = setup, .fini = teardown, .timeout = 60);

static void must_connect(const char *plug, const char *slot)
{
	struct connections *changed = NULL;
	struct fault fault = {0};

	cr_assert(policy_connect(&policy, plug, slot, 0, true, &changed, &fault) == 0, "%s",
		fault.message);
	connections_unref(policy.connections);
	policy.connections = changed;
}

/* What a plug, or a slot, has. */
static struct grants *grants_of(const char *plug, const char *slot)
{
	struct grants *grants = NULL;

	cr_assert(grants_new(1, &grants) == 0);
	if (plug)
		cr_assert(policy_add_plug_grants(&policy, plug, NULL, grants) == 0);
	if (slot)
		cr_assert(policy_add_slot_grants(&policy, slot, NULL, grants) == 0);
	grants_seal(grants);
	return grants;
}

static uint32_t granted(const char *plug, const char *slot, const char *queue)
{
	struct grants *grants = grants_of(plug, slot);
	uint32_t permissions = grants_find(grants, &SUBJECT_NOBODY, queue).permissions;

	grants_free(grants);
	return permissions;
}

/* The verdict on an open (oflag), or another call. */
static bool allows(const char *plug, enum mq_call call, int oflag, const char *queue)
{
	struct request *request = calloc(1, sizeof(*request));
	struct grants *grants = grants_of(plug, NULL);
	struct verdict verdict;

	request->call = call;
	request->oflag = oflag;
	request->queue = QUEUE_NAMED;
	strcpy(request->name, queue);
	verdict = decide(grants_find(grants, &SUBJECT_NOBODY, queue).permissions, request);
	cr_expect(verdict.allow || verdict.error == EACCES, "every denial is EACCES");
	grants_free(grants);
	free(request);
	return verdict.allow;
}

/* The slot's side has everything, the plug what the slot says; and on no other queue anything. */
static void expect_rules(const char *slot, const char *queue, uint32_t permissions)
{
	char *slot_ref = fixture_format("producer:%s", slot);

	cr_expect(granted("consumer:q", NULL, queue) == 0, "not connected");
	cr_expect(granted(NULL, slot_ref, queue) == PERMISSIONS_ALL, "connected or not");
	must_connect("consumer:q", slot_ref);
	cr_expect(granted("consumer:q", NULL, queue) == (permissions | PERMISSION_OPEN));
	cr_expect(granted(NULL, slot_ref, queue) == PERMISSIONS_ALL);
	cr_expect(granted("consumer:q", NULL, "another") == 0);
	cr_expect(granted("consumer:other", NULL, queue) == 0);
	free(slot_ref);
}

Test(rules, a1_read_and_write)
{
	expect_rules("rw", "test-rw", READ_WRITE);
	cr_expect(allows("consumer:q", MQ_CALL_OPEN, O_RDWR, "test-rw"));
	cr_expect(!allows("consumer:q", MQ_CALL_OPEN, O_RDWR | O_CREAT, "test-rw"));
	cr_expect(!allows("consumer:q", MQ_CALL_UNLINK, 0, "test-rw"));
}

Test(rules, a2_default_permissions)
{
	expect_rules("default", "test-default", READ_WRITE);
}

/* snapd counts five system calls here: no sending, no unlinking. */
Test(rules, a3_read_only)
{
	expect_rules("ro", "test-ro", PERMISSION_READ);
	cr_expect(allows("consumer:q", MQ_CALL_OPEN, O_RDONLY, "test-ro"));
	cr_expect(allows("consumer:q", MQ_CALL_GETSETATTR, 0, "test-ro"));
	cr_expect(allows("consumer:q", MQ_CALL_RECEIVE, 0, "test-ro"));
	cr_expect(allows("consumer:q", MQ_CALL_NOTIFY, 0, "test-ro"));
	cr_expect(!allows("consumer:q", MQ_CALL_SEND, 0, "test-ro"));
	cr_expect(!allows("consumer:q", MQ_CALL_OPEN, O_WRONLY, "test-ro"));
	cr_expect(!allows("consumer:q", MQ_CALL_UNLINK, 0, "test-ro"));
}

Test(rules, a4_several_paths)
{
	expect_rules("array", "test-array-1", READ_WRITE);
	cr_expect(granted("consumer:q", NULL, "test-array-2") == (READ_WRITE | PERMISSION_OPEN));
	cr_expect(granted("consumer:q", NULL, "test-array-3") == (READ_WRITE | PERMISSION_OPEN));
	cr_expect(granted("consumer:q", NULL, "test-array-4") == 0);
	cr_expect(granted(NULL, "producer:array", "test-array-3") == PERMISSIONS_ALL);
}

Test(rules, a5_all_permissions)
{
	expect_rules("all", "test-all", PERMISSIONS_ALL);
	cr_expect(allows("consumer:q", MQ_CALL_OPEN, O_RDWR | O_CREAT, "test-all"));
	cr_expect(allows("consumer:q", MQ_CALL_UNLINK, 0, "test-all"));
	cr_expect(allows("consumer:q", MQ_CALL_SEND, 0, "test-all"));
}

/* snapd finds this at the slot, or only when it is connected; here the slot is dropped when it is
 * read, so that neither side has anything. */
static void expect_nothing_of(const char *attributes)
{
	char *text = document("slots", "bad", attributes), *warnings;
	struct package *package = parse(text, &warnings);
	struct packages packages = {.references = 1, .items = &package, .count = 1};
	struct policy bad = {&packages, policy.connections};
	struct grants *grants = NULL;
	struct connections *changed = NULL;
	struct fault fault = {0};

	cr_assert(grants_new(1, &grants) == 0);
	cr_assert(policy_add_slot_grants(&bad, "producer:bad", NULL, grants) == 0);
	cr_expect(grants->exact_count == 0 && grants->pattern_count == 0);
	cr_expect(policy_connect(&bad, "producer:bad", "producer:bad", 0, false, &changed,
			  &fault) == -ENOENT);
	cr_expect(!streq(warnings, ""));
	fault_clear(&fault);
	grants_free(grants);
	free(warnings);
	package_free(package);
}

Test(rules, a6_unknown_permission_gives_nothing)
{
	expect_nothing_of("    path: /p\n    permissions: [create, delete, break-everything]\n");
}

Test(rules, a7_bad_paths_give_nothing)
{
	expect_nothing_of("    path: ../../test-invalid\n");
	expect_nothing_of("    path: /test-invalid-2\"[\n");
	expect_nothing_of("    path: {this-is-not-a-valid-path: true}\n");
}

/* --- O, B: auto-connection, and the interface's name ---------------------------------------- */

static size_t automatic(const char *documents)
{
	struct policy packages;
	struct connections *changed = NULL;
	size_t count, left_out = 99;

	fixture_policy(&packages, documents);
	cr_assert(policy_auto_connect(&packages, &changed, &left_out) == 0);
	cr_expect(left_out == 0);
	count = changed->count;
	connections_unref(changed);
	fixture_policy_clear(&packages);
	return count;
}

Test(snapd_parity, o3_the_interface_connects_automatically)
{
	cr_expect(automatic("name: ab\npublisher: us\nplugs: {q: posix-mq}\n---\n"
			    "name: cd\npublisher: us\n"
			    "slots: {q: {interface: posix-mq, path: /q}}\n") == 1);
}

/* It is found by its name only, also where the name is all there is; and no system offers it. */
Test(snapd_parity, o4_the_interface_is_named_posix_mq)
{
	char *warnings;
	struct package *package = parse(
		strdup("name: ab\nplugs: {posix-mq: , b: posix-mq, c: posix_mq, d: mqueue}\n"),
		&warnings);
	struct packages packages = {.references = 1, .items = &package, .count = 1};
	struct policy alone = {.packages = &packages};
	struct connections *changed = NULL;
	struct fault fault = {0};

	cr_expect(package->plug_count == 2 && package_plug(package, "posix-mq") &&
		  package_plug(package, "b"));
	cr_expect_str_eq(package_plug(package, "posix-mq")->id, "posix-mq");
	cr_assert(connections_new(&alone.connections) == 0);
	cr_expect(policy_connect(&alone, "ab:b", "", 0, false, &changed, &fault) == -ENOENT);
	cr_expect(startswith(fault.message, "the slot is missing"));
	fault_clear(&fault);
	connections_unref(alone.connections);
	free(warnings);
	package_free(package);
}

/* Without a publisher (there: without declarations) nothing is connected automatically. */
Test(snapd_parity, b1_nothing_automatic_without_a_publisher)
{
	cr_expect(automatic("name: ab\nplugs: {q: posix-mq}\n---\n"
			    "name: cd\nslots: {q: {interface: posix-mq, path: /q}}\n") == 0);
	cr_expect(automatic("name: ab\npublisher: \"\"\nplugs: {q: posix-mq}\n---\n"
			    "name: cd\npublisher: \"\"\n"
			    "slots: {q: {interface: posix-mq, path: /q}}\n") == 0);
	cr_expect(automatic("name: ab\npublisher: us\nplugs: {q: posix-mq}\n---\n"
			    "name: cd\npublisher: them\n"
			    "slots: {q: {interface: posix-mq, path: /q}}\n") == 0);
}

/* --- the ten most likely to go wrong -------------------------------------------------------- */

Test(rules, most_likely_1_an_empty_list_is_not_the_default)
{
	expect_rules("nothing", "test-nothing", 0);
	cr_expect(!allows("consumer:q", MQ_CALL_OPEN, O_RDONLY, "test-nothing"));
	cr_expect(!allows("consumer:q", MQ_CALL_OPEN, O_WRONLY, "test-nothing"));
	cr_expect(allows("consumer:q", MQ_CALL_GETSETATTR, 0, "test-nothing"));
	expect_slot("b", "    path: /b\n", "b", READ_WRITE, "/b ");
	expect_slot("c", "    path: /c\n    permissions: []\n", "c", 0, "/c ");
	expect_bad("slots", "d", "    path: /d\n    permissions: read\n",
		"permissions must be a list, not a string");
}

Test(snapd_parity, most_likely_2_names_of_queues)
{
	char *longest = fixture_format("    path: /%0255d\n", 7), *too_long;
	char *path = fixture_format("/%0255d ", 7);

	expect_slot("a", "    path: foo\n", "a", READ_WRITE, "/foo ");
	expect_slot("a", "    path: [/..., /.hidden, '/a b', '/a\\b', '/a,b#c$d@e']\n", "a",
		READ_WRITE, "/... /.hidden /a b /a\\b /a,b#c$d@e ");
	expect_slot("a", "    path: \"/a\\nb\"\n", "a", READ_WRITE, "/a\nb ");
	expect_slot("a", "    path: [/twice, /twice]\n", "a", READ_WRITE, "/twice /twice ");
	expect_slot("a", longest, "a", READ_WRITE, path);
	too_long = fixture_format("    path: /%0256d\n", 7);
	expect_bad("slots", "a", too_long, "path: a name of 256 bytes");
	expect_bad("slots", "a", "    path: /..\n", "path: \"/..\" is not a clean path");
	for (const char *c = "?*[]{}^\""; *c; c++) {
		char *attributes = fixture_format("    path: '/a%cb'\n", *c);

		expect_bad("slots", "a", attributes, "path: \"/a");
		free(attributes);
	}
	free(longest);
	free(too_long);
	free(path);
}

static int refused(const char *text)
{
	struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r = package_parse("p.yaml", text, strlen(text), &diagnostics, &package);

	diagnostics_clear(&diagnostics);
	package_free(package);
	return r;
}

Test(snapd_parity, most_likely_3_one_bad_slot_is_dropped_a_bad_document_refused)
{
	char *warnings;
	struct package *package = parse(
		strdup("name: ab\nslots:\n  bad: {interface: posix-mq, path: /.}\n"
		       "  good: {interface: posix-mq, path: /good}\n  unknown: no-such-interface\n"
		       "plugs: {fine: posix-mq}\napps: {a: {slots: [bad, good], plugs: [fine]}}\n"),
		&warnings);
	const struct app *app = package_app(package, "a");

	cr_expect(strstr(warnings, "slot \"ab:bad\" dropped") != NULL, "%s", warnings);
	cr_assert(package->slot_count == 1 && package->plug_count == 1 && app);
	cr_expect(app->slot_count == 1 && streq(app->slots[0], "good"), "from its apps too");
	free(warnings);
	package_free(package);
	cr_expect(refused("name: ab\nslots: {a: {interface: posix-mq, path: }}\n") == -EBADMSG);
	cr_expect(refused("name: ab\nslots: {a: {interface: posix-mq, path: /a}}\n"
			  "plugs: {a: posix-mq}\n") == -EBADMSG);
	cr_expect(refused("name: ab\nplugs: {a: {interface: other, $a: b}}\n") == -EBADMSG);
	cr_expect(refused("name: ab\nplugs: {a: 5}\n") == -EBADMSG);
}

Test(rules, most_likely_4_the_slot_side_has_everything)
{
	cr_expect(granted(NULL, "producer:nothing", "test-nothing") == PERMISSIONS_ALL);
	cr_expect(granted(NULL, "producer:ro", "test-ro") == PERMISSIONS_ALL);
	cr_expect(granted(NULL, "producer:ro", "test-rw") == 0, "on its own queues");
}

Test(rules, most_likely_5_create_implies_nothing)
{
	must_connect("consumer:q", "producer:create");
	cr_expect(!allows("consumer:q", MQ_CALL_OPEN, O_RDONLY | O_CREAT, "test-create"));
	cr_expect(!allows("consumer:q", MQ_CALL_OPEN, O_WRONLY | O_CREAT, "test-create"));
	cr_expect(!allows("consumer:q", MQ_CALL_UNLINK, 0, "test-create"));
	must_connect("consumer:q", "producer:delete");
	cr_expect(allows("consumer:q", MQ_CALL_UNLINK, 0, "test-create"));
	/* Whether the queue exists makes no difference: the decision does not look. */
	must_connect("consumer:q", "producer:rw");
	cr_expect(!allows("consumer:q", MQ_CALL_OPEN, O_RDONLY | O_CREAT, "test-rw"));
	cr_expect(allows("consumer:q", MQ_CALL_OPEN, O_RDONLY, "test-rw"));
	must_connect("consumer:q", "producer:all");
	cr_expect(allows("consumer:q", MQ_CALL_OPEN, O_RDONLY | O_CREAT, "test-all"));
}

Test(rules, most_likely_6_attributes_need_any_permission_and_notify_read)
{
	static const char *const slots[] = {"nothing", "create", "ro"};
	static const char *const queues[] = {"test-nothing", "test-create", "test-ro"};

	for (size_t i = 0; i < ELEMENTSOF(slots); i++) {
		char *slot = fixture_format("producer:%s", slots[i]);

		cr_expect(!allows("consumer:q", MQ_CALL_GETSETATTR, 0, queues[i]));
		must_connect("consumer:q", slot);
		cr_expect(allows("consumer:q", MQ_CALL_GETSETATTR, 0, queues[i]));
		cr_expect(allows("consumer:q", MQ_CALL_NOTIFY, 0, queues[i]) ==
			  streq(slots[i], "ro"));
		free(slot);
	}
	expect_bad("slots", "a", "    path: /a\n    permissions: [getattr]\n",
		"permissions: unknown word \"getattr\"");
	expect_bad("slots", "a", "    path: /a\n    permissions: [read, setattr]\n",
		"permissions: unknown word \"setattr\"");
}

Test(snapd_parity, most_likely_7_scoping)
{
	char *warnings;
	struct package *package =
		parse(strdup("name: ab\nplugs: {one: posix-mq, all: posix-mq, hooked: posix-mq}\n"
			     "apps:\n  x: {plugs: [one, posix-mq]}\n  y: {plugs: []}\n  z:\n"
			     "hooks: {install: {plugs: [hooked]}}\n"),
			&warnings);
	static const struct {
		const char *app, *plugs;
	} expected[] = {
		{"x", "all one posix-mq "},
		{"y", "all "},
		{"z", "all "},
		{"hook.install", "all hooked "},
	};

	cr_expect_str_eq(warnings, "");
	for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
		const struct app *app = package_app(package, expected[i].app);
		char *plugs = strdup("");

		cr_assert(app != NULL, "%s", expected[i].app);
		for (size_t j = 0; j < package->plug_count; j++)
			if (app_has_plug(app, &package->plugs[j])) {
				char *longer =
					fixture_format("%s%s ", plugs, package->plugs[j].name);

				free(plugs);
				plugs = longer;
			}
		cr_expect_str_eq(plugs, expected[i].plugs, "%s: %s", expected[i].app, plugs);
		free(plugs);
	}
	cr_expect_str_eq(package_plug(package, "posix-mq")->id, "posix-mq");
	free(warnings);
	package_free(package);
}

/* What a component's hook names is that hook's: no app gets it. It has no slots, its own or
 * everybody's. */
Test(snapd_parity, most_likely_7_scoping_to_a_component)
{
	char *warnings;
	struct package *package =
		parse(strdup("name: ab\nplugs: {secrets: posix-mq, all: posix-mq}\n"
			     "slots: {s: {interface: posix-mq, path: /s}}\napps: {viewer: }\n"
			     "components: {models: {type: standard, hooks: {install: {plugs: "
			     "[secrets, posix-mq]}}}}\n"),
			&warnings);
	const struct app *viewer = package_app(package, "viewer");
	const struct app *hook = package_app(package, "+models.hook.install");

	cr_expect_str_eq(warnings, "");
	cr_assert(viewer && hook && package_plug(package, "posix-mq"));
	cr_expect(!app_has_plug(viewer, package_plug(package, "secrets")));
	cr_expect(!app_has_plug(viewer, package_plug(package, "posix-mq")));
	cr_expect(app_has_plug(viewer, package_plug(package, "all")));
	cr_expect(app_has_slot(viewer, package_slot(package, "s")));
	cr_expect(app_has_plug(hook, package_plug(package, "secrets")));
	cr_expect(app_has_plug(hook, package_plug(package, "posix-mq")));
	cr_expect(app_has_plug(hook, package_plug(package, "all")));
	cr_expect(!app_has_slot(hook, package_slot(package, "s")));
	free(warnings);
	package_free(package);
	cr_expect(refused("name: ab\nslots: {s: {interface: posix-mq, path: /s}}\n"
			  "components: {models: {hooks: {install: {slots: [s]}}}}\n") == -EBADMSG);
	cr_expect(refused("name: ab\ncomponents: {models: {hooks: {configure: }}}\n") == -EBADMSG);
}

Test(rules, most_likely_8_connecting_twice_and_disconnecting_nothing)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	size_t count = 99;

	must_connect("consumer:q", "producer:rw");
	cr_expect(policy_connect(
			  &policy, "consumer:q", "producer:rw", 0, false, &changed, &fault) == 0);
	cr_expect(changed == policy.connections, "success, and nothing new");
	connections_unref(changed);
	cr_expect(policy_disconnect(
			  &policy, "consumer:other", "", false, &changed, &count, &fault) == 0);
	cr_expect(count == 0 && changed == policy.connections);
	connections_unref(changed);
	cr_expect(policy_disconnect(&policy, "consumer:other", "producer:rw", false, &changed,
			  &count, &fault) == -ENOTCONN);
	cr_expect_str_eq(fault.message,
		"cannot disconnect consumer:other from producer:rw, it is not connected; "
		"consumer:other is connected to nothing");
	cr_expect(policy_connect(&policy, "consumer:q", "producer", 0, false, &changed, &fault) ==
			  -ENOTUNIQ,
		"the id is not looked at");
	fault_clear(&fault);
}

/* As between snaps that have declarations: "connection not allowed by plug rule". What snapd allows
 * if one of the two has none, --any-id does. */
Test(rules, connecting_by_hand_needs_the_same_id)
{
	struct connections *changed = NULL;
	struct fault fault = {0};

	cr_expect(policy_connect(&policy, "consumer:q", "producer:rw", 0, false, &changed,
			  &fault) == -EINVAL);
	cr_expect(strstr(fault.message, "the ids must be the same") != NULL, "%s", fault.message);
	fault_clear(&fault);
	must_connect("consumer:q", "producer:rw");
}

/* The rest of 9 stands in test-auto-connect.c. */
Test(snapd_parity, most_likely_9_more_than_one_candidate_connects_none)
{
	cr_expect(automatic("name: ab\npublisher: us\nplugs: {q: posix-mq}\n---\n"
			    "name: cd\npublisher: us\n"
			    "slots: {q: {interface: posix-mq, path: /q}}\n---\n"
			    "name: ef\npublisher: us\n"
			    "slots: {r: {interface: posix-mq, posix-mq: q, path: /r}}\n") == 0);
}

/* What is open and what runs: tests/system, test-connect-disconnect.sh and test-snapd-spread.sh. */
Test(rules, most_likely_10_disconnecting_leaves_no_permission)
{
	struct connections *changed = NULL;
	struct fault fault = {0};
	size_t count;

	must_connect("consumer:q", "producer:all");
	cr_expect(allows("consumer:q", MQ_CALL_RECEIVE, 0, "test-all"));
	cr_assert(policy_disconnect(&policy, "consumer:q", "producer:all", false, &changed, &count,
			  &fault) == 0);
	connections_unref(policy.connections);
	policy.connections = changed;
	cr_expect(granted("consumer:q", NULL, "test-all") == 0);
	for (enum mq_call call = MQ_CALL_OPEN; call < MQ_CALL_COUNT; call++)
		cr_expect(!allows("consumer:q", call, O_RDONLY, "test-all"));
}
