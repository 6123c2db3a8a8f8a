/* SPDX-License-Identifier: MIT */
/* Grants: adding up, looking up, over the wire and back. */
#include <criterion/criterion.h>

#include "include/grants.h"
#include "include/limits.h"

static struct grants *new_grants(uint64_t generation)
{
	struct grants *grants = NULL;

	cr_assert(grants_new(generation, &grants) == 0);
	return grants;
}

static int try_add(struct grants *grants, const char *name, bool pattern, uint32_t permissions)
{
	const struct grant rule = {.name = name, .pattern = pattern, .permissions = permissions};

	return grants_add(grants, &rule);
}

static void add(struct grants *grants, const char *name, bool pattern, uint32_t permissions)
{
	cr_assert(try_add(grants, name, pattern, permissions) == 0, "%s", name);
}

static void add_rule(struct grants *grants, struct grant rule)
{
	cr_assert(grants_add(grants, &rule) == 0, "%s", rule.name);
}

static struct granted find_for(const struct grants *grants, uint32_t pid, const char *name)
{
	return grants_find(grants, &(struct subject){.pid = pid, .uid = 1000}, name);
}

static uint32_t on_queue(
	const struct grants *grants, uint32_t pid, const char *queue, uint32_t spaces)
{
	return grants_on_queue(grants, &(struct subject){.pid = pid, .uid = 1000}, queue, spaces);
}

Test(grants, words)
{
	static const struct {
		const char *word;
		uint32_t permission;
	} words[] = {
		{"open", PERMISSION_OPEN},
		{"read", PERMISSION_READ},
		{"write", PERMISSION_WRITE},
		{"create", PERMISSION_CREATE},
		{"delete", PERMISSION_DELETE},
	};
	static const char *const others[] = {
		"", "Read", "read ", "rea", "getattr", "setattr", "open,read"};
	uint32_t permission = 77;

	for (size_t i = 0; i < ELEMENTSOF(words); i++) {
		cr_expect(permission_from_string(words[i].word, &permission) == 0);
		cr_expect(permission == words[i].permission);
	}
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		cr_expect(permission_from_string(others[i], &permission) == -EINVAL);
}

Test(grants, every_mask_is_its_words)
{
	static const char *const words[] = {"open", "read", "write", "create", "delete"};

	for (uint32_t mask = 0; mask <= PERMISSIONS_ALL; mask++) {
		char buffer[PERMISSIONS_STRING_MAX], expected[64] = "";

		for (size_t i = 0; i < ELEMENTSOF(words); i++)
			if (mask & (UINT32_C(1) << i)) {
				strcat(expected, *expected ? "," : "");
				strcat(expected, words[i]);
			}
		cr_expect_str_eq(permissions_format(mask, buffer), expected);
	}
}

Test(grants, adding_up)
{
	struct grants *grants = new_grants(7);

	add(grants, "q", false, PERMISSION_READ);
	add(grants, "other", false, 0);
	add(grants, "q", false, PERMISSION_WRITE);
	add(grants, "q*", true, PERMISSION_CREATE);
	add(grants, "*q", true, PERMISSION_DELETE);
	add(grants, "q*", true, PERMISSION_READ);
	grants_seal(grants);
	cr_expect(grants->generation == 7);
	cr_expect(grants->exact_count == 2 && grants->pattern_count == 2);
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "q").permissions == PERMISSIONS_ALL);
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "q2").permissions ==
		  (PERMISSION_OPEN | PERMISSION_READ | PERMISSION_CREATE));
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "other").permissions == PERMISSION_OPEN);
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "nothing").permissions == 0);
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "").permissions == 0);
	grants_free(grants);
}

Test(grants, an_exact_name_is_no_pattern)
{
	struct grants *grants = new_grants(1);

	add(grants, "a*", false, PERMISSION_READ);
	grants_seal(grants);
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "a*").permissions ==
		  (PERMISSION_OPEN | PERMISSION_READ));
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "ab").permissions == 0);
	grants_free(grants);
}

