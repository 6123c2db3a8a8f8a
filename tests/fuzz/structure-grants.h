/* SPDX-License-Identifier: MIT */
/* Grants messages that are made byte by byte, and the same set, made by the functions for it. */
#pragma once

#include "structure.h"

struct made_grants {
	struct text text;
	bool wrong;            /* one thing: the message must be refused */
	struct grants *grants; /* as long as nothing was wrong */
};

void make_grants(struct input *choices, struct made_grants *ret);
