/* SPDX-License-Identifier: MIT */
/* The session's filter id: the first instructions of every session's filter, by which membership is
 * proved.
 *
 *	ld  [4]                    the architecture
 *	jeq #(filter_id low), 0, 0
 *	jeq #(filter_id high), 0, 0
 *
 * Both ways of each jump lead to the next instruction, so they do nothing but carry the filter id.
 * They look at nothing but the architecture, which the kernel knows beforehand: its cache of calls
 * that are always allowed (seccomp_cache) goes on working. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_ID_LENGTH 3

void filter_id_write(struct sock_filter program[static FILTER_ID_LENGTH], uint64_t filter_id);

/* True if a filter of this length begins with this filter_id. */
bool filter_id_is(const struct sock_filter *program, size_t length, uint64_t filter_id);

/* True if it begins with any filter id: it is a session's, of whatever mqgated. Forms that were
 * released are known for ever. */
bool filter_has_id(const struct sock_filter *program, size_t length);
