/* SPDX-License-Identifier: MIT */
/* The threads that called lately. */
#include "cache.h"

static size_t place(pid_t tid)
{
	return (size_t)tid % SESSION_CALLERS_MAX;
}

void callers_lend(const struct callers *callers, pid_t tid, struct target *ret)
{
	size_t i = place(tid);

	*ret = TARGET_CLOSED;
	ret->tid = tid;
	if (tid <= 0 || callers->kept[i].tid != tid)
		return;
	ret->proc = callers->kept[i].proc;
	ret->status = callers->kept[i].status;
	ret->lent = true;
}

void callers_keep(struct callers *callers, struct target *target)
{
	size_t i = place(target->tid);

	if (target->lent)
		return;
	if (callers->kept[i].tid != 0) {
		(void)safe_close(callers->kept[i].proc);
		(void)safe_close(callers->kept[i].status);
	}
	callers->kept[i].tid = target->tid;
	callers->kept[i].proc = target->proc;
	callers->kept[i].status = target->status;
	target->lent = true;
}
