/* SPDX-License-Identifier: MIT */
/* The threads that called lately. */
#include "cache.h"

static size_t place(pid_t tid)
{
	return (size_t)tid % SESSION_CALLERS_MAX;
}

static void forget_memory(struct callers *callers, size_t i)
{
	if (!callers->kept[i].has_memory)
		return;
	(void)safe_close(callers->kept[i].witness);
	(void)safe_close(callers->kept[i].memory);
	(void)safe_close(callers->kept[i].maps);
	callers->kept[i].has_memory = false;
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
	ret->status_lent = ret->status >= 0;
}

static void forget(struct callers *callers, size_t i)
{
	if (callers->kept[i].tid == 0)
		return;
	forget_memory(callers, i);
	(void)safe_close(callers->kept[i].proc);
	(void)safe_close(callers->kept[i].status);
}

void callers_keep(struct callers *callers, struct target *target)
{
	size_t i = place(target->tid);

	if (!target->lent) {
		forget(callers, i);
		callers->kept[i].tid = target->tid;
		callers->kept[i].proc = target->proc;
		callers->kept[i].status = -EBADF;
		target->lent = true;
	}
	if (!target->status_lent && target->status >= 0) {
		callers->kept[i].status = target->status;
		target->status_lent = true;
	}
}

int callers_lend_memory(struct callers *callers, struct target *target, uint64_t *ret_threads)
{
	size_t i = place(target->tid);
	struct target witness = TARGET_CLOSED;

	if (!target->lent || !callers->kept[i].has_memory)
		return -ESRCH;
	witness.proc = callers->kept[i].witness;
	if (target_count_threads(&witness, ret_threads) < 0) {
		forget_memory(callers, i);
		return -ESRCH;
	}
	target->memory = callers->kept[i].memory;
	target->maps = callers->kept[i].maps;
	target->memory_lent = true;
	return 0;
}

bool callers_keep_memory(struct callers *callers, struct target *target)
{
	size_t i = place(target->tid);
	int witness;

	if (!target->lent || target->memory_lent || target->memory < 0 || target->maps < 0)
		return false;
	witness = target_open_witness(target);
	if (witness < 0)
		return false;
	forget_memory(callers, i);
	callers->kept[i].witness = witness;
	callers->kept[i].memory = target->memory;
	callers->kept[i].maps = target->maps;
	callers->kept[i].has_memory = true;
	target->memory_lent = true;
	return true;
}

void callers_forget_memory(struct callers *callers, struct target *target)
{
	if (!target->lent)
		return;
	forget_memory(callers, place(target->tid));
	if (target->memory_lent)
		target->memory = target->maps = -EBADF;
	target->memory_lent = false;
}
