/* SPDX-License-Identifier: MIT */
/* Calls on a descriptor that do not go as they should: callers that are gone, descriptors that are
 * exchanged, and what cannot be noted, told, taken or kept. */
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/session/call/blocked.h"
#include "daemon/session/revoke/bring-back.h"
#include "daemon/session/target/inflight.h"
#include "daemon/session/target/target.h"
#include "door.h"
#include "include/text.h"
#include "include/verdict.h"
#include "support.h"
#include "tests/machine/int-0x80.h"
#include "tests/must-work.h"

/* --- what happens to a session process ------------------------------------------------------- */

/* Shared with the session processes and the app. */
static struct plan {
	volatile pid_t caller;      /* a child of the app's that makes one call */
	volatile bool caller_ends;  /* when its process is opened or its descriptor copied */
	volatile int open_error;    /* instead of a pidfd */
	volatile int process_error; /* instead of noting a process */
	volatile int thread_error;  /* instead of noting a thread */
	volatile int copy_error;    /* instead of a copy of a descriptor */
	volatile int lost;          /* the app's number of the queue that is taken away */
	volatile bool is_exchanged; /* the copy is one of that */
	volatile bool is_full;      /* nobody else may wait */
	volatile int copies;        /* that were made */
	volatile int status_error;  /* and a wrong number, instead of the process's */
	volatile int busy;          /* so often the manager is waited for, until it takes a pidfd */
	volatile int tell_error;    /* of the next one only */
	volatile bool is_to_receive; /* what else would send */
	volatile int watch_error;    /* instead of watching */
	volatile bool is_answered;   /* before that error */
} * plan;

static void end_caller(void)
{
	const pid_t caller = plan->caller;

	if (!plan->caller_ends)
		return;
	plan->caller_ends = false;
	(void)kill(caller, SIGKILL);
	while (state_of(caller) != 'Z' && state_of(caller) != 0)
		(void)usleep(100);
}

/* The linker puts these in the place of the session's own (--wrap). */
int __real_process_open(pid_t pid, uint64_t *ret_identity);
int __wrap_process_open(pid_t pid, uint64_t *ret_identity);
int __real_processes_add(struct processes *processes, struct process_handles *handles, pid_t pid,
	uint64_t identity, int *pidfd);
int __wrap_processes_add(struct processes *processes, struct process_handles *handles, pid_t pid,
	uint64_t identity, int *pidfd);
int __real_threads_note(struct threads *threads, pid_t tid, uint32_t arch, uint32_t place);
int __wrap_threads_note(struct threads *threads, pid_t tid, uint32_t arch, uint32_t place);
int __real_target_copy_descriptor(const struct target *target, int fd);
int __wrap_target_copy_descriptor(const struct target *target, int fd);
int __real_waiters_add(struct waiters *waiters, struct inflight *inflight, struct target *target,
	struct emulated *emulated, const struct wanted *wanted);
int __wrap_waiters_add(struct waiters *waiters, struct inflight *inflight, struct target *target,
	struct emulated *emulated, const struct wanted *wanted);
int __real_message_send(int fd, const void *message, size_t size, const int *fds, size_t count);
int __wrap_message_send(int fd, const void *message, size_t size, const int *fds, size_t count);
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __real_text_status_at(int proc, const char *key, uint64_t *ret);
int __wrap_text_status_at(int proc, const char *key, uint64_t *ret);
int __real_revoke_watch(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context);
int __wrap_revoke_watch(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context);

/* The number of one that has ended is somebody else's by then: of this very process, say. */
int __wrap_process_open(pid_t pid, uint64_t *ret_identity)
{
	if (plan && plan->caller_ends) {
		end_caller();
		return __real_process_open(getpid(), ret_identity);
	}
	return plan && plan->open_error ? -plan->open_error
					: __real_process_open(pid, ret_identity);
}

