/* SPDX-License-Identifier: MIT */
/* mqctl oci-profile: the seccomp profile of a container whose calls mqgated decides, for runtimes
 * that hand over a listener (listenerPath).
 *
 * It is a runtime's own profile, the base, with what it says of the calls below replaced. Inside
 * there is no wall, so that these rules and the container's mounts are all that closes the other
 * roads: nothing is mounted, no namespace is entered, none is made that would give the right to
 * mount, and the root directory stays, so that all mounts are seen from it; and no listener comes
 * above this one (see launcher/filter.c, whose rules these are). */
#include "mqctl.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/random.h>

#include "include/container.h"
#include "include/file.h"
#include "include/limits.h"
#include "include/names.h"
#include "include/syscalls.h"
#include "include/tree.h"
#include "print.h"

#define BASE_OF_PODMAN "/usr/share/containers/seccomp.json"

/* Those of which only our rules speak, besides the calls of message queues. */
static const char *const taken[] = {"chroot", "clone", "clone3", "fsconfig", "fsmount", "fsopen",
	"fspick", "mount", "mount_setattr", "move_mount", "open_tree", "open_tree_attr",
	"pivot_root", "seccomp", "setns", "umount", "umount2", "unshare", CONTAINER_MARK_NAME};

static bool is_queue_call(const char *name)
{
	for (enum mq_call call = 0; call < MQ_CALL_COUNT; call++) {
		const char *own = mq_call_to_string(call);

		if (startswith(name, own) &&
			(!name[strlen(own)] || streq(name + strlen(own), "_time64")))
			return true;
	}
	return false;
}