Test(grants, empty_set)
{
	struct grants *grants = new_grants(1);

	grants_seal(grants);
	cr_expect(grants_find(grants, &SUBJECT_NOBODY, "q").permissions == 0);
	cr_expect(grants_free(grants) == NULL && grants_free(NULL) == NULL);
}

Test(grants, many_names_are_all_found)
{
	struct grants *grants = new_grants(1);
	char name[32];

	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "q%u", i * 7919 % 1000);
		add(grants, name, false, i % 2 ? PERMISSION_READ : PERMISSION_WRITE);
	}
	grants_seal(grants);
	for (unsigned i = 0; i < 1000; i++) {
		(void)snprintf(name, sizeof(name), "q%u", i * 7919 % 1000);
		cr_expect(grants_find(grants, &SUBJECT_NOBODY, name).permissions ==
			  (PERMISSION_OPEN | (i % 2 ? PERMISSION_READ : PERMISSION_WRITE)));
	}
	grants_free(grants);
}

Test(grants, name_and_permission_bounds)
{
	struct grants *grants = new_grants(1);
	char name[QUEUE_NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	name[QUEUE_NAME_MAX + 1] = '\0';
	cr_expect(try_add(grants, name, false, PERMISSION_READ) == -EINVAL);
	name[QUEUE_NAME_MAX] = '\0';
	cr_expect(try_add(grants, name, false, PERMISSION_READ) == 0);
	cr_expect(try_add(grants, name, true, PERMISSION_READ) == 0);
	cr_expect(try_add(grants, "", false, PERMISSION_READ) == -EINVAL);
	cr_expect(try_add(grants, "q", false, PERMISSIONS_ALL + 1) == -EINVAL);
	cr_expect(grants->exact_count == 1 && grants->pattern_count == 1);
	cr_expect(grants->bytes == 2 * QUEUE_NAME_MAX);
	grants_free(grants);
}

Test(grants, count_bounds)
{
	struct grants *grants = new_grants(1);
	char name[32];

	for (unsigned i = 0; i < GRANTS_PATTERNS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "p%u*", i);
		add(grants, name, true, 0);
	}
	cr_expect(try_add(grants, "one-more*", true, 0) == -E2BIG);
	for (unsigned i = 0; i < GRANTS_MAX - GRANTS_PATTERNS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "q%u", i);
		add(grants, name, false, 0);
	}
	cr_expect(try_add(grants, "one-more", false, 0) == -E2BIG);
	grants_free(grants);
}

/* GRANTS_MAX names of full length are fewer bytes, so the bound is met by setting the sum. */
Test(grants, bytes_bound)
{
	struct grants *grants = new_grants(1);

	grants->bytes = GRANTS_BYTES_MAX - 3;
	cr_expect(try_add(grants, "four", false, 0) == -E2BIG);
	cr_expect(try_add(grants, "3ch", false, 0) == 0);
	cr_expect(try_add(grants, "x", false, 0) == -E2BIG);
	grants_free(grants);
}

/* --- names --------------------------------------------------------------------------------- */

Test(grants, an_alias_means_another_queue)
{
	struct grants *grants = new_grants(1);
	struct granted granted;

	add_rule(grants,
		(struct grant){.name = "in", .queue = "a-in", .permissions = PERMISSION_READ});
	add(grants, "a-in", false, PERMISSION_WRITE);
	grants_seal(grants);
	granted = find_for(grants, 1, "in");
	cr_expect_eq(granted.permissions, PERMISSION_OPEN | PERMISSION_READ);
	cr_expect_str_eq(granted.queue, "a-in");
	cr_expect_str_eq(find_for(grants, 1, "a-in").queue, "a-in");
	cr_expect_eq(find_for(grants, 1, "other").permissions, 0U);
	cr_expect_eq(on_queue(grants, 1, "a-in", SPACE_CALLER),
		PERMISSION_OPEN | PERMISSION_READ | PERMISSION_WRITE, "by both names");
	cr_expect_eq(on_queue(grants, 1, "in", SPACE_CALLER), 0U, "that is no queue of it");
	grants_free(grants);
}

