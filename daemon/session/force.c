/* SPDX-License-Identifier: MIT */
/* Having a thread of an app make one call of ours: mq_notify(fd, NULL).
 *
 * A registration for notification belongs to the process that made it, and the kernel lets nobody
 * else remove it. So one of its threads has to, without noticing.
 *
 * The contract with the kernel (x86-64):
 *
 * - A thread that is stopped by PTRACE_INTERRUPT stops where signals are delivered, just before it
 * returns to its program. A call that it was blocked in has returned one of the ERESTART errors
 * there, and the kernel decides only after the stop, by the registers that it then finds, how the
 * call is restarted. So whatever is done between two such stops leaves no trace if the second one
 * puts the registers of the first one back.
 * - Between them the thread makes our call, from a system call instruction that it has anyway: the
 * one it is in, or one of the vdso. It is stopped at the entry and at the exit of that call
 * (PTRACE_SYSCALL), and asked for the second stop while it stands at the exit. So not one
 * instruction of the program is executed with our registers, whatever becomes of the call. It
 * passes the filter like any other, and arrives at our own listener: that is what hooks->serve is
 * for.
 * - All signals are blocked meanwhile; putting the mask back makes the kernel look for them again.
 * It takes a mask of sigsuspend() away, which the restarted sigsuspend() sets again.
 * - Some calls fail with EINTR when they are stopped (epoll_wait, sigtimedwait). If no signal is
 * there for the thread, the stop was the reason, and the call is made again from its beginning.
 * - A restartable sequence that is interrupted has to be aborted by the kernel, which the detour
 * would prevent. A thread inside one is let go, and tried again.
 * - If this process dies during the detour, the kernel kills the app (PTRACE_O_EXITKILL): it would
 * go on with wrong registers. */
#include "force.h"

#include "include/util.h"

#if defined(__x86_64__)

#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "include/compat.h"
#include "include/syscalls.h"
#include "target.h"

#define STOP_CHECK_USEC 50
#define PATIENCE_USEC   50000 /* for the first stop; then others are tried */
#define VDSO_SIZE_MAX   65536
#define CODE_SEGMENT_64 0x33
#define CODE_SEGMENT_32 0x23
#define SYSCALL_STOP    (SIGTRAP | 0x80)

struct detour {
	pid_t tid;
	struct target target;
	const struct force_hooks *hooks;
	uint64_t deadline; /* of what is waited for now */
	struct user_regs_struct saved;
	uint64_t mask;
	uint64_t instruction; /* where to enter the kernel */
	bool compat;          /* by int 0x80 */
	bool in_call;         /* it was stopped in a call, whose instruction is the one before */
	bool held_stop;       /* a SIGSTOP came meanwhile */
};

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
	return WSTOPSIG(status) == SYSCALL_STOP ? STOP_SYSCALL : STOP_SIGNAL;
}

static enum stop wait_for_stop(struct detour *detour, int *ret_signal)
{
	for (;;) {
		enum stop stop = look_for_stop(detour->tid, ret_signal);

		if (stop != STOP_NOT_YET || now_usec() > detour->deadline ||
			detour->hooks->serve(detour->hooks->context) < 0)
			return stop;
		(void)usleep(STOP_CHECK_USEC);
	}
}

/* The first stop. A signal on its way goes on it before. */
static enum stop wait_until_stopped(struct detour *detour)
{
	for (;;) {
		int signal = 0;
		enum stop stop = wait_for_stop(detour, &signal);

		if (stop == STOP_ASKED || stop == STOP_NOT_YET || stop == STOP_GONE)
			return stop;
		if (trace(PTRACE_CONT, detour, NULL, (void *)(long)signal) < 0)
			return STOP_GONE;
	}
}

/* Resumes it until a stop of this kind. Signals are blocked, but for SIGSTOP, which is kept for
 * later, and for faults, which must not be. */
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
		if (stop == STOP_GONE)
			return -ESRCH;
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

static bool is_entry(const uint8_t code[2], bool compat_code, bool *ret_compat)
{
	*ret_compat = code[0] == 0xcd && code[1] == 0x80;
	return *ret_compat || (!compat_code && code[0] == 0x0f && code[1] == 0x05);
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

static int find_in_vdso(struct detour *detour, bool compat_code)
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
	for (uint64_t i = 0; i + 1 < end - start; i++)
		if (is_entry(code + i, compat_code, &detour->compat)) {
			detour->instruction = start + i;
			return 0;
		}
	return -ENOENT;
}

