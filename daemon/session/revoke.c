/* SPDX-License-Identifier: MIT */
/* Bringing threads back out of calls that were given back to the kernel.
 *
 * A receiver that waits on an empty queue was allowed to when it began to wait. Nothing in the
 * kernel takes that back. But a thread that is stopped by ptrace leaves the call it waits in, and
 * when it goes on the kernel restarts the call from the beginning: through the filter, where it is
 * decided anew. Nothing was received or sent by a call that is restarted; one that was just
 * completing completes, before we acknowledge.
 *
 * Which threads: those that were answered with CONTINUE once (threads.h) and which the kernel now
 * shows in one of our calls, on whatever queue: the descriptor that was checked may have been
 * exchanged since, so the queue cannot be told from outside. Also those that are running, since
 * they may be on their way in. A thread blocked in any other call has left ours, and is left alone:
 * stopping it would make epoll_wait() or sigtimedwait() fail with EINTR.
 *
 * Only a thread that nobody traces can be stopped. Another session process is waited for (seize.h).
 * One that is traced, by another process of the session or by a debugger, is killed with its
 * process, after its start has shown that it is the thread that we noted. What neither stops nor
 * dies in time is an error: the session process then does not acknowledge. */
#include "revoke.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "include/limits.h"
#include "include/util.h"
#include "seize.h"
#include "text.h"

#define STOP_CHECK_USEC 50
#define PATIENCE_USEC   20000
#define KILL_USEC       300000 /* of the deadline, kept for what does not stop */

