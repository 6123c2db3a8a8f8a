/* SPDX-License-Identifier: MIT */
/* Whether a process is confined, whoever confined it.
 *
 * A filter is inherited by every child, outlives every exec and is never taken off, and what is
 * added to it comes on top: so all filters of a thread are read, and one that is a session's, of
 * whatever mqgated, proves it. A container's session has filters that its runtime made: these hand
 * mq_open to a listener, and so does any supervisor of message queues.
 *
 * Every thread of a confined process is under its session's filter, so one of them tells. */
#include "confined.h"

#include "examine.h"
#include "include/bpf.h"
#include "include/filter-id.h"
#include "include/limits.h"
#include "include/syscalls.h"
#include "include/task.h"
#include "include/util.h"

#define RETRY_USEC 2000
/* Somebody else may be looking at it, too; the rest of the deadline is for us to get to run. */
#define PATIENCE_USEC (EXAMINATION_DEADLINE_USEC / 2)

static bool hands_over(
	const struct sock_filter *program, size_t length, const struct intercepted_call *call)
{
	const struct seccomp_data data = {.nr = call->nr, .arch = call->arch};
	const uint32_t action = bpf_run(program, length, &data, NULL);

	return (action & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF;
}

bool filter_confines(const struct sock_filter *program, size_t length)
{
	const struct intercepted_call *call;

	if (filter_has_id(program, length))
		return true;
	for (size_t i = 0; (call = intercepted_call_at(i)); i++)
		if (call->call == MQ_CALL_OPEN && hands_over(program, length, call))
			return true;
	return false;
}

static bool proves(void *context, const struct sock_filter *program, size_t length)
{
	size_t *seen = context;

	(*seen)++;
	return filter_confines(program, length);
}

/* A thread without any filter tells nothing: a kernel that does not show them says the same. */
static enum membership examine_once(const struct member *member, bool *ret_late)
{
	size_t seen = 0;
	struct examination examination = {.member = member, .proves = proves, .context = &seen};
	enum membership membership = examine(&examination);

	*ret_late = examination.late;
	return membership == MEMBERSHIP_NONE && seen == 0 ? MEMBERSHIP_UNKNOWN : membership;
}

static enum membership examine_patiently(const struct member *member)
{
	const uint64_t deadline = now_usec() + PATIENCE_USEC;
	enum membership membership;
	bool late;

	while ((membership = examine_once(member, &late)) == MEMBERSHIP_UNKNOWN && !late &&
		member_lives(member) && now_usec() < deadline)
		(void)usleep(RETRY_USEC);
	return membership;
}

int process_is_confined(pid_t pid, int pidfd)
{
	struct member member = {.pid = pid, .proc = task_open(pid), .pidfd = pidfd};
	enum membership membership =
		member.proc < 0 ? MEMBERSHIP_UNKNOWN : examine_patiently(&member);

	(void)safe_close(member.proc);
	if (membership != MEMBERSHIP_UNKNOWN)
		return membership == MEMBERSHIP_PROVED;
	return member_lives(&member) ? -EPERM : -ESRCH;
}
