/* SPDX-License-Identifier: MIT */
/* Attributes of posix-mq plugs and slots: every rule, one function each. */
#include "attributes.h"

#include <ctype.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "include/limits.h"
#include "common/policy/rules.h"
#include "common/policy/variables.h"

#define PERMISSION_WORDS "open, read, write, create, delete"
#define VARIABLES        "{pid}, {uid} or {instance}"

static void _printf_(3, 4)
	fault(struct definition *definition, const struct value *at, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list arguments;
	int n;

	definition->dropped = true;
	/* A null is an error of the whole document, reported already. */
	if (at->kind == VALUE_NULL)
		return;
	va_start(arguments, format);
	n = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (n < 0)
		text = NULL;
	diagnostics_add(definition->diagnostics, SEVERITY_WARNING, definition->package->file,
		at->line, at->column, "%s \"%s%s%s\" dropped: %s", definition->side,
		definition->package->name, *definition->package->name ? ":" : "",
		definition->name->text, text ? text : "no memory");
}

static const struct value *attribute(const struct definition *definition, const char *key)
{
	return definition->attributes ? value_get(definition->attributes, key) : NULL;
}

static bool has_control_characters(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f || (c[0] == 0xc2 && c[1] < 0xa0))
			return true;
	return false;
}

/* Absent and "" both mean the plug's or slot's own name. */
static int read_id(struct definition *definition, char **ret_id)
{
	const struct value *value = attribute(definition, "posix-mq");
	const char *id = definition->name->text;

	if (value && value->kind != VALUE_STRING)
		fault(definition, value,
			"posix-mq must be a string, not %s; quote the id, or remove it to use \"%s\"",
			value_kind_name(value), id);
	else if (value && strlen(value->text) > PLUG_NAME_MAX)
		fault(definition, value, "posix-mq: the id has %zu bytes; use at most %d",
			strlen(value->text), PLUG_NAME_MAX);
	else if (value && has_control_characters(value->text))
		fault(definition, value,
			"posix-mq: control character in \"%s\"; use printable ones", value->text);
	else if (value && *value->text)
		id = value->text;
	*ret_id = strdup(id);
	return *ret_id ? 0 : -ENOMEM;
}

static void read_mediation(struct definition *definition, enum mediation *ret)
{
	const struct value *value = attribute(definition, "mediation");

	*ret = MEDIATION_CALL;
	if (!value)
		return;
	if (value->kind != VALUE_STRING)
		fault(definition, value, "mediation must be a string, not %s; use call or open",
			value_kind_name(value));
	else if (streq(value->text, "open"))
		*ret = MEDIATION_OPEN;
	else if (!streq(value->text, "call"))
		fault(definition, value, "mediation: unknown word \"%s\"; use call or open",
			value->text);
}

static uint32_t read_permission(struct definition *definition, const struct value *word)
{
	uint32_t permission = 0;

	if (word->kind != VALUE_STRING)
		fault(definition, word,
			"permissions: an element must be a string, not %s; use any of " PERMISSION_WORDS,
			value_kind_name(word));
	else if (permission_from_string(word->text, &permission) < 0)
		fault(definition, word,
			"permissions: unknown word \"%s\"; use any of " PERMISSION_WORDS,
			word->text);
	return permission;
}

/* Absent: read and write. An empty list is not absent: it leaves nothing but open. */
static void read_permissions(struct definition *definition, uint32_t *ret)
{
	const struct value *list = attribute(definition, "permissions");

	*ret = PERMISSION_OPEN;
	if (!list) {
		*ret |= PERMISSION_READ | PERMISSION_WRITE;
	} else if (list->kind != VALUE_LIST) {
		fault(definition, list, "permissions must be a list, not %s; write [read, write]",
			value_kind_name(list));
	} else {
		for (size_t i = 0; i < list->count; i++)
			*ret |= read_permission(definition, list->items[i]);
	}
}

static void read_namespace(struct definition *definition, bool *ret_host)
{
	const struct value *value = attribute(definition, "namespace");

	if (!value)
		return;
	if (value->kind != VALUE_STRING)
		fault(definition, value, "namespace must be a string, not %s; use caller or host",
			value_kind_name(value));
	else if (streq(value->text, "host"))
		*ret_host = true;
	else if (!streq(value->text, "caller"))
		fault(definition, value, "namespace: unknown word \"%s\"; use caller or host",
			value->text);
}

/* As written: YAML has several forms of octal numbers, and a program that writes it anew may make a
 * decimal one of it. */
static void read_max_mode(struct definition *definition, mode_t *ret_cut)
{
	const struct value *value = attribute(definition, "max-mode");
	size_t length;

	if (!value)
		return;
	length = strlen(value->text);
	if (value->kind != VALUE_STRING && value->kind != VALUE_INTEGER)
		fault(definition, value, "max-mode must be an octal number, not %s; write 0660",
			value_kind_name(value));
	else if (length != 4 || *value->text != '0' || value->text[strspn(value->text, "01234567")])
		fault(definition, value,
			"max-mode: \"%s\" is not 0 and three octal digits; write 0660 or the like",
			value->text);
	else
		*ret_cut = ALLPERMS & ~(mode_t)strtoul(value->text, NULL, 8);
}

