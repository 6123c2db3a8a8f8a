/* SPDX-License-Identifier: MIT */
/* The threads that called lately: their /proc/TID stays open.
 *
 * Nothing that was read is kept, only where to read. Such a directory belongs to a thread and not
 * to its number: once the thread is gone it answers nothing any more (ESRCH), even if the number is
 * in use again. So what is read through it is read of the thread that has this number now, or not
 * at all; and as ever it counts only if the notification is valid afterwards. */
#pragma once

#include "include/limits.h"
#include "target.h"

/* Begins as all zero. */
struct callers {
	struct {
		pid_t tid; /* 0: none */
		int proc, status;
	} kept[SESSION_CALLERS_MAX];
};

/* What is kept of this thread, if anything: ret->lent says so. Valid until the next
 * callers_keep(). */
void callers_lend(const struct callers *callers, pid_t tid, struct target *ret);

/* Keeps what was opened of a thread, which is lent from now on. */
void callers_keep(struct callers *callers, struct target *target);
