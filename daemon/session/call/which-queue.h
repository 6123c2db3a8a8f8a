/* SPDX-License-Identifier: MIT */
/* Which queue a descriptor is. */
#pragma once

#include "call.h"

/* Fills call->request.queue and name, what is granted on it and to whom, call->key and too_wide. 0,
 * or a negative errno: it could not be looked. */
int identify_queue(struct supervisor *supervisor, struct call *call);

/* Remembers the queue that the call in hand has opened. */
void remember_opened(struct supervisor *supervisor, const struct call *call,
	const struct descriptor *descriptor);