/* One of the attributes that name queues. */
struct queue_list {
	const char *key;
	const char *reserved; /* what AppArmor's rules would take for more than itself */
	const char *remedy;
	bool variables; /* may be in it */
	char **names;
	size_t count;
};

/* at: the brace that opens it. Its end, or NULL after a fault. */
static const char *check_variable(struct definition *definition, const struct value *value,
	const struct queue_list *queues, const char *name, const char *at)
{
	size_t length = strcspn(at, "}") + 1;

	if (*at == '}')
		fault(definition, value,
			"%s: \"%s\" has a \"}\" that closes nothing; remove it, or write " VARIABLES,
			queues->key, name);
	else if (!at[length - 1])
		fault(definition, value,
			"%s: \"%s\" has a \"{\" that is not closed; write " VARIABLES, queues->key,
			name);
	else if (!variable_at(at))
		fault(definition, value, "%s: \"%s\" has the unknown variable %.*s; use " VARIABLES,
			queues->key, name, (int)length, at);
	else if (at[-1] == '}')
		fault(definition, value,
			"%s: \"%s\" has two variables side by side; put a character between them",
			queues->key, name);
	else
		return at + length;
	return NULL;
}

/* Where a wildcard, or a digit in a pattern with a wildcard, touches a number, 27 has the name of
 * 2, too. */
static bool blurs(char neighbour, const char *name)
{
	return neighbour == '*' || neighbour == '?' ||
	       (isdigit((unsigned char)neighbour) && strpbrk(name, "*?"));
}

/* begin, end: of a number's variable. */
static bool check_neighbours(struct definition *definition, const struct value *value,
	const struct queue_list *queues, const char *name, const char *begin, const char *end)
{
	if (blurs(begin[-1], name) || blurs(*end, name))
		fault(definition, value,
			"%s: \"%s\" has a wildcard or a digit beside %.*s, so that one process would "
			"have the name of another; put a letter or another character between them",
			queues->key, name, (int)(end - begin), begin);
	else if (memchr(name, '*', (size_t)(begin - name)) && strchr(end, '*'))
		fault(definition, value,
			"%s: \"%s\" has a * on both sides of %.*s, so that one process would have the "
			"name of another; leave one of them out",
			queues->key, name, (int)(end - begin), begin);
	else
		return true;
	return false;
}

static bool check_variables(struct definition *definition, const struct value *value,
	const struct queue_list *queues, const char *name)
{
	for (const char *at = strpbrk(name, "{}"), *end; at; at = strpbrk(end, "{}")) {
		end = check_variable(definition, value, queues, name, at);
		if (!end)
			return false;
		if (variable_at(at)->kind != VARIABLE_INSTANCE &&
			!check_neighbours(definition, value, queues, name, at, end))
			return false;
	}
	return true;
}

/* True if snapd and the kernel accept the name; it has its leading slash. */
static bool check_queue(struct definition *definition, const struct value *value,
	const struct queue_list *queues, const char *name)
{
	size_t length = strlen(name) - 1, clear = strcspn(name, queues->reserved);

	if (length == 0)
		fault(definition, value, "%s: \"/\" has no name after the slash; write /NAME",
			queues->key);
	else if (strchr(name + 1, '/'))
		fault(definition, value,
			"%s: \"%s\" has a slash within; a queue name is \"/\" and up to %d bytes "
			"without another one (see mq_overview(7))",
			queues->key, name, QUEUE_NAME_MAX);
	else if (length > QUEUE_NAME_MAX)
		fault(definition, value,
			"%s: a name of %zu bytes; the kernel takes at most %d after the slash",
			queues->key, length, QUEUE_NAME_MAX);
	else if (name[clear])
		fault(definition, value, "%s: \"%s\" contains \"%c\", which is reserved; %s",
			queues->key, name, name[clear], queues->remedy);
	else if (streq(name, "/.") || streq(name, "/.."))
		fault(definition, value, "%s: \"%s\" is not a clean path; choose another name",
			queues->key, name);
	else
		return !queues->variables || check_variables(definition, value, queues, name);
	return false;
}

static int read_queue(
	struct definition *definition, const struct value *value, struct queue_list *queues)
{
	_cleanup_free_ char *name = NULL;

	if (value->kind != VALUE_STRING) {
		fault(definition, value, "%s: an element must be a string, not %s; write \"/NAME\"",
			queues->key, value_kind_name(value));
		return 0;
	}
	if (!*value->text) {
		fault(definition, value, "%s: a queue name cannot be empty; write /NAME",
			queues->key);
		return 0;
	}
	if (asprintf(&name, "%s%s", *value->text == '/' ? "" : "/", value->text) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	if (check_queue(definition, value, queues, name))
		queues->names[queues->count++] = take_pointer(name);
	return 0;
}

static int read_queue_list(
	struct definition *definition, const struct value *list, struct queue_list *queues)
{
	int r;

