/* SPDX-License-Identifier: MIT */
/* The threads that may be inside a call on a descriptor. */
#include "threads.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "include/compat.h"
#include "include/syscalls.h"
#include "include/task.h"
#include "include/util.h"
#include "child.h"

#define STEP_USEC   20000
#define FORGET_USEC 1000000

/* 0, -ESRCH if the thread is gone, or another negative errno. */
static int read_line(int proc, const char *name, char *buffer, size_t size)
{
	_cleanup_close_ int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);

	if (n < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	buffer[n] = '\0';
	return 0;
}

/* One of those that are given back to the kernel. */
static bool is_call_on_descriptor(uint32_t arch, int nr)
{
	const struct intercepted_call *row = intercepted_call_find(arch, nr);

	return row && row->call != MQ_CALL_OPEN && row->call != MQ_CALL_UNLINK;
}

enum thread_activity thread_activity(int proc, uint32_t arch)
{
	char line[256];
	int nr, r = read_line(proc, "syscall", line, sizeof(line));

	if (r == -ESRCH)
		return THREAD_GONE;
	/* "running", or it could not be read. */
	if (r < 0 || sscanf(line, "%d", &nr) != 1)
		return THREAD_RUNNING;
	return is_call_on_descriptor(arch, nr) ? THREAD_IN_CALL : THREAD_ELSEWHERE;
}

bool thread_is_dead(int proc)
{
	struct task task;

	/* Asking whether it is there needs neither memory nor a descriptor. */
	return task_read(proc, &task) < 0 ? faccessat(proc, "stat", F_OK, 0) < 0
					  : task_is_dead(&task);
}

/* Near the beginning of its status; the name before it cannot look like a line. */
static pid_t thread_process(int proc)
{
	char text[512];
	const char *at;

	if (read_line(proc, "status", text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "\nTgid:");
	return at ? (pid_t)strtol(at + strlen("\nTgid:"), NULL, 10) : 0;
}

int thread_open_pidfd(int proc, pid_t tid, bool *ret_of_process)
{
	int pidfd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	pid_t process;

	*ret_of_process = false;
	if (pidfd >= 0 || errno != EINVAL)
		return pidfd < 0 ? -errno : pidfd;
	process = thread_process(proc);
	if (process <= 0)
		return -ESRCH;
	*ret_of_process = true;
	pidfd = (int)syscall(SYS_pidfd_open, process, 0);
	return pidfd < 0 ? -errno : pidfd;
}

struct look {
	const struct threads *threads;
	bool *outside; /* shared with the child that looks */
};

static void look_at_all(void *context)
{
	const struct look *look = context;

	for (uint32_t i = 0; i < look->threads->count; i++) {
		const struct thread *thread = &look->threads->entries[i];
		_cleanup_close_ int proc = task_open(thread->tid);
		enum thread_activity activity = proc == -ESRCH ? THREAD_GONE : THREAD_RUNNING;

		step_begin();
		if (proc >= 0)
			activity = thread_activity(proc, thread->arch);
		step_end();
		look->outside[i] = activity == THREAD_GONE || activity == THREAD_ELSEWHERE;
	}
}

/* Entries move down only; a session process that dies in between leaves one twice, which does no
 * harm. */
static void forget_outside(struct threads *threads)
{
	const size_t size = SESSION_THREADS_MAX * sizeof(bool);
	bool *outside = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct look look = {threads, outside};
	uint32_t kept = 0;

	if (outside == MAP_FAILED)
		return;
	/* Who was not looked at stays noted. */
	(void)child_run(look_at_all, &look, STEP_USEC, now_usec() + FORGET_USEC);
	for (uint32_t i = 0; i < threads->count; i++)
		if (!outside[i])
			threads->entries[kept++] = threads->entries[i];
	__atomic_store_n(&threads->count, kept, __ATOMIC_SEQ_CST);
	(void)munmap(outside, size);
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
