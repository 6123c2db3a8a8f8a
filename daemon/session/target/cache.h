/* SPDX-License-Identifier: MIT */
/* The threads that called lately: their /proc/TID stays open.
 *
 * Nothing that was read is kept, only where to read. Such a directory belongs to a thread and not
 * to its number: once the thread is gone it answers nothing any more (ESRCH), even if the number is
 * in use again. So what is read through it is read of the thread that has this number now, or not
 * at all; and as ever it counts only if the notification is valid afterwards.
 *
 * Memory belongs to a program and not to a thread, and exec puts another in its place. But exec
 * ends all threads of the process but the one that calls it, which then has the first one's number.
 * So a thread that is not the first and still answers is a witness that there has been no exec, and
 * with one the memory's descriptors are kept, too. */
#pragma once

#include "include/limits.h"
#include "target.h"

/* Begins as all zero. */
struct callers {
	struct {
		pid_t tid; /* 0: none */
		int proc, status;
		int witness, memory, maps; /* valid if has_memory */
		bool has_memory;
	} kept[SESSION_CALLERS_MAX];
};

/* What is kept of this thread, if anything: ret->lent says so. Valid until the next
 * callers_keep(). */
void callers_lend(const struct callers *callers, pid_t tid, struct target *ret);

/* Keeps what was opened of a thread, which is lent from now on. */
void callers_keep(struct callers *callers, struct target *target);

/* What is kept of the memory of a thread that is lent, if its witness answers. 0: ret_threads is
 * how many its process has; -ESRCH: there is none. */
int callers_lend_memory(struct callers *callers, struct target *target, uint64_t *ret_threads);

/* Keeps what was opened of the memory of a thread that is lent, if there is a witness. True: it is
 * newly kept. Only if the notification is valid afterwards was it opened of one and the same
 * program; if not it must be forgotten. */
bool callers_keep_memory(struct callers *callers, struct target *target);
void callers_forget_memory(struct callers *callers, struct target *target);
