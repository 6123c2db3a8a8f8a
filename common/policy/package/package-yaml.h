/* SPDX-License-Identifier: MIT */
/* From a YAML tree to a package. */
#pragma once

#include "include/tree.h"
#include "include/policy.h"

/* Fills the package's name, publisher, plugs and slots; what it has filled is the package's to
 * free, whatever is returned. Returns 0, -EBADMSG with at least one error, or -ENOMEM. */
int package_from_tree(
	struct package *package, const struct tree *tree, struct diagnostics *diagnostics);
