/* SPDX-License-Identifier: MIT */
/* The kernel tells less about a stopped thread here than elsewhere:
 *
 * - When a thread is stopped in a call that is to be restarted, its registers are those before the
 * call already. They look as if it was just about to make the call, and that is how it is treated.
 * - The result of a call takes the place of its first argument, and nothing tells a thread that was
 * stopped in a call from one that goes on after a call of long ago. So a call counts as broken off
 * only if the thread was seen blocked in it just before it was asked to stop, and has not slept
 * since, but in the stop. A call that began in between, in microseconds, fails with EINTR; if it is
 * the same one but for its first argument, it would be made with the one that was seen.
 *
 * A call takes away what of the registers of the Scalable Vector Extension is wider than 128 bits,
 * and ends the streaming mode of the Scalable Matrix Extension. The former is saved; in the latter
 * a thread is left alone.
 *
 * The registers of a 32-bit program are fewer. They are not known here. */
#include "machine.h"

#if defined(__aarch64__)

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "include/util.h"
#include "text.h"

#define SUPERVISOR_CALL UINT32_C(0xd4000001) /* svc #0 */
#define BRANCH_TYPE     UINT64_C(0xc00)      /* of pstate */
#define NUMBER_REGISTER 8
#define RESULT_REGISTER 0
#define ARGUMENTS       6
#define NUMBER_OF_CLOSE 57

/* 0: that cannot be told. */
static uint64_t count_sleeps(pid_t tid)
{
	uint64_t count;

	return text_status(tid, "voluntary_ctxt_switches", &count) < 0 ? 0 : count;
}

int machine_read(pid_t tid, struct machine *ret)
{
	struct machine machine = {0};
	struct iovec part = {&machine.registers, sizeof(machine.registers)};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &part) < 0)
		return -errno;
	machine.known = part.iov_len == sizeof(machine.registers);
	if (machine.known && machine_result(&machine) == -EINTR)
		machine.sleeps = count_sleeps(tid);
	*ret = machine;
	return 0;
}

int machine_write(pid_t tid, const struct machine *machine)
{
	struct iovec part = {(void *)&machine->registers, sizeof(machine->registers)};

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &part) < 0 ? -errno : 0;
}

bool machine_is_known(const struct machine *machine)
{
	return machine->known;
}

bool machine_is_compat(const struct machine *machine)
{
	(void)machine;
	return false;
}

uint64_t machine_place(const struct machine *machine)
{
	return machine->registers.pc;
}

/* Not as an indirect branch, which might have to end at a landing pad. */
void machine_go_to(struct machine *machine, uint64_t place)
{
	machine->registers.pc = place;
	machine->registers.pstate &= ~BRANCH_TYPE;
}

bool machine_enters(const struct machine *machine,
	const uint8_t code[static MACHINE_INSTRUCTION_SIZE], bool *ret_compat)
{
	uint32_t instruction;

	(void)machine;
	memcpy(&instruction, code, sizeof(instruction));
	*ret_compat = false;
	return instruction == SUPERVISOR_CALL;
}

uint64_t machine_call_place(const struct machine *machine)
{
	return machine_place(machine);
}

void machine_set_call(
	struct machine *machine, int nr, const uint64_t arguments[static 6], bool compat)
{
	(void)compat;
	machine->registers.regs[NUMBER_REGISTER] = (uint64_t)nr;
	for (int i = 0; i < ARGUMENTS; i++)
		machine->registers.regs[i] = arguments[i];
}

int64_t machine_result(const struct machine *machine)
{
	return (int64_t)machine->registers.regs[RESULT_REGISTER];
}

void machine_set_result(struct machine *machine, int64_t result)
{
	machine->registers.regs[RESULT_REGISTER] = (uint64_t)result;
}

void machine_note_call(pid_t tid, struct machine_call *ret)
{
	uint64_t sleeps = count_sleeps(tid);

	/* In this order: it may only have slept more often than was counted. */
	*ret = (struct machine_call){.sleeps = sleeps + 1};
	if (sleeps == 0 || !blocked_read_of(tid, &ret->call))
		ret->call.place = 0;
}

void machine_note_entry(const struct machine *machine, struct machine_call *ret)
{
	const struct user_regs_struct *registers = &machine->registers;

	*ret = (struct machine_call){.call = {.nr = (int)registers->regs[NUMBER_REGISTER],
					     .stack = registers->sp,
					     .place = registers->pc}};
	for (int i = 0; i < ARGUMENTS; i++)
		ret->call.arguments[i] = registers->regs[i];
}

/* All but the first, which the result has replaced. */
static bool has_arguments(const struct machine *machine, const uint64_t arguments[static ARGUMENTS])
{
	for (int i = 1; i < ARGUMENTS; i++)
		if (machine->registers.regs[i] != arguments[i])
			return false;
	return true;
}

bool machine_was_broken_off(const struct machine *machine, const struct machine_call *noted)
{
	const struct blocked *call = &noted->call;

	return machine->known && machine_result(machine) == -EINTR &&
	       call->place == machine_place(machine) && call->stack == machine->registers.sp &&
	       call->nr == (int)machine->registers.regs[NUMBER_REGISTER] &&
	       call->nr != NUMBER_OF_CLOSE && has_arguments(machine, call->arguments) &&
	       (noted->sleeps == 0 || noted->sleeps == machine->sleeps);
}

void machine_rewind(struct machine *machine, const struct machine_call *noted)
{
	machine->registers.regs[RESULT_REGISTER] = noted->call.arguments[0];
	machine->registers.pc -= MACHINE_INSTRUCTION_SIZE;
}

#ifndef NT_ARM_SSVE
#define NT_ARM_SSVE 0x40b
#endif
#define VECTORS_IN_USE   1       /* of flags; otherwise the registers are those of 128 bits */
#define VECTORS_SIZE_MAX 1048576 /* for vectors of 8192 bytes, of which the kernel knows */

struct vectors_header {
	uint32_t size, max_size;
	uint16_t length, max_length, flags, reserved;
};

/* True if these registers are in use; the header tells how much there is of them. */
static bool has_vectors(pid_t tid, int set, struct vectors_header *ret)
{
	struct iovec part = {ret, sizeof(*ret)};

	return ptrace(PTRACE_GETREGSET, tid, (void *)(long)set, &part) == 0 &&
	       part.iov_len == sizeof(*ret) && (ret->flags & VECTORS_IN_USE);
}

int machine_save_vectors(pid_t tid, struct machine_vectors *ret)
{
	_cleanup_free_ void *data = NULL;
	struct vectors_header header;
	struct iovec part;

	*ret = (struct machine_vectors){0};
	if (has_vectors(tid, NT_ARM_SSVE, &header))
		return -EAGAIN;
	if (!has_vectors(tid, NT_ARM_SVE, &header))
		return 0;
	if (header.size > VECTORS_SIZE_MAX)
		return -E2BIG;
	data = malloc(header.size);
	if (!data)
		return -ENOMEM;
	part = (struct iovec){data, header.size};
	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_ARM_SVE, &part) < 0)
		return -errno;
	*ret = (struct machine_vectors){.data = take_pointer(data), .size = part.iov_len};
	return 0;
}

int machine_restore_vectors(pid_t tid, const struct machine_vectors *vectors)
{
	struct iovec part = {vectors->data, vectors->size};

	if (!vectors->data)
		return 0;
	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_ARM_SVE, &part) < 0 ? -errno : 0;
}

#endif
