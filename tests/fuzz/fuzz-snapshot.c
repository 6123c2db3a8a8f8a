/* SPDX-License-Identifier: MIT */
/* The snapshot of a session, as they come back from the service manager. */
#include "daemon/manager/sessions/snapshot.h"
#include "include/write.h"
#include "fuzz.h"

static int make_memfd(const uint8_t *data, size_t size)
{
	int fd = memfd_sealed(SNAPSHOT_MEMFD, data, size);

	REQUIRE(fd >= 0);
	return fd;
}

static void check_again(const struct snapshot *snapshot)
{
	_cleanup_(snapshot_clear) struct snapshot again = {.launcher.pidfd = -EBADF};
	_cleanup_close_ int fd = -EBADF;

	REQUIRE(snapshot_write(snapshot, &fd) == 0);
	REQUIRE(snapshot_read(fd, &again) == 0);
	REQUIRE(again.number == snapshot->number && again.mediation == snapshot->mediation);
	REQUIRE(again.launch_version == snapshot->launch_version);
	REQUIRE(again.filter_id == snapshot->filter_id &&
		again.launcher.uid == snapshot->launcher.uid);
	REQUIRE(again.bindings.plug_count == snapshot->bindings.plug_count);
	for (size_t i = 0; i < snapshot->bindings.plug_count; i++)
		REQUIRE(streq(again.bindings.plugs[i], snapshot->bindings.plugs[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot = {.launcher.pidfd = -EBADF};
	_cleanup_(bindings_clear) struct bindings bindings = {0};
	_cleanup_close_ int fd = make_memfd(data, size);
	int r = snapshot_read(fd, &snapshot);

	REQUIRE(r == 0 || r == -EBADMSG || r == -EPROTONOSUPPORT);
	if (r < 0)
		return 0;
	REQUIRE(snapshot.mediation < MEDIATION_COUNT && snapshot.launcher.pid > 0);
	check_again(&snapshot);
	r = bindings_again(&snapshot.bindings, fuzz_policy(), &bindings);
	REQUIRE(r == 0 || r == -E2BIG);
	return 0;
}
