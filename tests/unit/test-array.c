/* SPDX-License-Identifier: MIT */
/* Arrays that grow, and searches in them. */
#include <criterion/criterion.h>

#include "include/array.h"
#include "include/util.h"

static int compare_numbers(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

Test(array, grows_and_is_searched)
{
	_cleanup_free_ int *even = NULL;
	size_t count = 0;

	cr_expect_eq(array_first(even, 0, sizeof(int), &(int){5}, compare_numbers), 0);
	for (int i = 0; i < 200; i += 2)
		cr_assert_eq(array_append(&even, &count, &i, sizeof(i)), 0);
	cr_assert_eq(count, 100);
	for (int i = 0; i < 200; i++)
		cr_expect_eq(array_first(even, count, sizeof(int), &i, compare_numbers),
			(size_t)(i + 1) / 2);
	count = 65;
	cr_assert_eq(array_append(&even, &count, &(int){1}, sizeof(int)), 0);
	cr_expect(even[64] == 128 && even[65] == 1);
}
