/* SPDX-License-Identifier: MIT */
/* Stopping a thread of an app for a moment, and having it make one call of ours meanwhile.
 *
 * The contract with the kernel (what is another matter on each architecture: machine.h):
 *
 * - A thread that is stopped by PTRACE_INTERRUPT stops where signals are delivered, just before it
 * returns to its program. A call that it was blocked in has returned one of the ERESTART errors
 * there, and the kernel decides only after the stop, by the registers that it then finds, how the
 * call is restarted. So whatever is done between two such stops leaves no trace if the second one
 * puts the registers of the first one back.
 * - On aarch64 it has put the registers back to before the call already, and remembers what the
 * call returned for this one stop only: after a second one a signal would no longer make the call
 * fail. So a thread that goes on at a call makes it, and is asked to stop meanwhile; at the exit of
 * the call (PTRACE_SYSCALL) it is seen what it returns, and the same is returned by our call in its
 * place at the second stop. To make its call again is what it would have done anyway.
 * - Between them the thread makes our call, from a system call instruction that it has anyway: the
 * one it is in, or one of the vdso. It is stopped at the entry and at the exit of that call
 * (PTRACE_SYSCALL), and asked for the second stop while it stands at the exit. So not one
 * instruction of the program is executed with our registers, whatever becomes of the call. It
 * passes the filter like any other, and arrives at our own listener: that is what hooks->serve is
 * for.
 * - All signals are blocked meanwhile; putting the mask back makes the kernel look for them again.
 * It takes a mask of sigsuspend() away, which the restarted sigsuspend() sets again.
 * - Some calls fail with EINTR when they are stopped (disturb.h). If no signal is there for the
 * thread, the stop was the reason, and the call is made again from its beginning.
 * - The kernel aborts a restartable sequence in which a thread was stopped when it goes on. Our
 * call would take that away: the kernel would find the thread outside of the sequence, and forget
 * it. So for a thread inside one the place where it goes on is the abort handler, which is all that
 * the kernel does. A sequence that the kernel might treat in another way is left to the kernel: the
 * thread is let go, and tried again.
 * - A program that has its calls dispatched to itself (PR_SET_SYSCALL_USER_DISPATCH) would get ours
 * as a SIGSYS. It is left alone, where the kernel tells (6.4).
 * - If this process dies during the detour, the kernel kills the app (PTRACE_O_EXITKILL): it would
 * go on with wrong registers. */
#include "detour.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "include/compat.h"
#include "include/syscalls.h"
#include "include/util.h"
#include "seize.h"
#include "sequence.h"

#define STOP_CHECK_USEC 50
#define SEIZE_USEC      200000 /* while another session process looks at it */
#define RUNNING_USEC    100000 /* for one that was to stop again */
#define VDSO_SIZE_MAX   65536

static long trace(int request, const struct detour *detour, void *address, void *data)
{
	return ptrace(request, detour->tid, address, data) < 0 ? -errno : 0;
}

enum stop {
	STOP_NOT_YET,
	STOP_GONE,
	STOP_ASKED,   /* by PTRACE_INTERRUPT, or a stop of the whole process */
	STOP_SYSCALL, /* at the entry or the exit of a call */
	STOP_SIGNAL,  /* to deliver a signal */
};

static enum stop look_for_stop(pid_t tid, int *ret_signal)
{
	int status;
	pid_t r = waitpid(tid, &status, WNOHANG | __WALL);

	if (r == 0)
		return STOP_NOT_YET;
	if (r < 0 || !WIFSTOPPED(status))
		return STOP_GONE;
	*ret_signal = WSTOPSIG(status);
	if (status >> 16 == PTRACE_EVENT_STOP)
		return STOP_ASKED;
	return WSTOPSIG(status) == SEIZE_SYSCALL_STOP ? STOP_SYSCALL : STOP_SIGNAL;
}

