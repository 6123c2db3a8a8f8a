/* SPDX-License-Identifier: MIT */
/* What a peer of the control bus says, made, of fuzz_policy(): as lines behind the method, and what
 * must come of it. */
#pragma once

#include "structure.h"

#define BUS_OPTIONS_MAX 6

struct made_option {
	const char *key;
	char type; /* 'a': one that no option has */
	uint64_t number;
};

struct made_bus {
	char method; /* 'c', 'd', 'e', 'o', 't', 'u' */
	char *words[3];
	bool right; /* it succeeds */
	/* of options: */
	struct made_option options[BUS_OPTIONS_MAX];
	size_t option_count;
	uint64_t forget, wait, seconds; /* what is read; the last of times */
	bool allowed;                   /* of explain */
};

void make_bus(struct input *choices, struct made_bus *ret);
void made_bus_clear(struct made_bus *made);
