/* SPDX-License-Identifier: MIT */
#include "variables.h"

static const struct variable variables[VARIABLE_COUNT] = {
	{VARIABLE_PID, "{pid}"},
	{VARIABLE_UID, "{uid}"},
	{VARIABLE_INSTANCE, "{instance}"},
};

const struct variable *variable_at(const char *text)
{
	for (size_t i = 0; i < VARIABLE_COUNT; i++)
		if (strncmp(text, variables[i].text, strlen(variables[i].text)) == 0)
			return &variables[i];
	return NULL;
}

bool has_variable(const char *name, enum variable_kind kind)
{
	return strstr(name, variables[kind].text);
}

bool fill_in(const char *name, const char *const values[static VARIABLE_COUNT],
	char ret[static PATTERN_MAX + 1])
{
	const char *end = ret + PATTERN_MAX;

	while (*name) {
		const struct variable *variable = variable_at(name);
		size_t read = variable ? strlen(variable->text) : 1;
		const char *value =
			variable && values[variable->kind] ? values[variable->kind] : name;
		size_t length = value == name ? read : strlen(value);

		if (length > (size_t)(end - ret))
			return false;
		ret = mempcpy(ret, value, length);
		name += read;
	}
	*ret = '\0';
	return true;
}

/* Looking for values: depth first, the longest value first. */
struct search {
	const char *pattern, *name;
	struct values *values;
	size_t width;   /* of a row of failed */
	bool *failed;   /* from this place of the pattern at this place of the name */
	bool dependent; /* whether that fails depends on what came before */
	unsigned steps;
};

static bool search(struct search *s, const char *pattern, const char *name);

/* As the kernel's numbers are written; one that nobody has is none. */
static bool is_number(const char *text, enum variable_kind kind)
{
	unsigned long long number = strtoull(text, NULL, 10);

	if (*text == '0' && text[1])
		return false;
	return kind == VARIABLE_PID ? number > 0 && number <= UINT32_MAX
				    : number != UID_NONE && number < UINT32_MAX;
}

#define DIGITS  "0123456789"
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static size_t longest_value(const char *name, enum variable_kind kind)
{
	return kind == VARIABLE_INSTANCE
		       ? MIN(strspn(name, DIGITS LETTERS "._:-"), (size_t)INSTANCE_MAX)
		       : MIN(strspn(name, DIGITS), sizeof("4294967295") - 1);
}

static bool search_value(struct search *s, const char *pattern, const char *name)
{
	const struct variable *variable = variable_at(pattern);
	char *value = s->values->texts[variable->kind];
	size_t length = strlen(value);

	pattern += strlen(variable->text);
	if (length > 0)
		return strncmp(name, value, length) == 0 && search(s, pattern, name + length);
	for (length = longest_value(name, variable->kind); length > 0; length--) {
		*(char *)mempcpy(value, name, length) = '\0';
		if ((variable->kind == VARIABLE_INSTANCE || is_number(value, variable->kind)) &&
			search(s, pattern, name + length))
			return true;
	}
	*value = '\0';
	return false;
}

static bool search_here(struct search *s, const char *pattern, const char *name)
{
	switch (*pattern) {
	case '\0':
		return !*name;
	case '*':
		return search(s, pattern + 1, name) || (*name && search(s, pattern, name + 1));
	case '{':
		return search_value(s, pattern, name);
	default:
		return *name && (*pattern == '?' || *pattern == *name) &&
		       search(s, pattern + 1, name + 1);
	}
}

static bool search(struct search *s, const char *pattern, const char *name)
{
	bool *failed =
		&s->failed[(size_t)(pattern - s->pattern) * s->width + (size_t)(name - s->name)];

	if (*failed || s->steps++ >= VALUES_STEPS_MAX)
		return false;
	if (search_here(s, pattern, name))
		return true;
	*failed = !s->dependent;
	return false;
}

/* A variable that comes up again has the value that it got at its first place. */
static bool names_one_twice(const char *pattern)
{
	for (size_t i = 0; i < VARIABLE_COUNT; i++) {
		const char *first = strstr(pattern, variables[i].text);

		if (first && strstr(first + 1, variables[i].text))
			return true;
	}
	return false;
}

bool values_find(const char *pattern, const char *name, struct values *values)
{
	struct values found = *values;
	struct search s = {.pattern = pattern,
		.name = name,
		.values = &found,
		.width = strlen(name) + 1,
		.dependent = names_one_twice(pattern)};
	bool matches;

	if (!strchr(pattern, '{'))
		return pattern_match(pattern, name);
	if (strncmp(pattern, name, strcspn(pattern, "*?{")) != 0)
		return false;
	s.failed = calloc(strlen(pattern) + 1, s.width);
	matches = s.failed && search(&s, pattern, name);
	free(s.failed);
	if (matches)
		*values = found;
	return matches;
}

static uint32_t number_of(const char *text, uint32_t without)
{
	return *text ? (uint32_t)strtoul(text, NULL, 10) : without;
}

struct subject values_subject(const struct values *values)
{
	return (struct subject){.pid = number_of(values->texts[VARIABLE_PID], 0),
		.uid = number_of(values->texts[VARIABLE_UID], UID_NONE)};
}

const char *values_instance(const struct values *values)
{
	const char *instance = values->texts[VARIABLE_INSTANCE];

	return *instance ? instance : NULL;
}
