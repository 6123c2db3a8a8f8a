/* SPDX-License-Identifier: MIT */
/* The request in hand, noted where the next session process finds it. */
#include "inflight.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include "include/util.h"

int inflight_map(int fd, struct inflight **ret)
{
	struct inflight *inflight;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)INFLIGHT_SIZE)
		return -EBADMSG;
	inflight = mmap(NULL, INFLIGHT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (inflight == MAP_FAILED)
		return -errno;
	if (inflight->version == 0)
		inflight->version = INFLIGHT_VERSION;
	if (inflight->version != INFLIGHT_VERSION) {
		(void)munmap(inflight, INFLIGHT_SIZE);
		return -EPROTONOSUPPORT;
	}
	*ret = inflight;
	return 0;
}

static void set_phase(struct inflight *inflight, enum inflight_phase phase)
{
	__atomic_store_n(&inflight->phase, phase, __ATOMIC_SEQ_CST);
}

void inflight_begin(struct inflight *inflight)
{
	memset(&inflight->notification, 0, sizeof(inflight->notification));
	set_phase(inflight, INFLIGHT_RECEIVED);
	__atomic_store_n(&inflight->since, now_usec(), __ATOMIC_SEQ_CST);
}

void inflight_acting(struct inflight *inflight, bool existed)
{
	inflight->existed = existed;
	set_phase(inflight, INFLIGHT_ACTING);
}

void inflight_acted(struct inflight *inflight, int result)
{
	inflight->result = result;
	set_phase(inflight, INFLIGHT_ACTED);
}

void inflight_injecting(struct inflight *inflight)
{
	set_phase(inflight, INFLIGHT_INJECTING);
}

void inflight_injected(struct inflight *inflight, int number)
{
	inflight->result = number;
	set_phase(inflight, INFLIGHT_INJECTED);
}

int64_t inflight_mark(const struct inflight *inflight)
{
	/* A position is not negative, and 0 is where every other one is. */
	return (int64_t)(inflight->notification.id >> 1 | 1);
}

void inflight_end(struct inflight *inflight)
{
	__atomic_store_n(&inflight->notification.id, 0, __ATOMIC_SEQ_CST);
	if (inflight->done.id != 0)
		carry_answered(&inflight->done);
	__atomic_store_n(&inflight->since, 0, __ATOMIC_SEQ_CST);
}