static bool is_taken(const struct value *name)
{
	for (size_t i = 0; i < ELEMENTSOF(taken); i++)
		if (streq(name->text, taken[i]))
			return true;
	return is_queue_call(name->text);
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void print_value(const struct value *value, FILE *f)
{
	switch (value->kind) {
	case VALUE_LIST:
		for (size_t i = 0; i < value->count; i++) {
			(void)fputs(i == 0 ? "[" : ", ", f);
			print_value(value->items[i], f);
		}
		(void)fputs(value->count == 0 ? "[]" : "]", f);
		break;
	case VALUE_MAP:
		for (size_t i = 0; i < value->count; i++) {
			(void)fputs(i == 0 ? "{" : ", ", f);
			json_print_string(value->pairs[i].key->text, f);
			(void)fputs(": ", f);
			print_value(value->pairs[i].value, f);
		}
		(void)fputs(value->count == 0 ? "{}" : "}", f);
		break;
	case VALUE_STRING:
	case VALUE_TAGGED:
		json_print_string(value->text, f);
		break;
	default:
		(void)fputs(value->text, f);
	}
}

/* --- rules ------------------------------------------------------------------------------------ */

static void begin_rule(FILE *f, bool *first)
{
	(void)fputs(*first ? "    " : ",\n    ", f);
	*first = false;
}

static bool has_names(const struct value *names)
{
	for (size_t i = 0; names && names->kind == VALUE_LIST && i < names->count; i++)
		if (!is_taken(names->items[i]))
			return true;
	return false;
}

static void print_names(const struct value *names, FILE *f)
{
	bool first = true;

	(void)fputs("\"names\": [", f);
	for (size_t i = 0; i < names->count; i++) {
		if (is_taken(names->items[i]))
			continue;
		(void)fputs(first ? "" : ", ", f);
		first = false;
		print_value(names->items[i], f);
	}
	(void)fputc(']', f);
}

/* A rule of the base, without the calls of which ours speak; nothing if it speaks of no others. */
static void print_base_rule(const struct value *rule, FILE *f, bool *first)
{
	const struct value *names = value_get(rule, "names");

	if (!has_names(names))
		return;
	begin_rule(f, first);
	(void)fputc('{', f);
	print_names(names, f);
	for (size_t i = 0; i < rule->count; i++) {
		if (streq(rule->pairs[i].key->text, "names"))
			continue;
		(void)fputs(", ", f);
		json_print_string(rule->pairs[i].key->text, f);
		(void)fputs(": ", f);
		print_value(rule->pairs[i].value, f);
	}
	(void)fputc('}', f);
}

static void print_queue_calls(FILE *f, bool *first)
{
	const struct intercepted_call *call;
	bool more = false;

	begin_rule(f, first);
	(void)fputs("{\"names\": [", f);
	for (size_t i = 0; (call = intercepted_call_at(i)); i++) {
		const bool longer =
			call->arch == compat_arch && intercepted_call_has_long_time(call->nr);

		if (call->arch != native_arch && !longer)
			continue;
		(void)fprintf(f, "%s\"%s%s\"", more ? ", " : "", mq_call_to_string(call->call),
			longer ? "_time64" : "");
		more = true;
	}
	(void)fputs("], \"action\": \"SCMP_ACT_NOTIFY\"}", f);
}

/* The kernel takes these arguments for 32 bits: what is in the upper half must not matter. */
#define LOW_BITS(argument, mask, value)                                                \
	"{\"index\": " #argument ", \"op\": \"SCMP_CMP_MASKED_EQ\", \"value\": " #mask \
	", \"valueTwo\": " #value "}"
#define RULE(names, action, arguments) \
	"{\"names\": [" names "], \"action\": \"SCMP_ACT_" action ", \"args\": [" arguments "]}"
#define ALLOW    "ALLOW\""
#define NOTIFY   "NOTIFY\""
#define ERRNO(n) "ERRNO\", \"errnoRet\": " #n

/* Of CLONE_FILES (0x400), CLONE_THREAD (0x10000), CLONE_NEWUSER (0x10000000) each combination is in
 * one rule only: which of several counts would be the runtime's business. SECCOMP_SET_MODE_FILTER
 * is 1, SECCOMP_FILTER_FLAG_NEW_LISTENER 8; 0, 2 and 3 are the other operations. */
static const char *const rules[] = {
	RULE("\"clone\"", ALLOW, LOW_BITS(0, 268436480, 0)),
	RULE("\"clone\"", ALLOW, LOW_BITS(0, 268502016, 66560)),
	RULE("\"clone\"", NOTIFY, LOW_BITS(0, 268502016, 1024)),
	RULE("\"clone\"", ERRNO(1), LOW_BITS(0, 268435456, 268435456)),
	RULE("\"clone3\"", ERRNO(38), ""),
	RULE("\"unshare\"", ALLOW, LOW_BITS(0, 268435456, 0)),
	RULE("\"unshare\"", ERRNO(1), LOW_BITS(0, 268435456, 268435456)),
	RULE("\"seccomp\"", ALLOW, LOW_BITS(0, 4294967295, 0)),
	RULE("\"seccomp\"", ALLOW, LOW_BITS(0, 4294967295, 2)),
	RULE("\"seccomp\"", ALLOW, LOW_BITS(0, 4294967295, 3)),
	RULE("\"seccomp\"", ALLOW, LOW_BITS(0, 4294967295, 1) ", " LOW_BITS(1, 8, 0)),
	RULE("\"seccomp\"", ERRNO(16), LOW_BITS(0, 4294967295, 1) ", " LOW_BITS(1, 8, 8)),
	RULE("\"chroot\", \"fsconfig\", \"fsmount\", \"fsopen\", \"fspick\", \"mount\", \"mount_setattr\", "
	     "\"move_mount\", \"open_tree\", \"open_tree_attr\", \"pivot_root\", \"setns\", \"umount\", \"umount2\"",
		ERRNO(1), ""),
};

/* By which the filter of this profile is known for ever. */
static void print_mark(uint64_t id, FILE *f, bool *first)
{
	begin_rule(f, first);
	(void)fprintf(f,
		"{\"names\": [\"" CONTAINER_MARK_NAME "\"], \"action\": \"SCMP_ACT_ERRNO\", "
		"\"errnoRet\": %d, \"args\": [{\"index\": 0, \"op\": \"SCMP_CMP_EQ\", \"value\": "
		"%" PRIu64 "}]}",
		CONTAINER_MARK_ERROR, id);
}

static void print_rules(const struct value *base, uint64_t id, FILE *f)
{
	bool first = true;

	(void)fputs("  \"syscalls\": [\n", f);
	for (size_t i = 0; i < base->count; i++)
		print_base_rule(base->items[i], f, &first);
	print_queue_calls(f, &first);
	for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
		begin_rule(f, &first);
		(void)fputs(rules[i], f);
	}
	print_mark(id, f, &first);
	(void)fputs("\n  ]\n}\n", f);
}

/* --- the profile ------------------------------------------------------------------------------ */

static void print_flags(const struct value *flags, FILE *f)
{
	(void)fputs("  \"flags\": [\"" CONTAINER_FLAG "\"", f);
	for (size_t i = 0; flags && flags->kind == VALUE_LIST && i < flags->count; i++)
		if (!streq(flags->items[i]->text, CONTAINER_FLAG)) {
			(void)fputs(", ", f);
			print_value(flags->items[i], f);
		}
	(void)fputs("],\n", f);
}

