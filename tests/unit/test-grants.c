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

static void add(struct grants *grants, const char *name, bool pattern, uint32_t permissions)
{
	cr_assert(grants_add(grants, name, pattern, permissions) == 0, "%s", name);
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
	cr_expect(grants_lookup(grants, "q") == PERMISSIONS_ALL);
	cr_expect(grants_lookup(grants, "q2") ==
		  (PERMISSION_OPEN | PERMISSION_READ | PERMISSION_CREATE));
	cr_expect(grants_lookup(grants, "other") == PERMISSION_OPEN);
	cr_expect(grants_lookup(grants, "nothing") == 0);
	cr_expect(grants_lookup(grants, "") == 0);
	grants_free(grants);
}

Test(grants, an_exact_name_is_no_pattern)
{
	struct grants *grants = new_grants(1);

	add(grants, "a*", false, PERMISSION_READ);
	grants_seal(grants);
	cr_expect(grants_lookup(grants, "a*") == (PERMISSION_OPEN | PERMISSION_READ));
	cr_expect(grants_lookup(grants, "ab") == 0);
	grants_free(grants);
}

Test(grants, empty_set)
{
	struct grants *grants = new_grants(1);

	grants_seal(grants);
	cr_expect(grants_lookup(grants, "q") == 0);
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
		cr_expect(grants_lookup(grants, name) ==
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
	cr_expect(grants_add(grants, name, false, PERMISSION_READ) == -EINVAL);
	cr_expect(grants_add(grants, name, true, PERMISSION_READ) == -EINVAL);
	name[QUEUE_NAME_MAX] = '\0';
	cr_expect(grants_add(grants, name, false, PERMISSION_READ) == 0);
	cr_expect(grants_add(grants, name, true, PERMISSION_READ) == 0);
	cr_expect(grants_add(grants, "", false, PERMISSION_READ) == -EINVAL);
	cr_expect(grants_add(grants, "q", false, PERMISSIONS_ALL + 1) == -EINVAL);
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
	cr_expect(grants_add(grants, "one-more*", true, 0) == -E2BIG);
	for (unsigned i = 0; i < GRANTS_MAX - GRANTS_PATTERNS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "q%u", i);
		add(grants, name, false, 0);
	}
	cr_expect(grants_add(grants, "one-more", false, 0) == -E2BIG);
	grants_free(grants);
}

/* GRANTS_MAX names of full length are fewer bytes, so the bound is met by setting the sum. */
Test(grants, bytes_bound)
{
	struct grants *grants = new_grants(1);

	grants->bytes = GRANTS_BYTES_MAX - 3;
	cr_expect(grants_add(grants, "four", false, 0) == -E2BIG);
	cr_expect(grants_add(grants, "3ch", false, 0) == 0);
	cr_expect(grants_add(grants, "x", false, 0) == -E2BIG);
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
		uint32_t magic, count;
		uint64_t generation;
	} header = {.count = UINT32_MAX};
	struct grants *grants = sample();
	void *data = NULL;
	size_t size;

	cr_assert(grants_serialise(grants, &data, &size) == 0);
	memcpy(&header.magic, data, sizeof(header.magic));
	cr_expect(deserialise_copy(&header, sizeof(header)) == -EBADMSG);
	free(data);
	grants_free(grants);
}

static bool has_unreadable(uint32_t exact, uint32_t pattern)
{
	struct grants *grants;
	bool r;

	cr_assert_eq(grants_new(1, &grants), 0);
	if (exact)
		cr_assert_eq(grants_add(grants, "a", false, exact), 0);
	if (pattern)
		cr_assert_eq(grants_add(grants, "b*", true, pattern), 0);
	grants_seal(grants);
	r = grants_have_unreadable(grants);
	(void)grants_free(grants);
	return r;
}

Test(grants, what_may_not_be_read_is_seen)
{
	cr_expect_not(has_unreadable(0, 0));
	cr_expect_not(has_unreadable(PERMISSION_READ, PERMISSIONS_ALL));
	cr_expect(has_unreadable(PERMISSION_WRITE, 0));
	cr_expect(has_unreadable(PERMISSION_READ, PERMISSION_WRITE));
	cr_expect(has_unreadable(PERMISSION_DELETE, PERMISSION_READ));
}

Test(grants, fingerprints_differ_with_what_is_given)
{
	static const struct {
		const char *name;
		bool pattern;
		uint32_t permissions;
	} sets[] = {{"a", false, PERMISSION_READ}, {"a", false, PERMISSION_WRITE},
		{"a", true, PERMISSION_READ}, {"b", false, PERMISSION_READ},
		{"aa", false, PERMISSION_READ}};
	uint64_t seen[ELEMENTSOF(sets)];

	for (size_t i = 0; i < ELEMENTSOF(sets); i++) {
		struct grants *grants;

		cr_assert_eq(grants_new(i, &grants), 0);
		cr_assert_eq(
			grants_add(grants, sets[i].name, sets[i].pattern, sets[i].permissions), 0);
		grants_seal(grants);
		seen[i] = grants_fingerprint(grants);
		grants->generation += 100;
		cr_expect_eq(grants_fingerprint(grants), seen[i], "the generation does not count");
		(void)grants_free(grants);
		for (size_t j = 0; j < i; j++)
			cr_expect_neq(seen[i], seen[j], "%zu and %zu", i, j);
	}
}
