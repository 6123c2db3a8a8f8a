/* SPDX-License-Identifier: MIT */
/* Tracing a thread that another session process may just be looking at.
 *
 * To learn whose a process is, every session process stops threads of all of them (member.c). Who
 * found such a thread traced and took that for an app's resistance would kill a program that has
 * done nothing. So it is waited for, in vain at most until a deadline; whoever else traces is not
 * waited for. A child of our manager is a session process: its couriers trace nobody. */
#include "seize.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#include "include/util.h"
#include "include/text.h"

#define RETRY_USEC 50

/* 0 if it is gone. */
static pid_t status_pid(pid_t pid, const char *key)
{
	uint64_t value;

	return text_status(pid, key, &value) < 0 ? 0 : (pid_t)value;
}

static bool may_hold;

static int try(pid_t tid)
{
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) < 0)
		return -errno;
	may_hold = true;
	return 0;
}

int seize(pid_t tid, uint64_t deadline)
{
	for (;;) {
		int r = try(tid);
		pid_t tracer;

		if (r != -EPERM || now_usec() > deadline)
			return r;
		tracer = status_pid(tid, "TracerPid");
		/* It has just been let go, or is dead. */
		if (tracer == 0)
			return try(tid);
		if (tracer == getpid() || status_pid(tracer, "PPid") != getppid())
			return -EPERM;
		(void)usleep(RETRY_USEC);
	}
}

bool seize_is_held(pid_t tid)
{
	return status_pid(tid, "TracerPid") == getpid();
}

bool seize_may_hold(void)
{
	return may_hold;
}

pid_t seize_changed(void)
{
	siginfo_t information = {0};

	if (waitid(P_ALL, 0, &information, WSTOPPED | WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
		may_hold = errno != ECHILD;
	return information.si_pid;
}
