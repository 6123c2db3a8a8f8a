/* SPDX-License-Identifier: MIT */
/* The threads that called lately. */
#include "callers.h"

static size_t place(pid_t tid)
{
	return (size_t)tid % SESSION_CALLERS_MAX;
}

void callers_lend(const struct callers *callers, pid_t tid, struct target *ret)
{
	const struct target *kept = &callers->kept[place(tid)];

	*ret = TARGET_CLOSED;
	ret->tid = tid;
	if (tid <= 0 || kept->tid != tid)
		return;
	ret->proc = kept->proc;
	ret->status = kept->status;
	ret->lent = true;
}

void callers_keep(struct callers *callers, struct target *target)
{
	struct target *kept = &callers->kept[place(target->tid)];

	if (target->lent)
		return;
	if (kept->tid != 0)
		target_close(kept);
	kept->tid = target->tid;
	kept->proc = target->proc;
	kept->status = target->status;
	target->lent = true;
}
