/* SPDX-License-Identifier: MIT */
/* The one table of intercepted calls. */
#include "include/syscalls.h"

#include <linux/audit.h>
#include <sched.h>

#include "include/util.h"

/* Numbers and not __NR_*: a table must hold the calls of architectures other than the builder's. */
static const struct intercepted_call table[] = {
	{AUDIT_ARCH_X86_64, 240, MQ_CALL_OPEN},
	{AUDIT_ARCH_X86_64, 241, MQ_CALL_UNLINK},
	{AUDIT_ARCH_X86_64, 242, MQ_CALL_SEND},
	{AUDIT_ARCH_X86_64, 243, MQ_CALL_RECEIVE},
	{AUDIT_ARCH_X86_64, 244, MQ_CALL_NOTIFY},
	{AUDIT_ARCH_X86_64, 245, MQ_CALL_GETSETATTR},

	{AUDIT_ARCH_I386, 277, MQ_CALL_OPEN},
	{AUDIT_ARCH_I386, 278, MQ_CALL_UNLINK},
	{AUDIT_ARCH_I386, 279, MQ_CALL_SEND},
	{AUDIT_ARCH_I386, 280, MQ_CALL_RECEIVE},
	{AUDIT_ARCH_I386, 281, MQ_CALL_NOTIFY},
	{AUDIT_ARCH_I386, 282, MQ_CALL_GETSETATTR},
	{AUDIT_ARCH_I386, 418, MQ_CALL_SEND},    /* mq_timedsend_time64 */
	{AUDIT_ARCH_I386, 419, MQ_CALL_RECEIVE}, /* mq_timedreceive_time64 */

	{AUDIT_ARCH_AARCH64, 180, MQ_CALL_OPEN},
	{AUDIT_ARCH_AARCH64, 181, MQ_CALL_UNLINK},
	{AUDIT_ARCH_AARCH64, 182, MQ_CALL_SEND},
	{AUDIT_ARCH_AARCH64, 183, MQ_CALL_RECEIVE},
	{AUDIT_ARCH_AARCH64, 184, MQ_CALL_NOTIFY},
	{AUDIT_ARCH_AARCH64, 185, MQ_CALL_GETSETATTR},

	{AUDIT_ARCH_ARM, 274, MQ_CALL_OPEN},
	{AUDIT_ARCH_ARM, 275, MQ_CALL_UNLINK},
	{AUDIT_ARCH_ARM, 276, MQ_CALL_SEND},
	{AUDIT_ARCH_ARM, 277, MQ_CALL_RECEIVE},
	{AUDIT_ARCH_ARM, 278, MQ_CALL_NOTIFY},
	{AUDIT_ARCH_ARM, 279, MQ_CALL_GETSETATTR},
	{AUDIT_ARCH_ARM, 418, MQ_CALL_SEND},
	{AUDIT_ARCH_ARM, 419, MQ_CALL_RECEIVE},
};

/* The kernel checks sending and receiving against the descriptor's access mode, and mq_getsetattr
 * needs none; but it lets mq_notify() register through a descriptor that is for writing only. */
static const bool intercepted[MEDIATION_COUNT][MQ_CALL_COUNT] = {
	[MEDIATION_CALL] =
		{
			[MQ_CALL_OPEN] = true,
			[MQ_CALL_UNLINK] = true,
			[MQ_CALL_SEND] = true,
			[MQ_CALL_RECEIVE] = true,
			[MQ_CALL_NOTIFY] = true,
			[MQ_CALL_GETSETATTR] = true,
		},
	[MEDIATION_OPEN] =
		{
			[MQ_CALL_OPEN] = true,
			[MQ_CALL_UNLINK] = true,
			[MQ_CALL_NOTIFY] = true,
		},
};

const char *mediation_to_string(enum mediation mediation)
{
	return mediation == MEDIATION_OPEN ? "open" : "call";
}

bool mediation_intercepts(enum mediation mediation, enum mq_call call)
{
	return intercepted[mediation][call];
}

const struct intercepted_call *intercepted_call_at(size_t i)
{
	return i < ELEMENTSOF(table) ? &table[i] : NULL;
}

const struct intercepted_call *intercepted_call_find(uint32_t arch, int nr)
{
	for (size_t i = 0; i < ELEMENTSOF(table); i++)
		if (table[i].arch == arch && table[i].nr == nr)
			return &table[i];
	return NULL;
}

static int clone_number(uint32_t arch)
{
	switch (arch) {
	case AUDIT_ARCH_X86_64:
		return 56;
	case AUDIT_ARCH_AARCH64:
		return 220;
	default:
		return 120;
	}
}

/* The kernel takes the lower half of the register. */
bool call_shares_table(uint32_t arch, int nr, uint64_t flags)
{
	return nr == clone_number(arch) && (flags & (CLONE_FILES | CLONE_THREAD)) == CLONE_FILES;
}

bool intercepted_call_has_long_time(int nr)
{
	/* mq_timedsend_time64 and mq_timedreceive_time64 have the same numbers everywhere. */
	return nr == 418 || nr == 419;
}

const char *mq_call_to_string(enum mq_call call)
{
	switch (call) {
	case MQ_CALL_OPEN:
		return "mq_open";
	case MQ_CALL_UNLINK:
		return "mq_unlink";
	case MQ_CALL_SEND:
		return "mq_timedsend";
	case MQ_CALL_RECEIVE:
		return "mq_timedreceive";
	case MQ_CALL_NOTIFY:
		return "mq_notify";
	case MQ_CALL_GETSETATTR:
		return "mq_getsetattr";
	case MQ_CALL_COUNT:
		break;
	}
	return "unknown call";
}
