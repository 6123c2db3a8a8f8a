/* SPDX-License-Identifier: MIT */
/* Proves a filter: what the kernel would do for each call.
 *
 * When memory runs out, libseccomp 2.5 may leave rules out and report success. A call that is not
 * in the filter is not supervised; so what it has built is interpreted before it is loaded. */
#include "proof.h"

#include <linux/seccomp.h>

#include "include/util.h"

/* Beyond the numbers of all architectures' calls (today 467). */
#define NUMBERS_END 1024

#define X32_BIT       0x40000000
#define RET_NO_SYSTEM (SECCOMP_RET_ERRNO | ENOSYS)
#define RET_UNKNOWN   SECCOMP_RET_KILL_PROCESS

static bool jumps(const struct sock_filter *at, uint32_t accumulator)
{
	switch (BPF_OP(at->code)) {
	case BPF_JEQ:
		return accumulator == at->k;
	case BPF_JGT:
		return accumulator > at->k;
	case BPF_JGE:
		return accumulator >= at->k;
	default:
		return accumulator & at->k;
	}
}

static bool is_known_jump(uint16_t code)
{
	return code == (BPF_JMP | BPF_JEQ | BPF_K) || code == (BPF_JMP | BPF_JGT | BPF_K) ||
	       code == (BPF_JMP | BPF_JGE | BPF_K) || code == (BPF_JMP | BPF_JSET | BPF_K);
}

/* Jumps lead forwards only, so it ends. RET_UNKNOWN: it uses what is not needed. */
static uint32_t run(
	const struct sock_filter *program, unsigned short length, uint32_t arch, uint32_t nr)
{
	uint32_t accumulator = 0;

	for (size_t pc = 0; pc < length; pc++) {
		const struct sock_filter *at = &program[pc];

		if (at->code == (BPF_RET | BPF_K))
			return at->k;
		if (at->code == (BPF_LD | BPF_W | BPF_ABS) &&
			at->k == offsetof(struct seccomp_data, arch))
			accumulator = arch;
		else if (at->code == (BPF_LD | BPF_W | BPF_ABS) &&
			 at->k == offsetof(struct seccomp_data, nr))
			accumulator = nr;
		else if (at->code == (BPF_JMP | BPF_JA))
			pc += at->k;
		else if (is_known_jump(at->code))
			pc += jumps(at, accumulator) ? at->jt : at->jf;
		else
			return RET_UNKNOWN;
	}
	return RET_UNKNOWN;
}

static uint32_t wanted(uint32_t arch, int nr, enum mediation mediation)
{
	const struct intercepted_call *call = intercepted_call_find(arch, nr);

	return call && mediation_intercepts(mediation, call->call) ? SECCOMP_RET_USER_NOTIF
								   : SECCOMP_RET_ALLOW;
}

bool filter_is_whole(
	const struct sock_filter *program, unsigned short length, enum mediation mediation)
{
	const uint32_t archs[] = {native_arch, compat_arch};

	for (int nr = 0; nr < NUMBERS_END; nr++) {
		for (size_t i = 0; i < ELEMENTSOF(archs); i++)
			if (run(program, length, archs[i], (uint32_t)nr) !=
				wanted(archs[i], nr, mediation))
				return false;
		if (run(program, length, 0, (uint32_t)nr) != RET_NO_SYSTEM)
			return false;
#ifdef __x86_64__
		if (run(program, length, native_arch, X32_BIT | (uint32_t)nr) != RET_NO_SYSTEM)
			return false;
#endif
	}
	return true;
}
