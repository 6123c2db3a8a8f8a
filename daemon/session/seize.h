/* SPDX-License-Identifier: MIT */
/* Tracing a thread that another session process may just be looking at. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* PTRACE_SEIZE. While another session process of our manager traces the thread, waits, at most
 * until deadline. 0 or negative errno; -EPERM: somebody traces it for longer. */
int seize(pid_t tid, uint64_t deadline);

/* True if we trace the thread. */
bool seize_is_held(pid_t tid);

/* True if somebody that was seized may still be traced by us. */
bool seize_may_hold(void);

/* One that is traced by us and is stopped or dead, or a dead child of ours, which has to be waited
 * for; 0: there is none now. */
pid_t seize_changed(void);
