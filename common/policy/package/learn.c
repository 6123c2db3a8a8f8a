/* SPDX-License-Identifier: MIT */
/* The package document that gives what was needed.
 *
 * Exact names, never a wildcard: what the names have in common is for a person to say, and is only
 * pointed out. A name is any bytes that a program likes: one that might mean more in a document
 * than itself, or end a line, stands in a comment, escaped. */
#include "include/learn.h"

#include <ctype.h>

#include "include/names.h"
#include "include/tree.h"
#include "config.h"
#include "documents.h"
#include "include/array.h"
#include "include/log.h"
#include "insert.h"
#include "lesson.h"

#define NAME_DEFAULT "learned"

static void lesson_clear(struct lesson *lesson)
{
	free(lesson->left);
	free(lesson->likes);
	free(lesson->done);
	policy_release(&lesson->policy);
	(void)strings_free(lesson->slots, lesson->slot_count);
}

/* --- names ------------------------------------------------------------------------------------ */

/* Of a file's name: without folder and ending, as packages and plugs are named. */
static void name_of_file(const char *file, char ret[static PACKAGE_NAME_MAX + 1])
{
	const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file;
	size_t length = 0;

	for (; *base && *base != '.' && length < 40; base++) {
		char c = (char)tolower((unsigned char)*base);

		if (islower((unsigned char)c) || isdigit((unsigned char)c))
			ret[length++] = c;
		else if (length > 0 && ret[length - 1] != '-')
			ret[length++] = '-';
	}
	while (length > 0 && ret[length - 1] == '-')
		length--;
	ret[length] = '\0';
	if (!package_name_is_valid(ret) || !plug_name_is_valid(ret))
		(void)strcpy(ret, NAME_DEFAULT);
}

/* Whether a document can have it as a path, and whoever reads that sees it as it is. */
static bool is_plain(const char *name)
{
	char escaped[4 * QUEUE_NAME_MAX + 1];

	for (const char *backslash = name; (backslash = strchr(backslash, '\\')); backslash++)
		if (backslash[1] == 'x')
			return false;
	if (strpbrk(name, "{}*?[]^\"") || !queue_name_is_possible(name))
		return false;
	(void)escape(name, escaped, sizeof(escaped));
	for (const char *e = escaped; *e; e++, name++) {
		if (startswith(e, "\\x5c"))
			e += strlen("x5c");
		else if (*e != *name)
			return false;
	}
	return true;
}

/* A quote is doubled within quotes; nothing else has a meaning there. */
static void print_scalar(FILE *f, const char *prefix, const char *text)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
	const char *quote = text[strspn(text, plain)] ? "'" : "";

	(void)fprintf(f, "%s%s", quote, prefix);
	for (; *text; text++)
		(void)fprintf(f, *text == '\'' ? "''" : "%c", *text);
	(void)fputs(quote, f);
}

static void print_escaped(FILE *f, const char *text)
{
	char escaped[4 * QUEUE_NAME_MAX + 1];

	print_word(f, escape(text, escaped, sizeof(escaped)));
}

/* --- comments --------------------------------------------------------------------------------- */

static void print_facts(FILE *f, const struct need *need)
{
	char first[UTC_STRING_MAX];

	(void)fprintf(
		f, "%llu call%s", (unsigned long long)need->calls, need->calls == 1 ? "" : "s");
	for (size_t i = 0; i < need->command_count; i++) {
		(void)fputs(i == 0 ? " by " : ", ", f);
		print_escaped(f, need->commands[i]);
	}
	(void)fprintf(f, "; first %s", utc_format(need->first, first));
}

/* --- slots ------------------------------------------------------------------------------------ */

static bool is_taken(const struct lesson *lesson, const char *name)
{
	for (size_t i = 0; i < lesson->slot_count; i++)
		if (streq(lesson->slots[i], name))
			return true;
	return streq(lesson->plug, name) ||
	       (lesson->package && (package_plug(lesson->package, name) ||
					   package_slot(lesson->package, name)));
}

