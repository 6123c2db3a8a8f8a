/* SPDX-License-Identifier: MIT */
/* Whether a thread would notice that it was stopped. */
#pragma once

#include <stdbool.h>

/* True if the thread waits in a call that fails with EINTR when it is stopped, whether it has a
 * handler or not (signal(7)). proc is /proc/TID. Waits while its process executes a
 * program: a step of a disposable child's (child.h). */
bool stop_disturbs(int proc);