Test(grants, a_name_with_two_meanings_gives_nothing)
{
	struct grants *grants = new_grants(1);

	add_rule(grants, (struct grant){.name = "in", .queue = "a"});
	add_rule(grants, (struct grant){.name = "in", .queue = "b"});
	add_rule(grants, (struct grant){.name = "x", .host = true});
	add(grants, "x*", true, 0);
	add_rule(grants, (struct grant){.name = "y", .queue = "z"});
	add(grants, "?", true, 0);
	grants_seal(grants);
	cr_expect_eq(find_for(grants, 1, "in").permissions, 0U);
	cr_expect_eq(find_for(grants, 1, "x").permissions, 0U, "in two namespaces");
	cr_expect_eq(find_for(grants, 1, "y").permissions, 0U, "an alias, and itself");
	cr_expect_neq(find_for(grants, 1, "xx").permissions, 0U);
	cr_expect_neq(find_for(grants, 1, "z").permissions, 0U);
	grants_free(grants);
}

Test(grants, numbers_count_for_who_has_them)
{
	struct grants *grants = new_grants(1);

	add(grants, "r-{pid}", true, PERMISSION_READ);
	add(grants, "r-*", true, PERMISSION_WRITE);
	add(grants, "u{uid}", true, PERMISSION_READ);
	add_rule(grants, (struct grant){.name = "me-{pid}", .pattern = true, .queue = "all"});
	grants_seal(grants);
	cr_expect(grants_have_variables(grants));
	cr_expect_eq(find_for(grants, 42, "r-42").permissions,
		PERMISSION_OPEN | PERMISSION_READ | PERMISSION_WRITE);
	cr_expect(find_for(grants, 42, "r-42").by_subject);
	cr_expect_eq(find_for(grants, 4, "r-42").permissions, PERMISSION_OPEN | PERMISSION_WRITE);
	cr_expect_not(find_for(grants, 4, "r-42").by_subject);
	cr_expect_eq(find_for(grants, 0, "r-0").permissions, PERMISSION_OPEN | PERMISSION_WRITE);
	cr_expect_neq(find_for(grants, 0, "u1000").permissions, 0U);
	cr_expect_eq(find_for(grants, 0, "u100").permissions, 0U);
	cr_expect_str_eq(find_for(grants, 9, "me-9").queue, "all");
	cr_expect_eq(on_queue(grants, 42, "r-42", SPACE_CALLER),
		PERMISSION_OPEN | PERMISSION_READ | PERMISSION_WRITE);
	cr_expect_neq(on_queue(grants, 9, "all", SPACE_CALLER), 0U);
	cr_expect_eq(on_queue(grants, 0, "all", SPACE_CALLER), 0U, "nobody calls it so");
	grants_free(grants);
}

/* However they lie in their order, and each by what it alone gives. */
static void expect_found(char patterns[][8], size_t count, size_t one)
{
	struct grants *grants = new_grants(1);

	for (size_t i = 0; i < count; i++)
		add(grants, patterns[i], true, i == one ? PERMISSION_READ : 0);
	grants_seal(grants);
	for (unsigned i = 0; i < 4 * 4 * 4 * 4; i++) {
		char name[5] = {(char)('a' + i % 4), (char)('a' + i / 4 % 4),
			(char)('a' + i / 16 % 4), (char)('a' + i / 64)};
		uint32_t expected = 0;

		name[i % 5] = '\0';
		for (size_t j = 0; j < count; j++)
			if (pattern_match(patterns[j], name))
				expected |= PERMISSION_OPEN | (j == one ? PERMISSION_READ : 0);
		cr_expect_eq(find_for(grants, 1, name).permissions, expected, "%s", name);
		cr_expect_eq(on_queue(grants, 1, name, SPACE_CALLER), expected, "%s", name);
	}
	grants_free(grants);
}