/* Named by what it gives. */
static int name_slot(struct lesson *lesson, uint32_t permissions, const char **ret)
{
	char words[PERMISSIONS_STRING_MAX], *name = NULL;
	unsigned number = 1;
	int r;

	(void)permissions_format(permissions, words);
	for (char *comma = words; (comma = strchr(comma, ','));)
		*comma = '-';
	do {
		char suffix[16] = "";

		free(name);
		if (number > 1)
			(void)snprintf(suffix, sizeof(suffix), "-%u", number);
		if (asprintf(&name, NAME_DEFAULT "-%s%s", words, suffix) < 0)
			return -ENOMEM;
		number++;
	} while (is_taken(lesson, name));
	r = array_append(&lesson->slots, &lesson->slot_count, &name, sizeof(name));
	if (r < 0)
		free(name);
	else
		*ret = name;
	return r;
}

static void print_permissions(FILE *f, uint32_t permissions)
{
	char words[PERMISSIONS_STRING_MAX];

	for (const char *c = permissions_format(permissions, words); *c; c++)
		(void)fprintf(f, *c == ',' ? ", " : "%c", *c);
}

static void print_head(
	FILE *f, int indent, const char *name, const struct lesson *lesson, uint32_t permissions)
{
	(void)fprintf(f, "%*s%s:\n%*sinterface: posix-mq\n%*sposix-mq: ", indent, "", name,
		indent + 2, "", indent + 2, "");
	print_scalar(f, "", lesson->id);
	(void)fprintf(f, "\n%*spermissions: [", indent + 2, "");
	print_permissions(f, permissions);
	(void)fprintf(f, "]\n%*spath:\n", indent + 2, "");
}

static bool is_in(const struct lesson *lesson, size_t i, uint32_t permissions)
{
	return lesson->left[i] == permissions && is_plain(lesson->needs->items[i].name);
}

/* All queues with the same need, as many as one slot takes; from: the first of them. */
static int print_slot(FILE *f, int indent, struct lesson *lesson, size_t from)
{
	const uint32_t permissions = lesson->left[from];
	const char *name;
	size_t count = 0;
	int r = name_slot(lesson, permissions, &name);

	if (r < 0)
		return r;
	print_head(f, indent, name, lesson, permissions);
	for (size_t i = from; i < lesson->needs->count && count < SLOT_QUEUES_MAX; i++) {
		if (lesson->done[i] || !is_in(lesson, i, permissions))
			continue;
		print_hint(f, indent + 4, lesson, i);
		(void)fprintf(f, "%*s- ", indent + 4, "");
		print_scalar(f, "/", lesson->needs->items[i].name);
		(void)fputs("  # ", f);
		print_facts(f, &lesson->needs->items[i]);
		(void)fputc('\n', f);
		lesson->done[i] = true;
		count++;
	}
	return 0;
}

/* A name that no path can be. It is not said twice. */
static void print_strange(
	FILE *f, int indent, const struct lesson *lesson, const char *text, size_t i)
{
	const struct need *need = &lesson->needs->items[i];
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	FILE *l = open_memstream(&line, &size);

	if (!l)
		return;
	(void)fputs("# /", l);
	print_escaped(l, need->name);
	(void)fputs(" was used, which no path can be: [", l);
	print_permissions(l, lesson->left[i]);
	(void)fputs("]", l);
	if (fclose(l) == 0 && !strstr(text, line))
		(void)fprintf(f, "%*s%s\n", indent, "", line);
}

static int print_slots(FILE *f, int indent, struct lesson *lesson, const char *text)
{
	int r = 0;

	for (size_t i = 0; i < lesson->needs->count && r == 0; i++)
		if (lesson->left[i] != 0 && !is_plain(lesson->needs->items[i].name))
			print_strange(f, indent, lesson, text, i);
	for (size_t i = 0; i < lesson->needs->count && r == 0; i++)
		if (!lesson->done[i] && lesson->left[i] != 0 &&
			is_plain(lesson->needs->items[i].name))
			r = print_slot(f, indent, lesson, i);
	return r;
}

