/* SPDX-License-Identifier: MIT */
/* The launcher's messages that are made, of fuzz_policy(). */
#pragma once

#include "include/protocol.h"
#include "structure.h"

struct made_hello {
	union {
		struct launch_hello hello;
		struct launch_answer answer;
		struct launch_handover handover;
	};
	size_t size;
	bool wrong; /* it must be refused */
	bool bound; /* a hello: what it names is there */
};

void make_hello(struct input *choices, struct made_hello *ret);
void make_answer(struct input *choices, struct made_hello *ret);
void make_handover(struct input *choices, struct made_hello *ret);
