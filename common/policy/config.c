/* SPDX-License-Identifier: MIT */
/* mqgated.yaml. */
#include "include/file.h"
#include "include/limits.h"
#include "include/policy.h"
#include "include/tree.h"

struct config_reader {
	const char *file;
	struct diagnostics *diagnostics;
	struct config *config;
};

#define refuse(reader, at, ...)                                                            \
	diagnostics_add((reader)->diagnostics, SEVERITY_ERROR, (reader)->file, (at)->line, \
		(at)->column, __VA_ARGS__)

struct setting {
	const char *key;
	int (*read)(const struct config_reader *reader, const char *key, const struct value *value);
};

void config_clear(struct config *config)
{
	free(config->admin_group);
	free(config->launch_group);
	*config = (struct config){0};
}

static void refuse_key(const struct config_reader *reader, const struct value *key,
	const char *within, const struct setting *settings, size_t count)
{
	const char *names[8], *nearest;

	for (size_t i = 0; i < count; i++)
		names[i] = settings[i].key;
	nearest = nearest_name(key->text, names, count);
	if (nearest)
		refuse(reader, key, "unknown key \"%s\"%s; did you mean %s?", key->text, within,
			nearest);
	else
		refuse(reader, key, "unknown key \"%s\"%s; remove it (see mqgated.yaml(5))",
			key->text, within);
}

static int read_map(const struct config_reader *reader, const char *within, const struct value *map,
	const struct setting *settings, size_t count)
{
	int r = 0;

	value_report_duplicates(map, NULL, reader->file, reader->diagnostics);
	for (size_t i = 0; i < map->count && r == 0; i++) {
		const struct value *key = map->pairs[i].key;
		size_t j = 0;

		while (j < count && !streq(settings[j].key, key->text))
			j++;
		if (j == count)
			refuse_key(reader, key, within, settings, count);
		else
			r = settings[j].read(reader, settings[j].key, map->pairs[i].value);
	}
	return r;
}

static int read_group(
	const struct config_reader *reader, const char *key, const struct value *value, char **ret)
{
	char *copy;

	if (value->kind != VALUE_STRING || !*value->text) {
		refuse(reader, value, "%s must be the name of a group; write \"%s: NAME\"", key,
			key);
		return 0;
	}
	copy = strdup(value->text);
	if (!copy)
		return -ENOMEM;
	free(*ret);
	*ret = copy;
	return 0;
}

static int read_admin_group(
	const struct config_reader *reader, const char *key, const struct value *value)
{
	return read_group(reader, key, value, &reader->config->admin_group);
}

static int read_launch_group(
	const struct config_reader *reader, const char *key, const struct value *value)
{
	return read_group(reader, key, value, &reader->config->launch_group);
}

static int read_allowed(
	const struct config_reader *reader, const char *key, const struct value *value)
{
	if (value->kind != VALUE_BOOL) {
		refuse(reader, value, "audit: %s must be true or false, not %s; write one of them",
			key, value_kind_name(value));
		return 0;
	}
	reader->config->audit_allowed = value_is_true(value);
	return 0;
}

static int read_rate(const struct config_reader *reader, const char *key, const struct value *value)
{
	size_t digits = strspn(value->text, "0123456789");
	unsigned long rate = 0;

	if (value->kind == VALUE_INTEGER && value->text[digits] == '\0' && digits <= 6)
		rate = strtoul(value->text, NULL, 10);
	if (rate < 1 || rate > RECORD_RATE_MAX)
		refuse(reader, value,
			"audit: %s must be a number of records a second; write one from 1 to %d",
			key, RECORD_RATE_MAX);
	else
		reader->config->audit_rate = (uint32_t)rate;
	return 0;
}

static int read_audit(
	const struct config_reader *reader, const char *key, const struct value *value)
{
	static const struct setting settings[] = {
		{"allowed", read_allowed},
		{"rate", read_rate},
	};

	if (value->kind != VALUE_MAP) {
		refuse(reader, value, "%s must be a map, not %s; write \"%s: {rate: %d}\"", key,
			value_kind_name(value), key, RECORD_RATE_DEFAULT);
		return 0;
	}
	return read_map(reader, " in audit", value, settings, ELEMENTSOF(settings));
}

static int read_root(const struct config_reader *reader, const struct value *root)
{
	static const struct setting settings[] = {
		{"admin-group", read_admin_group},
		{"launch-group", read_launch_group},
		{"audit", read_audit},
	};

	/* Nothing but comments. */
	if (!root || root->kind == VALUE_NULL)
		return 0;
	if (root->kind != VALUE_MAP) {
		refuse(reader, root, "the document is %s; write a map of settings",
			value_kind_name(root));
		return 0;
	}
	return read_map(reader, "", root, settings, ELEMENTSOF(settings));
}

static int parse(const struct config_reader *reader, const char *text, size_t size)
{
	_cleanup_(tree_freep) struct tree *tree = NULL;
	size_t errors = reader->diagnostics->errors;
	int r;

	r = tree_parse(reader->file, text, size, reader->diagnostics, &tree);
	if (r < 0)
		return r;
	r = read_root(reader, tree->root);
	if (r == 0 && reader->diagnostics->errors > errors)
		r = -EBADMSG;
	return r;
}

int config_load(const char *file, struct diagnostics *diagnostics, struct config *ret)
{
	struct config config = {.audit_rate = RECORD_RATE_DEFAULT};
	struct config_reader reader = {.file = file, .diagnostics = diagnostics, .config = &config};
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r;

	r = file_read(file, CONFIG_FILE_MAX, &text, &size);
	if (r == 0) {
		r = parse(&reader, text, size);
	} else if (r == -EFBIG) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0,
			"larger than %d bytes; remove comments", CONFIG_FILE_MAX);
		r = -EBADMSG;
	} else if (r == -ENOENT) {
		r = 0;
	} else if (r != -ENOMEM) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0, "cannot be read: %s; %s",
			strerror(-r), file_remedy(r));
		r = -EBADMSG;
	}
	if (r < 0) {
		config_clear(&config);
		return r;
	}
	*ret = config;
	return 0;
}