static int open_proc(pid_t tid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d", tid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static long trace(int request, pid_t tid, long data)
{
	return ptrace(request, tid, NULL, (void *)data);
}

/* 1: stopped, and let go. 0: not yet. -ESRCH: gone. */
static int let_go_if_stopped(pid_t tid)
{
	int status, signal = 0;
	pid_t r = waitpid(tid, &status, WNOHANG | __WALL);

	if (r == 0)
		return 0;
	if (r < 0 || !WIFSTOPPED(status))
		return -ESRCH;
	/* A stop to deliver a signal serves as well: the signal goes on its way with us. */
	if (status >> 16 == 0)
		signal = WSTOPSIG(status);
	/* Killed while it was stopped: it must be waited for once more, or its parent never can. */
	return trace(PTRACE_DETACH, tid, signal) < 0 ? 0 : 1;
}

/* Ready to run, or it has stopped since we looked. */
static bool is_about_to_stop(int proc)
{
	char state = thread_state(proc);

	return state == 'R' || state == 't';
}

/* 0: out of its call, and let go or gone. -EINPROGRESS: out of it, and blocked elsewhere before it
 * stopped. Waits for more_usec more if it stops as soon as it gets to run. */
static int wait_and_let_go(
	pid_t tid, int proc, uint32_t arch, uint64_t deadline, uint64_t more_usec)
{
	uint64_t patience = now_usec() + PATIENCE_USEC;

	for (;;) {
		/* It may be us who did not get to run: a last look comes after the deadline. */
		uint64_t now = now_usec();
		int r = let_go_if_stopped(tid);

		if (r != 0)
			return 0;
		if (now > patience && thread_activity(proc, arch) == THREAD_ELSEWHERE)
			return -EINPROGRESS;
		if (now > deadline && (now > deadline + more_usec || !is_about_to_stop(proc)))
			return -ETIMEDOUT;
		(void)usleep(STOP_CHECK_USEC);
	}
}

/* 0, or negative errno: -EPERM if somebody else traces it. */
static int ask_to_stop(pid_t tid, uint64_t deadline)
{
	int r = seize(tid, deadline);

	if (r == 0 && trace(PTRACE_INTERRUPT, tid, 0) < 0)
		r = -errno;
	return r;
}

/* Kills the process of a thread that is certainly the one noted. */
static int kill_process(struct revoker *revoker, const struct thread *thread, int proc)
{
	_cleanup_close_ int pidfd = -EBADF;
	bool of_process;
	uint64_t start;

	pidfd = thread_open_pidfd(proc, thread->tid, &of_process);
	if (pidfd < 0)
		return pidfd == -ESRCH ? 0 : pidfd;
	/* Both were opened by number; proc still shows the noted thread, so the number was its all
	 * the time. */
	start = thread_start(proc);
	if (start == 0)
		return 0;
	if (start != thread->start)
		return -EPERM;
	revoker->killed++;
	if (revoker->tell_killing)
		revoker->tell_killing(revoker->context, thread->tid);
	/* A fatal signal to a thread is one to its process. */
	return syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH
		       ? -errno
		       : 0;
}

static int wait_until_dead(int proc, uint64_t deadline)
{
	for (;;) {
		uint64_t now = now_usec();

		if (thread_start(proc) == 0)
			return 0;
		if (now > deadline)
			return -ETIMEDOUT;
		(void)usleep(STOP_CHECK_USEC);
	}
}

static bool may_be_inside(const struct thread *thread, int proc)
{
	enum thread_activity activity = thread_activity(proc, thread->arch);

	return activity == THREAD_IN_CALL || activity == THREAD_RUNNING;
}

static int kill_and_wait(
	struct revoker *revoker, const struct thread *thread, int proc, uint64_t deadline)
{
	int r = kill_process(revoker, thread, proc);

	if (r < 0)
		return r;
	return wait_until_dead(proc, deadline);
}

int revoke_kill(struct revoker *revoker, const struct thread *thread, uint64_t deadline)
{
	_cleanup_close_ int proc = open_proc(thread->tid);

	if (proc < 0)
		return proc == -ENOENT ? 0 : proc;
	return kill_and_wait(revoker, thread, proc, deadline);
}

/* A noted thread that is gone, and whose number is used by a process outside of every session. */
static bool is_outsider(const struct thread *thread, int proc)
{
	_cleanup_free_ char *status = NULL;
	uint64_t mode;

	return thread_start(proc) != thread->start &&
	       text_read_at(proc, "status", STATUS_FILE_MAX, &status) == 0 &&
	       text_numbers(status, "Seccomp", 10, &mode, 1) == 0 && mode != SECCOMP_MODE_FILTER;
}

/* It was asked to stop and killed instead: only who traces it can have it reaped. */
static void let_go_of_dead(struct revoker *revoker, pid_t tid)
{
	if (let_go_if_stopped(tid) == 0 && revoker->late_count < REVOKE_LATE_MAX)
		revoker->late[revoker->late_count++] = tid;
}

/* 1: it was asked to stop, and has to be let go of. 0: it is out of any call, or dead. */
static int ask_if_inside(struct revoker *revoker, const struct thread *thread, uint64_t deadline)
{
	_cleanup_close_ int proc = open_proc(thread->tid);
	int r;

	if (proc < 0)
		return proc == -ENOENT ? 0 : proc;
	if (!may_be_inside(thread, proc))
		return 0;
	r = ask_to_stop(thread->tid, deadline - KILL_USEC);
	/* Or it has been asked: one may be noted twice (threads.c). */
	if (r == 0 || (r == -EPERM && seize_is_held(thread->tid)))
		return 1;
	if (r == -ESRCH || (r == -EPERM && is_outsider(thread, proc)))
		return 0;
	return kill_and_wait(revoker, thread, proc, deadline);
}

/* Of one that was asked to stop. Its number stays its own for as long as we trace it. */
static int bring_back(struct revoker *revoker, const struct thread *thread, uint64_t deadline)
{
	_cleanup_close_ int proc = open_proc(thread->tid);
	int r;

	if (proc < 0)
		return proc == -ENOENT ? 0 : proc;
	r = wait_and_let_go(
		thread->tid, proc, thread->arch, deadline - KILL_USEC, READY_DEADLINE_USEC);
	if (r == -EINPROGRESS && revoker->late_count < REVOKE_LATE_MAX) {
		revoker->late[revoker->late_count++] = thread->tid;
		r = 0;
	}
	if (r == 0)
		return 0;
	r = kill_and_wait(revoker, thread, proc, deadline + READY_DEADLINE_USEC);
	let_go_of_dead(revoker, thread->tid);
	return r;
}

static bool is_among(pid_t tid, const pid_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == tid)
			return true;
	return false;
}