Test(grants, every_pattern_that_matches_is_found)
{
	static const char *const names[] = {"", "a", "ab", "abc", "b", "ba", "bbb", "ca", "z"};
	char patterns[64][8];
	size_t count = 0;

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		for (const char *end = "*?"; *end; end++) {
			(void)snprintf(
				patterns[count++], sizeof(patterns[0]), "%s%c", names[i], *end);
			(void)snprintf(
				patterns[count++], sizeof(patterns[0]), "%s%ca", names[i], *end);
		}
	for (size_t i = 0; i < count; i++)
		expect_found(patterns, count, i);
}

Test(grants, namespaces_are_kept_apart)
{
	struct grants *grants = new_grants(1);

	add_rule(grants, (struct grant){.name = "h", .host = true});
	add(grants, "c", false, 0);
	add_rule(grants, (struct grant){.name = "h*", .pattern = true, .host = true});
	add_rule(grants, (struct grant){.name = "alias", .queue = "h", .host = true});
	add_rule(grants, (struct grant){.name = "both", .host = true});
	add(grants, "both", false, 0);
	grants_seal(grants);
	cr_expect(find_for(grants, 1, "h").host);
	cr_expect_not(find_for(grants, 1, "c").host);
	cr_expect_eq(on_queue(grants, 1, "h", SPACE_CALLER), 0U);
	cr_expect_neq(on_queue(grants, 1, "h", SPACE_HOST), 0U);
	cr_expect_eq(on_queue(grants, 1, "c", SPACE_HOST), 0U);
	cr_expect_neq(on_queue(grants, 1, "c", SPACE_CALLER | SPACE_HOST), 0U);
	cr_expect_eq(on_queue(grants, 1, "h2", SPACE_CALLER), 0U);
	cr_expect_neq(on_queue(grants, 1, "h2", SPACE_HOST), 0U);
	cr_expect_neq(on_queue(grants, 1, "both", SPACE_CALLER), 0U);
	cr_expect_neq(on_queue(grants, 1, "both", SPACE_HOST), 0U);
	grants_free(grants);
}

Test(grants, what_only_aliases_give)
{
	struct grants *grants = new_grants(1);

	add_rule(grants, (struct grant){.name = "q*", .pattern = true, .queue = "queue"});
	add_rule(grants, (struct grant){.name = "{x}", .queue = "exact"});
	grants_seal(grants);
	cr_expect_eq(on_queue(grants, 1, "queue", SPACE_CALLER), (uint32_t)PERMISSION_OPEN);
	cr_expect_eq(on_queue(grants, 1, "exact", SPACE_CALLER), (uint32_t)PERMISSION_OPEN,
		"an exact name depends on nobody");
	cr_expect_eq(on_queue(grants, 1, "q2", SPACE_CALLER), 0U, "that is another queue's name");
	grants_free(grants);
}

/* Each given by a set of one rule, and by that of the second. */
Test(grants, whether_a_set_has)
{
	struct grants *none = new_grants(1), *name = new_grants(2), *patterns = new_grants(3),
		      *first = new_grants(4);

	add_rule(name, (struct grant){.name = "{pid}"});
	add_rule(name, (struct grant){.name = "x", .host = true});
	add(patterns, "a*", true, 0);
	add_rule(patterns, (struct grant){.name = "b{pid}", .pattern = true, .host = true});
	add(first, "{uid}", true, PERMISSION_READ);
	grants_seal(none);
	grants_seal(name);
	grants_seal(patterns);
	grants_seal(first);
	cr_expect(grants_have_variables(first));
	cr_expect_not(grants_have_variables(none) || grants_have_host(none));
	cr_expect_not(grants_have_variables(name));
	cr_expect(grants_have_host(name));
	cr_expect(grants_have_variables(patterns));
	cr_expect(grants_have_host(patterns));
	patterns->pattern_count = 1;
	cr_expect_not(grants_have_variables(patterns) || grants_have_host(patterns));
	patterns->pattern_count = 2;
	grants_free(none);
	grants_free(name);
	grants_free(patterns);
	grants_free(first);
}

