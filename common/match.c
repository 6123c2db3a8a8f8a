/* SPDX-License-Identifier: MIT */
/* Patterns of queue names. */
#include "include/grants.h"

#include <inttypes.h>

#include "include/limits.h"

bool pattern_match(const char *pattern, const char *name)
{
	const char *after_star = NULL, *retry = NULL;

	/* A piece between two stars, once found, never has to move: any later place for it leaves
	 * less of the name for the rest. So only the place after the last star is remembered, and
	 * the work is at most the longest piece times the name. */
	while (*name) {
		if (*pattern == '*') {
			after_star = ++pattern;
			retry = name;
		} else if (*pattern == '?' || *pattern == *name) {
			pattern++;
			name++;
		} else if (after_star) {
			pattern = after_star;
			name = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* The text of a variable, and its length in the pattern. */
struct value {
	const char *variable;
	char text[12];
};

/* NULL: it has no value. */
static const struct value *find_value(const struct value values[static 2], const char *at)
{
	for (size_t i = 0; i < 2; i++)
		if (strncmp(at, values[i].variable, strlen(values[i].variable)) == 0)
			return values[i].text[0] ? &values[i] : NULL;
	return NULL;
}

static void set_values(const struct subject *subject, struct value ret[static 2])
{
	ret[0] = (struct value){.variable = "{pid}"};
	ret[1] = (struct value){.variable = "{uid}"};
	if (subject->pid != 0)
		(void)snprintf(ret[0].text, sizeof(ret[0].text), "%" PRIu32, subject->pid);
	if (subject->uid != UID_NONE && subject->uid != UINT32_MAX)
		(void)snprintf(ret[1].text, sizeof(ret[1].text), "%" PRIu32, subject->uid);
}

/* The longest value is twice as long as its variable. */
#define EXPANDED_MAX (2 * PATTERN_MAX)

/* False: one has no value. */
static bool expand(
	const char *pattern, const struct subject *subject, char ret[static EXPANDED_MAX + 1])
{
	struct value values[2];
	size_t plain;

	set_values(subject, values);
	for (;; pattern++) {
		const struct value *value;

		plain = strcspn(pattern, "{");
		ret = mempcpy(ret, pattern, plain);
		pattern += plain;
		if (!*pattern)
			break;
		value = find_value(values, pattern);
		if (!value)
			return false;
		ret = stpcpy(ret, value->text);
		pattern += strlen(value->variable) - 1;
	}
	*ret = '\0';
	return true;
}

bool pattern_match_for(const char *pattern, const struct subject *subject, const char *name)
{
	char expanded[EXPANDED_MAX + 1];

	if (!strchr(pattern, '{'))
		return pattern_match(pattern, name);
	return expand(pattern, subject, expanded) && pattern_match(expanded, name);
}

bool pattern_has_values(const char *pattern, const struct subject *subject)
{
	char expanded[EXPANDED_MAX + 1];

	return expand(pattern, subject, expanded);
}

bool pattern_is_valid(const char *pattern)
{
	size_t length = strlen(pattern);

	if (length == 0 || length > PATTERN_MAX)
		return false;
	while (*(pattern += strcspn(pattern, "{}"))) {
		if (strncmp(pattern, "{pid}", 5) != 0 && strncmp(pattern, "{uid}", 5) != 0)
			return false;
		pattern += 5;
	}
	return true;
}
