/* SPDX-License-Identifier: MIT */
/* The grants message: nothing is read that would not have been written. */
#include "fuzz.h"

static void check_list(const struct grant *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		REQUIRE(*list[i].name && strlen(list[i].name) <= QUEUE_NAME_MAX);
		REQUIRE(list[i].permissions & PERMISSION_OPEN);
		REQUIRE(!(list[i].permissions & ~(uint32_t)PERMISSIONS_ALL));
		REQUIRE(i == 0 || strcmp(list[i - 1].name, list[i].name) < 0);
	}
}

static void check_grants(const struct grants *grants)
{
	check_list(grants->exact, grants->exact_count);
	check_list(grants->patterns, grants->pattern_count);
	REQUIRE(grants->exact_count + grants->pattern_count <= GRANTS_MAX);
	REQUIRE(grants->pattern_count <= GRANTS_PATTERNS_MAX);
	REQUIRE(grants_fingerprint(grants) != 0);
	for (size_t i = 0; i < grants->exact_count; i++)
		REQUIRE((grants_lookup(grants, grants->exact[i].name) &
				grants->exact[i].permissions) == grants->exact[i].permissions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_free_ void *written = NULL;
	size_t written_size = 0;
	int r = grants_deserialise(data, size, &grants);

	REQUIRE(r == 0 || r == -EBADMSG || r == -E2BIG);
	if (r < 0)
		return 0;
	check_grants(grants);
	REQUIRE(grants_serialise(grants, &written, &written_size) == 0);
	REQUIRE(written_size == size && memcmp(written, data, size) == 0);
	return 0;
}