Test(grants, the_giver_is_the_first_that_there_is)
{
	struct grants *grants = new_grants(1);

	cr_expect_eq(grants_add(grants, &(struct grant){.name = "q", .giver = 1}), -EINVAL);
	cr_assert_eq(grants_set_giver(grants, "a:a"), 0);
	cr_assert_eq(grants_set_giver(grants, "b:b"), 0);
	cr_expect_eq(grants_add(grants, &(struct grant){.name = "q", .giver = 3}), -EINVAL);
	add_rule(grants, (struct grant){.name = "q", .giver = 2});
	add_rule(grants, (struct grant){.name = "q", .giver = 1});
	add_rule(grants, (struct grant){.name = "other", .giver = 2});
	grants_seal(grants);
	cr_expect_eq(find_for(grants, 1, "q").giver, 1);
	cr_expect_eq(find_for(grants, 1, "other").giver, 2);
	grants_free(grants);
}

Test(grants, nothing_comes_behind_itself)
{
	struct grants *grants = new_grants(1);

	cr_expect(grants_are_before(grants, (struct grant){.name = "b"}));
	add(grants, "b", false, 0);
	cr_expect(grants_are_before(grants, (struct grant){.name = "c"}));
	cr_expect_not(grants_are_before(grants, (struct grant){.name = "b"}));
	cr_expect_not(grants_are_before(grants, (struct grant){.name = "a"}));
	cr_expect(grants_are_before(grants, (struct grant){.name = "a*", .pattern = true}));
	grants_seal(grants);
	grants_free(grants);
}

Test(grants, of_mode_bits_those_are_left_that_all_rules_allow)
{
	struct grants *grants = new_grants(1);

	add_rule(grants, (struct grant){.name = "q", .mode_cut = 0007});
	add_rule(grants, (struct grant){.name = "q*", .pattern = true, .mode_cut = 0020});
	add_rule(grants, (struct grant){.name = "q", .mode_cut = 0700});
	grants_seal(grants);
	cr_expect_eq(find_for(grants, 1, "q").mode_cut, (mode_t)0727);
	cr_expect_eq(find_for(grants, 1, "q2").mode_cut, (mode_t)0020);
	cr_expect_eq(grants->exact_count, 1U);
	grants_free(grants);
}

Test(grants, what_a_changed_set_still_gives)
{
	struct grants *old = new_grants(1), *same = new_grants(2), *rewired = new_grants(3);

	add_rule(old, (struct grant){.name = "in", .queue = "a"});
	add_rule(same, (struct grant){.name = "in", .queue = "a", .mode_cut = 0777});
	add(same, "more", false, 0);
	add_rule(rewired, (struct grant){.name = "in", .queue = "b"});
	grants_seal(old);
	grants_seal(same);
	grants_seal(rewired);
	cr_expect(grants_give(same, old));
	cr_expect_not(grants_give(old, same));
	cr_expect_not(grants_give(rewired, old));
	grants_free(old);
	grants_free(same);
	grants_free(rewired);
}

/* Whether a set of the first two gives one of the last two. */
static bool gives(struct grant a, struct grant b, struct grant c, struct grant d)
{
	struct grants *grants = new_grants(1), *others = new_grants(2);
	bool r;

	add_rule(grants, a);
	add_rule(grants, b);
	add_rule(others, c);
	add_rule(others, d);
	grants_seal(grants);
	grants_seal(others);
	r = grants_give(grants, others);
	grants_free(grants);
	grants_free(others);
	return r;
}

Test(grants, what_is_given_must_all_be_given)
{
	const struct grant read = {.name = "b*", .pattern = true, .permissions = PERMISSION_READ},
			   both = {.name = "b*",
				   .pattern = true,
				   .permissions = PERMISSION_READ | PERMISSION_WRITE},
			   a = {.name = "a*", .pattern = true}, c = {.name = "c*", .pattern = true},
			   host = {.name = "b*", .pattern = true, .host = true},
			   name = {.name = "n"}, abroad = {.name = "n", .host = true};

	cr_expect(gives(a, read, a, read));
	cr_expect(gives(a, both, a, read));
	cr_expect_not(gives(a, read, a, both));
	cr_expect_not(gives(a, read, a, c), "behind all");
	cr_expect_not(gives(read, c, a, c), "before all");
	cr_expect_not(gives(a, c, read, c), "between");
	cr_expect_not(gives(a, read, a, host));
	cr_expect(gives(name, a, a, name));
	cr_expect_not(gives(name, a, a, abroad));
}

