/* SPDX-License-Identifier: MIT */
/* Proves a filter: what the kernel would do for each call. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>

#include "include/syscalls.h"

/* What the filter is for: AUDIT_ARCH_*, as native_arch and compat_arch are. */
struct architectures {
	uint32_t native, compat;
};

/* True if the filter notifies of exactly the calls that it is to intercept, refuses exactly the
 * seccomp(2) and setns(2) that make.c names, allows every other call of the two architectures
 * without a look at its arguments, and answers ENOSYS to the rest. */
bool filter_is_whole(const struct sock_filter *program, unsigned short length,
	const struct architectures *architectures, enum mediation mediation);
