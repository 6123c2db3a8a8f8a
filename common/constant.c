/* SPDX-License-Identifier: MIT */
/* The session's constant in its filter. */
#include "include/constant.h"

#include <linux/seccomp.h>
#include <string.h>

void constant_write(struct sock_filter program[static CONSTANT_LENGTH], uint64_t constant)
{
	program[0] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	program[1] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)constant, 0, 0);
	program[2] = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(constant >> 32), 0, 0);
}

bool constant_is(const struct sock_filter *program, size_t length, uint64_t constant)
{
	struct sock_filter wanted[CONSTANT_LENGTH];

	constant_write(wanted, constant);
	return length >= CONSTANT_LENGTH && memcmp(program, wanted, sizeof(wanted)) == 0;
}