int __wrap_processes_add(struct processes *processes, struct process_handles *handles, pid_t pid,
	uint64_t identity, int *pidfd)
{
	return plan && plan->process_error
		       ? -plan->process_error
		       : __real_processes_add(processes, handles, pid, identity, pidfd);
}

int __wrap_threads_note(struct threads *threads, pid_t tid, uint32_t arch, uint32_t place)
{
	return plan && plan->thread_error ? -plan->thread_error
					  : __real_threads_note(threads, tid, arch, place);
}

static mqd_t queue, other;

int __wrap_target_copy_descriptor(const struct target *target, int fd)
{
	int copy;

	if (plan && plan->copy_error)
		return -plan->copy_error;
	copy = __real_target_copy_descriptor(target, plan && plan->is_exchanged ? plan->lost : fd);
	if (plan) {
		plan->copies++;
		end_caller();
	}
	return copy;
}

int __wrap_waiters_add(struct waiters *waiters, struct inflight *inflight, struct target *target,
	struct emulated *emulated, const struct wanted *wanted)
{
	return plan && plan->is_full
		       ? -ENOSPC
		       : __real_waiters_add(waiters, inflight, target, emulated, wanted);
}

int __wrap_message_send(int fd, const void *message, size_t size, const int *fds, size_t count)
{
	const struct session_message *said = message;
	int error;

	if (!plan || size != sizeof(*said) || said->type != SESSION_PROCESS)
		return __real_message_send(fd, message, size, fds, count);
	error = plan->tell_error;
	plan->tell_error = 0;
	return plan->busy > 0 ? -EAGAIN
	       : error        ? -error
			      : __real_message_send(fd, message, size, fds, count);
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (plan && count == 1 && fds->events == POLLOUT && plan->busy > 0)
		plan->busy--;
	return __real_poll(fds, count, timeout);
}

int __wrap_text_status_at(int proc, const char *key, uint64_t *ret)
{
	if (!plan || !plan->status_error || !streq(key, "Tgid"))
		return __real_text_status_at(proc, key, ret);
	*ret = (uint64_t)getpid();
	return -plan->status_error;
}

int __wrap_revoke_watch(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context)
{
	if (!plan || !plan->watch_error)
		return __real_revoke_watch(target, arch, answer, context);
	if (plan->is_answered)
		(void)answer(context);
	return -plan->watch_error;
}

/* --- the app ---------------------------------------------------------------------------------- */

static long send_text(void)
{
	return result_of(mq_send(other, "text", 4, 0));
}

static long get_attributes(void)
{
	struct mq_attr attributes;

	return result_of(mq_getattr(other, &attributes));
}

static long register_and_remove(void)
{
	long r = register_by_signal(other);

	(void)mq_notify(other, NULL);
	return r;
}

static long receive_in_vain(void)
{
	const struct timespec past = {0};
	char text[32];

	return result_of(mq_timedreceive(other, text, sizeof(text), NULL, &past));
}

static long receive(void)
{
	char text[32];

	return result_of(mq_receive(other, text, sizeof(text), NULL));
}

static long send_or_receive(void)
{
	return plan->is_to_receive ? receive() : send_text();
}

static long send_to_no_queue(void)
{
	int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	long r = result_of(mq_send(file, "text", 4, 0));

	(void)close(file);
	return r;
}

static void *send_beside(void *result)
{
	*(long *)result = send_text();
	return NULL;
}

static long send_by_another_thread(void)
{
	pthread_t thread;
	long result = 1;

	if (pthread_create(&thread, NULL, send_beside, &result) != 0)
		_exit(111);
	(void)pthread_join(thread, NULL);
	return result;
}

static long register_and_stay(void)
{
	long r = register_by_signal(other);

	while (r == 0)
		(void)pause();
	return r;
}

/* For the app, set before it is started. */
static long (*call)(void);

static void call_by_itself(struct stage *stage)
{
	stage->results[0] = call();
}

static void call_by_child(struct stage *stage)
{
	pid_t child = fork();

	if (child == 0) {
		plan->caller = getpid();
		stage->results[0] = call();
		_exit(0);
	}
	(void)waitpid(child, NULL, 0);
	plan->caller = child;
}

