/* SPDX-License-Identifier: MIT */
/* Documents of mqctl apply and state files that are made: a version, and a list of connections. */
#pragma once

#include "structure.h"

#define ENTRIES_MAX 16

struct connections_grammar {
	const char *entries[ENTRIES_MAX]; /* pairs, as within braces; any of them together */
	const char *twice;                /* what is said if one is there twice, */
	bool twice_at_second;             /* and where, or of the file */
	const struct rule *pairs;         /* of the root: version, connections, others */
	const struct rule *wrong;         /* instead of an entry */
};

struct made_connections {
	struct text text;
	struct expected expected;
	size_t count; /* of entries */
};

/* Of a target: its grammar, and what it does with a text. made is NULL if nobody knows what must
 * come of it. */
extern const struct connections_grammar connections_grammar;
void check_text(const void *data, size_t size, const struct made_connections *made);
