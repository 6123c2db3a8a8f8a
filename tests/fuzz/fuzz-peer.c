/* SPDX-License-Identifier: MIT */
/* Texts of /proc that the manager reads: a peer's status, and lines of mountinfo. */
#include "daemon/manager/mounts.h"
#include "daemon/manager/peers/peer.h"
#include "fuzz.h"

static void check_mounts(char *text)
{
	struct mqueue_mounts mounts = {0};
	int r = mqueue_mounts_find(text, &mounts);

	REQUIRE(r == 0 || r == -EBADMSG);
	for (size_t i = 0; i < mounts.count; i++) {
		REQUIRE(*mounts.items[i].path == '/' &&
			!streq(mounts.items[i].path, "/dev/mqueue"));
		REQUIRE(mqueue_mounts_have(&mounts, &mounts.items[i]));
	}
	mqueue_mounts_clear(&mounts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	uint8_t what = take_byte(&input);
	_cleanup_free_ char *text = take_text(&input);
	int r;

	if (what == 'm') {
		check_mounts(text);
	} else {
		r = status_may_be_confined(text, false);
		REQUIRE(r == 0 || r == 1 || r == -EBADMSG);
	}
	return 0;
}