/* Whenever it is told to. */
static void call_often(struct stage *stage, void (*call_once)(struct stage *))
{
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	plan->lost = queue;
	for (;;) {
		app_pause(stage);
		if (stage->results[10])
			return;
		call_once(stage);
	}
}

static void same_thread(struct stage *stage)
{
	call_often(stage, call_by_itself);
}

static void children(struct stage *stage)
{
	call_often(stage, call_by_child);
}

/* --- the test's side -------------------------------------------------------------------------- */

static void make_plan(void)
{
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(plan, MAP_FAILED);
}

/* The first queue is taken away, or is not. */
static void begin(
	struct door *door, bool is_to_lose, void (*app)(struct stage *), long (*then)(void))
{
	make_plan();
	call = then;
	door_open(door, NOBODY, NULL, app);
	door_begin(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	if (is_to_lose)
		door_grant_both(door, 0, PERMISSIONS_ALL);
	other = mq_open(door->stage->other, O_RDWR | O_NONBLOCK);
	cr_assert_geq(other, 0);
}

static long call_once(struct door *door)
{
	door->stage->results[0] = 1;
	door_go(door);
	door_wait(door);
	return door->stage->results[0];
}

static void expect_call(struct door *door, long result)
{
	cr_expect_eq(call_once(door), result, "%ld, not %ld", door->stage->results[0], result);
}

static void finish(struct door *door)
{
	door->stage->results[10] = 1;
	door_go(door);
	door_close(door);
}

static long messages(mqd_t fd)
{
	struct mq_attr attributes = {0};

	cr_assert_eq(mq_getattr(fd, &attributes), 0);
	return attributes.mq_curmsgs;
}

/* Who sends the next message, as the kernel tells it. */
static pid_t sender(struct door *door)
{
	const struct timespec deadline = {.tv_sec = DOOR_DEADLINE_SECONDS};
	siginfo_t info = {0};
	char text[32];
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	cr_assert_eq(register_by_signal(other), 0);
	expect_call(door, 0);
	cr_assert_eq(sigtimedwait(&set, &info, &deadline), SIGUSR1);
	cr_expect_eq(mq_receive(other, text, sizeof(text), NULL), 4);
	return info.si_pid;
}

/* How many processes the manager has been told of since. */
static unsigned told(struct door *door)
{
	struct session_message message;
	unsigned count = 0;

	while (door_receive(door->channel, &message) == 1)
		count += message.type == SESSION_PROCESS;
	return count;
}

static bool is_noted(const struct door *door, pid_t pid)
{
	const struct processes *processes = &door_notes(door)->processes;

	for (uint32_t i = 0; i < processes->count; i++)
		if (processes->entries[i].pid == pid)
			return true;
	return false;
}

/* --- callers that are gone -------------------------------------------------------------------- */

Test(by_descriptor, another_process_of_its_number_is_not_noted)
{
	struct door door;
	pid_t gone;

	begin(&door, false, children, get_attributes);
	plan->caller_ends = true;
	(void)call_once(&door);
	gone = plan->caller;
	expect_call(&door, 0);
	cr_expect_not(is_noted(&door, gone));
	cr_expect(is_noted(&door, plan->caller));
	cr_expect_eq(door_notes(&door)->threads.count, 1U);
	cr_expect_eq(told(&door), 1U);
	finish(&door);
}

Test(by_descriptor, nothing_is_sent_for_who_is_gone)
{
	struct door door;

	begin(&door, true, children, send_text);
	plan->caller_ends = true;
	(void)call_once(&door);
	expect_call(&door, 0);
	cr_expect_eq(messages(other), 1);
	finish(&door);
}

Test(by_descriptor, nothing_is_taken_for_who_is_gone)
{
	struct door door;

	begin(&door, true, children, receive);
	cr_assert_eq(mq_send(other, "text", 4, 0), 0);
	plan->caller_ends = true;
	(void)call_once(&door);
	expect_call(&door, 4);
	cr_expect_eq(messages(other), 0);
	finish(&door);
}

/* What was noted of its number is another thread's. */
Test(by_descriptor, another_thread_of_its_number_is_noted_anew)
{
	struct process *entries;
	struct door door;

	begin(&door, false, same_thread, get_attributes);
	expect_call(&door, 0);
	entries = door_notes(&door)->processes.entries;
	cr_expect_eq(entries[0].pid, door.app);
	entries[0].pid = 1;
	expect_call(&door, 0);
	cr_expect(is_noted(&door, door.app));
	cr_expect_eq(told(&door), 2U);
	finish(&door);
}

Test(by_descriptor, a_process_is_noted_once)
{
	struct door door;

	begin(&door, false, same_thread, send_by_another_thread);
	for (int i = 0; i < 3; i++)
		cr_expect_eq(sender(&door), door.app);
	cr_expect_eq(door_notes(&door)->processes.count, 1U);
	cr_expect_eq(told(&door), 1U);
	finish(&door);
}

/* --- what cannot be noted --------------------------------------------------------------------- */

/* Who could not be killed later is not given its call back. */
Test(by_descriptor, of_whom_there_is_no_pidfd_calls_are_carried_out)
{
	struct door door;

	begin(&door, false, children, send_text);
	cr_expect_eq(sender(&door), plan->caller);
	plan->open_error = EMFILE;
	cr_expect_eq(sender(&door), door.session);
	cr_expect_not(is_noted(&door, plan->caller));
	finish(&door);
	begin(&door, false, children, register_and_remove);
	plan->open_error = EMFILE;
	expect_call(&door, -EACCES);
	finish(&door);
}

Test(by_descriptor, of_whom_the_process_is_not_known_none_is_noted)
{
	struct door door;

	begin(&door, false, same_thread, send_text);
	plan->status_error = EMFILE;
	cr_expect_eq(sender(&door), door.session);
	cr_expect_eq(door_notes(&door)->processes.count, 0U);
	finish(&door);
}

static void expect_none_noted(long (*then)(void), int process_error, int thread_error)
{
	struct door door;

	begin(&door, false, children, then);
	plan->process_error = process_error;
	plan->thread_error = thread_error;
	expect_call(&door, -EACCES);
	cr_expect_eq(messages(other), 0);
	plan->process_error = plan->thread_error = 0;
	expect_call(&door, 0);
	finish(&door);
}

Test(by_descriptor, past_the_bounds_nothing_is_done)
{
	expect_none_noted(send_text, ENOSPC, 0);
	expect_none_noted(register_and_remove, ENOSPC, 0);
	expect_none_noted(send_text, 0, ENOSPC);
	expect_none_noted(register_and_remove, 0, ENOSPC);
}

/* --- what cannot be told ---------------------------------------------------------------------- */

Test(by_descriptor, of_whom_the_manager_does_not_hear_calls_are_carried_out)
{
	struct door door;

	begin(&door, false, same_thread, send_text);
	plan->busy = 1;
	cr_expect_eq(sender(&door), door.session);
	cr_expect_eq(told(&door), 0U);
	plan->busy = 0;
	cr_expect_eq(sender(&door), door.app);
	cr_expect_eq(told(&door), 1U);
	cr_expect_eq(sender(&door), door.app);
	cr_expect_eq(told(&door), 0U, "once is enough");
	finish(&door);
}

Test(by_descriptor, the_manager_is_waited_for_where_nobody_else_could_do_it)
{
	struct door door;

	begin(&door, false, same_thread, register_and_remove);
	plan->busy = 5;
	expect_call(&door, -EACCES);
	cr_expect_eq(told(&door), 0U);
	plan->busy = 1;
	expect_call(&door, 0);
	cr_expect_eq(told(&door), 1U);
	finish(&door);
}

#define CHILDREN 5

static void call_as_many(struct stage *stage)
{
	pid_t children[CHILDREN];

	app_pause(stage);
	other = open_new(stage->other);
	for (int i = 0; i < CHILDREN; i++) {
		children[i] = fork();
		if (children[i] == 0) {
			(void)send_text();
			app_tell(stage);
			for (;;)
				(void)pause();
		}
		if (read(stage->go[0], &(char){0}, 1) != 1)
			_exit(112);
	}
	(void)kill(children[1], SIGKILL);
	(void)waitpid(children[1], NULL, 0);
	app_pause(stage);
	for (int i = 0; i < CHILDREN; i++)
		(void)kill(children[i], SIGKILL);
}

static void begin_many(struct door *door)
{
	struct mq_attr attributes = {.mq_maxmsg = 10, .mq_msgsize = 32};

	make_plan();
	door_open(door, NOBODY, NULL, call_as_many);
	other = mq_open(door->stage->other, O_RDWR | O_CREAT, 0600, &attributes);
	cr_assert_eq(fchown(other, NOBODY, NOBODY), 0);
	door_wait(door);
	door_grant_both(door, 0, PERMISSIONS_ALL);
	door_go(door);
	for (int i = 0; i < CHILDREN; i++) {
		door_wait(door);
		door_go(door);
	}
	door_wait(door);
	(void)told(door);
}

/* Those that live. */
Test(by_descriptor, the_next_manager_is_told_of_all)
{
	struct door door;

	begin_many(&door);
	door.process_count = 0;
	door_processes_unknown = true;
	plan->busy = 3;
	door_replace(&door);
	cr_expect_eq(door.process_count, CHILDREN - 1U, "%u", door.process_count);
	cr_expect_eq(plan->busy, 0);
	door_go(&door);
	door_close(&door);
}

/* Whoever cannot be told of could not be killed. */
Test(by_descriptor, who_cannot_tell_the_next_manager_ends)
{
	struct door door;

	begin_many(&door);
	door_processes_unknown = true;
	plan->busy = INT_MAX;
	door_replace_in_vain(&door);
	plan->busy = 0;
	plan->tell_error = EIO;
	door_replace_in_vain(&door);
	(void)kill(door.app, SIGKILL);
	door_close_killed(&door);
}

/* --- descriptors ------------------------------------------------------------------------------ */

Test(by_descriptor, what_is_used_is_what_was_checked)
{
	struct door door;
	mqd_t lost;

	begin(&door, true, same_thread, send_text);
	lost = mq_open(door.stage->queue, O_RDONLY);
	plan->is_exchanged = true;
	expect_call(&door, -EBADF);
	cr_expect_eq(messages(lost), 0);
	cr_expect_eq(messages(other), 0);
	plan->is_exchanged = false;
	expect_call(&door, 0);
	cr_expect_eq(messages(other), 1);
	finish(&door);
}

/* Not as if there were none. */
Test(by_descriptor, what_cannot_be_taken_is_refused)
{
	static const int errors[] = {EMFILE, ENFILE, ENOMEM};
	struct door door;

	begin(&door, true, same_thread, send_text);
	for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
		plan->copy_error = errors[i];
		expect_call(&door, -EACCES);
	}
	plan->copy_error = EBADF;
	expect_call(&door, -EBADF);
	finish(&door);
	begin(&door, true, same_thread, send_to_no_queue);
	expect_call(&door, -EBADF);
	cr_expect_eq(plan->copies, 0, "what serves it could hold up whoever closes a copy");
	finish(&door);
}

