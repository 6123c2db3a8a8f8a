/* SPDX-License-Identifier: MIT */
/* What the seccomp filters of a thread say to a call, before it is made. */
#pragma once

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What one filter returns, as the kernel would run it. */
uint32_t filter_run(
	const struct sock_filter *program, size_t length, const struct seccomp_data *data);

/* True if all filters of this thread, which is stopped by ptrace, together hand the call to a
 * listener. False: they do something else with it, which may be to kill its process, or cannot be
 * read. */
bool filters_notify(pid_t tid, const struct seccomp_data *data);
