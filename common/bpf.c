/* SPDX-License-Identifier: MIT */
/* A seccomp filter, interpreted. It is a pure function of the call's number, architecture, place
 * and arguments; jumps lead forwards only, so it ends. */
#include "include/bpf.h"

#include <stdbool.h>
#include <string.h>

struct machine {
	uint32_t a, x;
	uint32_t cells[BPF_MEMWORDS];
	uint32_t looked;
	const struct seccomp_data *data;
};

static bool load(struct machine *machine, uint32_t offset, uint32_t *ret)
{
	if (offset % sizeof(*ret) != 0 || offset > sizeof(*machine->data) - sizeof(*ret))
		return false;
	machine->looked |= UINT32_C(1) << offset / sizeof(*ret);
	memcpy(ret, (const char *)machine->data + offset, sizeof(*ret));
	return true;
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
		return load(machine, instruction->k, ret);
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

static uint32_t run(struct machine *machine, const struct sock_filter *program, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		const struct sock_filter *instruction = &program[i];

		if (BPF_CLASS(instruction->code) == BPF_RET)
			return BPF_RVAL(instruction->code) == BPF_A ? machine->a : instruction->k;
		if (BPF_CLASS(instruction->code) == BPF_JMP)
			i += jump(machine, instruction);
		else if (!step(machine, instruction))
			break;
	}
	return SECCOMP_RET_KILL_PROCESS;
}

uint32_t bpf_run(const struct sock_filter *program, size_t length, const struct seccomp_data *data,
	uint32_t *ret_looked)
{
	struct machine machine = {.data = data};
	uint32_t result = run(&machine, program, length);

	if (ret_looked)
		*ret_looked = machine.looked;
	return result;
}
