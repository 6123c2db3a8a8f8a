/* SPDX-License-Identifier: MIT */
/* Names of packages, plugs and slots. ASCII, whatever the locale. */
#include "include/names.h"

#include "include/util.h"

#define SNAP_NAME_MIN    2
#define SNAP_NAME_MAX    40
#define INSTANCE_KEY_MAX 10

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Of a-z, 0-9 and single "-" that is neither first nor last. */
static bool is_dashed(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (is_lower(name[i]) || is_digit(name[i]))
			continue;
		if (name[i] != '-' || i == 0 || i + 1 == length || name[i + 1] == '-')
			return false;
	}
	return length > 0;
}

static bool has_letter(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (is_lower(name[i]))
			return true;
	return false;
}

bool instance_key_is_valid(const char *key)
{
	size_t length = strlen(key);

	for (size_t i = 0; i < length; i++)
		if (!is_lower(key[i]) && !is_digit(key[i]))
			return false;
	return length >= 1 && length <= INSTANCE_KEY_MAX;
}

bool package_name_is_valid(const char *name)
{
	size_t length = strcspn(name, "_");

	return length >= SNAP_NAME_MIN && length <= SNAP_NAME_MAX && is_dashed(name, length) &&
	       has_letter(name, length) &&
	       (name[length] == '\0' || instance_key_is_valid(name + length + 1));
}

bool plug_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	return length <= PLUG_NAME_MAX && is_lower(name[0]) && is_dashed(name, length);
}

bool app_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < length; i++) {
		if (is_lower(name[i]) || is_digit(name[i]) || (name[i] >= 'A' && name[i] <= 'Z'))
			continue;
		if (name[i] != '-' || i == 0 || i + 1 == length || name[i + 1] == '-')
			return false;
	}
	return length > 0;
}

int ref_parse(const char *text, struct ref *ret)
{
	size_t package_length = strcspn(text, ":");
	const char *name = text + package_length + 1;

	if (text[package_length] == '\0' || package_length > PACKAGE_NAME_MAX)
		return -EINVAL;
	memcpy(ret->package, text, package_length);
	ret->package[package_length] = '\0';
	if (!package_name_is_valid(ret->package) || !plug_name_is_valid(name))
		return -EINVAL;
	strcpy(ret->name, name);
	return 0;
}

char *ref_format(const char *package, const char *name, char buffer[static REF_MAX + 1])
{
	(void)snprintf(buffer, REF_MAX + 1, "%s:%s", package, name);
	return buffer;
}
