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

/* Skips the running test, with MUST_WORK=1 too: this machine was asked, by doing it, and cannot.
 * What it lacks follows the words "this machine"; tests/count lists it. */
static inline void machine_lacks(const char *lack)
{
	cr_skip_test("this machine %s", lack);
}
