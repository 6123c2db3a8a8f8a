/* SPDX-License-Identifier: MIT */
/* The threads that may be inside a call on a descriptor. */
#include "threads.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "include/compat.h"
#include "include/syscalls.h"
#include "include/util.h"

static bool read_line(int proc, const char *name, char *buffer, size_t size)
{
	_cleanup_close_ int fd = openat(proc, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, buffer, size - 1);
	if (n <= 0)
		return false;
	buffer[n] = '\0';
	return true;
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
	int nr;

	if (!read_line(proc, "syscall", line, sizeof(line)))
		return THREAD_GONE;
	if (startswith(line, "running"))
		return THREAD_RUNNING;
	if (sscanf(line, "%d", &nr) != 1)
		return THREAD_RUNNING;
	return is_call_on_descriptor(arch, nr) ? THREAD_IN_CALL : THREAD_ELSEWHERE;
}

/* Fields 3 and 22 of its stat, counted from 1. */
static bool read_stat(int proc, char *ret_state, unsigned long long *ret_start)
{
	char line[1024], *after;

	if (!read_line(proc, "stat", line, sizeof(line)))
		return false;
	/* The name, in parentheses, may hold anything; nothing after it does. */
	after = strrchr(line, ')');
	return after && sscanf(after + 1,
				" %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
				"%*d %*d %*d %llu",
				ret_state, ret_start) == 2;
}

char thread_state(int proc)
{
	unsigned long long start;
	char state;

	return read_stat(proc, &state, &start) ? state : 0;
}

static uint64_t read_start(int proc, bool dead_too)
{
	unsigned long long start;
	char state;

	if (!read_stat(proc, &state, &start))
		return 0;
	/* Dead, and waiting to be reaped. */
	return (state == 'Z' || state == 'X') && !dead_too ? 0 : start;
}

uint64_t thread_start(int proc)
{
	return read_start(proc, false);
}

uint64_t thread_birth(int proc)
{
	return read_start(proc, true);
}

bool thread_is_dead(int proc)
{
	char state = thread_state(proc);

	/* Asking for it needs neither memory nor a descriptor. */
	return state == 0 ? faccessat(proc, "stat", F_OK, 0) < 0 : state == 'Z' || state == 'X';
}

/* Near the beginning of its status; the name before it cannot look like a line. */
static pid_t thread_process(int proc)
{
	char text[512];
	const char *at;

	if (!read_line(proc, "status", text, sizeof(text)))
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

static bool is_inside(const struct thread *thread)
{
	_cleanup_close_ int proc = -EBADF;
	enum thread_activity activity;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", thread->tid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return false;
	activity = thread_activity(proc, thread->arch);
	return activity == THREAD_IN_CALL || activity == THREAD_RUNNING;
}

static void forget_others(struct threads *threads)
{
	uint32_t kept = 0;

	/* Entries move down only; a session process that dies in between leaves one twice, which
	 * does no harm. */
	for (uint32_t i = 0; i < threads->count; i++)
		if (is_inside(&threads->entries[i]))
			threads->entries[kept++] = threads->entries[i];
	__atomic_store_n(&threads->count, kept, __ATOMIC_SEQ_CST);
}

static struct thread *find(struct threads *threads, pid_t tid)
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

bool threads_know(struct threads *threads, pid_t tid, uint32_t arch)
{
	struct thread *known = find(threads, tid);

	if (known)
		known->arch = arch;
	return known;
}

int threads_note(struct threads *threads, int proc, pid_t tid, uint32_t arch)
{
	uint64_t start;

	if (threads_know(threads, tid, arch))
		return 0;
	if (threads->count >= SESSION_THREADS_MAX)
		forget_others(threads);
	if (threads->count >= SESSION_THREADS_MAX)
		return -ENOSPC;
	start = thread_start(proc);
	if (start == 0)
		return -ESRCH;
	threads->entries[threads->count] =
		(struct thread){.tid = tid, .arch = arch, .start = start};
	__atomic_store_n(&threads->count, threads->count + 1, __ATOMIC_SEQ_CST);
	return 0;
}
