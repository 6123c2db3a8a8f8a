/* SPDX-License-Identifier: MIT */
/* Whether a thread would notice that it was stopped. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A call that a thread is blocked in. */
struct blocked {
	int nr;
	uint64_t arguments[6];
	uint64_t stack, place;
};

/* False: it is in none, or runs. */
bool blocked_read_of(pid_t tid, struct blocked *ret);

/* True if the thread waits, with a timeout, in a call that fails with EINTR when it is stopped.
 * Such a call is made again, its timeout from the beginning. One without a timeout is made again as
 * it was. proc is /proc/TID. */
bool force_disturbs(int proc);
