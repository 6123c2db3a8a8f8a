/* SPDX-License-Identifier: MIT */
/* Whether a process is confined, whoever confined it. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether a process under this filter is confined: it is a session's, or hands mq_open to a
 * supervisor. */
bool filter_confines(const struct sock_filter *program, size_t length);

/* 1; 0; or a negative errno: it cannot be told (-EACCES: by us of nobody). pidfd was opened while
 * pid was its number. Waits while the process executes a program: whoever calls must be disposable.
 */
int process_is_confined(pid_t pid, int pidfd);

/* Whether a process is under the filter of a session that begins, and of no other: 0, or 1 if it is
 * of another one, -ENOENT if it is not under that filter, or another negative errno: it cannot be
 * told. Also 0 if we may read nobody's filters. The rest is the same. ret_depth: in how many PID
 * namespaces it is, as seen from here; 0: that is not known. */
int process_begins_session(pid_t pid, int pidfd, uint64_t filter_id, uint32_t *ret_depth);