/* --- the document ----------------------------------------------------------------------------- */

/* Replaces *text, or appends to the block of a key. */
static int add(const struct lesson *lesson, char **text, const struct value *root, const char *key,
	const char *addition, struct diagnostics *diagnostics)
{
	struct block block;
	char *added;
	int r;

	if (!*addition)
		return 0;
	r = block_find(lesson->file, *text, root, key, diagnostics, &block);
	if (r < 0)
		return r;
	added = block_insert(*text, &block, key, addition);
	if (!added)
		return -ENOMEM;
	free(*text);
	*text = added;
	return 0;
}

/* indent: that of the entries below the key. */
static int indent_of(const struct lesson *lesson, const char *text, const struct value *root,
	const char *key, struct diagnostics *diagnostics, int *ret)
{
	struct block block;
	int r = block_find(lesson->file, text, root, key, diagnostics, &block);

	if (r == 0)
		*ret = (int)block.indent;
	return r;
}

enum part { PART_PLUG, PART_SLOTS, PART_CONNECTIONS };

static int print_part(FILE *f, enum part part, int indent, struct lesson *lesson, const char *text)
{
	switch (part) {
	case PART_PLUG:
		(void)fprintf(f, "%*s%s: posix-mq\n", indent, "", lesson->plug);
		return 0;
	case PART_SLOTS:
		return print_slots(f, indent, lesson, text);
	case PART_CONNECTIONS:
		for (size_t i = 0; i < lesson->slot_count; i++)
			(void)fprintf(f, "%*s- {plug: \"%s:%s\", slot: \"%s:%s\"}\n", indent, "",
				lesson->package_name, lesson->plug, lesson->package_name,
				lesson->slots[i]);
		break;
	}
	return 0;
}

static bool is_needed(const struct lesson *lesson, enum part part, const struct value *root)
{
	switch (part) {
	case PART_PLUG:
		return !lesson->package || !package_plug(lesson->package, lesson->plug);
	case PART_SLOTS:
		for (size_t i = 0; i < lesson->needs->count; i++)
			if (lesson->left[i] != 0)
				return true;
		return false;
	case PART_CONNECTIONS:
		return lesson->slot_count > 0 && value_get(root, "connections");
	}
	return false;
}

static int add_part(struct lesson *lesson, char **text, enum part part, const char *key,
	struct diagnostics *diagnostics)
{
	_cleanup_(tree_freep) struct tree *tree = NULL;
	_cleanup_free_ char *addition = NULL;
	size_t size = 0;
	int indent = 0, r = tree_parse(lesson->file, *text, strlen(*text), diagnostics, &tree);
	FILE *f;

	if (r == 0 && !is_needed(lesson, part, tree->root))
		return 0;
	r = r < 0 ? r : indent_of(lesson, *text, tree->root, key, diagnostics, &indent);
	if (r < 0)
		return r;
	f = open_memstream(&addition, &size);
	if (!f)
		return -ENOMEM;
	r = print_part(f, part, indent, lesson, *text);
	if (fclose(f) != 0)
		r = -ENOMEM;
	return r < 0 ? r : add(lesson, text, tree->root, key, addition, diagnostics);
}

/* Every slot gives "open". */
static uint32_t left_of(uint32_t needed, uint32_t granted)
{
	const uint32_t left = needed & ~granted;

	return left & ~PERMISSION_OPEN ?: left;
}

