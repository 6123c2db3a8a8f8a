/* SPDX-License-Identifier: MIT */
/* Which processes belong to a session: those that run under its filter.
 *
 * The kernel lists no members of a filter, and no pid is believed that was said or remembered. What
 * cannot be forged is the filter itself: it is inherited by every child, never taken off, and
 * begins with a number that only this session's does (include/constant.h). So every process that is
 * under some filter and no_new_privs, as mq-run sets it, is looked at: one of its threads is
 * stopped (PTRACE_SEIZE, INTERRUPT), its filters are read (PTRACE_SECCOMP_GET_FILTER), and it is
 * let go. Descent proves nothing: a process may have had children before it became confined, and
 * adopts strangers where it is the first of a PID namespace.
 *
 * The order makes it sound. The pidfd is opened first, then /proc/PID, by number; then the thread
 * is stopped, by number. When it has been read, the pidfd is asked whether its process lives: if so
 * the number was its all the time, and the thread is looked up among its threads once more.
 *
 * Whoever puts a filter with the same number on itself is a member by its own wish. Only a process
 * that was told the number can, and nothing but itself is at stake.
 *
 * Reading needs CAP_SYS_ADMIN, and that we are under no filter ourselves. */
#include "member.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "disturb.h"
#include "include/constant.h"
#include "include/syscalls.h"
#include "include/util.h"
#include "seize.h"
#include "target.h"
#include "threads.h"
#include "trace.h"

#define STOP_CHECK_USEC       20
#define PATIENCE_USEC         10000  /* for one thread to stop */
#define RUNNING_PATIENCE_USEC 500000 /* on a machine that is busy */

int member_open(pid_t pid, struct member *ret)
{
	struct member member = {.pid = pid, .proc = -EBADF, .pidfd = -EBADF};
	struct target target;
	int r;

	if (pid <= 0)
		return -ESRCH;
	member.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	/* What the kernel says of one that is just being reaped. */
	if (member.pidfd < 0)
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	r = target_open(pid, &target);
	if (r < 0) {
		member_close(&member);
		return r;
	}
	member.proc = take_fd(&target.proc);
	*ret = member;
	return 0;
}

void member_close(struct member *member)
{
	member->proc = safe_close(member->proc);
	member->pidfd = safe_close(member->pidfd);
}

bool member_lives(const struct member *member)
{
	struct pollfd p = {.fd = member->pidfd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* --- one thread ------------------------------------------------------------------------------ */

/* MEMBERSHIP_UNKNOWN if the filters cannot be read. */
static enum membership read_filters(pid_t tid, uint64_t constant)
{
	static struct sock_filter program[BPF_MAXINSNS];

	for (unsigned long i = 0;; i++) {
		long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)i, program);

		if (length >= 0 && constant_is(program, (size_t)length, constant))
			return MEMBERSHIP_PROVED;
		if (length < 0 && errno == ENOENT)
			return MEMBERSHIP_NONE;
		/* EMEDIUMTYPE: a filter of another make, which is not ours. */
		if (length < 0 && errno != EMEDIUMTYPE)
			return MEMBERSHIP_UNKNOWN;
	}
}

/* 0, -ESRCH, or -EINPROGRESS if it waits for something that no signal ends. One that runs stops as
 * soon as it gets a processor. */
static int wait_for_stop(const struct target *target, int *ret_status)
{
	uint64_t begun = now_usec();

	for (;;) {
		pid_t r = waitpid(target->tid, ret_status, WNOHANG | __WALL);
		uint64_t waited = now_usec() - begun;

		if (r != 0)
			return r > 0 && WIFSTOPPED(*ret_status) ? 0 : -ESRCH;
		if (waited > RUNNING_PATIENCE_USEC ||
			(waited > PATIENCE_USEC &&
				thread_activity(target->proc, native_arch) != THREAD_RUNNING))
			return -EINPROGRESS;
		(void)usleep(STOP_CHECK_USEC);
	}
}

/* Of a thread that is stopped; 0: it has none. */
static pid_t youngest_child(const struct target *target)
{
	_cleanup_close_ int fd = -EBADF;
	char path[32], text[4096];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "task/%d/children", (int)target->tid);
	fd = openat(target->proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 1)
		return 0;
	/* Each number ends with a space, and the youngest is the last. */
	text[n - 1] = '\0';
	return atoi(strrchr(text, ' ') ?: text);
}