static enum stop wait_for_stop(struct detour *detour, int *ret_signal)
{
	for (;;) {
		/* It may be us who did not get to run: a last look comes after the deadline. */
		uint64_t now = now_usec();
		enum stop stop = look_for_stop(detour->tid, ret_signal);

		if (stop != STOP_NOT_YET || now > detour->deadline ||
			detour->hooks->serve(detour->hooks->context) < 0)
			return stop;
		/* Its own call may have been what was served, and waits now: it could not stop. */
		detour->hooks->release(detour->hooks->context, detour->tid);
		(void)usleep(STOP_CHECK_USEC);
	}
}

/* A stopped thread keeps its number. */
static int open_target(struct detour *detour)
{
	return detour->target.proc >= 0 ? 0 : target_open(detour->tid, &detour->target);
}

/* The first stop. A signal on its way goes on it before. */
static enum stop wait_until_stopped(struct detour *detour)
{
	for (;;) {
		int signal = 0;
		enum stop stop = wait_for_stop(detour, &signal);

		if (stop == STOP_ASKED || stop == STOP_NOT_YET || stop == STOP_GONE)
			return stop;
		/* That is what has ended its call. */
		if (open_target(detour) < 0 || target_heeds(&detour->target, signal))
			detour->noted = (struct machine_call){0};
		if (trace(PTRACE_CONT, detour, NULL, (void *)(long)signal) < 0)
			return STOP_GONE;
	}
}

/* Resumes it until a stop of this kind. Signals are blocked, but for SIGSTOP, which is kept for
 * later, and for faults, which must not be. -EINPROGRESS: it has not stopped by the deadline. */
static int go_on_until(struct detour *detour, int request, enum stop wanted)
{
	for (;;) {
		int signal = 0;
		enum stop stop;

		if (trace(request, detour, NULL, NULL) < 0)
			return -ESRCH;
		stop = wait_for_stop(detour, &signal);
		if (stop == wanted)
			return 0;
		if (stop == STOP_GONE || stop == STOP_NOT_YET)
			return stop == STOP_GONE ? -ESRCH : -EINPROGRESS;
		if (stop == STOP_SIGNAL && signal == SIGSTOP)
			detour->held_stop = true;
		else if (stop != STOP_ASKED)
			return -EIO;
	}
}

static int read_app(struct detour *detour, uint64_t address, void *buffer, size_t size)
{
	struct app_memory memory = target_memory(&detour->target);

	return memory.read(memory.context, address, buffer, size);
}

static int find_vdso(const struct detour *detour, uint64_t *ret_start, uint64_t *ret_end)
{
	_cleanup_close_ int fd = openat(detour->target.proc, "maps", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t allocated = 0;

	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f)
		return -EIO;
	(void)take_fd(&fd);
	while (getline(&line, &allocated, f) > 0)
		if (strstr(line, " [vdso]\n") &&
			sscanf(line, "%" SCNx64 "-%" SCNx64, ret_start, ret_end) == 2)
			return 0;
	return -ENOENT;
}

/* Not where it goes on: the kernel, which compares the two, takes that for another call. */
static int find_in_vdso(struct detour *detour)
{
	_cleanup_free_ uint8_t *code = NULL;
	uint64_t start, end;
	int r = find_vdso(detour, &start, &end);

	if (r < 0)
		return r;
	if (end - start > VDSO_SIZE_MAX)
		return -EIO;
	code = malloc(end - start);
	if (!code || read_app(detour, start, code, end - start) < 0)
		return -EIO;
	for (uint64_t i = 0; i + MACHINE_INSTRUCTION_SIZE <= end - start;
		i += MACHINE_INSTRUCTION_ALIGN)
		if (start + i != machine_place(&detour->saved) &&
			machine_enters(&detour->saved, code + i, &detour->compat)) {
			detour->instruction = start + i;
			return 0;
		}
	return -ENOENT;
}

static bool enters_at(struct detour *detour, uint64_t place, bool *ret_compat)
{
	uint8_t code[MACHINE_INSTRUCTION_SIZE];

	return read_app(detour, place, code, sizeof(code)) == 0 &&
	       machine_enters(&detour->saved, code, ret_compat);
}

static void find_call(struct detour *detour)
{
	uint64_t place = machine_call_place(&detour->saved);

	detour->in_call = place != 0 && enters_at(detour, place, &detour->compat);
	if (detour->in_call)
		detour->instruction = place;
}