/* Whatever the bytes belong to, executing them enters the kernel, and nothing after them is. */
static int find_instruction(struct detour *detour)
{
	const struct user_regs_struct *saved = &detour->saved;
	bool compat_code = saved->cs == CODE_SEGMENT_32;
	uint8_t code[2];

	if (saved->cs != CODE_SEGMENT_64 && !compat_code)
		return -EOPNOTSUPP;
	detour->in_call = (long)saved->orig_rax >= 0 &&
			  read_app(detour, saved->rip - 2, code, sizeof(code)) == 0 &&
			  is_entry(code, compat_code, &detour->compat);
	if (!detour->in_call)
		return find_in_vdso(detour, compat_code);
	detour->instruction = saved->rip - 2;
	return 0;
}

/* Since 5.13. */
struct rseq_configuration {
	uint64_t address;
	uint32_t size, signature, flags, reserved;
};
#define GET_RSEQ_CONFIGURATION 0x420f
#define RSEQ_CS_OFFSET         8
struct sequence {
	uint32_t version, flags;
	uint64_t start, length, abort;
};

/* True unless it is certainly not inside a restartable sequence. */
static bool is_in_sequence(struct detour *detour)
{
	struct rseq_configuration configuration = {0};
	struct sequence sequence;
	uint64_t address;

	/* A call must not be made from inside one. */
	if (detour->in_call)
		return false;
	if (ptrace(GET_RSEQ_CONFIGURATION, detour->tid, sizeof(configuration), &configuration) < 0)
		return errno != EIO && errno != EINVAL;
	if (configuration.address == 0)
		return false;
	if (read_app(detour, configuration.address + RSEQ_CS_OFFSET, &address, sizeof(address)) < 0)
		return true;
	if (address == 0)
		return false;
	if (read_app(detour, address, &sequence, sizeof(sequence)) < 0)
		return true;
	return detour->saved.rip - sequence.start < sequence.length;
}

static int number_of_call(bool compat)
{
	uint32_t arch = compat ? compat_arch : native_arch;

	for (size_t i = 0;; i++) {
		const struct intercepted_call *row = intercepted_call_at(i);

		if (!row)
			return -ENOSYS;
		if (row->arch == arch && row->call == MQ_CALL_NOTIFY)
			return row->nr;
	}
}

static int enter(struct detour *detour, int fd)
{
	struct user_regs_struct regs = detour->saved;
	uint64_t all = UINT64_MAX;
	long r;

	regs.orig_rax = (uint64_t)-1;
	regs.rax = (uint64_t)number_of_call(detour->compat);
	regs.rip = detour->instruction;
	if (detour->compat) {
		regs.rbx = (uint64_t)fd;
		regs.rcx = 0;
	} else {
		regs.rdi = (uint64_t)fd;
		regs.rsi = 0;
	}
	if ((r = trace(PTRACE_SETOPTIONS, detour, NULL,
		     (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))) < 0 ||
		(r = trace(PTRACE_SETSIGMASK, detour, (void *)sizeof(all), &all)) < 0 ||
		(r = trace(PTRACE_SETREGS, detour, NULL, &regs)) < 0)
		return (int)r;
	return 0;
}

/* Stopped at the exit: to the place where the first stop was. */
static int go_back(struct detour *detour)
{
	if (trace(PTRACE_INTERRUPT, detour, NULL, NULL) < 0)
		return -ESRCH;
	return go_on_until(detour, PTRACE_CONT, STOP_ASKED);
}

static void make_call_again(struct user_regs_struct *regs)
{
	regs->rax = regs->orig_rax;
	regs->rip -= 2;
	regs->orig_rax = (uint64_t)-1;
}

/* With the mask as it was: a signal that is there for the thread is a reason of its own. */
static int let_go(struct detour *detour)
{
	struct user_regs_struct regs = detour->saved;
	long r = trace(PTRACE_SETSIGMASK, detour, (void *)sizeof(detour->mask), &detour->mask);

	if (r < 0)
		return (int)r;
	if (detour->in_call && (int)regs.rax == -EINTR && !target_has_signal(&detour->target))
		make_call_again(&regs);
	if ((r = trace(PTRACE_SETREGS, detour, NULL, &regs)) < 0 ||
		(r = trace(PTRACE_SETOPTIONS, detour, NULL, NULL)) < 0 ||
		(r = trace(PTRACE_DETACH, detour, NULL, NULL)) < 0)
		return (int)r;
	if (detour->held_stop)
		(void)kill(detour->tid, SIGSTOP);
	return 0;
}

