/* SPDX-License-Identifier: MIT */
/* What the seccomp filters of a thread say to a call.
 *
 * A program may have put filters of its own above the session's, and they may refuse a call that it
 * never makes by killing it. All that they look at is known beforehand; so they are run here, over
 * exactly what the kernel will run them over. */
#include "filters.h"

#include <errno.h>
#include <sys/ptrace.h>

#include "include/bpf.h"

/* The smallest action wins, as a signed number. */
static int32_t action_of(uint32_t result)
{
	return (int32_t)(result & SECCOMP_RET_ACTION_FULL);
}

bool filters_notify(pid_t tid, const struct seccomp_data *data)
{
	static struct sock_filter program[BPF_MAXINSNS];
	uint32_t result = SECCOMP_RET_ALLOW;

	for (unsigned long i = 0;; i++) {
		long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)i, program);
		uint32_t one;

		if (length < 0)
			return errno == ENOENT && result == SECCOMP_RET_USER_NOTIF;
		one = bpf_run(program, (size_t)length, data, NULL);
		if (action_of(one) < action_of(result))
			result = one & SECCOMP_RET_ACTION_FULL;
	}
}
