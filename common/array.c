/* SPDX-License-Identifier: MIT */
/* Arrays: growing at their end, searching. */
#include "include/array.h"

#include "include/util.h"

int array_append(void *items, size_t *count, const void *item, size_t size)
{
	char *array, *grown;

	memcpy(&array, items, sizeof(array));
	if ((*count & (*count - 1)) == 0) {
		grown = reallocarray(array, MAX(2 * *count, 1U), size);
		if (!grown)
			return -ENOMEM;
		memcpy(items, &grown, sizeof(grown));
		array = grown;
	}
	memcpy(array + *count * size, item, size);
	(*count)++;
	return 0;
}

size_t array_first(const void *items, size_t count, size_t size, const void *key,
	int (*compare)(const void *key, const void *item))
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(key, (const char *)items + middle * size) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
