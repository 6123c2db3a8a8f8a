/* SPDX-License-Identifier: MIT */
/* The door's filter: hands the calls of the one table to a listener, allows the rest. */
#pragma once

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

/* The first instructions of every session's filter, by which membership is proved:
 *
 *	ld  [4]                    the architecture
 *	jeq #(constant low), 0, 0
 *	jeq #(constant high), 0, 0
 *
 * Both ways of each jump lead to the next instruction, so they do nothing but carry the session's
 * constant. They look at nothing but the architecture, which the kernel knows beforehand: its cache
 * of calls that are always allowed (seccomp_cache) goes on working. */
#define FILTER_CONSTANT_LENGTH 3

/* Builds the filter for native_arch and compat_arch. The caller frees *ret_program. Returns 0 or a
 * negative errno.
 */
int filter_build(uint64_t constant, struct sock_filter **ret_program, unsigned short *ret_length);

/* Puts this process under the filter, for good, and returns its listener (close-on-exec).
 * no_new_privs must be set. Returns 0, or a negative errno with a message (see refuse.h). */
int filter_load(const struct sock_filter *program, unsigned short length, int *ret_listener,
	char **ret_message);
