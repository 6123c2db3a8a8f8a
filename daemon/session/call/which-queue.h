/* SPDX-License-Identifier: MIT */
/* Which queue a descriptor is. */
#pragma once

#include "call.h"

/* Fills call->request.queue and name, call->key and too_wide. 0, or a negative errno: it could not
 * be looked. */
int identify_queue(struct supervisor *supervisor, struct call *call);

/* Remembers the queue of the call in hand, whose caller's identity is known. */
void remember_queue(struct supervisor *supervisor, const struct call *call,
	const struct descriptor *descriptor);
