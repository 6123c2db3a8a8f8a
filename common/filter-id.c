/* SPDX-License-Identifier: MIT */
/* The session's filter id in its filter. */
#include "include/filter-id.h"

#include <linux/seccomp.h>
#include <string.h>

void filter_id_write(struct sock_filter program[static FILTER_ID_LENGTH], uint64_t filter_id)
{
	program[0] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	program[1] =
		(struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)filter_id, 0, 0);
	program[2] = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(filter_id >> 32), 0, 0);
}

bool filter_id_is(const struct sock_filter *program, size_t length, uint64_t filter_id)
{
	struct sock_filter wanted[FILTER_ID_LENGTH];

	filter_id_write(wanted, filter_id);
	return length >= FILTER_ID_LENGTH && memcmp(program, wanted, sizeof(wanted)) == 0;
}

bool filter_has_id(const struct sock_filter *program, size_t length)
{
	return length >= FILTER_ID_LENGTH &&
	       filter_id_is(program, length, (uint64_t)program[2].k << 32 | program[1].k);
}
