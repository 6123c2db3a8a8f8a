/* SPDX-License-Identifier: MIT */
/* The door's filter: hands the calls of the one table to a listener, allows the rest. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "include/syscalls.h"

#define FILTER_LENGTH_MAX 256 /* ours has some 70 instructions */

/* Writes the filter for native_arch and compat_arch, with the session's filter id in front
 * (include/filter-id.h). Returns its length. */
unsigned short filter_write(struct sock_filter program[static FILTER_LENGTH_MAX],
	uint64_t filter_id, enum mediation mediation);

/* Puts this process under it, for good, and returns its listener (close-on-exec). no_new_privs must
 * be set. Returns 0, or a negative errno with a message (see refuse.h). */
int filter_load(
	uint64_t filter_id, enum mediation mediation, int *ret_listener, char **ret_message);