/* Marks those that have to be let go of, whatever it returns. */
static int ask_all(struct revoker *revoker, const struct threads *threads, uint32_t count,
	const pid_t *except, size_t except_count, uint64_t deadline, uint64_t *ret_asked)
{
	int r = 0;

	for (uint32_t i = 0; i < count && r >= 0; i++) {
		const struct thread *thread = &threads->entries[i];

		if (is_among(thread->tid, except, except_count) ||
			is_among(thread->tid, revoker->late, revoker->late_count))
			continue;
		r = ask_if_inside(revoker, thread, deadline);
		if (r > 0)
			ret_asked[i / 64] |= UINT64_C(1) << (i % 64);
	}
	return MIN(r, 0);
}

/* All are asked before one is waited for: each has to get to run before it can stop, and then
 * leaves the processor to the next. */
int revoke_bring_back(struct revoker *revoker, const struct threads *threads, const pid_t *except,
	size_t except_count)
{
	const uint32_t count = MIN(threads->count, (uint32_t)SESSION_THREADS_MAX);
	uint64_t deadline = now_usec() + REVOKE_DEADLINE_USEC;
	uint64_t asked[SESSION_THREADS_MAX / 64] = {0};
	int result = ask_all(revoker, threads, count, except, except_count, deadline, asked);

	for (uint32_t i = 0; i < count; i++)
		if (asked[i / 64] & UINT64_C(1) << (i % 64)) {
			int r = bring_back(revoker, &threads->entries[i], deadline);

			result = result < 0 ? result : r;
		}
	return result;
}

void revoke_let_go_late(struct revoker *revoker)
{
	size_t kept = 0;

	for (size_t i = 0; i < revoker->late_count; i++)
		if (let_go_if_stopped(revoker->late[i]) == 0)
			revoker->late[kept++] = revoker->late[i];
	revoker->late_count = kept;
}

void revoke_let_go_strays(void)
{
	pid_t tid;

	while (seize_may_hold() && (tid = seize_changed()) > 0)
		if (let_go_if_stopped(tid) == 0)
			break;
}

/* Its directory in /proc is the thread's, never that of the next one with its number; asking it
 * needs neither memory nor a descriptor. */
static bool is_there(int proc)
{
	return faccessat(proc, "stat", F_OK, 0) == 0;
}

/* Asks the thread behind proc to stop. The number may be somebody else's by now: who is seized and
 * not stopped notices nothing, and is let go of when it stops by itself. */
static int ask_caller_to_stop(pid_t tid, int proc)
{
	int r = seize(tid, now_usec() + PATIENCE_USEC);

	if (r < 0)
		return r;
	if (!is_there(proc))
		return -ENOENT;
	return trace(PTRACE_INTERRUPT, tid, 0) < 0 ? -ENOENT : 0;
}

/* Asks it to stop, answers it, and lets go of it when it stops, now or later. */
static int answer_and_let_go(struct revoker *revoker, const struct target *target, uint32_t arch,
	uint64_t patience, int (*answer)(void *context), void *context)
{
	int r;

	/* There must be room to let go of it later, should it take its time. */
	if (revoker->late_count == REVOKE_LATE_MAX)
		return -EPERM;
	r = ask_caller_to_stop(target->tid, target->proc);
	if (r < 0 && r != -ENOENT)
		return r;
	/* Gone or not, it is answered: one that is there would wait for ever. */
	r = answer(context);
	if (r == 0)
		r = wait_and_let_go(target->tid, target->proc, arch, now_usec() + patience, 0);
	if (r < 0)
		revoker->late[revoker->late_count++] = target->tid;
	return r == -ETIMEDOUT ? r : 0;
}

int revoke_bounce(struct revoker *revoker, const struct target *target, uint32_t arch,
	int (*answer)(void *context), void *context)
{
	int r = answer_and_let_go(revoker, target, arch, PATIENCE_USEC, answer, context);

	return r == -ETIMEDOUT ? 0 : r;
}

int revoke_watch(struct revoker *revoker, const struct target *target, uint32_t arch,
	int (*answer)(void *context), void *context)
{
	return answer_and_let_go(revoker, target, arch, REVOKE_DEADLINE_USEC, answer, context);
}