	if (list->count == 0) {
		fault(definition, list, "%s: the list is empty; name at least one queue, as /NAME",
			queues->key);
		return 0;
	}
	if (list->count > SLOT_QUEUES_MAX) {
		fault(definition, list, "%s: %zu queues; a %s takes at most %d, use several %ss",
			queues->key, list->count, definition->side, SLOT_QUEUES_MAX,
			definition->side);
		return 0;
	}
	queues->names = calloc(list->count, sizeof(*queues->names));
	if (!queues->names)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++) {
		r = read_queue(definition, list->items[i], queues);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_queues(struct definition *definition, struct queue_list *queues)
{
	const struct value *value = attribute(definition, queues->key);

	if (!value)
		return 0;
	if (value->kind == VALUE_LIST)
		return read_queue_list(definition, value, queues);
	if (value->kind != VALUE_STRING) {
		fault(definition, value,
			"%s must be a string or a list of strings, not %s; write \"/NAME\"",
			queues->key, value_kind_name(value));
		return 0;
	}
	queues->names = calloc(1, sizeof(*queues->names));
	return queues->names ? read_queue(definition, value, queues) : -ENOMEM;
}

static int read_paths(struct definition *definition, struct slot *slot)
{
	struct queue_list paths = {.key = "path",
		.reserved = "?*[]{}^\"",
		.remedy = "leave it out, or use path-pattern for *, ? and variables"};
	int r = read_queues(definition, &paths);

	slot->paths = paths.names;
	slot->path_count = paths.count;
	return r;
}

static int read_patterns(struct definition *definition, struct slot *slot)
{
	struct queue_list patterns = {.key = "path-pattern",
		.reserved = "[]^\"",
		.remedy = "use only *, ?, " VARIABLES,
		.variables = true};
	int r = read_queues(definition, &patterns);

	slot->patterns = patterns.names;
	slot->pattern_count = patterns.count;
	return r;
}

/* One name cannot mean two queues. */
static void check_once(struct definition *definition, const struct queue_list *queues)
{
	for (size_t i = 1; i < queues->count; i++)
		for (size_t j = 0; j < i; j++) {
			if (!names_can_meet(queues->names[j], queues->names[i]))
				continue;
			fault(definition, attribute(definition, queues->key),
				streq(queues->names[i], queues->names[j])
					? "%s: \"%s\" is there twice, and a name means one queue; "
					  "remove one of them%.0s"
					: "%s: \"%s\" and \"%s\" can be the same name, which means "
					  "one queue; change or remove one of them",
				queues->key, queues->names[j], queues->names[i]);
			return;
		}
}

int plug_read(struct definition *definition, struct plug *plug)
{
	struct queue_list paths = {.key = "path",
		.reserved = "?*[]^\"",
		.remedy = "leave it out, or use " VARIABLES,
		.variables = true};
	int r;

	read_mediation(definition, &plug->mediation);
	r = read_id(definition, &plug->id);
	if (r < 0)
		return r;
	r = read_queues(definition, &paths);
	plug->paths = paths.names;
	plug->path_count = paths.count;
	check_once(definition, &paths);
	return r;
}

/* What is misspelt would be ignored, and the slot would give more than is meant. */
static void check_limits(struct definition *definition)
{
	static const char *const limits[] = {"max-mode", "namespace"};
	const struct value *attributes = definition->attributes;

	for (size_t i = 0; attributes && i < attributes->count; i++) {
		const struct value *key = attributes->pairs[i].key;
		const char *meant = nearest_name(key->text, limits, ELEMENTSOF(limits));

		if (meant && !streq(meant, key->text))
			fault(definition, key,
				"key \"%s\": did you mean \"%s\"? correct or remove it", key->text,
				meant);
	}
}

int slot_read(struct definition *definition, struct slot *slot)
{
	int r;

	r = read_id(definition, &slot->id);
	if (r < 0)
		return r;
	read_permissions(definition, &slot->permissions);
	check_limits(definition);
	read_namespace(definition, &slot->host);
	read_max_mode(definition, &slot->mode_cut);
	r = read_paths(definition, slot);
	if (r < 0)
		return r;
	r = read_patterns(definition, slot);
	if (r < 0)
		return r;
	if (!attribute(definition, "path") && !attribute(definition, "path-pattern"))
		fault(definition, definition->name,
			"path is missing; add \"path: /NAME\", or path-pattern for names made at "
			"run time");
	if (slot->path_count + slot->pattern_count > SLOT_QUEUES_MAX)
		fault(definition, definition->name,
			"path and path-pattern: %zu queues together; a slot takes at most %d, use "
			"several slots",
			slot->path_count + slot->pattern_count, SLOT_QUEUES_MAX);
	return 0;
}
