/* SPDX-License-Identifier: MIT */
/* What one process's filters say of it: whether it belongs to a session.
 *
 * One of its threads is stopped (PTRACE_SEIZE, INTERRUPT), its filters are read
 * (PTRACE_SECCOMP_GET_FILTER), and it is let go. The order makes it sound. The pidfd is opened
 * first, then /proc/PID, by number; then the thread is stopped, by number. When it has been read,
 * the pidfd is asked whether its process lives: if so the number was its all the time, and the
 * thread is looked up among its threads once more.
 *
 * Whoever puts a filter with the same number on itself is a member by its own wish. Only a process
 * that was told the number can, and nothing but itself is at stake.
 *
 * Reading filters needs CAP_SYS_ADMIN, and that we are under no filter ourselves. */
#include "examine.h"

#include <fcntl.h>
#include <sys/ptrace.h>

#include "daemon/session/target/child.h"
#include "disturb.h"
#include "include/limits.h"
#include "include/task.h"
#include "include/util.h"
#include "daemon/session/target/processes.h"
#include "daemon/session/target/target.h"
#include "trace.h"

#define STOP_CHECK_USEC 20
#define PATIENCE_USEC   10000 /* for one thread to stop, or another session process */
#define THREADS_TRIED   16

int member_open(pid_t pid, struct member *ret)
{
	*ret = (struct member){.pid = pid, .proc = -EBADF};
	ret->pidfd = process_open(pid, &ret->identity);
	if (ret->pidfd < 0)
		return ret->pidfd;
	ret->proc = task_open(pid);
	return MIN(ret->proc, 0);
}

void member_close(struct member *member)
{
	member->proc = safe_close(member->proc);
	member->pidfd = safe_close(member->pidfd);
}

bool member_lives(const struct member *member)
{
	return pidfd_is_alive(member->pidfd);
}

bool member_may_fork(const struct member *member)
{
	struct task task;
	int r = task_read(member->proc, &task);

	return member_lives(member) && r != -ESRCH &&
	       (r < 0 || task.threads > 1 || task.has_memory);
}

/* Its length. program may be NULL. -ENOENT: there are not so many; or another negative errno. */
static long read_filter(pid_t tid, unsigned long index, struct sock_filter *program)
{
	long r = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)index, program);

	if (r >= 0)
		return r;
	return errno == EINVAL ? -ENOENT : -errno; /* EINVAL: there is none at all */
}

/* MEMBERSHIP_UNKNOWN if the filters cannot be read. The first is the oldest: what a program adds to
 * its session's comes after that. */
static enum membership read_filters(struct examination *examination, pid_t tid)
{
	static struct sock_filter program[BPF_MAXINSNS];
	unsigned long i = 0;
	long r;

	while ((r = read_filter(tid, i, i < EXAMINED_FILTERS_MAX ? program : NULL)) >= 0) {
		if (i == EXAMINED_FILTERS_MAX)
			return MEMBERSHIP_UNKNOWN;
		if (examination->proves(examination->context, program, (size_t)r))
			return MEMBERSHIP_PROVED;
		i++;
	}
	examination->unreadable = r == -EACCES;
	return r == -ENOENT ? MEMBERSHIP_NONE : MEMBERSHIP_UNKNOWN;
}

/* One that runs stops as soon as it gets a processor; it may also have stopped since we asked. */
static bool will_stop(int proc)
{
	struct task task;

	return task_read(proc, &task) == 0 && (task.state == 'R' || task.state == 't');
}

/* 0; -ESRCH if it has ended; or -EINPROGRESS: it waits for something that no signal ends, or has
 * another number now. */
static int wait_for_stop(
	const struct target *target, const struct examination *examination, int *ret_status)
{
	uint64_t begun = now_usec();

	for (;;) {
		int r = trace_stopped(target->tid, ret_status);
		uint64_t waited = now_usec() - begun;

		if (r > 0 || r == -ESRCH)
			return MIN(r, 0);
		if (r < 0 || waited > examination->patience_usec)
			return -EINPROGRESS;
		if (waited > PATIENCE_USEC && (examination->hurry || !will_stop(target->proc)))
			return -EINPROGRESS;
		(void)usleep(STOP_CHECK_USEC);
	}
}

static enum membership stop_and_read(struct examination *examination, const struct target *target)
{
	enum membership membership;
	int r, status = 0;

	if (trace_seize_patiently(target->tid, PATIENCE_USEC) < 0) {
		examination->traced |= trace_is_strangers(target->tid);
		return MEMBERSHIP_UNKNOWN;
	}
	(void)ptrace(PTRACE_INTERRUPT, target->tid, NULL, NULL);
	r = wait_for_stop(target, examination, &status);
	examination->late = r == -EINPROGRESS;
	if (r < 0)
		return MEMBERSHIP_UNKNOWN;
	membership = read_filters(examination, target->tid);
	if (membership == MEMBERSHIP_PROVED && examination->look)
		examination->look(examination->context);
	examination->late = trace_detach(target->tid, status) < 0;
	return membership;
}

static bool still_has_thread(const struct member *member, pid_t tid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", (int)tid);
	return faccessat(member->proc, path, F_OK, 0) == 0 && member_lives(member);
}

#define ROUNDS 3

/* In which round to stop it: the first is for those that do not notice. */
static size_t round_of(const struct target *target, char state, bool hurry)
{
	if (state == 'D')
		return ROUNDS - 1;
	return hurry ? 0 : (size_t)stop_disturbs(target->proc);
}

static enum membership examine_thread(
	struct examination *examination, pid_t tid, size_t round, unsigned *tries)
{
	const struct member *member = examination->member;
	enum membership membership = MEMBERSHIP_UNKNOWN;
	struct target target;
	struct task task;

	if (target_open_thread(member->proc, tid, &target) < 0)
		return MEMBERSHIP_UNKNOWN;
	if (examination->notifies && examination->notifies(examination->context, tid))
		membership = MEMBERSHIP_PROVED;
	else if (task_read(target.proc, &task) == 0 && task.state != 'Z' &&
		 round_of(&target, task.state, examination->hurry) == round) {
		(*tries)++;
		membership = stop_and_read(examination, &target);
	}
	if (membership != MEMBERSHIP_UNKNOWN && !still_has_thread(member, tid))
		membership = MEMBERSHIP_UNKNOWN;
	target_close(&target);
	return membership;
}

enum membership examine(struct examination *examination)
{
	enum membership membership = MEMBERSHIP_UNKNOWN;
	_cleanup_free_ pid_t *threads = NULL;
	unsigned tries = 0;
	size_t count;

	if (task_list_threads(examination->member->proc, &threads, &count) < 0)
		return MEMBERSHIP_UNKNOWN;
	for (size_t i = 0; i < ROUNDS * count; i++) {
		membership = examine_thread(examination, threads[i % count], i / count, &tries);
		if (membership != MEMBERSHIP_UNKNOWN || examination->late || tries == THREADS_TRIED)
			break;
	}
	return membership;
}