static enum membership stop_and_read(struct members *members, struct target *target)
{
	enum membership membership;
	int r, status = 0, signal = 0;

	if (members->late_count == MEMBERS_LATE_MAX ||
		seize(target->tid, now_usec() + PATIENCE_USEC) < 0)
		return MEMBERSHIP_UNKNOWN;
	(void)ptrace(PTRACE_INTERRUPT, target->tid, NULL, NULL);
	r = wait_for_stop(target, &status);
	if (r == -EINPROGRESS)
		members->late[members->late_count++] = target->tid;
	if (r < 0)
		return MEMBERSHIP_UNKNOWN;
	membership = read_filters(target->tid, members->constant);
	if (members->follows && membership == MEMBERSHIP_PROVED)
		members->heir = youngest_child(target);
	/* A stop to deliver a signal serves as well: the signal goes on its way with us. */
	if (status >> 16 == 0)
		signal = WSTOPSIG(status);
	(void)ptrace(PTRACE_DETACH, target->tid, NULL, (void *)(long)signal);
	return membership;
}

static bool still_has_thread(const struct member *member, pid_t tid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", (int)tid);
	return faccessat(member->proc, path, F_OK, 0) == 0 && member_lives(member);
}

/* --- one process ----------------------------------------------------------------------------- */

static DIR *open_tasks(const struct member *member)
{
	int fd = openat(member->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd < 0 ? NULL : fdopendir(fd);

	if (!tasks)
		(void)safe_close(fd);
	return tasks;
}

/* Under any filter and no_new_privs, as the kernel says of its first thread, dead or not. What it
 * does not say may be. */
static bool may_be_confined(const struct member *member)
{
	struct target first;
	bool confined;
	int r = target_open(member->pid, &first);

	if (r < 0)
		return r != -ESRCH;
	confined = target_may_be_confined(&first);
	target_close(&first);
	return confined;
}

/* By the first of its threads that can be read, among those that would see EINTR or the others. */
static enum membership prove_by_threads(
	struct members *members, const struct member *member, bool disturbs)
{
	enum membership membership = MEMBERSHIP_UNKNOWN;
	DIR *tasks = open_tasks(member);
	struct dirent *entry;

	if (!tasks)
		return MEMBERSHIP_UNKNOWN;
	while (membership == MEMBERSHIP_UNKNOWN && now_usec() < members->deadline &&
		(entry = readdir(tasks))) {
		struct target target;

		if (entry->d_name[0] == '.' || target_open(atoi(entry->d_name), &target) < 0)
			continue;
		if (members->notifies && members->notifies(members->context, target.tid))
			membership = MEMBERSHIP_PROVED;
		else if (!thread_is_dead(target.proc) && stop_disturbs(target.proc) == disturbs)
			membership = stop_and_read(members, &target);
		if (membership != MEMBERSHIP_UNKNOWN && !still_has_thread(member, target.tid))
			membership = MEMBERSHIP_UNKNOWN;
		target_close(&target);
	}
	(void)closedir(tasks);
	return membership;
}

static void remember(struct members *members, pid_t pid, uint64_t start, enum membership membership)
{
	size_t place = members->known_count++ % MEMBERS_KNOWN_MAX;

	members->known[place].pid = pid;
	members->known[place].start = start;
	members->known[place].membership = membership;
}

static enum membership recall(const struct members *members, pid_t pid, uint64_t start)
{
	for (size_t i = 0; i < MIN(members->known_count, (size_t)MEMBERS_KNOWN_MAX); i++)
		if (members->known[i].pid == pid && members->known[i].start == start)
			return members->known[i].membership;
	return MEMBERSHIP_UNKNOWN;
}

enum membership member_prove(struct members *members, const struct member *member)
{
	/* The time of birth is counted in hundredths of a second, and a number comes back only
	 * after all others: the two together are one process. */
	uint64_t start = thread_birth(member->proc);
	enum membership membership = recall(members, member->pid, start);

	if (start == 0)
		return MEMBERSHIP_UNKNOWN;
	if (membership == MEMBERSHIP_UNKNOWN && !may_be_confined(member))
		return MEMBERSHIP_NONE;
	if (membership == MEMBERSHIP_UNKNOWN)
		membership = prove_by_threads(members, member, false);
	if (membership == MEMBERSHIP_UNKNOWN)
		membership = prove_by_threads(members, member, true);
	if (membership != MEMBERSHIP_UNKNOWN)
		remember(members, member->pid, start, membership);
	return membership;
}

static void let_go_late(struct members *members)
{
	size_t kept = 0;

	for (size_t i = 0; i < members->late_count; i++)
		if (trace_let_go(members->late[i]) == 0)
			members->late[kept++] = members->late[i];
	members->late_count = kept;
}

static void let_go_strays(void)
{
	pid_t tid;

	while (seize_may_hold() && (tid = seize_changed()) > 0)
		if (trace_let_go(tid) == 0)
			break;
}

/* --- all of them ------------------------------------------------------------------------------ */

static int list_processes(pid_t **ret, size_t *ret_count)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t count = 0, allocated = 0;
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		pid_t pid = atoi(entry->d_name);

		if (pid <= 0)
			continue;
		if (count == allocated) {
			size_t more = allocated ? 2 * allocated : 1024;
			pid_t *grown = reallocarray(pids, more, sizeof(*pids));

			if (!grown) {
				(void)closedir(proc);
				return -ENOMEM;
			}
			pids = grown;
			allocated = more;
		}
		pids[count++] = pid;
	}
	(void)closedir(proc);
	*ret = take_pointer(pids);
	*ret_count = count;
	return 0;
}

