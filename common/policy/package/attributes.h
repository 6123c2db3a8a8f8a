/* SPDX-License-Identifier: MIT */
/* Attributes of posix-mq plugs and slots: every rule, one function each. */
#pragma once

#include "include/tree.h"
#include "include/policy.h"

/* One plug or slot that is being read. Each fault is a warning; a plug or slot with one is dropped.
 */
struct definition {
	const char *side; /* "plug" or "slot" */
	const struct package *package;
	const struct value *name;       /* the key */
	const struct value *attributes; /* the map; NULL: none */
	struct diagnostics *diagnostics;
	bool dropped;
};

/* Both fill in what is well-formed and set definition->dropped if anything is not; what is filled
 * is the caller's to free either way. Return 0 or -ENOMEM. */
int plug_read(struct definition *definition, struct plug *plug);
int slot_read(struct definition *definition, struct slot *slot);
