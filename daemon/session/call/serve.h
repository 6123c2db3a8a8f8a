/* SPDX-License-Identifier: MIT */
/* The way of a call. */
#pragma once

#include "call.h"

/* The next call from beginning to end. 0 or negative errno: fatal. */
int serve_next(struct supervisor *supervisor);

/* What has become of the call in hand before. */
enum served {
	SERVED_FIRST,   /* nothing */
	SERVED_IN_HAND, /* an earlier session process had it, and may have carried it out */
	SERVED_WAITING, /* an earlier session process let it wait */
};
void serve(struct supervisor *supervisor, enum served served);

/* One in hand that waited with this request, a copy that was made when it came. */
void serve_again(struct supervisor *supervisor, const struct request *request);
