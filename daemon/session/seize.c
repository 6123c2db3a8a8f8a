/* SPDX-License-Identifier: MIT */
/* Tracing a thread that another session process may just be looking at.
 *
 * To learn whose a process is, every session process stops threads of all of them (member.c). Who
 * found such a thread traced and took that for an app's resistance would kill a program that has
 * done nothing. So it is waited for, in vain at most until a deadline; whoever else traces is not
 * waited for. A child of our manager is a session process: its couriers trace nobody. */
#include "seize.h"

#include <fcntl.h>
#include <sys/ptrace.h>

#include "include/limits.h"
#include "include/util.h"
#include "text.h"

#define RETRY_USEC 50

/* 0 if it is gone. */
static pid_t status_pid(pid_t pid, const char *key)
{
	_cleanup_close_ int proc = -EBADF;
	_cleanup_free_ char *status = NULL;
	uint64_t value;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0 || text_read_at(proc, "status", STATUS_FILE_MAX, &status) < 0 ||
		text_numbers(status, key, 10, &value, 1) < 0)
		return 0;
	return (pid_t)value;
}

int seize(pid_t tid, long options, uint64_t deadline)
{
	for (;;) {
		long r = ptrace(PTRACE_SEIZE, tid, NULL, (void *)options);
		pid_t tracer;

		if (r == 0 || errno != EPERM || now_usec() > deadline)
			return r < 0 ? -errno : 0;
		tracer = status_pid(tid, "TracerPid");
		/* It has just been let go, or is dead. */
		if (tracer == 0)
			return ptrace(PTRACE_SEIZE, tid, NULL, (void *)options) < 0 ? -errno : 0;
		if (tracer == getpid() || status_pid(tracer, "PPid") != getppid())
			return -EPERM;
		(void)usleep(RETRY_USEC);
	}
}
