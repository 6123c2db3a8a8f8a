/* SPDX-License-Identifier: MIT */
/* The door's filter: hands the calls of the one table to a listener, allows the rest. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "include/syscalls.h"

/* Builds the filter for native_arch and compat_arch, with the session's filter id in front
 * (include/filter-id.h). The caller frees *ret_program. Returns 0 or a negative errno; -ENOMEM also
 * if libseccomp has left something out (proof.h). */
int filter_build(uint64_t filter_id, enum mediation mediation, struct sock_filter **ret_program,
	unsigned short *ret_length);

/* Puts this process under the filter, for good, and returns its listener (close-on-exec).
 * no_new_privs must be set. Returns 0, or a negative errno with a message (see refuse.h). */
int filter_load(const struct sock_filter *program, unsigned short length, int *ret_listener,
	char **ret_message);
