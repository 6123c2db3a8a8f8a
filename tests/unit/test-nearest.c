/* SPDX-License-Identifier: MIT */
/* The name that somebody may have meant. */
#include <criterion/criterion.h>

#include "include/limits.h"
#include "include/policy.h"
#include "fixture.h"

Test(nearest, past_the_bound_of_steps_no_further_names_are_compared)
{
	char text[256], other[256];
	const size_t count = NEAREST_STEPS_MAX / 255 / 255 + 1;
	const char **names = calloc(count + 1, sizeof(*names));

	memset(text, 'a', 255);
	memset(other, 'b', 255);
	text[255] = other[255] = '\0';
	for (size_t i = 0; i < count; i++)
		names[i] = other;
	names[count - 2] = text;
	cr_expect_str_eq(nearest_name(text, names, count), text);
	names[count - 2] = other;
	names[count - 1] = text;
	cr_expect_null(nearest_name(text, names, count));
	free(names);
}

Test(nearest, table)
{
	static const char *const names[] = {"events", "event", "commands", "a"};
	static const struct {
		const char *text, *nearest;
	} cases[] = {
		{"events", "events"},
		{"eevnts", "events"},
		{"evnt", "event"},
		{"comands", "commands"},
		{"commnads", "commands"},
		{"cmnds", NULL},
		{"b", NULL},
		{"", NULL},
		{"something else entirely", NULL},
	};
	char *longest = fixture_format("%0256d", 0);

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		const char *found = nearest_name(cases[i].text, names, ELEMENTSOF(names));

		cr_expect((!found && !cases[i].nearest) ||
				  (found && cases[i].nearest && streq(found, cases[i].nearest)),
			"%s: %s", cases[i].text, found);
	}
	cr_expect(nearest_name(longest, (const char *const *)&longest, 1) == NULL);
	cr_expect(nearest_name(longest + 1, (const char *const[]){longest + 1}, 1) != NULL);
	free(longest);
}
