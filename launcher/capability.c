/* SPDX-License-Identifier: MIT */
/* Capabilities of the launcher. */
#include "capability.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "include/util.h"

struct sets {
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
};

static int sets_read(struct sets *ret)
{
	*ret = (struct sets){.header.version = _LINUX_CAPABILITY_VERSION_3};
	return syscall(SYS_capget, &ret->header, ret->data) < 0 ? -errno : 0;
}

bool capability_has(int capability)
{
	struct sets sets;

	return sets_read(&sets) == 0 &&
	       (sets.data[CAP_TO_INDEX(capability)].effective & CAP_TO_MASK(capability)) != 0;
}

/* What leaves the permitted set leaves the ambient set by itself. */
int capability_give_up(int capability)
{
	struct sets sets;
	uint32_t kept = ~(uint32_t)CAP_TO_MASK(capability);
	int r;

	if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
		return -errno;
	r = sets_read(&sets);
	if (r < 0)
		return r;
	sets.data[CAP_TO_INDEX(capability)].effective &= kept;
	sets.data[CAP_TO_INDEX(capability)].permitted &= kept;
	sets.data[CAP_TO_INDEX(capability)].inheritable &= kept;
	return syscall(SYS_capset, &sets.header, sets.data) < 0 ? -errno : 0;
}
