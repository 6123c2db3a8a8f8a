/* SPDX-License-Identifier: MIT */
/* Which threads are asked to stop, in which order and for how long, and which processes are killed.
 * Threads, time and disposable children are played here. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "daemon/session/revoke/bring-back.h"
#include "daemon/session/revoke/trace.h"
#include "daemon/session/target/child.h"
#include "include/limits.h"
#include "include/util.h"

#define ARCH     42
#define FOR_EVER UINT64_MAX

/* --- time ------------------------------------------------------------------------------------ */

static uint64_t now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	now++;
	*ret = (struct timespec){(time_t)(now / 1000000), (long)(now % 1000000 * 1000)};
	return 0;
}

static bool in_step;

int __wrap_usleep(useconds_t usec);
int __wrap_usleep(useconds_t usec)
{
	cr_expect_not(in_step, "nothing holds it up");
	now += usec;
	return 0;
}

/* --- threads --------------------------------------------------------------------------------- */

#define THREADS 8

/* By their numbers. */
static struct played {
	uint32_t place; /* of its process; SESSION_PROCESSES_MAX: of none that is noted */
	enum thread_activity activity;
	int seize;          /* what asking comes to */
	uint64_t seizable;  /* from when on it comes to 0 */
	uint64_t stops;     /* so long after it was asked */
	uint64_t elsewhere; /* so long after it was asked it has left its call without stopping */
	uint64_t ends;      /* when; 0: never */
	unsigned holds_up;  /* so many children */
	char state;
	bool is_traced, interrupted, is_out;
	uint64_t asked; /* when */
	unsigned asks, looks;
} played[THREADS];

void __wrap_step_begin(void);
void __wrap_step_begin(void)
{
	in_step = true;
}

void __wrap_step_end(void);
void __wrap_step_end(void)
{
	in_step = false;
}

enum thread_activity __wrap_thread_activity(pid_t tid, uint32_t arch);
enum thread_activity __wrap_thread_activity(pid_t tid, uint32_t arch)
{
	struct played *thread = &played[tid];

	cr_expect_eq(arch, (uint32_t)ARCH);
	thread->looks++;
	if (thread->interrupted && now - thread->asked >= thread->elsewhere) {
		thread->is_out = true;
		return THREAD_ELSEWHERE;
	}
	return thread->activity;
}

bool __wrap_processes_have_thread(const struct processes *processes,
	const struct process_handles *handles, uint32_t place, pid_t tid);
bool __wrap_processes_have_thread(const struct processes *processes,
	const struct process_handles *handles, uint32_t place, pid_t tid)
{
	(void)processes;
	(void)handles;
	return played[tid].place == place && (played[tid].ends == 0 || now < played[tid].ends);
}

static jmp_buf held_up;

static int seize(pid_t tid)
{
	struct played *thread = &played[tid];
	int r = thread->is_traced ? -EPERM : now >= thread->seizable ? 0 : thread->seize;

	thread->asks++;
	if (thread->holds_up > 0) {
		thread->holds_up--;
		longjmp(held_up, -ETIMEDOUT);
	}
	if (r == 0) {
		thread->is_traced = true;
		thread->asked = now;
	}
	return r;
}

int __wrap_trace_seize(pid_t tid);
int __wrap_trace_seize(pid_t tid)
{
	cr_expect(in_step, "it may wait");
	return seize(tid);
}

int __wrap_trace_seize_patiently(pid_t tid, uint64_t usec);
int __wrap_trace_seize_patiently(pid_t tid, uint64_t usec)
{
	cr_expect_eq(usec, 20000U);
	return seize(tid);
}

static pid_t uninterruptible;

long __wrap_ptrace(enum __ptrace_request request, ...);
long __wrap_ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	pid_t tid;

	va_start(arguments, request);
	tid = va_arg(arguments, pid_t);
	va_end(arguments);
	cr_expect_eq(request, PTRACE_INTERRUPT);
	cr_expect(played[tid].is_traced);
	/* Of what went well it means nothing. */
	errno = EINTR;
	played[tid].interrupted = tid != uninterruptible;
	return tid == uninterruptible ? -1 : 0;
}

bool __wrap_trace_is_ours(pid_t tid);
bool __wrap_trace_is_ours(pid_t tid)
{
	return played[tid].is_traced;
}

static unsigned waits;
static unsigned dies; /* so many looks later this child is dead */

