/* SPDX-License-Identifier: MIT */
#include "machine.h"

#if defined(__x86_64__)

#include <errno.h>
#include <stddef.h>
#include <sys/ptrace.h>

#define CODE_SEGMENT_64 0x33
#define CODE_SEGMENT_32 0x23
#define NUMBER_OF_CLOSE 3
#define COMPAT_CLOSE    6

int machine_read(pid_t tid, struct machine *ret)
{
	return ptrace(PTRACE_GETREGS, tid, NULL, &ret->registers) < 0 ? -errno : 0;
}

int machine_write(pid_t tid, const struct machine *machine)
{
	return ptrace(PTRACE_SETREGS, tid, NULL, &machine->registers) < 0 ? -errno : 0;
}

bool machine_is_known(const struct machine *machine)
{
	return machine->registers.cs == CODE_SEGMENT_64 || machine_is_compat(machine);
}

bool machine_is_compat(const struct machine *machine)
{
	return machine->registers.cs == CODE_SEGMENT_32;
}

uint64_t machine_place(const struct machine *machine)
{
	return machine->registers.rip;
}

void machine_go_to(struct machine *machine, uint64_t place)
{
	machine->registers.rip = place;
}

bool machine_enters(const struct machine *machine,
	const uint8_t code[static MACHINE_INSTRUCTION_SIZE], bool *ret_compat)
{
	*ret_compat = code[0] == 0xcd && code[1] == 0x80;
	return *ret_compat || (!machine_is_compat(machine) && code[0] == 0x0f && code[1] == 0x05);
}

static bool is_in_call(const struct machine *machine)
{
	return (int64_t)machine->registers.orig_rax >= 0;
}

uint64_t machine_call_place(const struct machine *machine)
{
	return is_in_call(machine) ? machine_place(machine) - MACHINE_INSTRUCTION_SIZE : 0;
}

void machine_set_call(
	struct machine *machine, int nr, const uint64_t arguments[static 6], bool compat)
{
	struct user_regs_struct *registers = &machine->registers;

	registers->orig_rax = (uint64_t)-1;
	registers->rax = (uint64_t)nr;
	if (compat) {
		registers->rbx = (uint32_t)arguments[0];
		registers->rcx = (uint32_t)arguments[1];
		registers->rdx = (uint32_t)arguments[2];
		registers->rsi = (uint32_t)arguments[3];
		registers->rdi = (uint32_t)arguments[4];
		registers->rbp = (uint32_t)arguments[5];
	} else {
		registers->rdi = arguments[0];
		registers->rsi = arguments[1];
		registers->rdx = arguments[2];
		registers->r10 = arguments[3];
		registers->r8 = arguments[4];
		registers->r9 = arguments[5];
	}
}

/* 32-bit programs see its lower half. */
int64_t machine_result(const struct machine *machine)
{
	return (int32_t)machine->registers.rax;
}

void machine_set_result(struct machine *machine, int64_t result)
{
	machine->registers.rax = (uint64_t)result;
}

/* The registers tell everything. */
void machine_note_call(pid_t tid, struct machine_call *ret)
{
	(void)tid;
	*ret = (struct machine_call){0};
}

void machine_note_entry(const struct machine *machine, struct machine_call *ret)
{
	(void)machine;
	*ret = (struct machine_call){0};
}

bool machine_was_broken_off(const struct machine *machine, const struct machine_call *noted)
{
	(void)noted;
	return is_in_call(machine) && machine_result(machine) == -EINTR &&
	       machine->registers.orig_rax !=
		       (machine_is_compat(machine) ? COMPAT_CLOSE : NUMBER_OF_CLOSE);
}

void machine_rewind(struct machine *machine, const struct machine_call *noted)
{
	(void)noted;
	machine->registers.rax = machine->registers.orig_rax;
	machine->registers.rip -= MACHINE_INSTRUCTION_SIZE;
	machine->registers.orig_rax = (uint64_t)-1;
}

int machine_save_vectors(pid_t tid, struct machine_vectors *ret)
{
	(void)tid;
	*ret = (struct machine_vectors){0};
	return 0;
}

int machine_restore_vectors(pid_t tid, const struct machine_vectors *vectors)
{
	(void)tid, (void)vectors;
	return 0;
}

#endif
