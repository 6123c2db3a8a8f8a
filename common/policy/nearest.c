/* SPDX-License-Identifier: MIT */
/* The name that somebody may have meant. */
#include "include/limits.h"
#include "include/policy.h"

#define LENGTH_MAX 255

/* Edit distance (insert, delete, replace, exchange neighbours) of two texts of at most LENGTH_MAX
 * bytes. */
static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][LENGTH_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *row = rows[2];

	for (size_t j = 0; j <= b_length; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *spare = before;

		row[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			row[j] = MIN(above[j] + 1, row[j - 1] + 1);
			row[j] = MIN(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = MIN(row[j], before[j - 2] + 1);
		}
		before = above;
		above = row;
		row = spare;
	}
	return above[b_length];
}

const char *nearest_name(const char *text, const char *const *names, size_t count)
{
	size_t length = strlen(text), best = length / 3 + 1, steps = 0;
	const char *nearest = NULL;

	if (length > LENGTH_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t name_length = strlen(names[i]), d;

		if (name_length > LENGTH_MAX || name_length + best <= length ||
			length + best <= name_length)
			continue;
		steps += length * name_length;
		if (steps > NEAREST_STEPS_MAX)
			break;
		d = distance(text, length, names[i], name_length);
		if (d < best) {
			best = d;
			nearest = names[i];
		}
	}
	return nearest;
}
