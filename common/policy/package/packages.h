/* SPDX-License-Identifier: MIT */
/* Making sets of packages. */
#pragma once

#include "include/policy.h"

/* Takes the packages, and leaves out those whose name is not theirs alone, with an error. 0 or
 * -ENOMEM. */
int packages_from(struct package ***packages, size_t *count, struct diagnostics *diagnostics,
	struct packages **ret);

/* The diagnostic of a file that could not be read. -EBADMSG or -ENOMEM. */
int package_refuse_unread(const char *file, int error, struct diagnostics *diagnostics);
