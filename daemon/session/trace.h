/* SPDX-License-Identifier: MIT */
/* Tracing a thread that another session process may just be looking at. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Our parent is the one that all session processes have. To be called before we have children. */
void trace_prepare(void);

/* PTRACE_SEIZE. 0; -EBUSY: another session process, or a child of one, traces it for a moment;
 * -EPERM: somebody else does; -ESRCH; or another negative errno. Waits while the thread's process
 * executes a program: a step of a disposable child's (child.h). */
int trace_seize(pid_t tid);

/* True if we trace it. */
bool trace_is_ours(pid_t tid);

/* Lets go of one that we trace, if it has stopped. 1: it had. 0: not yet. -ESRCH: it is gone. */
int trace_let_go(pid_t tid);
