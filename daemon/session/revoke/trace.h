/* SPDX-License-Identifier: MIT */
/* Tracing a thread that another session process may just be looking at. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Our parent is the one that all session processes have. To be called before we have children. */
void trace_prepare(void);

/* PTRACE_SEIZE. 0; -EBUSY: another session process, a child of one, or who is about to end traces
 * it for a moment; -EPERM: somebody else does; -ESRCH; or another negative errno. Waits while the
 * thread's process executes a program: a step of a disposable child's (child.h). */
int trace_seize(pid_t tid);

/* The same, but waits for up to this time for another session process to let go. */
int trace_seize_patiently(pid_t tid, uint64_t usec);

/* True if we trace it; if somebody does that is neither we nor another session process. */
bool trace_is_ours(pid_t tid);
bool trace_is_strangers(pid_t tid);

/* Whether one that we trace has stopped. 1: it has. 0: not yet. -ESRCH: it is gone. -ECHILD: it has
 * another number now. */
int trace_stopped(pid_t tid, int *ret_status);

/* Lets go of one that has stopped, with this status. 0, or -ESRCH: it was killed while it was
 * stopped, and must be waited for once more, or its parent never can. */
int trace_detach(pid_t tid, int status);

/* Lets go of one that we trace, if it has stopped. 1: it had. 0: not yet. Negative errno: it is
 * gone. */
int trace_let_go(pid_t tid);
