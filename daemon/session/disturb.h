/* SPDX-License-Identifier: MIT */
/* Whether a thread would notice that it was stopped. */
#pragma once

#include <stdbool.h>

/* True if the thread waits, with a timeout, in a call that fails with EINTR when it is stopped.
 * Such a call is made again, its timeout from the beginning. One without a timeout is made again as
 * it was. proc is /proc/TID. */
bool force_disturbs(int proc);