int __wrap_trace_let_go(pid_t tid);
int __wrap_trace_let_go(pid_t tid)
{
	struct played *thread = &played[tid];

	waits++;
	if (dies > 0 && --dies == 0)
		longjmp(held_up, -ECHILD);
	if (!thread->is_traced)
		return -ECHILD;
	if (!thread->interrupted || now - thread->asked < thread->stops)
		return 0;
	thread->is_traced = false;
	thread->is_out = true;
	return 1;
}

int __wrap_task_read_by_number(pid_t tid, struct task *ret);
int __wrap_task_read_by_number(pid_t tid, struct task *ret)
{
	*ret = (struct task){.state = played[tid].state};
	return played[tid].state ? 0 : -ESRCH;
}

/* --- children -------------------------------------------------------------------------------- */

static unsigned children;
static bool no_memory, no_child;
static int pieces; /* of memory */

void *__wrap_child_memory(size_t size);
void *__wrap_child_memory(size_t size)
{
	size_t used = (size + 4095) / 4096 * 4096;
	char *memory;

	if (no_memory)
		return NULL;
	/* What lies behind it is not touched. */
	memory =
		mmap(NULL, used + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(memory, MAP_FAILED);
	cr_assert_eq(mprotect(memory + used, 4096, PROT_NONE), 0);
	pieces++;
	return memory + used - size;
}

void __wrap_child_memory_free(void *memory, size_t size);
void __wrap_child_memory_free(void *memory, size_t size)
{
	cr_expect_not_null(memory);
	cr_expect_gt(size, 0U);
	pieces--;
}

/* Its end lets go of whatever it has asked. */
static int run_child(void (*work)(void *context), void *context)
{
	int r;

	children++;
	if (no_child)
		return -EAGAIN;
	in_step = false;
	r = setjmp(held_up);
	if (r == 0) {
		work(context);
		cr_expect_not(in_step);
	}
	for (int i = 0; i < THREADS; i++)
		played[i].is_traced = played[i].interrupted = false;
	return r;
}

int __wrap_child_run(
	void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline);
int __wrap_child_run(
	void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline)
{
	cr_expect_eq(step_usec, 5000U);
	cr_expect_gt(deadline, now);
	return run_child(work, context);
}

int __wrap_child_look(
	void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline);
int __wrap_child_look(
	void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline)
{
	cr_expect_eq(step_usec, 5000U);
	cr_expect_geq(deadline, now + 20000 + READY_DEADLINE_USEC);
	return run_child(work, context);
}

/* --- killing --------------------------------------------------------------------------------- */

static struct {
	struct threads threads;
	struct thread behind;
} noted;
static struct threads *threads = &noted.threads;
static struct processes processes;
static struct revoker revoker = {.threads = &noted.threads, .processes = &processes};

static unsigned killed[THREADS];   /* by the places of the processes */
static bool goes_on[THREADS];      /* though it was killed */
static bool is_elsewhere[THREADS]; /* and in no call on a queue */
static uint64_t patience;
static unsigned looks_at_calls;

static size_t count_running(struct victim *victims, size_t count, const bool *stop)
{
	size_t running = 0;

	for (size_t i = 0; i < count; i++) {
		victims[i].has_stopped = victims[i].has_stopped || stop[victims[i].pid - 500];
		running += !victims[i].has_stopped;
	}
	return running;
}

size_t __wrap_victims_kill(struct victim *victims, size_t count, uint64_t deadline);
size_t __wrap_victims_kill(struct victim *victims, size_t count, uint64_t deadline)
{
	bool stop[THREADS];

	patience = deadline - now;
	for (int i = 0; i < THREADS; i++)
		stop[i] = !goes_on[i];
	for (size_t i = 0; i < count; i++) {
		cr_expect_eq(victims[i].pidfd, victims[i].pid + 500);
		killed[victims[i].pid - 500]++;
	}
	return count_running(victims, count, stop);
}

size_t __wrap_victims_look_at_calls(struct victim *victims, size_t count);
size_t __wrap_victims_look_at_calls(struct victim *victims, size_t count)
{
	cr_expect(in_step, "it may wait");
	looks_at_calls++;
	return count_running(victims, count, is_elsewhere);
}

static pid_t told[THREADS];
static size_t told_count;

static void tell(void *context, pid_t tid)
{
	cr_expect_eq(context, &told);
	told[told_count++] = tid;
}

/* --- the world ------------------------------------------------------------------------------- */

static void setup(void)
{
	now = 1000000;
	revoker.tell_killing = tell;
	revoker.context = &told;
	for (int i = 0; i < THREADS; i++) {
		processes.entries[i].pid = 500 + i;
		revoker.handles.pidfds[i] = 1000 + i;
	}
	processes.count = THREADS;
}

TestSuite(bring_back, .init = setup);
TestSuite(one_thread, .init = setup);

/* One that waits in a call, and stops when it is asked to. */
static struct played *note(pid_t tid, uint32_t place)
{
	threads->entries[threads->count++] =
		(struct thread){.tid = tid, .arch = ARCH, .place = place};
	played[tid] = (struct played){.place = place,
		.activity = THREAD_IN_CALL,
		.seize = -EPERM,
		.elsewhere = FOR_EVER,
		.state = 'S'};
	return &played[tid];
}

static int bring_back(void)
{
	int r = revoke_bring_back(&revoker, NULL, 0);

	cr_expect_eq(pieces, 0, "of memory");
	return r;
}

static unsigned all_killed(void)
{
	unsigned count = 0;

	for (int i = 0; i < THREADS; i++)
		count += killed[i] > 0;
	return count;
}

static void expect_alive(void)
{
	cr_expect_eq(bring_back(), 0);
	cr_expect_eq(all_killed(), 0U);
	cr_expect_eq(revoker.killed, 0U);
	cr_expect_eq(told_count, 0U);
}

/* --- who is asked ---------------------------------------------------------------------------- */

Test(bring_back, nobody)
{
	expect_alive();
	cr_expect_eq(children, 0U);
}

Test(bring_back, who_is_in_a_call)
{
	struct played *first = note(1, 0), *second = note(2, 0), *third = note(3, 1);

	second->activity = THREAD_RUNNING;
	third->stops = 300;
	expect_alive();
	cr_expect(first->is_out && second->is_out && third->is_out);
	cr_expect_eq(first->asks, 1U);
	cr_expect_eq(third->asks, 1U);
	cr_expect_eq(children, 1U);
	cr_expect_lt(now, 1000000U + 1000);
}

Test(bring_back, not_who_is_elsewhere_or_gone)
{
	struct played *elsewhere = note(1, 0), *gone = note(2, 0);

	elsewhere->activity = THREAD_ELSEWHERE;
	gone->activity = THREAD_GONE;
	expect_alive();
	cr_expect_lt(now, 1000000U + 50, "nothing is waited for");
	cr_expect_eq(elsewhere->asks, 0U);
	cr_expect_eq(gone->asks, 0U);
}

Test(bring_back, not_who_has_the_number_of_another)
{
	struct played *other = note(1, 0), *own = note(2, 1);

	other->place = SESSION_PROCESSES_MAX;
	other->seizable = FOR_EVER;
	expect_alive();
	cr_expect_eq(other->asks, 0U);
	cr_expect(own->is_out);
}

Test(bring_back, not_who_is_inside_the_door)
{
	const pid_t except[] = {3, 7, 1};
	struct played *first = note(1, 0), *second = note(2, 0), *third = note(3, 1);

	first->seizable = third->seizable = FOR_EVER;
	cr_expect_eq(revoke_bring_back(&revoker, except, ELEMENTSOF(except)), 0);
	cr_expect(second->is_out);
	cr_expect_eq(first->asks + third->asks, 0U);
	cr_expect_eq(all_killed(), 0U);
}

Test(bring_back, who_ends_meanwhile_is_out)
{
	struct played *gone = note(1, 0), *dead = note(2, 1), *reaped = note(3, 2);

	gone->seize = -ESRCH;
	reaped->seize = -EACCES;
	reaped->state = 0;
	reaped->seizable = FOR_EVER;
	dead->seize = -EACCES;
	dead->state = 'Z';
	gone->seizable = dead->seizable = FOR_EVER;
	expect_alive();
	cr_expect_eq(gone->asks, 1U);
	cr_expect_eq(dead->asks, 1U);
	cr_expect_eq(children, 1U);
}

Test(bring_back, who_is_noted_twice_is_asked_once)
{
	struct played *thread = note(1, 0);

	threads->entries[threads->count++] = threads->entries[0];
	thread->stops = 300;
	expect_alive();
	cr_expect(thread->is_out);
}

/* --- who resists ----------------------------------------------------------------------------- */

Test(bring_back, whom_somebody_else_traces_is_killed)
{
	struct played *traced = note(1, 3), *again = note(2, 3), *other = note(3, 1);

	traced->seizable = again->seizable = FOR_EVER;
	cr_expect_eq(bring_back(), 0);
	cr_expect_eq(killed[3], 1U);
	cr_expect_eq(all_killed(), 1U);
	cr_expect(other->is_out);
	cr_expect_eq(revoker.killed, 1U, "one process");
	cr_expect_eq(told_count, 1U);
	cr_expect_eq(told[0], 1);
	cr_expect_eq(revoker.victim_count, 1U);
	cr_expect_eq(revoker.places[0], 3U);
	cr_expect(revoker.handles.doomed[3]);
	cr_expect_lt(now, 1000000U + 1000, "at once");
	cr_expect_eq(looks_at_calls, 0U);
}

Test(bring_back, whom_another_session_process_traces_is_waited_for)
{
	struct played *thread = note(1, 0);

	thread->seize = -EBUSY;
	thread->seizable = now + 100000;
	expect_alive();
	cr_expect(thread->is_out);
	cr_expect_eq(children, 1U);
}

static void expect_killed_after(uint64_t usec)
{
	uint64_t begun = now;

	(void)note(2, 1);
	cr_expect_eq(bring_back(), 0);
	cr_expect_eq(killed[0], 1U);
	cr_expect_eq(all_killed(), 1U, "who came back in time lives");
	cr_expect_geq(now - begun, usec);
	cr_expect_lt(now - begun, usec + 5000);
	cr_expect_geq(patience, KILL_DEADLINE_USEC - 1000);
	cr_expect_leq(patience, KILL_DEADLINE_USEC);
}

Test(bring_back, who_does_not_stop_is_killed_at_the_deadline)
{
	note(1, 0)->stops = FOR_EVER;
	expect_killed_after(REVOKE_DEADLINE_USEC);
	cr_expect_lt(waits, 15000U, "others get to run, too");
}

Test(bring_back, whom_another_session_process_traces_for_ever_is_killed)
{
	struct played *thread = note(1, 0);

	thread->seize = -EBUSY;
	thread->seizable = FOR_EVER;
	expect_killed_after(REVOKE_DEADLINE_USEC);
}

Test(bring_back, who_does_not_get_to_run_has_more_time)
{
	struct played *thread = note(1, 0);

	thread->stops = FOR_EVER;
	thread->state = 'R';
	expect_killed_after(REVOKE_DEADLINE_USEC + READY_DEADLINE_USEC);
}

Test(bring_back, who_gets_to_run_after_the_deadline_lives)
{
	struct played *first = note(1, 0), *second = note(2, 1);

	first->stops = second->stops = REVOKE_DEADLINE_USEC + READY_DEADLINE_USEC - 5000;
	first->state = 'R';
	second->state = 't';
	expect_alive();
	cr_expect(first->is_out && second->is_out);
}

/* The process of one that has ended is killed for nothing. */
Test(bring_back, who_has_ended_by_the_deadline_is_not_killed)
{
	struct played *thread = note(1, 0);

	thread->stops = FOR_EVER;
	thread->ends = now + REVOKE_DEADLINE_USEC / 2;
	expect_alive();
}

Test(bring_back, whose_state_cannot_be_told_is_killed_at_the_deadline)
{
	struct played *thread = note(1, 0);

	thread->stops = FOR_EVER;
	thread->state = 0;
	expect_killed_after(REVOKE_DEADLINE_USEC);
}

Test(bring_back, who_cannot_be_interrupted_is_asked_again)
{
	struct played *thread = note(1, 0);

	uninterruptible = 1;
	thread->stops = FOR_EVER;
	expect_killed_after(REVOKE_DEADLINE_USEC);
	cr_expect_gt(thread->asks, 1U);
}

/* It has left its call, and will stop when it leaves the other one. */
Test(bring_back, who_has_left_its_call_is_waited_for_a_while)
{
	struct played *first = note(1, 0), *second = note(2, 1);
	uint64_t begun = now;

	first->stops = FOR_EVER;
	first->elsewhere = 1000;
	second->elsewhere = 1000;
	second->stops = 10000;
	expect_alive();
	cr_expect(first->is_out);
	cr_expect_not(second->is_traced, "it stopped in time");
	cr_expect_geq(now - begun, 20000U);
	cr_expect_lt(now - begun, 25000U);
}

/* --- children that are held up, or die ------------------------------------------------------- */

Test(bring_back, who_holds_a_child_up_is_asked_after_all_others)
{
	struct played *before = note(1, 0), *holding = note(2, 0), *after = note(3, 0);
	struct played *other = note(4, 1);

	holding->holds_up = 1;
	expect_alive();
	cr_expect_eq(children, 3U);
	cr_expect_eq(holding->asks, 2U);
	cr_expect_eq(after->asks, 1U, "it would have held the next child up as well");
	cr_expect(before->is_out && holding->is_out && after->is_out && other->is_out);
	cr_expect_lt(other->asked, before->asked);
	cr_expect_lt(other->asked, after->asked);
}

Test(bring_back, who_resists_is_not_asked_again)
{
	struct played *traced = note(1, 0), *holding = note(2, 0);

	traced->seizable = FOR_EVER;
	holding->holds_up = 1;
	cr_expect_eq(bring_back(), 0);
	cr_expect_eq(traced->asks, 1U);
	cr_expect_eq(killed[0], 1U);
}

Test(bring_back, others_that_a_child_had_asked_are_asked_again)
{
	struct played *first = note(1, 0), *holding = note(2, 1);

	first->stops = 1000;
	holding->holds_up = 2;
	expect_alive();
	cr_expect_eq(first->asks, 2U);
	cr_expect(first->is_out && holding->is_out);
	cr_expect_lt(first->asked, holding->asked);
	cr_expect_eq(children, 4U);
}

Test(bring_back, one_of_as_many_as_are_noted_holds_a_child_up)
{
	struct played *holding = note(1, 0);

	note(2, 0)->activity = THREAD_ELSEWHERE;
	while (threads->count < SESSION_THREADS_MAX)
		threads->entries[threads->count++] = threads->entries[1];
	noted.behind.tid = 9;
	holding->holds_up = 1;
	cr_expect_eq(revoke_bring_back(&revoker, (pid_t[]){9}, 1), 0);
	cr_expect_eq(all_killed(), 0U);
	cr_expect(holding->is_out);
}

Test(bring_back, who_was_done_is_not_asked_again)
{
	struct played *done = note(1, 0), *of_it = note(2, 1), *holding = note(3, 1);

	done->activity = of_it->activity = THREAD_ELSEWHERE;
	holding->holds_up = 2;
	expect_alive();
	cr_expect_eq(done->asks, 0U);
	cr_expect_eq(done->looks, 1U);
	cr_expect_eq(of_it->asks, 0U);
	cr_expect_eq(of_it->looks, 1U);
	cr_expect_eq(holding->asks, 3U);
}

/* Its traced thread is out of its process' call only if that was seen. */
Test(bring_back, what_a_child_that_dies_had_asked_is_asked_again)
{
	struct played *first = note(1, 0), *second = note(2, 1);
	uint64_t begun = now;

	first->stops = second->stops = 1000;
	dies = 2;
	expect_alive();
	cr_expect_eq(children, 2U);
	cr_expect_eq(first->asks, 2U);
	cr_expect(first->is_out && second->is_out);
	cr_expect_geq(now - begun, 1050U);
}

static void expect_all_killed(uint64_t usec)
{
	uint64_t begun = now;

	cr_expect_eq(bring_back(), 0);
	cr_expect_eq(killed[0], 1U);
	cr_expect_eq(killed[1], 1U);
	cr_expect_geq(now - begun, usec);
	cr_expect_leq(now - begun, usec + 60000);
}

Test(bring_back, who_holds_up_one_child_after_the_other_is_killed)
{
	struct played *holding = note(1, 0);

	note(2, 1)->seizable = FOR_EVER;
	holding->holds_up = 1000000;
	expect_all_killed(REVOKE_DEADLINE_USEC);
	cr_expect_gt(holding->asks, 1U);
}

Test(bring_back, without_children_all_are_killed)
{
	(void)note(1, 0);
	(void)note(2, 1);
	no_child = true;
	expect_all_killed(REVOKE_DEADLINE_USEC + READY_DEADLINE_USEC);
	cr_expect_lt(children, 40000U, "others get to run, too");
}

Test(bring_back, without_memory_nothing_is_said_to_be_done)
{
	(void)note(1, 0);
	no_memory = true;
	cr_expect_eq(bring_back(), -ENOMEM);
}

/* --- those that were killed ------------------------------------------------------------------ */

Test(bring_back, those_that_go_on_are_looked_after)
{
	note(1, 0)->seizable = FOR_EVER;
	note(2, 1)->seizable = FOR_EVER;
	note(3, 2)->seizable = FOR_EVER;
	goes_on[1] = goes_on[2] = true;
	cr_expect_eq(bring_back(), -EBUSY);
	cr_expect_eq(looks_at_calls, 1U);
	cr_expect_eq(revoker.unstopped, 2U);
	cr_expect_eq(revoke_unstopped(&revoker), 501);
	cr_expect_not(revoke_look_again(&revoker));
	cr_expect_eq(patience, 0U, "without waiting");
	goes_on[1] = false;
	cr_expect_not(revoke_look_again(&revoker));
	cr_expect_eq(revoke_unstopped(&revoker), 502);
	goes_on[2] = false;
	cr_expect(revoke_look_again(&revoker));
	cr_expect_eq(revoke_unstopped(&revoker), 0);
	killed[0] = 0;
	cr_expect(revoke_look_again(&revoker));
	cr_expect_eq(killed[0], 0U, "there is nothing more to do");
	cr_expect_eq(revoker.killed, 3U);
}

Test(bring_back, those_that_go_on_stay_when_others_follow)
{
	for (int i = 1; i < 5; i++)
		note(i, (uint32_t)i)->seizable = FOR_EVER;
	goes_on[2] = goes_on[4] = true;
	cr_expect_eq(bring_back(), -EBUSY);
	threads->count = 0;
	note(5, 5)->seizable = FOR_EVER;
	cr_expect_eq(bring_back(), -EBUSY);
	cr_assert_eq(revoker.victim_count, 3U);
	for (size_t i = 0; i < 3; i++)
		cr_expect_eq(revoker.places[i], ((uint32_t[]){2, 4, 5})[i]);
	for (int i = 1; i < 6; i++)
		cr_expect_eq(revoker.handles.doomed[i], i == 2 || i > 3, "%d", i);
	cr_expect_eq(revoke_unstopped(&revoker), 502);
	revoker.victim_count = 0;
	cr_expect_eq(revoke_unstopped(&revoker), 0);
}

Test(bring_back, whom_the_kernel_holds_elsewhere_has_stopped)
{
	note(1, 0)->seizable = FOR_EVER;
	goes_on[0] = is_elsewhere[0] = true;
	cr_expect_eq(bring_back(), 0);
	cr_expect_eq(revoker.unstopped, 0U);
	cr_expect_eq(looks_at_calls, 1U);
}

Test(bring_back, those_that_have_stopped_are_forgotten_at_the_next)
{
	goes_on[1] = true;
	cr_expect_eq(revoke_kill(&revoker, 0), 0);
	cr_expect(revoker.handles.doomed[0]);
	cr_expect_eq(told[0], 500);
	cr_expect_eq(revoke_kill(&revoker, 1), -EBUSY);
	cr_expect_not(revoker.handles.doomed[0]);
	cr_expect(revoker.handles.doomed[1]);
	cr_expect_eq(revoker.victim_count, 1U);
	cr_expect_eq(revoker.places[0], 1U);
	cr_expect_eq(killed[0], 1U);
	cr_expect_eq(revoke_kill(&revoker, 1), -EBUSY);
	cr_expect_eq(revoker.killed, 2U, "it is killed already");
	goes_on[1] = false;
	cr_expect_eq(bring_back(), 0);
	cr_expect_eq(revoke_kill(&revoker, 2), 0);
	cr_expect_eq(revoker.victim_count, 1U);
	cr_expect_eq(revoker.places[0], 2U);
}

Test(bring_back, without_memory_to_look_they_go_on)
{
	goes_on[0] = is_elsewhere[0] = no_memory = true;
	cr_expect_eq(revoke_kill(&revoker, 0), -EBUSY);
	cr_expect_eq(revoker.unstopped, 1U);
}

Test(bring_back, nobody_has_to_be_told)
{
	revoker.tell_killing = NULL;
	cr_expect_eq(revoke_kill(&revoker, 0), 0);
	cr_expect_eq(killed[0], 1U);
}

/* --- one thread ------------------------------------------------------------------------------ */

static unsigned answers;
static int answer_result;
static bool asked_before, dies_answering, dies_answered;

static int answer(void *context)
{
	cr_expect_eq(context, &answers);
	asked_before = played[1].interrupted;
	if (dies_answering)
		longjmp(held_up, -ETIMEDOUT);
	answers++;
	if (dies_answered)
		longjmp(held_up, -ETIMEDOUT);
	return answer_result;
}

static struct target target = {.tid = 1};

static struct played *caller(void)
{
	struct played *thread = note(1, 0);

	threads->count = 0;
	target.proc = open("/proc/self", O_PATH | O_CLOEXEC);
	return thread;
}

static int bounce(void)
{
	int r = revoke_bounce(&target, ARCH, answer, &answers);

	cr_expect_eq(pieces, 0, "of memory");
	return r;
}

static int watch(void)
{
	int r = revoke_watch(&target, ARCH, answer, &answers);

	cr_expect_eq(pieces, 0, "of memory");
	return r;
}

static void expect_time(uint64_t usec)
{
	cr_expect_geq(now - 1000000, usec);
	cr_expect_lt(now - 1000000, usec + 1000);
}

Test(one_thread, is_asked_and_then_answered)
{
	caller()->stops = 1000;
	cr_expect_eq(bounce(), 0);
	cr_expect_eq(answers, 1U);
	cr_expect(asked_before);
	cr_expect(played[1].is_out);
	expect_time(1000);
}

Test(one_thread, that_cannot_be_asked_is_not_answered)
{
	caller()->seizable = FOR_EVER;
	cr_expect_eq(bounce(), -EPERM);
	cr_expect_eq(watch(), -EPERM);
	cr_expect_eq(answers, 0U);
}

Test(one_thread, that_seems_gone_is_answered)
{
	struct played *thread = caller();

	thread->seizable = FOR_EVER;
	thread->seize = -ESRCH;
	answer_result = -ENOENT;
	cr_expect_eq(watch(), 0);
	cr_expect_eq(answers, 1U);
	expect_time(0);
}

/* Its number may be another's. */
Test(one_thread, that_is_gone_is_not_stopped)
{
	struct played *thread = caller();

	(void)close(target.proc);
	target.proc = open("/", O_PATH | O_CLOEXEC);
	answer_result = -ENOENT;
	cr_expect_eq(watch(), 0);
	cr_expect_eq(answers, 1U);
	cr_expect_not(asked_before);
	cr_expect_not(thread->interrupted);
}

Test(one_thread, is_bounced_no_longer_than_needed)
{
	caller()->stops = FOR_EVER;
	cr_expect_eq(bounce(), 0, "it was answered");
	cr_expect_eq(answers, 1U);
	expect_time(20000);
}

Test(one_thread, is_watched_until_the_deadline)
{
	caller()->stops = FOR_EVER;
	cr_expect_eq(watch(), -ETIMEDOUT);
	cr_expect_eq(answers, 1U);
	expect_time(REVOKE_DEADLINE_USEC);
	cr_expect_lt(waits, 15000U, "others get to run, too");
}

Test(one_thread, that_has_made_its_call_is_out_after_a_while)
{
	struct played *thread = caller();

	thread->stops = FOR_EVER;
	thread->elsewhere = 1000;
	cr_expect_eq(watch(), 0);
	expect_time(20000);
}

Test(one_thread, that_holds_the_child_up_is_not_answered)
{
	caller()->holds_up = 1;
	cr_expect_eq(watch(), -EPERM);
	cr_expect_eq(answers, 0U);
}

/* Its notification tells. */
Test(one_thread, may_be_answered_if_the_child_dies_then)
{
	(void)caller();
	dies_answering = true;
	cr_expect_eq(watch(), -ETIMEDOUT);
	dies_answering = false;
	dies_answered = true;
	cr_expect_eq(watch(), -ETIMEDOUT);
	cr_expect_eq(bounce(), 0);
}

Test(one_thread, is_not_answered_without_memory)
{
	(void)caller();
	no_memory = true;
	cr_expect_eq(watch(), -EPERM);
	cr_expect_eq(answers, 0U);
}
