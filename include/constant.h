/* SPDX-License-Identifier: MIT */
/* The session's constant: the first instructions of every session's filter, by which membership is
 * proved.
 *
 *	ld  [4]                    the architecture
 *	jeq #(constant low), 0, 0
 *	jeq #(constant high), 0, 0
 *
 * Both ways of each jump lead to the next instruction, so they do nothing but carry the constant.
 * They look at nothing but the architecture, which the kernel knows beforehand: its cache of calls
 * that are always allowed (seccomp_cache) goes on working. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSTANT_LENGTH 3

void constant_write(struct sock_filter program[static CONSTANT_LENGTH], uint64_t constant);

/* True if a filter of this length begins with this constant. */
bool constant_is(const struct sock_filter *program, size_t length, uint64_t constant);
