/* SPDX-License-Identifier: MIT */
/* Package documents that are made, and what must come of them. */
#pragma once

#include "structure.h"

#define MADE_MAX 4 /* plugs, and as many slots */

/* An attribute: what is read is told by one number. */
enum attribute {
	ATTRIBUTE_PATH,
	ATTRIBUTE_PATTERN,
	ATTRIBUTE_PERMISSIONS,
	ATTRIBUTE_ID,
	ATTRIBUTE_NAMESPACE,
	ATTRIBUTE_MAX_MODE,
	ATTRIBUTE_MEDIATION,
	ATTRIBUTE_COUNT,
};

struct made_side {
	char name[PLUG_NAME_MAX + 1];
	bool dropped;
	unsigned means[ATTRIBUTE_COUNT];
};

struct made_package {
	struct text text;
	struct expected expected;
	struct made_side plugs[MADE_MAX], slots[MADE_MAX];
	size_t plug_count, slot_count;
};

void make_package(struct input *choices, struct made_package *ret);
