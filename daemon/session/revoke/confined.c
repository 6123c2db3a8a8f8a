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

#include <sys/stat.h>
#include <linux/seccomp.h>

#include "daemon/session/target/credentials.h"
#include "examine.h"
#include "include/bpf.h"
#include "include/filter-id.h"
#include "include/limits.h"
#include "include/syscalls.h"
#include "include/task.h"
#include "include/text.h"
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

struct findings {
	size_t filters;
	const struct filter_mark
		*awaited;  /* of the session that begins; NULL: none, or it was found */
	const char *lacks; /* what it lets through, of a container's; NULL: nothing */
};

static bool proves(void *context, const struct sock_filter *program, size_t length)
{
	struct findings *findings = context;

	findings->filters++;
	if (findings->awaited && filter_is(program, length, findings->awaited)) {
		if (findings->awaited->contained)
			findings->lacks = container_filter_lacks(program, length);
		findings->awaited = NULL;
		return false;
	}
	return filter_confines(program, length);
}

static bool has_filters(const struct member *member)
{
	_cleanup_free_ char *status = NULL;
	uint64_t mode = SECCOMP_MODE_DISABLED;

	if (text_read_at(member->proc, "status", STATUS_FILE_MAX, &status) == 0)
		(void)text_numbers(status, "Seccomp", 10, &mode, 1);
	return mode == SECCOMP_MODE_FILTER;
}

/* The kernel says the same of a thread without filters, and of every thread if it shows none
 * (without CONFIG_CHECKPOINT_RESTORE). Who gets one only now had none before. */
static int tell_of_none(const struct member *member, const struct findings *findings)
{
	if (has_filters(member))
		return -EACCES;
	return findings->awaited ? -ENOENT : -EPERM;
}

static int tell(
	enum membership membership, const struct member *member, const struct findings *findings)
{
	if (membership == MEMBERSHIP_PROVED)
		return 1;
	if (membership == MEMBERSHIP_UNKNOWN)
		return -EPERM;
	if (findings->filters == 0)
		return tell_of_none(member, findings);
	return findings->awaited ? -ENOENT : findings->lacks ? -ENOTSUP : 0;
}

/* filter: that is not counted, and must be there; NULL: none. -EINPROGRESS: and we have to end. */
static int examine_once(
	const struct member *member, const struct filter_mark *filter, const char **ret_lacks)
{
	struct findings findings = {.awaited = filter};
	struct examination examination = {.member = member,
		.patience_usec = filter ? BEGINNING_PATIENCE_USEC : PATIENCE_USEC,
		.proves = proves,
		.context = &findings};
	enum membership membership = examine(&examination);

	*ret_lacks = findings.lacks;
	if (examination.late)
		return -EINPROGRESS;
	if (examination.unreadable)
		return -EACCES;
	if (membership == MEMBERSHIP_UNKNOWN && examination.traced)
		return -EBUSY;
	return tell(membership, member, &findings);
}

static int examine_patiently(
	pid_t pid, int pidfd, const struct filter_mark *filter, const char **ret_lacks)
{
	const uint64_t deadline = now_usec() + PATIENCE_USEC;
	_cleanup_close_ int proc = task_open(pid);
	const struct member member = {.pid = pid, .proc = proc, .pidfd = pidfd};
	int r = -EPERM;

	while (proc >= 0 && (r = examine_once(&member, filter, ret_lacks)) == -EPERM &&
		member_lives(&member) && now_usec() < deadline)
		(void)usleep(RETRY_USEC);
	return r < 0 && !member_lives(&member) ? -ESRCH : r;
}

int process_is_confined(pid_t pid, int pidfd)
{
	const char *lacks;

	return examine_patiently(pid, pidfd, NULL, &lacks);
}

static struct beginning find_beginning(pid_t pid)
{
	_cleanup_close_ int proc = task_open(pid);
	_cleanup_free_ char *status = NULL;
	struct beginning beginning = {0};
	struct stat st;

	if (proc < 0)
		return beginning;
	if (text_read_at(proc, "status", STATUS_FILE_MAX, &status) < 0 ||
		credentials_parse_nested(status, &beginning.nested_pid, &beginning.pid_depth) < 0)
		beginning.pid_depth = beginning.nested_pid = 0;
	if (fstatat(proc, "ns/pid", &st, 0) == 0)
		beginning.pid_namespace = st.st_ino;
	return beginning;
}

int process_begins_session(
	pid_t pid, int pidfd, const struct filter_mark *filter, struct beginning *ret)
{
	const struct member member = {.pid = pid, .pidfd = pidfd};
	const char *lacks = NULL;
	int r = examine_patiently(pid, pidfd, filter, &lacks);

	*ret = find_beginning(pid);
	/* Or it is somebody else's. */
	if (!member_lives(&member))
		*ret = (struct beginning){0};
	ret->lacks = lacks;
	if (r == 0 && filter->contained && ret->pid_namespace == 0)
		return -ESRCH;

	/* Nothing that it could do makes us unable to read. */
	return r == -EACCES && !filter->contained ? 0 : r;
}
