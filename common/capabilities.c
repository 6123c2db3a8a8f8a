/* SPDX-License-Identifier: MIT */
/* Capabilities of the own process. */
#include "include/capabilities.h"

#include <sys/prctl.h>
#include <sys/syscall.h>

#include "include/compat.h"
#include "include/util.h"

int capabilities_get(uint64_t *ret_permitted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret_permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted;
	return 0;
}

int capabilities_set(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)effective, .permitted = (uint32_t)permitted},
		{.effective = (uint32_t)(effective >> 32),
			.permitted = (uint32_t)(permitted >> 32)}};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int keep_bounding(uint64_t kept)
{
	int has;

	/* The kernel may know more of them than our headers. */
	for (unsigned long i = 0; i < 64 && (has = prctl(PR_CAPBSET_READ, i, 0, 0, 0)) >= 0; i++)
		if (has && !(kept & UINT64_C(1) << i) && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

int capabilities_keep(uint64_t kept)
{
	uint64_t permitted = 0;
	int r = capabilities_get(&permitted);

	if (r == 0 && permitted & CAPABILITY(SETPCAP))
		r = keep_bounding(kept);
	if (r == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		r = -errno;
	return r < 0 ? r : capabilities_set(permitted & kept, permitted & kept);
}

int process_restrict(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	/* Before kernel 6.3 there is none. */
	(void)prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0);
	return 0;
}

int process_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	/* A filter may refuse what changes nothing. */
	if (limit.rlim_cur == limit.rlim_max)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

rlim_t process_raise_queue_bytes(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_MSGQUEUE, &limit) == 0)
		return RLIM_INFINITY;
	if (getrlimit(RLIMIT_MSGQUEUE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_MSGQUEUE, &limit);
	return getrlimit(RLIMIT_MSGQUEUE, &limit) < 0 ? 0 : limit.rlim_cur;
}
