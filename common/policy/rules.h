/* SPDX-License-Identifier: MIT */
/* Rules: what a plug and a slot, or a slot alone, say about names. */
#pragma once

#include "include/policy.h"

/* Names with their leading slash; both may be patterns with variables. */
struct rule {
	const struct plug *plug; /* NULL: of the slot's own side */
	const struct slot *slot;
	const char *name;  /* as the program says it */
	const char *queue; /* what it means by it; NULL: the name itself, which is a pattern */
};

bool fits(const struct plug *plug, const struct slot *slot);

/* How many a plug that is connected to the slot has by it: none if it does not fit. */
size_t rule_count(const struct plug *plug, const struct slot *slot);
struct rule rule_at(const struct plug *plug, const struct slot *slot, size_t i);

/* Whether there may be a name that is both: both are plain, or neither their beginnings nor their
 * ends tell them apart. */
bool names_can_meet(const char *a, const char *b);

/* Whether a plug would have a name of two meanings if it were connected to the slot, too. False
 * also for lack of memory. */
bool would_clash(const struct policy *policy, const struct plug *plug, const struct slot *slot);

/* The next slot that a plug is connected to, whether it fits or not, from a place in the
 * connections on: that of connections_lower_bound(…, plug, "") at first. NULL: there is none. */
const struct slot *next_slot(const struct policy *policy, const char *plug, size_t *at);
