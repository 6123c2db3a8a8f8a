/* SPDX-License-Identifier: MIT */
/* How patient tests are on this machine (tests/patience). */
#pragma once

#include <stdlib.h>

/* Multiplies deadlines of tests, but none of mqgate's own: the environment's TEST_PATIENCE, at
 * least 1. */
static inline int patience(void)
{
	const char *text = getenv("TEST_PATIENCE");
	int n = text ? atoi(text) : 1;

	return n > 1 ? n : 1;
}
