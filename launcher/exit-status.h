/* SPDX-License-Identifier: MIT */
/* Exit statuses of mq-run, as env(1) has them. */
#pragma once

enum {
	EXIT_OWN_FAILURE = 125,
	EXIT_NOT_EXECUTABLE = 126,
	EXIT_NOT_FOUND = 127,
};
