/* SPDX-License-Identifier: MIT */
/* Whether a thread would notice that it was stopped. */
#pragma once

#include <stdbool.h>

enum disturbance {
	DISTURBS_NOT,
	DISTURBS_PERHAPS, /* a call that may fail with EINTR, or do only a part: on a socket with a
			     timeout, or with more to write than there is room for */
	DISTURBS,         /* a call that fails with EINTR, whether there is a handler or not */
};

/* What the thread would see of it (signal(7)). proc is /proc/TID. Waits while its process executes
 * a program: a step of a disposable child's (child.h). */
enum disturbance stop_disturbs(int proc);
