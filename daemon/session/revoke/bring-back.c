/* SPDX-License-Identifier: MIT */
/* Bringing threads back out of calls that were given back to the kernel, or ending their processes.
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
 * All this asks something of the thread, and a thread can resist: be traced by another, execute a
 * program whose interpreter somebody has a lease on, not get to run. So a disposable child does it,
 * and whoever is not back by the deadline is killed, by the pidfd that was opened when its process
 * first called: that needs nothing of the app. Killed means seen to have stopped (common/task.c).
 * Somebody else's file system may hold a thread for longer than that; then nothing is acknowledged
 * until it has let go. */
#include "bring-back.h"

#include <sys/ptrace.h>

#include "include/limits.h"
#include "include/util.h"
#include "daemon/session/target/child.h"
#include "trace.h"

#define STOP_CHECK_USEC 50
#define PATIENCE_USEC   20000  /* for a thread that was asked to stop and is seen elsewhere */
#define STEP_USEC       5000   /* that one thread may hold up the child */
#define CALLS_USEC      100000 /* to look what calls those are in who were killed */
#define SLACK_USEC      50000

/* Of one thread noted. */
enum way_back {
	UNASKED,
	ASKED, /* to stop; it is traced by the child */
	HELD,  /* it has held a child up, and is asked again when the others are done */
	BACK,  /* out of any call */
	STUCK, /* its process is to be killed */
};

struct returning {
	struct revoker *revoker;
	uint64_t deadline;
	/* Shared with the child. */
	struct progress {
		uint32_t at; /* the thread in hand */
		uint8_t ways[SESSION_THREADS_MAX];
	} * progress;
};

/* --- in a child ------------------------------------------------------------------------------ */

static bool is_dead(pid_t tid)
{
	struct task task;
	int r = task_read_by_number(tid, &task);

	return r == -ESRCH || (r == 0 && task_is_dead(&task));
}

