/* SPDX-License-Identifier: MIT */
#include "totals.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "daemon/manager/core/manager.h"
#include "fdstore.h"
#include "include/log.h"

#define TOTALS_VERSION 1
#define TOTALS_MEMFD   "mqgate-totals"

const char *change_kind_to_string(enum change_kind kind)
{
	static const char *const names[CHANGE_KINDS] = {
		[CHANGE_CONNECT] = "connect",
		[CHANGE_DISCONNECT] = "disconnect",
		[CHANGE_APPLY] = "apply",
		[CHANGE_RELOAD] = "reload",
	};

	return names[kind];
}

/* --- the memory ----------------------------------------------------------------------------- */

static bool refs_are_sound(const struct totals *totals)
{
	for (uint32_t i = 0; i < totals->ended_count; i++)
		if (strnlen(totals->ended[i].ref, REF_MAX + 1) > REF_MAX)
			return false;
	return true;
}

static int map(int fd, struct totals **ret)
{
	struct totals *totals;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)sizeof(*totals))
		return -EPROTONOSUPPORT;
	totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (totals == MAP_FAILED)
		return -errno;
	*ret = totals;
	return 0;
}

static int take(int fd, struct totals **ret)
{
	struct totals *totals;
	int r = is_memfd(fd, TOTALS_MEMFD) ? map(fd, &totals) : -EBADMSG;

	if (r < 0)
		return r;
	if (totals->version == TOTALS_VERSION && totals->ended_count >= 1 &&
		totals->ended_count <= TOTALS_REFS_MAX && refs_are_sound(totals)) {
		*ret = totals;
		return 0;
	}
	(void)munmap(totals, sizeof(*totals));
	return -EPROTONOSUPPORT;
}

void totals_take(struct manager *manager, int fd)
{
	int r = manager->totals ? -EEXIST : take(fd, &manager->totals);

	(void)close(fd);
	if (r == 0)
		return;
	log_warning("the counters of an earlier mqgated are not used; they begin anew");
	stored_forget(TOTALS_NAME);
}

static int create(struct totals **ret)
{
	_cleanup_close_ int fd = memfd_create(TOTALS_MEMFD, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct totals *totals;
	int r;

	if (fd < 0 || ftruncate(fd, sizeof(*totals)) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	r = map(fd, &totals);
	if (r < 0)
		return r;
	totals->since = (uint64_t)time(NULL);
	totals->ended_count = 1;
	totals->version = TOTALS_VERSION;
	(void)sd_pid_notify_with_fds(
		0, false, "FDSTORE=1\nFDNAME=" TOTALS_NAME, (const int[]){fd}, 1);
	*ret = totals;
	return 0;
}

int totals_start(struct manager *manager)
{
	return manager->totals ? 0 : create(&manager->totals);
}

void totals_free(struct manager *manager)
{
	if (manager->totals)
		(void)munmap(manager->totals, sizeof(*manager->totals));
	manager->totals = NULL;
}

/* --- counting ------------------------------------------------------------------------------- */

void totals_count_change(struct totals *totals, enum change_kind kind, uint64_t usec)
{
	static const uint64_t bounds[DURATION_BOUNDS_COUNT] = {DURATION_BOUNDS};
	struct durations *durations = &totals->changes[kind];
	size_t i = 0;

	while (i < DURATION_BOUNDS_COUNT && usec > bounds[i])
		i++;
	durations->counts[i]++;
	durations->usec += usec;
}

static struct counters *find_or_add(struct totals *totals, const char *ref)
{
	uint32_t i = 0;

	while (i < totals->ended_count && !streq(totals->ended[i].ref, ref))
		i++;
	if (i == TOTALS_REFS_MAX)
		return &totals->ended[0].counters;
	if (i == totals->ended_count) {
		(void)strcpy(totals->ended[i].ref, ref);
		totals->ended_count++;
	}
	return &totals->ended[i].counters;
}

void totals_add_session(struct totals *totals, const struct inflight_head *head)
{
	const uint32_t count = inflight_counted_count(head);

	for (uint32_t i = 0; i < count; i++) {
		char ref[REF_MAX + 1];

		if (head->counted[i].counters.calls > 0 && inflight_counted_ref(head, i, ref))
			counters_add(find_or_add(totals, ref), &head->counted[i].counters);
	}
}
