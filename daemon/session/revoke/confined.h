/* SPDX-License-Identifier: MIT */
/* Whether a process is confined, whoever confined it. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "container-filter.h"

/* Where a session begins. */
struct beginning {
	uint32_t pid_depth;     /* in how many PID namespaces, as seen from here; 0: not known */
	uint32_t nested_pid;    /* its number in the innermost; 0: not known */
	uint64_t pid_namespace; /* that, as the kernel numbers them; 0: not known */
	const char *lacks;      /* what a container's filter lets through; NULL: nothing */
};

/* Whether a process under this filter is confined: it is a session's, or hands mq_open to a
 * supervisor. */
bool filter_confines(const struct sock_filter *program, size_t length);

/* 1; 0; or a negative errno: it cannot be told (-EACCES: by us of nobody). pidfd was opened while
 * pid was its number. Waits while the process executes a program: whoever calls must be disposable.
 */
int process_is_confined(pid_t pid, int pidfd);

/* Whether a process is under the filter of a session that begins, and of no other: 0, or 1 if it is
 * of another one, -ENOENT if it is not under that filter, -ENOTSUP if that is a container's and
 * leaves a road open, or another negative errno: it cannot be told. Also 0 if we may read nobody's
 * filters, unless it is a container's (-EACCES). The rest is the same. */
int process_begins_session(
	pid_t pid, int pidfd, const struct filter_mark *filter, struct beginning *ret);
