/* SPDX-License-Identifier: MIT */
/* What type a YAML scalar has. */
#include "scalar.h"

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (streq(text, words[i]))
			return true;
	return false;
}

static bool is_null(const char *text)
{
	static const char *const words[] = {"", "~", "null", "Null", "NULL"};

	return is_one_of(text, words, ELEMENTSOF(words));
}

static bool is_bool(const char *text)
{
	static const char *const words[] = {"y", "Y", "yes", "Yes", "YES", "n", "N", "no", "No",
		"NO", "true", "True", "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off",
		"Off", "OFF"};

	return is_one_of(text, words, ELEMENTSOF(words));
}

static bool is_only(const char *text, const char *set)
{
	return *text && text[strspn(text, set)] == '\0';
}

static bool is_integer(const char *text)
{
	text += *text == '-' || *text == '+';
	if (startswith(text, "0x"))
		return is_only(text + 2, "0123456789abcdefABCDEF_");
	if (startswith(text, "0o"))
		return is_only(text + 2, "01234567_");
	if (startswith(text, "0b"))
		return is_only(text + 2, "01_");
	return *text != '_' && is_only(text, "0123456789_");
}

static bool is_special_float(const char *text)
{
	static const char *const words[] = {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF",
		"-.inf", "-.Inf", "-.INF", ".nan", ".NaN", ".NAN"};

	return is_one_of(text, words, ELEMENTSOF(words));
}

static bool is_float(const char *text)
{
	static const char digits[] = "0123456789";
	size_t before, after = 0;

	if (is_special_float(text))
		return true;
	text += *text == '-' || *text == '+';
	before = strspn(text, digits);
	text += before;
	if (*text == '.') {
		after = strspn(text + 1, digits);
		text += 1 + after;
	}
	if (before + after == 0)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		text += *text == '-' || *text == '+';
		return is_only(text, digits);
	}
	return *text == '\0';
}

static enum value_kind plain_kind(const char *text)
{
	if (is_null(text))
		return VALUE_NULL;
	if (is_bool(text))
		return VALUE_BOOL;
	if (is_integer(text))
		return VALUE_INTEGER;
	return is_float(text) ? VALUE_FLOAT : VALUE_STRING;
}

static enum value_kind tagged_kind(const char *tag)
{
	static const struct {
		const char *tag;
		enum value_kind kind;
	} tags[] = {
		{"!", VALUE_STRING},
		{YAML_STR_TAG, VALUE_STRING},
		{YAML_NULL_TAG, VALUE_NULL},
		{YAML_BOOL_TAG, VALUE_BOOL},
		{YAML_INT_TAG, VALUE_INTEGER},
		{YAML_FLOAT_TAG, VALUE_FLOAT},
	};

	for (size_t i = 0; i < ELEMENTSOF(tags); i++)
		if (streq(tags[i].tag, tag))
			return tags[i].kind;
	return VALUE_TAGGED;
}

enum value_kind scalar_kind(const yaml_event_t *event)
{
	if (event->data.scalar.tag)
		return tagged_kind((const char *)event->data.scalar.tag);
	if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
		return plain_kind((const char *)event->data.scalar.value);
	return VALUE_STRING;
}