Test(grants, malformed_rules_are_refused)
{
	static const struct grant rules[] = {
		{.name = "r-{pid", .pattern = true},
		{.name = "r-pid}", .pattern = true},
		{.name = "r-{instance}", .pattern = true},
		{.name = "{}", .pattern = true},
		{.name = "q", .queue = ""},
		{.name = "q", .mode_cut = 010000},
	};
	struct grants *grants = new_grants(1);

	for (size_t i = 0; i < ELEMENTSOF(rules); i++)
		cr_expect_eq(grants_add(grants, &rules[i]), -EINVAL, "%s", rules[i].name);
	add(grants, "r-{pid", false, 0);
	grants_free(grants);
}

/* --- wire ---------------------------------------------------------------------------------- */

static struct grants *sample(void)
{
	struct grants *grants = new_grants(UINT64_C(0x123456789abcdef0));

	add(grants, "events", false, PERMISSION_READ);
	add(grants, "a", false, PERMISSIONS_ALL);
	add(grants, "with space\n", false, 0);
	add(grants, "job-*", true, PERMISSION_WRITE | PERMISSION_CREATE);
	add_rule(grants, (struct grant){.name = "in", .queue = "a-in", .mode_cut = 0007});
	add_rule(grants, (struct grant){.name = "r-{pid}", .pattern = true, .host = true});
	grants_seal(grants);
	return grants;
}

static void expect_same_list(
	const struct grant *a, size_t a_count, const struct grant *b, size_t b_count)
{
	cr_assert(a_count == b_count);
	for (size_t i = 0; i < a_count; i++) {
		cr_expect_str_eq(a[i].name, b[i].name);
		cr_expect(a[i].permissions == b[i].permissions);
		cr_expect(a[i].mode_cut == b[i].mode_cut && a[i].host == b[i].host);
		cr_expect_str_eq(a[i].queue ? a[i].queue : "", b[i].queue ? b[i].queue : "");
	}
}

static void expect_same(const struct grants *a, const struct grants *b)
{
	cr_expect(a->generation == b->generation && a->bytes == b->bytes);
	expect_same_list(a->exact, a->exact_count, b->exact, b->exact_count);
	expect_same_list(a->patterns, a->pattern_count, b->patterns, b->pattern_count);
}

Test(grants, over_the_wire_and_back)
{
	struct grants *grants = sample(), *back = NULL, *empty = new_grants(3);
	void *data = NULL;
	size_t size;

	cr_assert(grants_serialise(grants, &data, &size) == 0);
	cr_assert(grants_deserialise(data, size, &back) == 0);
	expect_same(grants, back);
	free(data);
	grants_free(back);
	grants_seal(empty);
	cr_assert(grants_serialise(empty, &data, &size) == 0);
	cr_assert(grants_deserialise(data, size, &back) == 0);
	expect_same(empty, back);
	free(data);
	grants_free(back);
	grants_free(empty);
	grants_free(grants);
}

Test(grants, the_fullest_set_over_the_wire)
{
	struct grants *grants = new_grants(1), *back = NULL;
	char name[QUEUE_NAME_MAX + 1];
	void *data = NULL;
	size_t size;

	for (unsigned i = 0; i < GRANTS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%0*u", QUEUE_NAME_MAX, i);
		add(grants, name, i < GRANTS_PATTERNS_MAX, PERMISSION_READ);
	}
	grants_seal(grants);
	cr_assert(grants_serialise(grants, &data, &size) == 0);
	cr_assert(grants_deserialise(data, size, &back) == 0);
	expect_same(grants, back);
	free(data);
	grants_free(back);
	grants_free(grants);
}

/* Or fuzzers and replays begin with what is refused at once. */
Test(grants, the_fuzzers_seeds_are_of_this_form)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	char seed[4096];

	cr_assert_gt(asprintf(&path, "%s/../fuzz/corpus/grants/givers", getenv("DATA")), 0);
	f = fopen(path, "re");
	cr_assert(f, "%s", path);
	cr_expect_eq(grants_deserialise(seed, fread(seed, 1, sizeof(seed), f), &grants), 0);
}