static void print_metadata(const struct arguments *arguments, uint64_t id, FILE *f)
{
	(void)fprintf(f, "  \"listenerMetadata\": \"" CONTAINER_METADATA " id=%016" PRIx64, id);
	for (size_t i = 0; i < arguments->plug_count; i++)
		(void)fprintf(f, " plug=%s", arguments->plugs[i]);
	(void)fputs("\",\n", f);
}

static void print_profile(const struct value *base, const struct arguments *arguments,
	const char *path, uint64_t id, FILE *f)
{
	static const char *const own[] = {"flags", "listenerMetadata", "listenerPath", "syscalls"};

	(void)fputs("{\n", f);
	for (size_t i = 0; i < base->count; i++) {
		const char *key = base->pairs[i].key->text;
		bool is_own = false;

		for (size_t j = 0; j < ELEMENTSOF(own); j++)
			is_own = is_own || streq(key, own[j]);
		if (is_own)
			continue;
		(void)fputs("  ", f);
		json_print_string(key, f);
		(void)fputs(": ", f);
		print_value(base->pairs[i].value, f);
		(void)fputs(",\n", f);
	}
	print_flags(value_get(base, "flags"), f);
	(void)fputs("  \"listenerPath\": ", f);
	json_print_string(path, f);
	(void)fputs(",\n", f);
	print_metadata(arguments, id, f);
	print_rules(value_get(base, "syscalls"), id, f);
}

static int refuse_base(const char *file, const struct value *root)
{
	const struct value *rules_of_base =
		root && root->kind == VALUE_MAP ? value_get(root, "syscalls") : NULL;

	if (!rules_of_base || rules_of_base->kind != VALUE_LIST ||
		!value_get(root, "defaultAction"))
		print_error("%s is no seccomp profile: it has no \"defaultAction\" or no "
			    "\"syscalls\"; name the default profile of your runtime with --base",
			file);
	else if (value_get(root, "listenerPath"))
		print_error("%s has a \"listenerPath\" already, and the kernel allows one listener "
			    "only; take it out of a copy, and name that with --base",
			file);
	else
		return DONE;
	return REFUSED;
}

static int read_base(const char *file, struct diagnostics *diagnostics, struct tree **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	int r = file_read(file, PACKAGE_FILE_MAX, &text, &size);

	if (r < 0) {
		print_error("%s: %s; name the default profile of your runtime with --base", file,
			strerror(-r));
		return REFUSED;
	}
	r = tree_parse(file, text, size, diagnostics, ret);
	if (r == -ENOMEM)
		return print_no_memory();
	return r < 0 ? print_diagnostics(diagnostics) : refuse_base(file, (*ret)->root);
}

static bool check_plugs(const struct arguments *arguments)
{
	struct ref ref;

	for (size_t i = 0; i < arguments->plug_count; i++)
		if (ref_parse(arguments->plugs[i], &ref) < 0) {
			print_error("\"%s\" is no plug; name it as PKG:PLUG, see mqctl plugs",
				arguments->plugs[i]);
			return false;
		}
	if (arguments->plug_count == 0)
		print_error("no plug is named; use --plug PKG:PLUG, once for each");
	else if (arguments->plug_count > LAUNCH_REFS_MAX)
		print_error("more than %d plugs, which no container can have", LAUNCH_REFS_MAX);
	return arguments->plug_count > 0 && arguments->plug_count <= LAUNCH_REFS_MAX;
}

/* Where the runtime is to find mqgated, which may be another directory than here. */
static char *socket_path(const struct arguments *arguments)
{
	_cleanup_free_ char *directory = realpath(arguments->runtime_dir, NULL);
	char *path;

	if (asprintf(&path, "%s/" CONTAINER_SOCKET, directory ?: arguments->runtime_dir) < 0)
		return NULL;
	if (access(path, F_OK) < 0)
		print_error("warning: there is no %s; until it is there, containers with this "
			    "profile do not start (systemctl enable mqgated-oci.socket; systemctl "
			    "restart mqgated; or mqgated --containers)",
			path);
	return path;
}

int verb_oci_profile(const struct arguments *arguments)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(tree_freep) struct tree *tree = NULL;
	_cleanup_free_ char *path = NULL;
	uint64_t id;
	int r;

	if (!check_plugs(arguments))
		return USAGE;
	r = read_base(arguments->base ?: BASE_OF_PODMAN, &diagnostics, &tree);
	if (r != DONE)
		return r;
	if (getrandom(&id, sizeof(id), 0) != (ssize_t)sizeof(id)) {
		print_error("the kernel gives no random number: %s", strerror(errno));
		return REFUSED;
	}
	path = socket_path(arguments);
	if (!path)
		return print_no_memory();
	/* Some readers of JSON have no numbers beyond. */
	print_profile(tree->root, arguments, path, id >> 11, stdout);
	return DONE;
}
