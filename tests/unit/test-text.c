/* SPDX-License-Identifier: MIT */
/* Texts of /proc: their bounds, and numbers in them. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "include/limits.h"
#include "include/text.h"
#include "include/util.h"

static int read_of_size(size_t size, size_t max, size_t *ret_length)
{
	_cleanup_close_ int fd = memfd_create("text", MFD_CLOEXEC);
	_cleanup_free_ char *content = malloc(size), *text = NULL;
	int r;

	cr_assert(fd >= 0 && content);
	memset(content, 'x', size);
	cr_assert_eq(write(fd, content, size), (ssize_t)size);
	r = text_read(fd, max, &text);
	*ret_length = r == 0 ? strlen(text) : 0;
	return r;
}

static void check_text(size_t max)
{
	size_t length;

	cr_expect_eq(read_of_size(max, max, &length), 0);
	cr_expect_eq(length, max);
	cr_expect_eq(read_of_size(max + 1, max, &length), -E2BIG);
}

Test(text, up_to_the_bounds)
{
	check_text(STATUS_FILE_MAX);
	check_text(LIMITS_FILE_MAX);
}

Test(text, numbers_are_nothing_but_numbers)
{
	static const char *const others[] = {"A:\t12x\n", "A:\t-1\n", "A:\t+1\n", "A:\n12\n",
		"A:", "B:\t12\n", "A:\t99999999999999999999\n", "A:\t1\n2\n"};
	uint64_t numbers[2];

	cr_assert_eq(text_numbers("B:\t7\nA:\t12 ff\t\n", "A", 16, numbers, 2), 0);
	cr_expect_eq(numbers[0], 0x12);
	cr_expect_eq(numbers[1], 0xff);
	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		cr_expect_eq(text_numbers(others[i], "A", 10, numbers, i == 7 ? 2 : 1), -EBADMSG,
			"%s", others[i]);
}
