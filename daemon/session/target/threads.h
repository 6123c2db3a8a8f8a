/* SPDX-License-Identifier: MIT */
/* The threads whose call on a descriptor was given back to the kernel, and which may be inside it
 * still. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/limits.h"

struct thread {
	int32_t tid;
	uint32_t arch;  /* of its latest call */
	uint32_t place; /* of its process (processes.h), which says whether the number is its own
			   still */
	uint32_t reserved;
};

struct threads {
	uint32_t count;
	uint32_t latest; /* where the latest one was found */
	struct thread entries[SESSION_THREADS_MAX];
};

/* The entry of that number; NULL: there is none. */
struct thread *threads_find(struct threads *threads, pid_t tid);

/* Before a call is given back. 0; -ENOSPC if there are SESSION_THREADS_MAX threads inside calls.
 * Unless it is 0 the call must not be given back. */
int threads_note(struct threads *threads, pid_t tid, uint32_t arch, uint32_t place);

/* What the kernel says a thread is doing. */
enum thread_activity {
	THREAD_GONE,
	THREAD_ELSEWHERE, /* blocked, but not in a call on a descriptor */
	THREAD_RUNNING,   /* on a processor, perhaps on its way into one */
	THREAD_IN_CALL,   /* blocked in one */
};

/* Of the thread of this number, whichever that is now. Waits while its process executes a program:
 * a step of a disposable child's (child.h). */
enum thread_activity thread_activity(pid_t tid, uint32_t arch);

/* True if it certainly is, reaped or not. */
bool thread_is_dead(int proc);

/* A pidfd of the thread; of its process where the kernel gives none for threads (before 6.9), which
 * *ret_of_process says. proc is /proc/TID: what that still shows afterwards is what was opened. A
 * descriptor, or a negative errno. */
int thread_open_pidfd(int proc, pid_t tid, bool *ret_of_process);
