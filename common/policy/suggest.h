/* SPDX-License-Identifier: MIT */
/* Which slots a plug would have to be connected to, to get what it lacks. */
#pragma once

#include "rules.h"
#include "variables.h"

/* One for each permission at most. */
#define SUGGESTED_MAX 5

struct suggestion {
	const struct plug *plug;
	const struct slot *slots[SUGGESTED_MAX]; /* together they give it, and none less would */
	size_t count;
	bool clashes; /* a name of the plug would mean two queues then */
};

/* The first rule by which the slot, if connected to the plug, offers the name (without slash) for
 * the values, which then are complete. False if there is none. */
bool find_rule(const struct plug *plug, const struct slot *slot, const char *name,
	struct values *values, struct rule *ret);

bool is_connected(const struct policy *policy, const struct plug *plug, const struct slot *slot);

/* The narrowest that helps: one slot before several; an exact name before a pattern; the plug's own
 * id before another; of those the one with the fewest permissions, then with the fewest queues,
 * then the first by name. False if nothing would help. To a plug with names of its own any slot
 * that fits would give them: only one with its id is meant. */
bool suggest(const struct policy *policy, const struct plug *plug, const char *name,
	uint32_t missing, struct suggestion *ret);

/* "mqctl connect …", and if that takes several, " && " between them; malloc'd, NULL on lack of
 * memory. */
char *suggestion_command(const struct suggestion *suggestion);