/* Whatever the bytes belong to, executing them enters the kernel, and nothing after them is. */
static int find_instruction(struct detour *detour)
{
	return detour->in_call && !MACHINE_RESTARTS_EARLY ? 0 : find_in_vdso(detour);
}

/* True if it is in no restartable sequence, or no more. */
static bool leave_sequence(struct detour *detour)
{
	uint64_t abort = 0;

	/* A call must not be made from inside one. */
	if (!detour->in_call && sequence_find(detour->tid, target_memory(&detour->target),
					machine_place(&detour->saved), &abort) < 0)
		return false;
	if (abort != 0) {
		machine_go_to(&detour->saved, abort);
		detour->moved = true;
	}
	return true;
}

/* Since 6.4. */
struct dispatch_configuration {
	uint64_t mode, selector, offset, length;
};
#define GET_DISPATCH_CONFIGURATION 0x4211

static bool dispatches_calls(struct detour *detour)
{
	struct dispatch_configuration configuration = {0};

	return trace(GET_DISPATCH_CONFIGURATION, detour, (void *)sizeof(configuration),
		       &configuration) == 0 &&
	       configuration.mode != 0;
}

static uint32_t arch_of(const struct detour *detour)
{
	return detour->compat ? compat_arch : native_arch;
}

static int number_of_call(const struct detour *detour, enum mq_call call)
{
	const struct intercepted_call *row;

	for (size_t i = 0; (row = intercepted_call_at(i)); i++)
		if (row->arch == arch_of(detour) && row->call == call)
			return row->nr;
	return -ENOSYS;
}

void detour_describe(
	const struct detour *detour, const struct forced_call *call, struct seccomp_data *ret)
{
	*ret = (struct seccomp_data){.nr = number_of_call(detour, call->call),
		.arch = arch_of(detour),
		.instruction_pointer = detour->instruction + MACHINE_INSTRUCTION_SIZE};
	for (size_t i = 0; i < ELEMENTSOF(call->arguments); i++)
		ret->args[i] = detour->compat ? (uint32_t)call->arguments[i] : call->arguments[i];
}

