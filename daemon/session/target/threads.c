/* SPDX-License-Identifier: MIT */
/* The threads that may be inside a call on a descriptor. */
#include "threads.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "include/compat.h"
#include "include/syscalls.h"
#include "include/task.h"
#include "include/text.h"
#include "include/util.h"
#include "child.h"

#define STEP_USEC   20000
#define FORGET_USEC 1000000

/* One of those that are given back to the kernel. */
static bool is_call_on_descriptor(uint32_t arch, int nr)
{
	const struct intercepted_call *row = intercepted_call_find(arch, nr);

	return row && row->call != MQ_CALL_OPEN && row->call != MQ_CALL_UNLINK;
}

enum thread_activity thread_activity(pid_t tid, uint32_t arch)
{
	_cleanup_close_ int proc = task_open(tid);
	struct task_call call;
	int r = proc;

	step_begin();
	if (proc >= 0)
		r = task_call(proc, &call);
	step_end();
	if (r == -ESRCH)
		return THREAD_GONE;
	/* Or it could not be told. */
	if (r < 0)
		return THREAD_RUNNING;
	return is_call_on_descriptor(arch, call.nr) ? THREAD_IN_CALL : THREAD_ELSEWHERE;
}

bool thread_is_dead(int proc)
{
	struct task task;

	/* Asking whether it is there needs neither memory nor a descriptor. */
	return task_read(proc, &task) < 0 ? faccessat(proc, "stat", F_OK, 0) < 0
					  : task_is_dead(&task);
}

int thread_open_pidfd(int proc, pid_t tid, bool *ret_of_process)
{
	int pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	uint64_t process;

	*ret_of_process = false;
	if (pidfd >= 0 || errno != EINVAL)
		return pidfd < 0 ? -errno : pidfd;
	if (text_status_at(proc, "Tgid", &process) < 0)
		return -ESRCH;
	*ret_of_process = true;
	pidfd = (int)syscall(SYS_pidfd_open, (pid_t)process, 0);
	return pidfd < 0 ? -errno : pidfd;
}

struct glance {
	const struct threads *threads;
	bool *outside; /* shared with the child that looks */
};

static void look_at_all(void *context)
{
	const struct glance *look = context;

	for (uint32_t i = 0; i < look->threads->count; i++) {
		const struct thread *thread = &look->threads->entries[i];
		enum thread_activity activity = thread_activity(thread->tid, thread->arch);

		look->outside[i] = activity == THREAD_GONE || activity == THREAD_ELSEWHERE;
	}
}

/* Entries move down only; a session process that dies in between leaves one twice, which does no
 * harm. */
static void forget_outside(struct threads *threads)
{
	bool *outside = child_memory(SESSION_THREADS_MAX * sizeof(bool));
	struct glance look = {threads, outside};
	uint32_t kept = 0;

	if (!outside)
		return;
	/* Who was not looked at stays noted. */
	(void)child_look(look_at_all, &look, STEP_USEC, now_usec() + FORGET_USEC);
	for (uint32_t i = 0; i < threads->count; i++)
		if (!outside[i])
			threads->entries[kept++] = threads->entries[i];
	__atomic_store_n(&threads->count, kept, __ATOMIC_SEQ_CST);
	child_memory_free(outside, SESSION_THREADS_MAX * sizeof(bool));
}

struct thread *threads_find(struct threads *threads, pid_t tid)
{
	if (threads->latest < threads->count && threads->entries[threads->latest].tid == tid)
		return &threads->entries[threads->latest];
	for (uint32_t i = 0; i < threads->count; i++)
		if (threads->entries[i].tid == tid) {
			threads->latest = i;
			return &threads->entries[i];
		}
	return NULL;
}

int threads_note(struct threads *threads, pid_t tid, uint32_t arch, uint32_t place)
{
	struct thread *known = threads_find(threads, tid);

	if (!known && threads->count >= SESSION_THREADS_MAX)
		forget_outside(threads);
	if (!known && threads->count >= SESSION_THREADS_MAX)
		return -ENOSPC;
	if (!known)
		known = &threads->entries[threads->count];
	*known = (struct thread){.tid = tid, .arch = arch, .place = place};
	if (known == &threads->entries[threads->count])
		__atomic_store_n(&threads->count, threads->count + 1, __ATOMIC_SEQ_CST);
	return 0;
}