static enum force_result make_detour(struct detour *detour, int fd)
{
	struct user_regs_struct regs;

	if (enter(detour, fd) < 0 || go_on_until(detour, PTRACE_SYSCALL, STOP_SYSCALL) < 0 ||
		go_on_until(detour, PTRACE_SYSCALL, STOP_SYSCALL) < 0 ||
		trace(PTRACE_GETREGS, detour, NULL, &regs) < 0 || go_back(detour) < 0 ||
		let_go(detour) < 0)
		return FORCE_BROKEN;
	return regs.rax == 0 ? FORCE_DONE : FORCE_FAILED;
}

static enum force_result force_stopped(struct detour *detour, int fd)
{
	enum force_result result = FORCE_NEVER;

	if (trace(PTRACE_GETREGS, detour, NULL, &detour->saved) < 0 ||
		trace(PTRACE_GETSIGMASK, detour, (void *)sizeof(detour->mask), &detour->mask) < 0)
		return FORCE_GONE;
	if (find_instruction(detour) == 0) {
		if (!is_in_sequence(detour))
			return make_detour(detour, fd);
		result = FORCE_LATER;
	}
	return let_go(detour) < 0 ? FORCE_BROKEN : result;
}

static const int disturbed[] = {SYS_epoll_wait, SYS_epoll_pwait, 441 /* epoll_pwait2 */,
	SYS_rt_sigtimedwait, SYS_semop, SYS_semtimedop, SYS_io_getevents, SYS_io_pgetevents,
	SYS_io_uring_enter};

bool force_disturbs(int proc)
{
	_cleanup_close_ int fd = openat(proc, "syscall", O_RDONLY | O_CLOEXEC);
	char line[64] = "";
	int nr;

	if (fd < 0 || read(fd, line, sizeof(line) - 1) <= 0 || sscanf(line, "%d", &nr) != 1)
		return false;
	for (size_t i = 0; i < ELEMENTSOF(disturbed); i++)
		if (disturbed[i] == nr)
			return true;
	return false;
}

static enum force_result stop_and_force(
	struct detour *detour, int fd, uint64_t deadline, bool *ret_late)
{
	detour->deadline = MIN(deadline, now_usec() + PATIENCE_USEC);
	switch (wait_until_stopped(detour)) {
	case STOP_ASKED:
		detour->deadline = deadline;
		return force_stopped(detour, fd);
	case STOP_NOT_YET:
		*ret_late = true;
		return FORCE_LATER;
	case STOP_GONE:
	case STOP_SYSCALL:
	case STOP_SIGNAL:
		break;
	}
	return FORCE_GONE;
}

enum force_result force_removal(
	pid_t tid, int fd, const struct force_hooks *hooks, uint64_t deadline, bool *ret_late)
{
	struct detour detour = {.tid = tid, .target = TARGET_CLOSED, .hooks = hooks};
	enum force_result result;
	long r;

	*ret_late = false;
	if (target_open(tid, &detour.target) < 0)
		return FORCE_GONE;
	r = trace(PTRACE_SEIZE, &detour, NULL, (void *)PTRACE_O_TRACESYSGOOD);
	if (r == 0)
		r = trace(PTRACE_INTERRUPT, &detour, NULL, NULL);
	if (r == 0) {
		hooks->release(hooks->context, tid);
		result = stop_and_force(&detour, fd, deadline, ret_late);
	} else {
		result = r == -ESRCH ? FORCE_GONE : FORCE_NEVER;
	}
	target_close(&detour.target);
	return result;
}

#else

bool force_disturbs(int proc)
{
	return proc < 0;
}

enum force_result force_removal(
	pid_t tid, int fd, const struct force_hooks *hooks, uint64_t deadline, bool *ret_late)
{
	(void)tid, (void)fd, (void)hooks, (void)deadline;
	*ret_late = false;
	return FORCE_NEVER;
}

#endif
