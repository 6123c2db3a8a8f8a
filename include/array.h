/* SPDX-License-Identifier: MIT */
/* Arrays: growing at their end, searching. */
#pragma once

#include <stddef.h>

/* Appends a copy of one item. items is the address of the pointer to the first of *count, NULL at
 * first and to be freed. The room doubles whenever the count is a power of two. 0 or -ENOMEM. */
int array_append(void *items, size_t *count, const void *item, size_t size);

/* The place of the first of sorted items that does not come before the key; count: of none.
 * compare(key, item) as for bsearch(). */
size_t array_first(const void *items, size_t count, size_t size, const void *key,
	int (*compare)(const void *key, const void *item));
