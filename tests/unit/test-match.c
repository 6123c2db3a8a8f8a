/* SPDX-License-Identifier: MIT */
/* Patterns: bytes, linear, nothing special but * and ?. */
#include <criterion/criterion.h>

#include "include/grants.h"
#include "include/limits.h"

Test(match, table)
{
	static const struct {
		const char *pattern, *name;
		bool matches;
	} cases[] = {
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{"a", "a", true},
		{"a", "b", false},
		{"a", "ab", false},
		{"ab", "a", false},
		{"?", "", false},
		{"?", "a", true},
		{"?", "ab", false},
		{"??", "ab", true},
		{"a?c", "abc", true},
		{"a?c", "ac", false},
		{"*", "", true},
		{"*", "anything", true},
		{"**", "", true},
		{"***", "x", true},
		{"a*", "a", true},
		{"a*", "abc", true},
		{"a*", "ba", false},
		{"*a", "a", true},
		{"*a", "bca", true},
		{"*a", "ab", false},
		{"*a", "aab", false},
		{"a*b", "ab", true},
		{"a*b", "axxb", true},
		{"a*b", "axxbc", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "axbxbxc", true},
		{"a*b*c", "axcxb", false},
		{"*ab*ab*", "ab", false},
		{"*ab*ab*", "aab", false},
		{"*ab*ab*", "abab", true},
		{"*ab*ab", "abxabxab", true},
		{"a*?", "a", false},
		{"a*?", "ab", true},
		{"*?*", "", false},
		{"*?*", "x", true},
		{"?*?", "a", false},
		{"?*?", "ab", true},
		{"*aab", "aaab", true},
		{"*abac", "abababac", true},
		/* Nothing else is special. */
		{"[ab]", "a", false},
		{"[ab]", "[ab]", true},
		{"a\\*", "a*", false},
		{"a\\*", "a\\b", true},
		{"{a,b}", "a", false},
		{".*", "x", false},
		{".*", ".hidden", true},
		{"*", ".hidden", true},
		{"A", "a", false},
		/* One byte, not one character. */
		{"?", "\xc3\xa9", false},
		{"??", "\xc3\xa9", true},
		{"*\xa9", "\xc3\xa9", true},
		{"\xff*", "\xff\x01", true},
		{"*", "a\nb", true},
		{"?\n?", "a\nb", true},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		cr_expect(pattern_match(cases[i].pattern, cases[i].name) == cases[i].matches,
			"%s %s", cases[i].pattern, cases[i].name);
}

/* The definition, word by word: slow, and obviously right. */
static bool reference_match(const char *pattern, const char *name)
{
	if (*pattern == '\0')
		return *name == '\0';
	if (*pattern == '*')
		return reference_match(pattern + 1, name) ||
		       (*name && reference_match(pattern, name + 1));
	return *name && (*pattern == '?' || *pattern == *name) &&
	       reference_match(pattern + 1, name + 1);
}

/* The number in base letters, least digit first. */
static const char *word(unsigned number, const char *letters, char buffer[static 16])
{
	size_t base = strlen(letters), length = 0;

	for (; number > 0; number = (unsigned)(number / (base + 1)))
		if (number % (base + 1) > 0)
			buffer[length++] = letters[number % (base + 1) - 1];
	buffer[length] = '\0';
	return buffer;
}

Test(match, every_short_pattern_agrees_with_the_definition, .timeout = 60)
{
	char pattern[16], name[16];
	unsigned compared = 0;

	for (unsigned i = 0; i < 5 * 5 * 5 * 5 * 5; i++)
		for (unsigned j = 0; j < 3 * 3 * 3 * 3 * 3 * 3; j++) {
			(void)word(i, "ab?*", pattern);
			(void)word(j, "ab", name);
			if (pattern_match(pattern, name) != reference_match(pattern, name))
				cr_assert_fail("%s %s", pattern, name);
			compared++;
		}
	cr_expect(compared == 3125 * 729);
}

/* What makes backtracking matchers take years. */
Test(match, no_pattern_is_slow, .timeout = 20)
{
	char pattern[QUEUE_NAME_MAX + 1], name[QUEUE_NAME_MAX + 1];

	for (size_t i = 0; i + 1 < QUEUE_NAME_MAX; i += 2)
		memcpy(pattern + i, "*a", 2);
	strcpy(pattern + QUEUE_NAME_MAX - 1, "b");
	memset(name, 'a', QUEUE_NAME_MAX);
	name[QUEUE_NAME_MAX] = '\0';
	for (int i = 0; i < 1000; i++)
		cr_assert(!pattern_match(pattern, name));
	name[QUEUE_NAME_MAX - 1] = 'b';
	cr_expect(pattern_match(pattern, name));
}

Test(match, variables_mean_numbers)
{
	static const struct {
		const char *pattern, *name;
		uint32_t pid, uid;
		bool matches;
	} cases[] = {
		{"r-{pid}", "r-42", 42, 1000, true},
		{"r-{pid}", "r-4", 42, 1000, false},
		{"r-{pid}", "r-042", 42, 1000, false},
		{"r-{pid}", "r-{pid}", 42, 1000, false},
		{"r-{pid}", "r-", 0, 1000, false},
		{"r-{pid}", "r-0", 0, 1000, false},
		{"{uid},{pid}", "0,1", 1, 0, true},
		{"{uid},{pid}", "1,0", 1, 0, false},
		{"u{uid}", "u65534", 42, UID_NONE, false},
		{"u{uid}", "u4294967295", 42, UINT32_MAX, false},
		{"u{uid}", "u4294967294", 42, UINT32_MAX - 1, true},
		{"*{pid}?", "xx2147483647y", INT32_MAX, 0, true},
		{"{pid}*{pid}", "7-7", 7, 0, true},
		{"{pid}*{pid}", "7-8", 7, 0, false},
		{"plain*", "plain", 0, UID_NONE, true},
		{"{gid}", "{gid}", 42, 1000, false},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		const struct subject subject = {cases[i].pid, cases[i].uid};

		cr_expect(pattern_match_for(cases[i].pattern, &subject, cases[i].name) ==
				  cases[i].matches,
			"%s %s", cases[i].pattern, cases[i].name);
	}
}

Test(match, the_longest_pattern_has_room_for_the_longest_numbers)
{
	const struct subject subject = {INT32_MAX, UINT32_MAX - 1};
	char pattern[PATTERN_MAX + 2] = "", name[8 * PATTERN_MAX] = "";

	for (size_t i = 0; i < PATTERN_MAX / 5; i++) {
		strcat(pattern, "{uid}");
		strcat(name, "4294967294");
	}
	cr_expect(pattern_is_valid(pattern));
	cr_expect(pattern_match_for(pattern, &subject, name));
	memset(pattern, 'x', PATTERN_MAX + 1);
	cr_expect_not(pattern_is_valid(pattern));
	pattern[PATTERN_MAX] = '\0';
	cr_expect(pattern_is_valid(pattern));
}

Test(match, a_brace_is_of_a_variable)
{
	static const char *const valid[] = {
		"{pid}", "{uid}", "{pid}x", "{uid}x", "x{uid}{pid}", "x"};
	static const char *const others[] = {"", "{", "}", "{pid", "{pidx", "{uid", "{uidx",
		"{pid}}", "{uid}{", "{{pid}", "pid}"};

	for (size_t i = 0; i < ELEMENTSOF(valid); i++)
		cr_expect(pattern_is_valid(valid[i]), "%s", valid[i]);
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		cr_expect_not(pattern_is_valid(others[i]), "%s", others[i]);
}
