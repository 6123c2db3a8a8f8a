/* SPDX-License-Identifier: MIT */
/* Finding things by what a person typed. */
#pragma once

#include "fault.h"

/* The package of that name, or -ENOENT and a fault with the nearest name. */
int find_package(const struct policy *policy, const char *name, const struct package **ret,
	struct fault *fault);

/* The plug or slot of that name of a package, or -ENOENT and a fault. */
int find_plug(const struct package *package, const char *name, const struct plug **ret,
	struct fault *fault);
int find_slot(const struct package *package, const char *name, const struct slot **ret,
	struct fault *fault);

/* "package:name" of a ref that exists; NULL if it does not. */
const struct plug *policy_plug(const struct policy *policy, const char *ref);
const struct slot *policy_slot(const struct policy *policy, const char *ref);

/* What a command that connects the two needs between verb and plug: "--any-id " if their ids
 * differ, else "". */
const char *any_id_option(const struct plug *plug, const struct slot *slot);
