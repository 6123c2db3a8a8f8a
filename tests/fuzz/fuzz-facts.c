/* SPDX-License-Identifier: MIT */
/* The facts of a session, as they come back from the service manager. */
#include <fcntl.h>
#include <sys/mman.h>

#include "daemon/manager/facts.h"
#include "daemon/manager/manager.h"
#include "fuzz.h"

static int make_memfd(const uint8_t *data, size_t size)
{
	int fd = memfd_create(FACTS_MEMFD, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	REQUIRE(fd >= 0 && write_sealed(fd, (const char *)data, size) == 0);
	return fd;
}

static void check_again(const struct facts *facts)
{
	_cleanup_(facts_clear) struct facts again = {.launcher.pidfd = -EBADF};
	_cleanup_close_ int fd = -EBADF;

	REQUIRE(facts_write(facts, &fd) == 0);
	REQUIRE(facts_read(fd, &again) == 0);
	REQUIRE(again.number == facts->number && again.mediation == facts->mediation);
	REQUIRE(again.launch_version == facts->launch_version);
	REQUIRE(again.constant == facts->constant && again.launcher.uid == facts->launcher.uid);
	REQUIRE(again.bound.plug_count == facts->bound.plug_count);
	for (size_t i = 0; i < facts->bound.plug_count; i++)
		REQUIRE(streq(again.bound.plugs[i], facts->bound.plugs[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(facts_clear) struct facts facts = {.launcher.pidfd = -EBADF};
	_cleanup_(bound_clear) struct bound bound = {0};
	_cleanup_close_ int fd = make_memfd(data, size);
	int r = facts_read(fd, &facts);

	REQUIRE(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
	if (r < 0)
		return 0;
	REQUIRE(facts.mediation < MEDIATION_COUNT && facts.launcher.pid > 0);
	check_again(&facts);
	r = bound_again(&facts.bound, fuzz_policy(), &bound);
	REQUIRE(r == 0 || r == -E2BIG);
	return 0;
}
