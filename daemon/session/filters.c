/* SPDX-License-Identifier: MIT */
/* What the seccomp filters of a thread say to a call.
 *
 * A program may have put filters of its own above the session's, and they may refuse a call that it
 * never makes by killing it. A filter is a pure function of the call's number, architecture, place
 * and arguments, all of which are known beforehand; so it is run here, over exactly what the kernel
 * will run it over. Anything that the kernel would not have accepted counts as a refusal. */
#include "filters.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

struct machine {
	uint32_t a, x;
	uint32_t cells[BPF_MEMWORDS];
	const struct seccomp_data *data;
};

static uint32_t load(const struct machine *machine, uint32_t offset)
{
	uint32_t word = 0;

	if (offset <= sizeof(*machine->data) - sizeof(word))
		memcpy(&word, (const char *)machine->data + offset, sizeof(word));
	return word;
}

static bool calculate(struct machine *machine, uint16_t operation, uint32_t operand)
{
	switch (operation) {
	case BPF_ADD:
		machine->a += operand;
		return true;
	case BPF_SUB:
		machine->a -= operand;
		return true;
	case BPF_MUL:
		machine->a *= operand;
		return true;
	case BPF_DIV:
		machine->a = operand ? machine->a / operand : 0;
		return operand != 0;
	case BPF_OR:
		machine->a |= operand;
		return true;
	case BPF_AND:
		machine->a &= operand;
		return true;
	case BPF_XOR:
		machine->a ^= operand;
		return true;
	case BPF_LSH:
		machine->a <<= operand & 31;
		return true;
	case BPF_RSH:
		machine->a >>= operand & 31;
		return true;
	case BPF_NEG:
		machine->a = -machine->a;
		return true;
	default:
		return false;
	}
}

static bool holds(const struct machine *machine, uint16_t operation, uint32_t operand)
{
	switch (operation) {
	case BPF_JEQ:
		return machine->a == operand;
	case BPF_JGT:
		return machine->a > operand;
	case BPF_JGE:
		return machine->a >= operand;
	default: /* BPF_JSET */
		return (machine->a & operand) != 0;
	}
}

/* Into A or X. */
static bool take(struct machine *machine, const struct sock_filter *instruction, uint32_t *ret)
{
	switch (BPF_MODE(instruction->code)) {
	case BPF_ABS:
		*ret = load(machine, instruction->k);
		return true;
	case BPF_IMM:
		*ret = instruction->k;
		return true;
	case BPF_MEM:
		*ret = machine->cells[instruction->k % BPF_MEMWORDS];
		return true;
	case BPF_LEN:
		*ret = sizeof(*machine->data);
		return true;
	default:
		return false;
	}
}

/* All but jumps and returns. */
static bool step(struct machine *machine, const struct sock_filter *instruction)
{
	uint16_t code = instruction->code;

	switch (BPF_CLASS(code)) {
	case BPF_LD:
		return take(machine, instruction, &machine->a);
	case BPF_LDX:
		return take(machine, instruction, &machine->x);
	case BPF_ST:
		machine->cells[instruction->k % BPF_MEMWORDS] = machine->a;
		return true;
	case BPF_STX:
		machine->cells[instruction->k % BPF_MEMWORDS] = machine->x;
		return true;
	case BPF_ALU:
		return calculate(machine, BPF_OP(code),
			BPF_SRC(code) == BPF_X ? machine->x : instruction->k);
	case BPF_MISC:
		*(BPF_MISCOP(code) == BPF_TAX ? &machine->x : &machine->a) =
			BPF_MISCOP(code) == BPF_TAX ? machine->a : machine->x;
		return true;
	default:
		return false;
	}
}

/* How many instructions are left out. */
static uint32_t jump(const struct machine *machine, const struct sock_filter *instruction)
{
	uint16_t code = instruction->code;

	if (BPF_OP(code) == BPF_JA)
		return instruction->k;
	return holds(machine, BPF_OP(code), BPF_SRC(code) == BPF_X ? machine->x : instruction->k)
		       ? instruction->jt
		       : instruction->jf;
}

uint32_t filter_run(
	const struct sock_filter *program, size_t length, const struct seccomp_data *data)
{
	struct machine machine = {.data = data};

	for (size_t i = 0; i < length; i++) {
		const struct sock_filter *instruction = &program[i];

		if (BPF_CLASS(instruction->code) == BPF_RET)
			return BPF_RVAL(instruction->code) == BPF_A ? machine.a : instruction->k;
		if (BPF_CLASS(instruction->code) == BPF_JMP)
			i += jump(&machine, instruction);
		else if (!step(&machine, instruction))
			break;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

/* The smallest action wins, as a signed number. */
static int32_t action_of(uint32_t result)
{
	return (int32_t)(result & SECCOMP_RET_ACTION_FULL);
}

bool filters_notify(pid_t tid, const struct seccomp_data *data)
{
	static struct sock_filter program[BPF_MAXINSNS];
	uint32_t result = SECCOMP_RET_ALLOW;

	for (unsigned long i = 0;; i++) {
		long length = ptrace(PTRACE_SECCOMP_GET_FILTER, tid, (void *)i, program);
		uint32_t one;

		if (length < 0)
			return errno == ENOENT && result == SECCOMP_RET_USER_NOTIF;
		one = filter_run(program, (size_t)length, data);
		if (action_of(one) < action_of(result))
			result = one & SECCOMP_RET_ACTION_FULL;
	}
}
