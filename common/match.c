/* SPDX-License-Identifier: MIT */
/* Patterns of queue names. */
#include "include/grants.h"

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