/* 0, or negative errno as trace_seize(). */
static int ask_to_stop(pid_t tid)
{
	int r;

	step_begin();
	r = trace_seize(tid);
	if (r == 0 && ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		r = -errno;
	step_end();
	return r;
}

static enum way_back ask(const struct revoker *revoker, const struct thread *thread)
{
	enum thread_activity activity = thread_activity(thread->tid, thread->arch);
	int r;

	/* Who is no thread of a process that was given a call back is in none. */
	if (activity == THREAD_GONE || activity == THREAD_ELSEWHERE ||
		!processes_have_thread(
			revoker->processes, &revoker->handles, thread->place, thread->tid))
		return BACK;
	r = ask_to_stop(thread->tid);
	/* Or it has been asked: one may be noted twice (threads.c). */
	if (r == 0 || (r == -EPERM && trace_is_ours(thread->tid)))
		return ASKED;
	if (r == -ESRCH || is_dead(thread->tid))
		return BACK;
	return r == -EPERM ? STUCK : UNASKED;
}

/* Of one that was asked; its number stays its own for as long as we trace it. */
static enum way_back wait_for(const struct thread *thread, bool patient)
{
	if (trace_let_go(thread->tid) != 0)
		return BACK;
	/* Out of its call, and blocked elsewhere before it stopped: the end of this child is the
	 * end of its being asked. */
	return !patient && thread_activity(thread->tid, thread->arch) == THREAD_ELSEWHERE ? BACK
											  : ASKED;
}

/* Ready to run, or it has stopped since we looked. */
static bool is_about_to_stop(pid_t tid)
{
	struct task task;

	return task_read_by_number(tid, &task) == 0 && (task.state == 'R' || task.state == 't');
}

static bool is_late(const struct returning *returning, const struct thread *thread, uint64_t now)
{
	return now > returning->deadline &&
	       (now > returning->deadline + READY_DEADLINE_USEC || !is_about_to_stop(thread->tid));
}

/* The number of those that are not back yet. */
static uint32_t go_on(struct returning *returning, uint64_t patience)
{
	const struct threads *threads = returning->revoker->threads;
	struct progress *progress = returning->progress;
	uint32_t left = 0;

	for (uint32_t i = 0; i < threads->count; i++) {
		const struct thread *thread = &threads->entries[i];
		/* It may be us who did not get to run: a last look comes after the deadline. */
		uint64_t now = now_usec();
		uint8_t way = progress->ways[i];

		progress->at = i;
		if (way == UNASKED)
			way = ask(returning->revoker, thread);
		else if (way == ASKED)
			way = wait_for(thread, now < patience);
		if ((way == UNASKED || way == ASKED) && is_late(returning, thread, now))
			way = STUCK;
		left += way == UNASKED || way == ASKED;
		progress->ways[i] = way;
	}
	return left;
}

/* All are asked before one is waited for: each has to get to run before it can stop, and then
 * leaves the processor to the next. */
static void bring_all_back(void *context)
{
	struct returning *returning = context;
	uint64_t patience = now_usec() + PATIENCE_USEC;

	while (go_on(returning, patience) > 0)
		(void)usleep(STOP_CHECK_USEC);
}

/* --- bringing back --------------------------------------------------------------------------- */

/* What has held the child up at one thread would do so at each of its process. */
static void put_off(struct returning *returning)
{
	const struct threads *threads = returning->revoker->threads;
	struct progress *progress = returning->progress;
	uint32_t place = threads->entries[progress->at].place;

	for (uint32_t i = 0; i < threads->count; i++)
		if (threads->entries[i].place == place &&
			(progress->ways[i] == UNASKED || progress->ways[i] == ASKED))
			progress->ways[i] = HELD;
}

/* The asking of a child has ended with it. True if there is somebody to be asked. */
static bool ask_anew(struct returning *returning, enum way_back from)
{
	struct progress *progress = returning->progress;
	bool any = false;

	for (uint32_t i = 0; i < returning->revoker->threads->count; i++) {
		if (progress->ways[i] == ASKED || progress->ways[i] == from)
			progress->ways[i] = UNASKED;
		any |= progress->ways[i] == UNASKED;
	}
	return any;
}

static void run_children(struct returning *returning)
{
	uint64_t end = returning->deadline + READY_DEADLINE_USEC + SLACK_USEC;
	int r;

	while (now_usec() < end &&
		(ask_anew(returning, UNASKED) ||
			(now_usec() < returning->deadline && ask_anew(returning, HELD)))) {
		r = child_run(bring_all_back, returning, STEP_USEC, end);
		if (r == -ETIMEDOUT)
			put_off(returning);
		else if (r < 0)
			(void)usleep(STOP_CHECK_USEC);
	}
}

static void add_victim(struct revoker *revoker, uint32_t place, pid_t tid)
{
	if (revoker->handles.doomed[place])
		return;
	/* Its place is not to be another's as long as we look after it. */
	revoker->handles.doomed[place] = true;
	revoker->places[revoker->victim_count] = place;
	revoker->victims[revoker->victim_count++] =
		(struct victim){.pid = revoker->processes->entries[place].pid,
			.pidfd = revoker->handles.pidfds[place]};
	revoker->killed++;
	if (revoker->tell_killing)
		revoker->tell_killing(revoker->context, tid);
}

struct left {
	size_t count;
	struct victim victims[SESSION_PROCESSES_MAX];
};

static void look_at_calls(void *context)
{
	struct left *left = context;

	step_begin();
	(void)victims_look_at_calls(left->victims, left->count);
	step_end();
}

/* Whoever is held up while it does something else than a call on a queue gets nothing through. */
static size_t count_inside(const struct revoker *revoker)
{
	struct left *left = child_memory(sizeof(*left));
	size_t inside = 0;

	if (!left)
		return revoker->unstopped;
	left->count = revoker->victim_count;
	memcpy(left->victims, revoker->victims, left->count * sizeof(*left->victims));
	(void)child_run(look_at_calls, left, STEP_USEC, now_usec() + CALLS_USEC);
	for (size_t i = 0; i < left->count; i++)
		inside += !left->victims[i].has_stopped;
	child_memory_free(left, sizeof(*left));
	return inside;
}

/* Those that have not stopped at all are looked after further on. */
static int kill_victims(struct revoker *revoker, uint64_t patience)
{
	revoker->unstopped =
		victims_kill(revoker->victims, revoker->victim_count, now_usec() + patience);
	if (revoker->unstopped > 0)
		revoker->unstopped = count_inside(revoker);
	return revoker->unstopped > 0 ? -EBUSY : 0;
}

/* Those that have not stopped stay: an acknowledgement may wait for them. */
static void forget_stopped(struct revoker *revoker)
{
	size_t kept = 0;

	for (size_t i = 0; i < revoker->victim_count; i++) {
		if (revoker->victims[i].has_stopped) {
			revoker->handles.doomed[revoker->places[i]] = false;
			continue;
		}
		revoker->places[kept] = revoker->places[i];
		revoker->victims[kept++] = revoker->victims[i];
	}
	revoker->victim_count = kept;
}

static void choose_victims(const struct returning *returning)
{
	struct revoker *revoker = returning->revoker;

	forget_stopped(revoker);
	for (uint32_t i = 0; i < revoker->threads->count; i++) {
		const struct thread *thread = &revoker->threads->entries[i];

		if (returning->progress->ways[i] != BACK &&
			processes_have_thread(
				revoker->processes, &revoker->handles, thread->place, thread->tid))
			add_victim(revoker, thread->place, thread->tid);
	}
}

static void leave_alone(
	struct progress *progress, const struct threads *threads, const pid_t *except, size_t count)
{
	for (uint32_t i = 0; i < threads->count; i++)
		for (size_t j = 0; j < count; j++)
			if (threads->entries[i].tid == except[j])
				progress->ways[i] = BACK;
}

int revoke_bring_back(struct revoker *revoker, const pid_t *except, size_t except_count)
{
	struct returning returning = {.revoker = revoker,
		.deadline = now_usec() + REVOKE_DEADLINE_USEC,
		.progress = child_memory(sizeof(*returning.progress))};

	if (!returning.progress)
		return -ENOMEM;
	leave_alone(returning.progress, revoker->threads, except, except_count);
	run_children(&returning);
	choose_victims(&returning);
	child_memory_free(returning.progress, sizeof(*returning.progress));
	return kill_victims(revoker, KILL_DEADLINE_USEC);
}

int revoke_kill(struct revoker *revoker, uint32_t place)
{
	forget_stopped(revoker);
	add_victim(revoker, place, revoker->processes->entries[place].pid);
	return kill_victims(revoker, KILL_DEADLINE_USEC);
}

bool revoke_look_again(struct revoker *revoker)
{
	return revoker->unstopped == 0 || kill_victims(revoker, 0) == 0;
}

pid_t revoke_unstopped(const struct revoker *revoker)
{
	for (size_t i = 0; i < revoker->victim_count; i++)
		if (!revoker->victims[i].has_stopped)
			return revoker->victims[i].pid;
	return 0;
}

/* --- one thread ------------------------------------------------------------------------------ */

struct asking {
	const struct target *target;
	uint32_t arch;
	uint64_t patience;
	int (*answer)(void *context);
	void *context;
	/* Shared with the child. */
	struct outcome {
		bool answered, out;
	} * outcome;
};

/* Its directory in /proc is the thread's, never that of the next one with its number; asking it
 * needs neither memory nor a descriptor. */
static bool is_there(int proc)
{
	return faccessat(proc, "stat", F_OK, 0) == 0;
}

/* Seized by number: who is not the thread behind proc and was only seized notices nothing. */
static int ask_caller_to_stop(const struct target *target)
{
	int r = trace_seize_patiently(target->tid, PATIENCE_USEC);

	if (r == 0 && is_there(target->proc))
		(void)ptrace(PTRACE_INTERRUPT, target->tid, NULL, NULL);
	return r == -ESRCH ? 0 : r;
}

/* Gone or not, it is answered: one that is there would wait for ever. */
static void answer_and_wait(void *context)
{
	struct asking *asking = context;
	const struct target *target = asking->target;
	struct thread thread = {.tid = target->tid, .arch = asking->arch};
	uint64_t begun = now_usec();

	if (ask_caller_to_stop(target) < 0)
		return;
	/* First: who finds that we have died here asks whether the call is answered. */
	asking->outcome->answered = true;
	asking->outcome->out = asking->answer(asking->context) < 0;
	while (!asking->outcome->out && now_usec() < begun + asking->patience) {
		asking->outcome->out =
			wait_for(&thread, now_usec() < begun + PATIENCE_USEC) == BACK;
		(void)usleep(STOP_CHECK_USEC);
	}
}

static int ask_and_answer(const struct target *target, uint32_t arch, uint64_t patience,
	int (*answer)(void *context), void *context)
{
	struct asking asking = {.target = target,
		.arch = arch,
		.patience = patience,
		.answer = answer,
		.context = context,
		.outcome = child_memory(sizeof(*asking.outcome))};
	int r;

	if (!asking.outcome)
		return -EPERM;
	(void)child_look(
		answer_and_wait, &asking, STEP_USEC, now_usec() + patience + READY_DEADLINE_USEC);
	r = !asking.outcome->answered ? -EPERM : asking.outcome->out ? 0 : -ETIMEDOUT;
	child_memory_free(asking.outcome, sizeof(*asking.outcome));
	return r;
}

int revoke_bounce(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context)
{
	int r = ask_and_answer(target, arch, PATIENCE_USEC, answer, context);

	return r == -ETIMEDOUT ? 0 : r;
}

int revoke_watch(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context)
{
	return ask_and_answer(target, arch, REVOKE_DEADLINE_USEC, answer, context);
}
