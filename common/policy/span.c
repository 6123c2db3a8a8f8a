/* SPDX-License-Identifier: MIT */
/* Spans and points of time as people write them. */
#include "include/limits.h"
#include "include/policy.h"

static const struct {
	const char *name;
	uint64_t seconds;
} units[] = {
	{"s", 1},
	{"sec", 1},
	{"second", 1},
	{"seconds", 1},
	{"m", 60},
	{"min", 60},
	{"minute", 60},
	{"minutes", 60},
	{"h", 3600},
	{"hr", 3600},
	{"hour", 3600},
	{"hours", 3600},
	{"d", 86400},
	{"day", 86400},
	{"days", 86400},
	{"w", 7 * 86400},
	{"week", 7 * 86400},
	{"weeks", 7 * 86400},
};

static int unit_seconds(const char *name, size_t length, uint64_t *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(units); i++)
		if (strlen(units[i].name) == length && strncmp(units[i].name, name, length) == 0) {
			*ret = units[i].seconds;
			return 0;
		}
	return -EINVAL;
}

int span_parse(const char *text, uint64_t *ret_seconds)
{
	uint64_t total = 0, unit;

	do {
		size_t digits, letters;
		uint64_t number = 0;

		text += strspn(text, " ");
		digits = strspn(text, "0123456789");
		if (digits == 0)
			return -EINVAL;
		for (size_t i = 0; i < digits; i++)
			number = MIN(
				number * 10 + (uint64_t)(text[i] - '0'), CONNECTION_SPAN_MAX + 1);
		text += digits;
		text += strspn(text, " ");
		letters = strspn(text, "abcdefghijklmnopqrstuvwxyz");
		if (unit_seconds(text, letters, &unit) < 0)
			return -EINVAL;
		text += letters;
		total = MIN(total + number * unit, CONNECTION_SPAN_MAX + 1);
	} while (text[strspn(text, " ")]);
	if (total == 0 || total > CONNECTION_SPAN_MAX)
		return -ERANGE;
	*ret_seconds = total;
	return 0;
}

#define UTC_FORMAT "%Y-%m-%dT%H:%M:%SZ"

char *utc_format(uint64_t seconds, char buffer[static UTC_STRING_MAX])
{
	time_t time = (time_t)seconds;
	struct tm tm = {0};

	(void)gmtime_r(&time, &tm);
	if (strftime(buffer, UTC_STRING_MAX, UTC_FORMAT, &tm) == 0)
		buffer[0] = '\0';
	return buffer;
}

/* Only what utc_format() writes. */
int utc_parse(const char *text, uint64_t *ret_seconds)
{
	char again[UTC_STRING_MAX];
	struct tm tm = {0};
	const char *end = strptime(text, UTC_FORMAT, &tm);
	time_t time = end && !*end ? timegm(&tm) : -1;

	if (time <= 0 || !streq(utc_format((uint64_t)time, again), text))
		return -EINVAL;
	*ret_seconds = (uint64_t)time;
	return 0;
}