/* What a document gives to the plug, and what is left. */
static int find_left(struct lesson *lesson, const char *text)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(policy_release) struct policy policy = {0};
	_cleanup_(grants_freep) struct grants *grants = NULL;
	char ref[REF_MAX + 1];
	int r = policy_from_text(lesson->file, text, &diagnostics, &policy);

	r = r < 0 ? r : grants_new(0, &grants);
	if (r < 0)
		return r;
	(void)ref_format(lesson->package_name, lesson->plug, ref);
	r = policy_add_plug_grants(&policy, ref, NULL, grants);
	if (r < 0)
		return r;
	grants_seal(grants);
	for (size_t i = 0; i < lesson->needs->count; i++) {
		const struct need *need = &lesson->needs->items[i];
		const struct subject subject = {need->by_pid ? need->pid : 0, need->uid};

		lesson->left[i] = left_of(
			need->permissions, grants_find(grants, &subject, need->name).permissions);
	}
	return 0;
}

static int begin_document(const struct lesson *lesson, char **ret)
{
	char now[UTC_STRING_MAX], what[256];
	int r = asprintf(ret,
		"# Learned from: %s\n"
		"# on %s. Names are exact: see mqgate-packages(5) for patterns.\n"
		"name: %s\n",
		escape(lesson->what, what, sizeof(what)), utc_format((uint64_t)time(NULL), now),
		lesson->package_name);
	return r < 0 ? -ENOMEM : 0;
}

/* The one that was named, or the only one; of a document without any, its own name. */
static int choose_plug(struct lesson *lesson, const char *plug, struct diagnostics *diagnostics)
{
	const struct package *package = lesson->package;
	const struct plug *known;

	if (!plug && package && package->plug_count > 1) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, lesson->file, 0, 0,
			"there is more than one plug in it; say for which one to learn (--plug NAME)");
		return -EBADMSG;
	}
	if (plug && !plug_name_is_valid(plug)) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, lesson->file, 0, 0,
			"\"%s\" is no name for a plug; write a letter, then a-z, 0-9 and \"-\"",
			plug);
		return -EBADMSG;
	}
	if (plug)
		(void)strcpy(lesson->plug, plug);
	else if (package && package->plug_count == 1)
		(void)strcpy(lesson->plug, package->plugs[0].name);
	else
		name_of_file(lesson->file, lesson->plug);
	known = package ? package_plug(package, lesson->plug) : NULL;
	if (known && known->path_count > 0) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, lesson->file, known->line,
			known->column,
			"the names in \"path\" mean a slot's queues in order, which is not learned; "
			"learn for a plug without it (--plug NAME)");
		return -EBADMSG;
	}
	lesson->id = known ? known->id : lesson->plug;
	return 0;
}

static int read_before(struct lesson *lesson, const char *text, struct diagnostics *diagnostics)
{
	int r = policy_from_text(lesson->file, text, diagnostics, &lesson->policy);

	if (r < 0)
		return r;
	if (lesson->policy.packages->count == 0) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, lesson->file, 0, 0,
			"there is no package in it; name another file");
		return -EBADMSG;
	}
	lesson->package = lesson->policy.packages->items[0];
	(void)strcpy(lesson->package_name, lesson->package->name);
	return 0;
}

static int begin(struct lesson *lesson, const char *text, const char *plug,
	struct diagnostics *diagnostics, char **ret_text)
{
	int r = 0;

	lesson->left = calloc(MAX(lesson->needs->count, 1U), sizeof(*lesson->left));
	lesson->done = calloc(MAX(lesson->needs->count, 1U), sizeof(*lesson->done));
	if (!lesson->left || !lesson->done)
		return -ENOMEM;
	/* One that somebody has made room for. */
	if (text && !text[strspn(text, " \t\n")])
		text = NULL;
	if (text) {
		r = read_before(lesson, text, diagnostics);
		if (r < 0)
			return r;
		*ret_text = strdup(text);
		r = *ret_text ? 0 : -ENOMEM;
	} else {
		name_of_file(lesson->file, lesson->package_name);
		r = begin_document(lesson, ret_text);
	}
	return r < 0 ? r : choose_plug(lesson, plug, diagnostics);
}

