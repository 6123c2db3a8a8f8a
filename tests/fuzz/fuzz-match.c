/* SPDX-License-Identifier: MIT */
/* Pattern and name, a line each: the same as a matcher that tries everything, and as quick as
 * promised; and the values of variables that are found are some. */
#include "common/policy/variables.h"
#include "fuzz.h"

#define LENGTH_MAX 255
/* Nanoseconds for each byte of the pattern times each of the name, with what sanitizers cost and a
 * busy machine takes; a matcher that tries again and again needs a thousand times that. */
#define STEP_NSEC  2000
#define START_NSEC 100000000

/* Row by row of the table "does this much of the pattern match this much of the name". */
static bool matches_slowly(const char *pattern, const char *name)
{
	bool row[LENGTH_MAX + 2] = {true};
	size_t length = strlen(name);

	for (const char *p = pattern; *p; p++) {
		bool diagonal = row[0];

		row[0] = row[0] && *p == '*';
		for (size_t i = 1; i <= length; i++) {
			bool above = row[i];

			row[i] = *p == '*' ? above || row[i - 1]
					   : diagonal && (*p == '?' || *p == name[i - 1]);
			diagonal = above;
		}
	}
	return row[length];
}

static uint64_t processor_nsec(void)
{
	struct timespec time;

	REQUIRE(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time) == 0);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* As package.c lets them through. */
static bool has_only_variables(const char *pattern)
{
	while (*(pattern += strcspn(pattern, "{}"))) {
		const struct variable *variable = variable_at(pattern);

		if (!variable)
			return false;
		pattern += strlen(variable->text);
	}
	return true;
}

static void check_values(const char *pattern, const char *name)
{
	char filled[PATTERN_MAX + 1];
	struct values values = {0};
	struct subject subject;

	if (!has_only_variables(pattern) || !values_find(pattern, name, &values))
		return;
	subject = values_subject(&values);
	if (fill_in(pattern,
		    (const char *const[VARIABLE_COUNT]){
			    [VARIABLE_INSTANCE] = values_instance(&values)},
		    filled))
		REQUIRE(pattern_match_for(filled, &subject, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	_cleanup_free_ char *pattern = take_line(&input), *name = take_line(&input);
	uint64_t begin, steps;
	bool matches;

	pattern[MIN(strlen(pattern), (size_t)LENGTH_MAX)] = '\0';
	name[MIN(strlen(name), (size_t)LENGTH_MAX)] = '\0';
	steps = (strlen(pattern) + 1) * (strlen(name) + 1);
	begin = processor_nsec();
	matches = pattern_match(pattern, name);
	REQUIRE(processor_nsec() - begin < START_NSEC + steps * STEP_NSEC);
	REQUIRE(matches == matches_slowly(pattern, name));
	check_values(pattern, name);
	return 0;
}
