/* SPDX-License-Identifier: MIT */
/* Tracing a thread that another session process may just be looking at.
 *
 * To learn whose a process is, session processes stop threads of all of them (members.c). Who found
 * such a thread traced and took that for an app's resistance would kill a program that has done
 * nothing. A session process is known by its parent, and its children by theirs. */
#include "trace.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "daemon/session/target/child.h"
#include "include/limits.h"
#include "include/task.h"
#include "include/text.h"
#include "include/util.h"

/* From a child of a session process's child up to what all have in common. */
#define GENERATIONS 4

#define SEIZE_CHECK_USEC 20

static pid_t common_parent;

void trace_prepare(void)
{
	common_parent = getppid();
}

/* 0 if it is gone. */
static pid_t status_pid(pid_t pid, const char *key)
{
	uint64_t value;

	return text_status(pid, key, &value) < 0 ? 0 : (pid_t)value;
}

static bool is_session_process(pid_t pid)
{
	for (int i = 0; i < GENERATIONS && pid > 1; i++) {
		pid = status_pid(pid, "PPid");
		if (pid == common_parent)
			return true;
	}
	return false;
}

/* A child whose session process has died traces on until it gets to run, and is nobody's by then.
 */
static bool is_about_to_end(pid_t pid)
{
	_cleanup_close_ int proc = task_open(pid);
	_cleanup_free_ char *status = NULL;
	uint64_t pending = 0;

	if (proc < 0 || text_read_at(proc, "status", STATUS_FILE_MAX, &status) < 0)
		return proc == -ESRCH;
	(void)text_numbers(status, "SigPnd", 16, &pending, 1);
	return pending >> (SIGKILL - 1) & 1 || !text_field(status, "VmSize");
}

int trace_seize(pid_t tid)
{
	pid_t tracer;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	tracer = status_pid(tid, "TracerPid");
	/* 0: it has just been let go, or is dead. */
	if (tracer == 0)
		return ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0 ? -errno : 0;
	return tracer != getpid() && (is_session_process(tracer) || is_about_to_end(tracer))
		       ? -EBUSY
		       : -EPERM;
}

int trace_seize_patiently(pid_t tid, uint64_t usec)
{
	uint64_t deadline = now_usec() + usec;
	int r;

	do {
		step_begin();
		r = trace_seize(tid);
		step_end();
	} while (r == -EBUSY && now_usec() < deadline && usleep(SEIZE_CHECK_USEC) == 0);
	return r;
}

bool trace_is_strangers(pid_t tid)
{
	pid_t tracer = status_pid(tid, "TracerPid");

	return tracer != 0 && tracer != getpid() && !is_session_process(tracer);
}

bool trace_is_ours(pid_t tid)
{
	return status_pid(tid, "TracerPid") == getpid();
}

int trace_stopped(pid_t tid, int *ret_status)
{
	siginfo_t info = {0};

	if (waitid(P_PID, (id_t)tid, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL) < 0)
		return -ECHILD;
	if (info.si_pid == 0)
		return 0;
	if (info.si_code == CLD_TRAPPED) {
		info.si_pid = 0;
		if (waitid(P_PID, (id_t)tid, &info, WSTOPPED | WNOHANG | __WALL) < 0)
			return -ECHILD;
		*ret_status = W_STOPCODE(info.si_status);
		return info.si_pid != 0;
	}
	/* How a child of our own has ended is for whoever waits for it (daemon/alone/command.c). */
	if (status_pid(tid, "PPid") != getpid())
		(void)waitpid(tid, ret_status, WNOHANG | __WALL);
	return -ESRCH;
}

int trace_detach(pid_t tid, int status)
{
	/* A stop to deliver a signal serves as well: the signal goes on its way with us. */
	const long signal = status >> 16 == 0 ? WSTOPSIG(status) : 0;

	return ptrace(PTRACE_DETACH, tid, NULL, (void *)signal) < 0 ? -ESRCH : 0;
}

int trace_let_go(pid_t tid)
{
	int status, r = trace_stopped(tid, &status);

	return r > 0 ? trace_detach(tid, status) == 0 : r;
}
