/* SPDX-License-Identifier: MIT */
/* The way of a call. */
#pragma once

#include "call.h"

/* The next call from beginning to end. 0 or negative errno: fatal. */
int serve_next(struct supervisor *supervisor);

/* The call in hand; how far an earlier session process has got with it is noted (inflight.h).
 * again: that let it wait, and has counted it. */
void serve(struct supervisor *supervisor, bool again);

/* One in hand that waited with this request, a copy that was made when it came. */
void serve_again(struct supervisor *supervisor, const struct request *request);