static int check(struct lesson *lesson, const char *text, struct diagnostics *diagnostics)
{
	int r = find_left(lesson, text);

	for (size_t i = 0; i < lesson->needs->count && r == 0; i++)
		if (lesson->left[i] != 0 && is_plain(lesson->needs->items[i].name))
			r = -EBADMSG;
	if (r == -EBADMSG)
		diagnostics_add(diagnostics, SEVERITY_ERROR, lesson->file, 0, 0,
			"cannot be added to; learn into another file, and copy its slots");
	return r;
}

int learn_document(const char *file, const char *text, const char *plug, const struct needs *needs,
	const char *what, struct diagnostics *diagnostics, char **ret_text, char **ret_plug)
{
	_cleanup_(lesson_clear) struct lesson lesson = {.file = file, .what = what, .needs = needs};
	_cleanup_free_ char *result = NULL;
	int r = begin(&lesson, text, plug, diagnostics, &result);

	r = r < 0 ? r : add_part(&lesson, &result, PART_PLUG, "plugs", diagnostics);
	r = r < 0 ? r : find_left(&lesson, result);
	r = r < 0 ? r : find_likes(&lesson);
	r = r < 0 ? r : add_part(&lesson, &result, PART_SLOTS, "slots", diagnostics);
	r = r < 0 ? r : add_part(&lesson, &result, PART_CONNECTIONS, "connections", diagnostics);
	r = r < 0 ? r : check(&lesson, result, diagnostics);
	if (r < 0)
		return r;
	*ret_plug = strdup(lesson.plug);
	if (!*ret_plug)
		return -ENOMEM;
	*ret_text = take_pointer(result);
	return r;
}

/* --- slots alone ------------------------------------------------------------------------------ */

/* Of whoever was denied: its package's, and that it was learned. */
static void name_package(const char *plug, char ret[static PACKAGE_NAME_MAX + 1])
{
	(void)snprintf(
		ret, PACKAGE_NAME_MAX + 1, "%.*s-" NAME_DEFAULT, (int)strcspn(plug, ":"), plug);
	if (!package_name_is_valid(ret))
		(void)strcpy(ret, NAME_DEFAULT);
}

static int print_slots_alone(FILE *f, const char *plug, struct lesson *lesson)
{
	_cleanup_free_ char *slots = NULL;
	size_t size = 0;
	FILE *s = open_memstream(&slots, &size);
	int r = s ? print_slots(s, 2, lesson, "") : -ENOMEM;

	if (s && fclose(s) != 0)
		r = -ENOMEM;
	if (r < 0)
		return r;
	(void)fprintf(f,
		"# What %s was denied. Nothing is changed by this. Slots that there are may give some of\n"
		"# it: see mqctl explain --last. To allow all, put this into\n"
		"# " DEFAULT_PACKAGES_ADMIN "/%s.yaml, and then:\n"
		"#     mqctl reload\n",
		plug, lesson->package_name);
	for (size_t i = 0; i < lesson->slot_count; i++)
		(void)fprintf(f, "#     mqctl connect %s %s:%s\n", plug, lesson->package_name,
			lesson->slots[i]);
	(void)fprintf(f, "name: %s\nslots:\n%s", lesson->package_name, slots);
	return 0;
}

int learn_slots(const char *plug, const char *id, const struct needs *needs, char **ret_text)
{
	_cleanup_(lesson_clear) struct lesson lesson = {.needs = needs, .id = id};
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f;
	int r;

	name_package(plug, lesson.package_name);
	lesson.left = calloc(MAX(needs->count, 1U), sizeof(*lesson.left));
	lesson.done = calloc(MAX(needs->count, 1U), sizeof(*lesson.done));
	if (!lesson.left || !lesson.done)
		return -ENOMEM;
	for (size_t i = 0; i < needs->count; i++)
		lesson.left[i] = left_of(needs->items[i].permissions, 0);
	r = find_likes(&lesson);
	f = r < 0 ? NULL : open_memstream(&text, &size);
	if (!f)
		return -ENOMEM;
	r = print_slots_alone(f, plug, &lesson);
	if (fclose(f) != 0)
		r = -ENOMEM;
	if (r == 0)
		*ret_text = take_pointer(text);
	return r;
}
