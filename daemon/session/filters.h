/* SPDX-License-Identifier: MIT */
/* What the seccomp filters of a thread say to a call, before it is made. */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <sys/types.h>

/* True if all filters of this thread, which is stopped by ptrace, together hand the call to a
 * listener. False: they do something else with it, which may be to kill its process, or cannot be
 * read. */
bool filters_notify(pid_t tid, const struct seccomp_data *data);
