/* SPDX-License-Identifier: MIT */
/* Faults with a message, and the names that a message proposes. */
#pragma once

#include "include/log.h"
#include "include/policy.h"

/* Sets the fault. What comes from a person must have been through escape(). Returns error, or
 * -ENOMEM. */
int fault_set(struct fault *fault, enum fault_kind kind, int error, const char *format, ...)
	_printf_(4, 5);

/* What a person typed, fit for a message; cut if very long. */
#define TYPED_MAX   512
#define typed(text) escape((text), (char[TYPED_MAX]){0}, TYPED_MAX)

/* How it begins, in whole characters. */
#define TYPED_START_MAX   33
#define typed_start(text) escape((text), (char[TYPED_START_MAX]){0}, TYPED_START_MAX)

/* Names for a message; they belong to somebody else. */
struct names {
	const char **items;
	size_t count;
};
void names_clear(struct names *names);
int names_add(struct names *names, const char *name);

/* "a, b, c", the first few of them and how many more there are; malloc'd. NULL on lack of memory.
 */
char *names_join(const struct names *names);