/* A copy of exactly that size, so that a sanitizer sees every byte too far. */
static int deserialise_copy(const void *data, size_t size)
{
	struct grants *grants = NULL;
	void *copy = malloc(size ? size : 1);
	int r;

	memcpy(copy, data, size);
	r = grants_deserialise(copy, size, &grants);
	cr_expect((r == 0) == (grants != NULL));
	grants_free(grants);
	free(copy);
	return r;
}

Test(grants, every_truncation_is_refused)
{
	struct grants *grants = sample();
	void *data = NULL;
	size_t size;

	cr_assert(grants_serialise(grants, &data, &size) == 0);
	for (size_t i = 0; i < size; i++)
		cr_expect(deserialise_copy(data, i) == -EBADMSG, "%zu", i);
	cr_expect(deserialise_copy(data, size) == 0);
	free(data);
	grants_free(grants);
}

Test(grants, trailing_bytes_are_refused)
{
	struct grants *grants = sample();
	void *data = NULL;
	char *longer;
	size_t size;

	cr_assert(grants_serialise(grants, &data, &size) == 0);
	longer = calloc(1, size + 1);
	memcpy(longer, data, size);
	cr_expect(deserialise_copy(longer, size + 1) == -EBADMSG);
	free(longer);
	free(data);
	grants_free(grants);
}

/* Whatever one byte is changed to: an error, or a set that would be written as it was read. */
Test(grants, every_corrupted_byte, .timeout = 60)
{
	struct grants *grants = sample();
	void *data = NULL;
	size_t size, refused = 0;

	cr_assert(grants_serialise(grants, &data, &size) == 0);
	for (size_t i = 0; i < size; i++)
		for (unsigned value = 0; value < 256; value++) {
			unsigned char *bytes = data, saved = bytes[i];
			struct grants *back = NULL;
			void *again = NULL;
			size_t again_size;
			int r;

			bytes[i] = (unsigned char)value;
			r = grants_deserialise(data, size, &back);
			cr_assert(r == 0 || r == -EBADMSG || r == -E2BIG, "%d", r);
			refused += r < 0;
			if (r == 0) {
				cr_assert(grants_serialise(back, &again, &again_size) == 0);
				cr_expect(again_size == size && memcmp(again, data, size) == 0,
					"byte %zu = %u", i, value);
				free(again);
			}
			grants_free(back);
			bytes[i] = saved;
		}
	cr_expect(refused > 0);
	free(data);
	grants_free(grants);
}

Test(grants, a_count_beyond_the_bound_is_refused)
{
	struct {
		uint32_t magic, version;
		uint64_t generation;
		uint32_t count, givers;
	} header;
	struct grants *grants = sample();
	void *data = NULL;
	size_t size;

	cr_assert(grants_serialise(grants, &data, &size) == 0);
	memcpy(&header, data, sizeof(header));
	cr_assert_eq(header.count, 6U);
	header.count = UINT32_MAX;
	memcpy(data, &header, sizeof(header));
	cr_expect_eq(deserialise_copy(data, size), -EBADMSG);
	header.count = 6;
	header.givers = UINT32_MAX;
	memcpy(data, &header, sizeof(header));
	cr_expect_eq(deserialise_copy(data, size), -EBADMSG);
	header.givers = 0;
	memcpy(data, &header, sizeof(header));
	cr_expect_eq(deserialise_copy(data, size), 0);
	free(data);
	grants_free(grants);
}

