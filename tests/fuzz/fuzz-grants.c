/* SPDX-License-Identifier: MIT */
/* The grants message: nothing is read that would not have been written. One that was made byte by
 * byte is what the functions write of the same set; or it is refused. */
#include "structure-grants.h"

static void check_list(const struct grant *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		REQUIRE(*list[i].name && strlen(list[i].name) <= PATTERN_MAX);
		REQUIRE(!list[i].queue ||
			(*list[i].queue && strlen(list[i].queue) <= QUEUE_NAME_MAX));
		REQUIRE(!(list[i].mode_cut & ~(mode_t)07777));
		REQUIRE(list[i].permissions & PERMISSION_OPEN);
		REQUIRE(!(list[i].permissions & ~(uint32_t)PERMISSIONS_ALL));
		REQUIRE(i == 0 || list[i - 1].plain <= list[i].plain);
		REQUIRE(list[i].plain <= strlen(list[i].name));
	}
}

/* All that is granted under a name means one queue, and is granted on that queue. */
static void check_exact(const struct grants *grants, const struct grant *rule)
{
	const struct subject subject = {.pid = 4242, .uid = 1000};
	struct granted granted = grants_find(grants, &subject, rule->name);
	const char *queue = rule->queue ? rule->queue : rule->name;

	if (granted.permissions == 0)
		return;
	REQUIRE(granted.host == rule->host && streq(granted.queue, queue));
	REQUIRE((granted.permissions & rule->permissions) == rule->permissions);
	REQUIRE((granted.mode_cut & rule->mode_cut) == rule->mode_cut);
	REQUIRE((grants_on_queue(
			 grants, &subject, queue, granted.host ? SPACE_HOST : SPACE_CALLER) &
			granted.permissions) == granted.permissions);
}

static void check_grants(const struct grants *grants)
{
	check_list(grants->exact, grants->exact_count);
	check_list(grants->patterns, grants->pattern_count);
	REQUIRE(grants->exact_count + grants->pattern_count <= GRANTS_MAX);
	REQUIRE(grants->pattern_count <= GRANTS_PATTERNS_MAX);
	REQUIRE(grants_fingerprint(grants) != 0);
	for (size_t i = 0; i < grants->exact_count; i++)
		check_exact(grants, &grants->exact[i]);
}

static int check_message(const void *data, size_t size)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_free_ void *written = NULL;
	size_t written_size = 0;
	int r = grants_deserialise(data, size, &grants);

	REQUIRE(r == 0 || r == -EBADMSG || r == -E2BIG);
	if (r < 0)
		return r;
	check_grants(grants);
	REQUIRE(grants_serialise(grants, &written, &written_size) == 0);
	REQUIRE(written_size == size && memcmp(written, data, size) == 0);
	return 0;
}

static void check_made(struct input *choices)
{
	struct made_grants made = {0};
	_cleanup_free_ void *written = NULL;
	size_t size = 0;
	int r;

	make_grants(choices, &made);
	r = check_message(made.text.data, made.text.size);
	REQUIRE((r < 0) == made.wrong);
	if (r == 0) {
		REQUIRE(grants_serialise(made.grants, &written, &size) == 0);
		REQUIRE(size == made.text.size && memcmp(written, made.text.data, size) == 0);
	}
	text_clear(&made.text);
	(void)grants_free(made.grants);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input choices = {data, size};

	if (size > 0 && take_byte(&choices) == STRUCTURED)
		check_made(&choices);
	else
		(void)check_message(data, size);
	return 0;
}
