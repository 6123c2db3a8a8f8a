/* SPDX-License-Identifier: MIT */
/* What a container runtime says, made: with what must be read of it. */
#pragma once

#include "include/container.h"
#include "structure.h"

struct made_container {
	struct text text;
	const char *wrong; /* among what is said of it; NULL: it is right */
	unsigned pid, descriptors, listener, plugs, id_length, name_length, bundle_length;
};

void make_container(struct input *choices, struct made_container *ret);
