/* SPDX-License-Identifier: MIT */
/* The way of a call. */
#pragma once

#include "call.h"

/* The next call from beginning to end. 0 or negative errno: fatal. */
int serve_next(struct supervisor *supervisor);

/* One that is in hand: noted by an earlier session process, which may have carried it out
 * (resumed). */
void serve(struct supervisor *supervisor, bool resumed);

/* One in hand that waited with this request, a copy that was made when it came. */
void serve_again(struct supervisor *supervisor, const struct request *request);