/* Stopped first and looked at then: what is to be caught lives for some 100 microseconds. */
static void look_quickly(
	struct members *members, const struct member_visitor *visitor, const struct member *member)
{
	struct target target = TARGET_CLOSED;

	target.tid = member->pid;
	target.proc = member->proc;
	if (stop_and_read(members, &target) == MEMBERSHIP_PROVED &&
		still_has_thread(member, member->pid))
		visitor->visit(visitor->context, member, MEMBERSHIP_PROVED);
	target.proc = -EBADF; /* the member's */
	target_close(&target);
}

/* The child that it had when it was stopped, and that one's, until one has none. */
static void follow(struct members *members, const struct member_visitor *visitor)
{
	while (members->heir > 0 && now_usec() < members->deadline) {
		pid_t pid = members->heir;
		struct member member;

		members->heir = 0;
		if (member_open(pid, &member) < 0)
			continue;
		look_quickly(members, visitor, &member);
		member_close(&member);
	}
}

static int look_at(struct members *members, const struct member_visitor *visitor, pid_t pid)
{
	enum membership membership;
	struct member member;
	int r = member_open(pid, &member);

	if (r < 0) {
		members->vanished += r == -ESRCH;
		return r == -ESRCH ? 0 : r;
	}
	if (may_be_confined(&member) &&
		(!visitor->wants || visitor->wants(visitor->context, &member))) {
		membership = member_prove(members, &member);
		if (membership == MEMBERSHIP_UNKNOWN && !member_lives(&member))
			members->vanished++;
		else if (membership != MEMBERSHIP_NONE)
			visitor->visit(visitor->context, &member, membership);
	}
	member_close(&member);
	follow(members, visitor);
	return 0;
}

int members_for_each(struct members *members, const struct member_visitor *visitor)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t count = 0;
	int r = list_processes(&pids, &count), result = 0;

	if (r < 0)
		return r;
	members->vanished = 0;
	while (count-- > 0) {
		if (now_usec() >= members->deadline)
			return -ETIME;
		let_go_late(members);
		let_go_strays();
		r = look_at(members, visitor, pids[count]);
		result = result < 0 ? result : r;
	}
	return result;
}

/* /proc/loadavg ends with the number that was given out last. */
static pid_t newest_process(void)
{
	_cleanup_close_ int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	char text[128];
	const char *at;
	ssize_t n;

	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strrchr(text, ' ');
	return at ? atoi(at) : 0;
}

void members_chase(struct members *members, const struct member_visitor *visitor)
{
	let_go_late(members);
	let_go_strays();
	members->heir = newest_process();
	follow(members, visitor);
}
