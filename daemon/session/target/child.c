/* SPDX-License-Identifier: MIT */
/* Work that an app can hold up, done by a disposable child.
 *
 * A thread that executes a program holds locks for which PTRACE_SEIZE and several files of /proc
 * wait: for as long as somebody keeps a lease on the program's interpreter, or the server of a FUSE
 * file takes to let it be closed. Some of these waits end by no signal but SIGKILL, so nothing in
 * the waiting process can put a bound to them. A child can be killed; the kernel then lets go of
 * everything that it traced.
 *
 * A child that does not get to run is not held up: only a step in which it sleeps counts. */
#include "child.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "include/task.h"
#include "include/util.h"

#define CHECK_LEAST_USEC 50
#define CHECK_MOST_USEC  1000
#define DEATH_USEC       100000 /* for a child that was killed; then it is left */

/* Shared with the parent. 0: it does nothing that may wait. */
static volatile uint64_t *busy_since;

void step_begin(void)
{
	if (busy_since)
		*busy_since = now_usec();
}

void step_end(void)
{
	if (busy_since)
		*busy_since = 0;
}

static bool is_held_up(pid_t child, uint64_t since, uint64_t step_usec)
{
	struct task task;

	return since != 0 && now_usec() - since > step_usec &&
	       task_read_by_number(child, &task) == 0 && (task.state == 'S' || task.state == 'D');
}

static int reap(pid_t child, uint64_t usec)
{
	uint64_t deadline = now_usec() + usec;
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (now_usec() > deadline)
			return -ETIMEDOUT;
		(void)usleep(CHECK_LEAST_USEC);
	}
	return 0;
}

static int watch(pid_t child, const volatile uint64_t *busy, uint64_t step_usec, uint64_t deadline)
{
	useconds_t pause = CHECK_LEAST_USEC;
	int status;

	for (;;) {
		bool late = now_usec() > deadline;
		uint64_t since = *busy;

		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
		if (late)
			return -ETIME;
		if (is_held_up(child, since, step_usec) && *busy == since)
			return -ETIMEDOUT;
		(void)usleep(pause);
		pause = MIN(2 * pause, (useconds_t)CHECK_MOST_USEC);
	}
}

static int run(void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline,
	volatile uint64_t *busy)
{
	pid_t child = task_fork();
	int r;

	if (child < 0)
		return -errno;
	if (child == 0) {
		busy_since = busy;
		work(context);
		_exit(EXIT_SUCCESS);
	}
	r = watch(child, busy, step_usec, deadline);
	if (r == -ETIME || r == -ETIMEDOUT) {
		(void)kill(child, SIGKILL);
		(void)reap(child, DEATH_USEC);
	}
	return r;
}

void *child_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void child_memory_free(void *memory, size_t size)
{
	(void)munmap(memory, size);
}

int child_run(void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline)
{
	void *busy = child_memory(sizeof(*busy_since));
	int r;

	if (!busy)
		return -ENOMEM;
	r = run(work, context, step_usec, deadline, busy);
	child_memory_free(busy, sizeof(*busy_since));
	return r;
}

/* --- by a thread ----------------------------------------------------------------------------- */

#define LEAVE SIGSYS /* nobody sends it */

static bool by_thread;

/* The disposable thread. One that could not be ended is never waited for again; as long as it is
 * there, there is no other. */
static struct looker {
	void (*work)(void *context);
	void *context;
	pthread_t thread;
	bool begun;
	volatile uint64_t busy;
	volatile pid_t tid;
} looker;

/* Comes before anything else that the thread would do: it never sees again what it was given. */
static void leave(int number)
{
	(void)syscall(SYS_exit, number);
}

static void set_leaving(int how)
{
	sigset_t one;

	(void)sigemptyset(&one);
	(void)sigaddset(&one, LEAVE);
	(void)pthread_sigmask(how, &one, NULL);
}

static void *look(void *argument)
{
	struct looker *self = argument;

	/* Known before it can leave: has_gone() asks by it. */
	self->tid = (pid_t)syscall(SYS_gettid);
	set_leaving(SIG_UNBLOCK);
	self->work(self->context);
	set_leaving(SIG_BLOCK);
	return NULL;
}

/* What it traced is let go by then. */
static bool has_gone(const struct looker *self)
{
	return self->tid != 0 && syscall(SYS_tgkill, getpid(), self->tid, 0) < 0;
}

static int watch_thread(const struct looker *self, uint64_t step_usec, uint64_t deadline)
{
	for (useconds_t pause = CHECK_LEAST_USEC; !has_gone(self);
		pause = MIN(2 * pause, (useconds_t)CHECK_MOST_USEC)) {
		bool late = now_usec() > deadline;
		uint64_t since = self->busy;

		if (late)
			return -ETIME;
		if (self->tid != 0 && is_held_up(self->tid, since, step_usec) &&
			self->busy == since)
			return -ETIMEDOUT;
		(void)usleep(pause);
	}
	return 0;
}

static void end_thread(struct looker *self)
{
	uint64_t deadline = now_usec() + DEATH_USEC;

	(void)pthread_kill(self->thread, LEAVE);
	while (!has_gone(self) && now_usec() < deadline)
		(void)usleep(CHECK_LEAST_USEC);
}

static int run_thread(
	void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline)
{
	int r;

	if (looker.begun && !has_gone(&looker))
		return -EBUSY;
	looker = (struct looker){.work = work, .context = context};
	busy_since = &looker.busy;
	r = -pthread_create(&looker.thread, NULL, look, &looker);
	looker.begun = r == 0;
	if (r == 0)
		r = watch_thread(&looker, step_usec, deadline);
	busy_since = NULL;
	if (r == -ETIME || r == -ETIMEDOUT)
		end_thread(&looker);
	if (looker.begun && has_gone(&looker)) {
		(void)pthread_join(looker.thread, NULL);
		looker.begun = false;
	}
	return r;
}

void child_look_by_thread(void)
{
	/* Not while it begins or ends: it has locks of the C library's then. */
	set_leaving(SIG_BLOCK);
	by_thread = signal(LEAVE, leave) != SIG_ERR;
}

int child_look(void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline)
{
	return by_thread ? run_thread(work, context, step_usec, deadline)
			 : child_run(work, context, step_usec, deadline);
}
