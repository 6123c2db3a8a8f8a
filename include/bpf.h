/* SPDX-License-Identifier: MIT */
/* What a seccomp filter says to a call, before it is made. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

/* The bit of a 32-bit word of struct seccomp_data; an argument has two. */
#define BPF_LOOKED(field) (UINT32_C(1) << offsetof(struct seccomp_data, field) / sizeof(uint32_t))

/* What one filter returns, as the kernel would run it over exactly this. What the kernel would not
 * have accepted counts as SECCOMP_RET_KILL_PROCESS. ret_looked, unless NULL: which words it has
 * loaded; whatever the others are, it returns the same. */
uint32_t bpf_run(const struct sock_filter *program, size_t length, const struct seccomp_data *data,
	uint32_t *ret_looked);
