/* SPDX-License-Identifier: MIT */
/* Texts of /proc about a calling thread: its status and its limits. The first byte says which. */
#include "daemon/session/target/credentials.h"
#include "include/text.h"
#include "fuzz.h"

static void check_status(const char *text)
{
	uint64_t numbers[4], again[4];
	int r = text_numbers(text, "Uid", 10, numbers, 4);

	REQUIRE(r == 0 || r == -EBADMSG);
	REQUIRE(text_numbers(text, "Uid", 10, again, 4) == r);
	if (r == 0)
		REQUIRE(memcmp(numbers, again, sizeof(numbers)) == 0);
}

static void check_identity(const char *text)
{
	_cleanup_(credentials_clear) struct credentials identity = CREDENTIALS_NONE;
	int r = credentials_parse(text, &identity);
	uint64_t group;

	REQUIRE(r == 0 || r == -EBADMSG);
	REQUIRE(identity.group_count <= TARGET_GROUPS_MAX);
	REQUIRE(strnlen(identity.command, sizeof(identity.command)) < sizeof(identity.command));
	REQUIRE(!strchr(identity.command, '\n'));
	if (r == 0 && identity.group_count > 0)
		REQUIRE(text_numbers(text, "Groups", 10, &group, 1) == 0 &&
			group == identity.groups[0]);
}

static void check_limits(const char *text)
{
	struct rlimit limit;
	int r = text_limit(text, "Max open files", &limit);

	REQUIRE(r == 0 || r == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	uint8_t what = take_byte(&input);
	_cleanup_free_ char *text = take_text(&input);

	if (what == 'l') {
		check_limits(text);
	} else {
		check_status(text);
		check_identity(text);
	}
	return 0;
}
