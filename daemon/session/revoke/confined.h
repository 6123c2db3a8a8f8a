/* SPDX-License-Identifier: MIT */
/* Whether a process is confined, whoever confined it. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Whether a process under this filter is confined: it is a session's, or hands mq_open to a
 * supervisor. */
bool filter_confines(const struct sock_filter *program, size_t length);

/* 1; 0; or a negative errno: it cannot be told. pidfd was opened while pid was its number. Waits
 * while the process executes a program: whoever calls must be disposable. */
int process_is_confined(pid_t pid, int pidfd);