static int enter(struct detour *detour, const struct forced_call *call)
{
	struct machine machine = detour->saved;
	uint64_t all = UINT64_MAX;
	long r;

	machine_go_to(&machine, detour->instruction);
	machine_set_call(
		&machine, number_of_call(detour, call->call), call->arguments, detour->compat);
	detour->moved = true;
	r = trace(PTRACE_SETOPTIONS, detour, NULL,
		(void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	r = r < 0 ? r : trace(PTRACE_SETSIGMASK, detour, (void *)sizeof(all), &all);
	return r < 0 ? (int)r : machine_write(detour->tid, &machine);
}

/* Stopped at the exit of our call: it becomes the exit of its own, which asked for a restart. */
static int exit_as_its_own(struct detour *detour, struct machine *machine)
{
	if (detour->restart == 0)
		return 0;
	machine_set_result(machine, detour->restart);
	machine_go_to(machine, machine_place(&detour->saved) + MACHINE_INSTRUCTION_SIZE);
	return machine_write(detour->tid, machine);
}

/* Stopped at the exit: to the place where the first stop was. */
static int go_back(struct detour *detour)
{
	if (trace(PTRACE_INTERRUPT, detour, NULL, NULL) < 0)
		return -ESRCH;
	return go_on_until(detour, PTRACE_CONT, STOP_ASKED);
}

static bool ended_by_stop(struct detour *detour)
{
	bool compat;

	return detour->signal == 0 && machine_was_broken_off(&detour->saved, &detour->noted) &&
	       open_target(detour) == 0 &&
	       enters_at(
		       detour, machine_place(&detour->saved) - MACHINE_INSTRUCTION_SIZE, &compat) &&
	       !target_has_signal(&detour->target);
}

/* With the mask as it was: a signal that is there for the thread is a reason of its own. */
static int put_back(struct detour *detour)
{
	long r = 0;

	if (detour->moved)
		r = trace(PTRACE_SETSIGMASK, detour, (void *)sizeof(detour->mask), &detour->mask);
	if (ended_by_stop(detour)) {
		machine_rewind(&detour->saved, &detour->noted);
		detour->moved = true;
	}
	return r == 0 && detour->moved ? machine_write(detour->tid, &detour->saved) : (int)r;
}

int detour_let_go(struct detour *detour)
{
	long r = put_back(detour);

	if (r == 0)
		r = trace(PTRACE_SETOPTIONS, detour, NULL, NULL);
	if (r == 0)
		r = trace(PTRACE_DETACH, detour, NULL, (void *)(long)detour->signal);
	if (r == 0 && detour->held_stop)
		(void)kill(detour->tid, SIGSTOP);
	target_close(&detour->target);
	return (int)r;
}

/* What does not get to run, in a control group that is frozen, can be stopped again, and is where
 * it was. -EAGAIN: so it is. */
static int stop_where_it_was(struct detour *detour, uint64_t deadline)
{
	int signal = 0;

	if (trace(PTRACE_INTERRUPT, detour, NULL, NULL) < 0)
		return -ESRCH;
	detour->deadline = deadline;
	switch (wait_for_stop(detour, &signal)) {
	case STOP_ASKED:
		return -EAGAIN;
	case STOP_SYSCALL:
		return 0;
	default:
		return -EIO;
	}
}

/* To the entry of our call, of which nothing keeps it but that it does not run. One that is only
 * waiting for a processor comes to either stop in the end. */
static int reach_entry(struct detour *detour, uint64_t patience, uint64_t deadline)
{
	int r;

	detour->deadline = MIN(deadline, now_usec() + patience);
	r = go_on_until(detour, PTRACE_SYSCALL, STOP_SYSCALL);
	if (r == -EINPROGRESS)
		r = stop_where_it_was(detour, deadline);
	detour->deadline = deadline;
	return r;
}

static enum force_result make(
	struct detour *detour, const struct forced_call *call, uint64_t patience, uint64_t deadline)
{
	struct machine machine;
	int64_t result;
	int r = enter(detour, call);

	r = r < 0 ? r : reach_entry(detour, patience, deadline);
	if (r == -EAGAIN)
		return FORCE_LATER;
	if (r < 0 || go_on_until(detour, PTRACE_SYSCALL, STOP_SYSCALL) < 0 ||
		machine_read(detour->tid, &machine) < 0)
		return FORCE_BROKEN;
	result = machine_result(&machine);
	if (exit_as_its_own(detour, &machine) < 0 || go_back(detour) < 0)
		return FORCE_BROKEN;
	return result == 0 ? FORCE_DONE : FORCE_FAILED;
}

enum force_result detour_make(
	struct detour *detour, const struct forced_call *call, uint64_t patience, uint64_t deadline)
{
	struct machine_vectors vectors;
	enum force_result result;

	if (machine_save_vectors(detour->tid, &vectors) < 0)
		return FORCE_LATER;
	result = make(detour, call, patience, deadline);
	if (result != FORCE_BROKEN && machine_restore_vectors(detour->tid, &vectors) < 0)
		result = FORCE_BROKEN;
	free(vectors.data);
	return result;
}

static int save(struct detour *detour)
{
	int r = machine_read(detour->tid, &detour->saved);

	return r < 0 ? r
		     : (int)trace(PTRACE_GETSIGMASK, detour, (void *)sizeof(detour->mask),
			       &detour->mask);
}

/* Resumes it, with nothing of its own changed, until a stop of this kind. -EAGAIN: there is a
 * signal for it, which it will have when it is let go of; or it has not stopped. */
static int follow_until(struct detour *detour, enum stop wanted)
{
	enum stop stop;
	int signal = 0;

	do {
		if (trace(PTRACE_SYSCALL, detour, NULL, NULL) < 0)
			return -ESRCH;
		stop = wait_for_stop(detour, &signal);
	} while (stop == STOP_ASKED && stop != wanted && now_usec() <= detour->deadline);
	if (stop == STOP_SIGNAL)
		detour->signal = signal;
	detour->running = stop == STOP_NOT_YET;
	return stop == wanted ? 0 : stop == STOP_GONE ? -ESRCH : -EAGAIN;
}

/* Asks it to stop while it goes on from the stop that it is in: each stop takes an earlier request
 * away. */
static int stop_again(struct detour *detour, enum stop wanted)
{
	long r = trace(PTRACE_INTERRUPT, detour, NULL, NULL);

	return r < 0 ? (int)r : follow_until(detour, wanted);
}

/* It is about to make a call; it makes it, and is stopped meanwhile. Then it goes on behind it, or
 * at a call that is to be restarted, and it is known how. */
static int see_restart(struct detour *detour)
{
	struct machine machine;
	int64_t result;
	int r = follow_until(detour, STOP_SYSCALL);

	r = r < 0 ? r : machine_read(detour->tid, &machine);
	if (r < 0)
		return r;
	machine_note_entry(&machine, &detour->noted);
	r = stop_again(detour, STOP_SYSCALL);
	r = r < 0 ? r : machine_read(detour->tid, &machine);
	if (r < 0)
		return r;
	result = machine_result(&machine);
	detour->restart = result >= -ERESTART_RESTARTBLOCK && result <= -ERESTARTSYS ? result : 0;
	r = stop_again(detour, STOP_ASKED);
	return r < 0 ? r : save(detour);
}

enum force_result detour_prepare(struct detour *detour, uint64_t deadline)
{
	int r;

	if (open_target(detour) < 0)
		return FORCE_GONE;
	if (!machine_is_known(&detour->saved))
		return FORCE_NEVER;
	find_call(detour);
	if (find_instruction(detour) < 0 || dispatches_calls(detour))
		return FORCE_NEVER;
	if (!detour->in_call || !MACHINE_RESTARTS_EARLY)
		return leave_sequence(detour) ? FORCE_DONE : FORCE_LATER;
	detour->deadline = deadline;
	r = see_restart(detour);
	if (detour->running) {
		int stopped = stop_where_it_was(detour, now_usec() + RUNNING_USEC);

		detour->running = stopped != 0 && stopped != -EAGAIN;
	}
	if (r < 0)
		return r == -ESRCH ? FORCE_GONE : FORCE_LATER;
	/* It may have executed another program. */
	target_close(&detour->target);
	return open_target(detour) == 0 && machine_is_known(&detour->saved) &&
			       find_instruction(detour) == 0
		       ? FORCE_DONE
		       : FORCE_LATER;
}

int detour_ask(pid_t tid, const struct force_hooks *hooks, struct detour *ret)
{
	struct detour detour = {.tid = tid, .target = TARGET_CLOSED, .hooks = hooks};
	long r = seize(tid, PTRACE_O_TRACESYSGOOD, now_usec() + SEIZE_USEC);

	if (r == 0) {
		machine_note_call(tid, &detour.noted);
		r = trace(PTRACE_INTERRUPT, &detour, NULL, NULL);
	}
	if (r < 0)
		return r == -ESRCH ? -ESRCH : -EPERM;
	hooks->release(hooks->context, tid);
	*ret = detour;
	return 0;
}

int detour_await(struct detour *detour, uint64_t deadline)
{
	detour->deadline = deadline;
	switch (wait_until_stopped(detour)) {
	case STOP_ASKED:
		return save(detour) < 0 ? -ESRCH : 0;
	case STOP_NOT_YET:
		return -EINPROGRESS;
	case STOP_GONE:
	case STOP_SYSCALL:
	case STOP_SIGNAL:
		break;
	}
	return -ESRCH;
}

void detour_undo(pid_t tid, const struct machine_call *noted)
{
	struct detour detour = {.tid = tid, .target = TARGET_CLOSED, .noted = *noted};

	if (machine_read(tid, &detour.saved) < 0)
		return;
	if (ended_by_stop(&detour)) {
		machine_rewind(&detour.saved, noted);
		(void)machine_write(tid, &detour.saved);
	}
	detour_forget(&detour);
}

void detour_forget(struct detour *detour)
{
	target_close(&detour->target);
}