static long send_or_receive_at_once(void)
{
	(void)fcntl(other, F_SETFL, O_NONBLOCK);
	return send_or_receive();
}

/* That there is nothing nobody has refused. */
Test(by_descriptor, what_was_carried_out_counts)
{
	const struct counters *counters;
	struct door door;

	begin(&door, true, same_thread, send_or_receive_at_once);
	expect_call(&door, 0);
	plan->is_to_receive = true;
	expect_call(&door, 4);
	expect_call(&door, -EAGAIN);
	counters = &door_notes(&door)->head.counted[0].counters;
	cr_expect_eq(counters->sent, 1U);
	cr_expect_eq(counters->received, 1U);
	cr_expect_eq(counters->refused, 0U);
	finish(&door);
}

/* --- waiting ---------------------------------------------------------------------------------- */

Test(by_descriptor, who_cannot_wait_is_refused)
{
	unsigned before;
	struct door door;

	begin(&door, true, same_thread, receive);
	plan->is_full = true;
	expect_call(&door, -EACCES);
	expect_call(&door, -EACCES);
	before = door_count_links(&door, "");
	expect_call(&door, -EACCES);
	cr_expect_leq(door_count_links(&door, ""), before);
	finish(&door);
}

/* Its queue is held, and nothing more can be opened. */
Test(by_descriptor, who_cannot_wait_for_want_of_descriptors_is_refused)
{
	const struct rlimit least = {3, 3};
	struct door door;
	char text[32];

	begin(&door, true, same_thread, send_or_receive);
	expect_call(&door, 0);
	cr_expect_eq(mq_receive(other, text, sizeof(text), NULL), 4);
	plan->is_to_receive = true;
	cr_assert_eq(prlimit(door.session, RLIMIT_NOFILE, &least, NULL), 0);
	expect_call(&door, -EACCES);
	finish(&door);
}

