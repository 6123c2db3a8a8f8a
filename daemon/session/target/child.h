/* SPDX-License-Identifier: MIT */
/* Work that an app can hold up, done by a disposable child. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Zeros, shared with all children from now on. NULL on lack of memory. */
void *child_memory(size_t size);
void child_memory_free(void *memory, size_t size);

/* Forks; the child does the work and exits. What it finds out it leaves in memory that is shared
 * with us. If something holds it up it is killed, and whatever it traced goes on:
 *
 *	0           the work is done
 *	-ETIMEDOUT  one step has waited for longer than step_usec
 *	-ETIME      the deadline is over (CLOCK_MONOTONIC, microseconds)
 *	-ECHILD     the child has died
 *
 * or another negative errno: there was no child. To be called by one thread at a time; the child
 *may call it, too. */
int child_run(void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline);

/* As child_run(), of work that traces, or asks what only a tracer may. Yama lets only those do that
 * who are above the process in question, which a child of ours is not; in mqgate-alone, which is,
 * the work is done by a thread, which is as disposable: its end lets go of whatever it traced.
 * -EBUSY: an earlier one has not ended yet. */
int child_look(void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline);

/* To be called by mqgate-alone, before any thread. Blocks SIGSYS. */
void child_look_by_thread(void);

/* In the child, around each system call that something of an app's may hold up. They do nothing
 * elsewhere. */
void step_begin(void);
void step_end(void);
