/* SPDX-License-Identifier: MIT */
/* A test that needs what this machine lacks. */
#pragma once

#include <criterion/criterion.h>

#include "include/util.h"

/* Skips the running test; with MUST_WORK=1 it fails. */
static inline void leave_out(const char *reason)
{
	const char *must = getenv("MUST_WORK");

	if (must && streq(must, "1"))
		cr_assert_fail("%s, and MUST_WORK=1 allows no skipping", reason);
	cr_skip_test("%s", reason);
}
