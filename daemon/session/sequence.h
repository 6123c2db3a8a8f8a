/* SPDX-License-Identifier: MIT */
/* Restartable sequences (rseq) of a stopped thread. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "target.h"

/* *ret_abort: where the kernel would have it go on, were it stopped at that place; 0: there, since
 * it is in no sequence. 0, or -EAGAIN: that cannot be told, or the kernel might do something else.
 */
int sequence_find(pid_t tid, struct app_memory memory, uint64_t place, uint64_t *ret_abort);