Test(grants, so_many_may_give_something)
{
	struct grants *grants, *back = NULL;
	char ref[REF_MAX + 1], name[REF_MAX + 2] = "";
	void *data;
	size_t size;

	cr_assert_eq(grants_new(1, &grants), 0);
	for (unsigned i = 0; i < GRANTS_GIVERS_MAX; i++) {
		(void)snprintf(ref, sizeof(ref), "package:%0*u", REF_MAX - 8, i);
		cr_assert_eq(grants_set_giver(grants, ref), 0, "%u", i);
	}
	cr_expect_eq(grants_set_giver(grants, "package:plug"), -E2BIG);
	cr_expect_eq(grants_set_giver(grants, ""), -EINVAL);
	memset(name, 'n', REF_MAX + 1);
	cr_expect_eq(grants_set_giver(grants, name), -EINVAL, "too long");
	grants_seal(grants);
	cr_assert_eq(grants_serialise(grants, &data, &size), 0);
	cr_assert_eq(grants_deserialise(data, size, &back), 0);
	cr_assert_eq(back->giver_count, (size_t)GRANTS_GIVERS_MAX);
	cr_expect_str_eq(back->givers[GRANTS_GIVERS_MAX - 1], ref);
	free(data);
	grants_free(back);
	grants_free(grants);
}

static bool has_unreadable(uint32_t exact, uint32_t pattern)
{
	struct grants *grants;
	bool r;

	cr_assert_eq(grants_new(1, &grants), 0);
	if (exact)
		cr_assert_eq(try_add(grants, "a", false, exact), 0);
	if (pattern)
		cr_assert_eq(try_add(grants, "b*", true, pattern), 0);
	grants_seal(grants);
	r = grants_have_unreadable(grants);
	(void)grants_free(grants);
	return r;
}

Test(grants, what_may_not_be_read_is_seen)
{
	struct grants *second = new_grants(1);

	add(second, "a", false, PERMISSION_READ);
	add(second, "b", false, PERMISSION_WRITE);
	cr_expect(grants_have_unreadable(second));
	grants_free(second);
	cr_expect_not(has_unreadable(0, 0));
	cr_expect_not(has_unreadable(PERMISSION_READ, PERMISSIONS_ALL));
	cr_expect(has_unreadable(PERMISSION_WRITE, 0));
	cr_expect(has_unreadable(PERMISSION_READ, PERMISSION_WRITE));
	cr_expect(has_unreadable(PERMISSION_DELETE, PERMISSION_READ));
	cr_expect(has_unreadable(PERMISSION_WRITE, PERMISSION_READ));
}

Test(grants, fingerprints_differ_with_what_is_given)
{
	static const struct grant sets[][2] = {
		{{.name = "a", .permissions = PERMISSION_READ}},
		{{.name = "a", .permissions = PERMISSION_WRITE}},
		{{.name = "a", .permissions = PERMISSION_READ, .pattern = true}},
		{{.name = "b", .permissions = PERMISSION_READ, .pattern = true}},
		{{.name = "b", .permissions = PERMISSION_READ}},
		{{.name = "aa", .permissions = PERMISSION_READ}},
		{{.name = "a", .permissions = PERMISSION_READ, .queue = "b"}},
		{{.name = "a", .permissions = PERMISSION_READ, .queue = "bc"}},
		{{.name = "ab", .permissions = PERMISSION_READ, .queue = "c"}},
		{{.name = "a", .permissions = PERMISSION_READ, .host = true}},
		{{.name = "a", .permissions = PERMISSION_READ, .mode_cut = 1}},
		{{.name = "a", .permissions = PERMISSION_READ}, {.name = "b"}},
		{{.name = "a", .permissions = PERMISSION_READ}, {.name = "c"}},
	};
	uint64_t seen[ELEMENTSOF(sets)];

	for (size_t i = 0; i < ELEMENTSOF(sets); i++) {
		struct grants *grants;

		cr_assert_eq(grants_new(i, &grants), 0);
		add_rule(grants, sets[i][0]);
		if (sets[i][1].name)
			add_rule(grants, sets[i][1]);
		grants_seal(grants);
		seen[i] = grants_fingerprint(grants);
		grants->generation += 100;
		cr_expect_eq(grants_fingerprint(grants), seen[i], "the generation does not count");
		(void)grants_free(grants);
		for (size_t j = 0; j < i; j++)
			cr_expect_neq(seen[i], seen[j], "%zu and %zu", i, j);
	}
}
