/* SPDX-License-Identifier: MIT */
/* Exchanging by ptrace(2): the number in the caller's registers, as far as a tracer gets at them.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "exchange.h"

#define RESTARTSYS 512

static const struct timespec past = {0};

/* Traced, with these options; it calls what comes at each round. */
static pid_t start_traced(void (*round)(void), long options)
{
	pid_t pid = start_child();

	if (pid == 0) {
		(void)raise(SIGSTOP);
		for (;;)
			round();
	}
	if (waitpid(pid, NULL, WUNTRACED) != pid ||
		ptrace(PTRACE_SEIZE, pid, NULL, options | PTRACE_O_TRACESYSGOOD) < 0)
		cannot("PTRACE_SEIZE");
	(void)kill(pid, SIGCONT);
	return pid;
}

static void call_and_ask(void)
{
	take_turn();
	if (syscall(SYS_getppid) == 0)
		score->lost++;
}

#if defined(__x86_64__)
static void send_to_lost(struct user_regs_struct *registers)
{
	registers->rdi = (unsigned long)lost;
	registers->rsi = (unsigned long)"stolen";
	registers->rdx = 6;
	registers->r10 = 0;
	registers->r8 = (unsigned long)&past;
}

/* Now and then, wherever the tracer sees the caller enter or leave a call. */
static void change_registers(pid_t pid, bool entry)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0 || random() % 2)
		return;
	if (registers.orig_rax == SYS_mq_timedsend && (entry || registers.rdi != (unsigned)number))
		registers.rdi = (unsigned long)lost;
	else if (registers.orig_rax == SYS_getppid && entry)
		send_to_lost(&registers), registers.orig_rax = SYS_mq_timedsend;
	else
		return;
	(void)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

/* A getppid() that returns 0 has sent a message to somebody. */
void attack_traced_entry(void)
{
	pid_t pid = start_traced(call_and_ask, 0);
	int status;

	for (bool entry = true; waitpid(pid, &status, 0) == pid && WIFSTOPPED(status);) {
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			change_registers(pid, entry);
			entry = !entry;
		}
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	}
}

static void filter_with_trace(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mq_timedsend, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog fprog = {sizeof(program) / sizeof(program[0]), program};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		cannot("seccomp");
}

/* Stopped by its own filter, in the middle of being filtered. */
void attack_traced_event(void)
{
	pid_t pid;
	int status;

	filter_with_trace();
	pid = start_traced(call_and_ask, PTRACE_O_TRACESECCOMP);
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
			change_registers(pid, true);
		(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
	}
}

static void call_and_wait(void)
{
	take_turn();
	pause_for(1);
}

/* A call that a signal has interrupted begins again, as another one: but for that which tells where
 * a message went. */
static void restart_as_another(pid_t pid)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &registers) < 0 || (long)registers.orig_rax < 0 ||
		registers.orig_rax == SYS_mq_timedreceive)
		return;
	send_to_lost(&registers);
	registers.orig_rax = SYS_mq_timedsend;
	registers.rax = (unsigned long)-RESTARTSYS;
	(void)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

void attack_traced_restart(void)
{
	pid_t pid = start_traced(call_and_wait, 0);
	int status;

	if (start_child() == 0)
		for (;;) {
			(void)kill(pid, SIGUSR1);
			pause_for(2);
		}
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		if (WSTOPSIG(status) == SIGUSR1 && random() % 4 == 0)
			restart_as_another(pid);
		(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
	}
}
#endif

/* Stopped again and again, and signalled, with a handler that exchanges. */
static void exchange_in_handler(int unused)
{
	(void)unused;
	exchange_once();
}

void attack_traced_storm(void)
{
	pid_t pid;
	int status;

	(void)signal(SIGUSR1, exchange_in_handler);
	pid = start_traced(take_turn, 0);
	for (;;) {
		(void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
		if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
			return;
		(void)ptrace(PTRACE_CONT, pid, NULL, random() % 2 ? SIGUSR1 : 0);
		spin((unsigned)random() % 300);
	}
}

/* A tracer may suspend the filters of others only if it has none of its own. */
static void send_to_each(void)
{
	take_turn();
	(void)dup2(lost, number);
	send_with(number, &past);
}

void attack_suspended(void)
{
	pid_t pid = start_traced(send_to_each, 0);
	int status;

	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
		ptrace(PTRACE_SETOPTIONS, pid, NULL, 1 << 21) == 0)
		score->lost++;
	(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
}