Test(by_descriptor, whose_time_is_over_does_not_wait)
{
	struct door door;

	begin(&door, true, same_thread, receive_in_vain);
	plan->is_full = true;
	expect_call(&door, -ETIMEDOUT);
	finish(&door);
}

/* --- watching --------------------------------------------------------------------------------- */

/* Given back, and not seen to have come out: it may have registered anywhere. */
Test(by_descriptor, who_is_not_seen_to_come_out_is_killed)
{
	struct door door;

	begin(&door, true, children, register_and_stay);
	plan->watch_error = ETIMEDOUT;
	plan->is_answered = true;
	expect_call(&door, 1);
	expect_call(&door, 1);
	for (int i = 0; i < 1000 && door_count_links(&door, door.stage->queue) > 0; i++)
		(void)usleep(1000);
	cr_expect_eq(door_count_links(&door, door.stage->queue), 0U, "what was looked at");
	plan->is_answered = false;
	expect_call(&door, -EACCES);
	plan->watch_error = EPERM;
	expect_call(&door, -EACCES);
	finish(&door);
}

/* Where a queue may not be read each mq_notify is watched, and nothing else. */
Test(by_descriptor, who_receives_is_not_watched)
{
	struct door door;

	make_plan();
	call = receive;
	plan->watch_error = EPERM;
	door_open(&door, NOBODY, NULL, same_thread);
	door_begin(&door, PERMISSION_WRITE, PERMISSIONS_ALL);
	cr_expect(door_notes(&door)->watching);
	other = mq_open(door.stage->other, O_RDWR | O_NONBLOCK);
	cr_assert_eq(mq_send(other, "text", 4, 0), 0);
	expect_call(&door, 4);
	finish(&door);
}

/* --- threads of two architectures ------------------------------------------------------------- */

#if defined(__x86_64__)

static bool can_int_0x80(void)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0)
		_exit(int_0x80(20, NULL, 0) != getpid());
	(void)waitpid(child, &status, 0);
	return status == 0;
}

static long get_attributes_by_int_0x80(void)
{
	(void)get_attributes();
	return int_0x80_all(282, (const long[5]){other, 0, 0});
}

/* By it is told what the thread waits in. */
Test(by_descriptor, which_calls_a_thread_makes_is_noted)
{
	struct door door;

	if (!can_int_0x80())
		machine_lacks("has no 32-bit calls");
	begin(&door, false, same_thread, get_attributes_by_int_0x80);
	(void)call_once(&door);
	cr_expect_eq(door_notes(&door)->threads.entries[0].arch, compat_arch);
	finish(&door);
}

#endif
