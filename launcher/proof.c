/* SPDX-License-Identifier: MIT */
/* Proves a filter: what the kernel would do for each call.
 *
 * When memory runs out, libseccomp 2.5 may leave rules out and report success. A call that is not
 * in the filter is not supervised; so what it has built is interpreted before it is loaded.
 *
 * A filter that only compares architecture and number with constants answers the same to all
 * between two of them. So it is proved for every architecture and number by asking for the
 * constants and what is beside them. */
#include "proof.h"

#include <linux/seccomp.h>

#include "include/util.h"

#define POINTS_MAX 512 /* ours has some 60 */

#define X32_BIT       0x40000000
#define RET_NO_SYSTEM (SECCOMP_RET_ERRNO | ENOSYS)
#define RET_UNKNOWN   SECCOMP_RET_KILL_PROCESS

struct points {
	uint32_t values[POINTS_MAX];
	size_t count;
};

static bool is_comparison(uint16_t code)
{
	return code == (BPF_JMP | BPF_JEQ | BPF_K) || code == (BPF_JMP | BPF_JGT | BPF_K) ||
	       code == (BPF_JMP | BPF_JGE | BPF_K);
}

static bool jumps(const struct sock_filter *at, uint32_t accumulator)
{
	switch (BPF_OP(at->code)) {
	case BPF_JEQ:
		return accumulator == at->k;
	case BPF_JGT:
		return accumulator > at->k;
	default:
		return accumulator >= at->k;
	}
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
		else if (is_comparison(at->code))
			pc += jumps(at, accumulator) ? at->jt : at->jf;
		else
			return RET_UNKNOWN;
	}
	return RET_UNKNOWN;
}

static bool add_point(struct points *points, uint32_t value)
{
	for (size_t i = 0; i < points->count; i++)
		if (points->values[i] == value)
			return true;
	if (points->count == POINTS_MAX)
		return false;
	points->values[points->count++] = value;
	return true;
}

static bool add_around(struct points *points, uint32_t value)
{
	return add_point(points, value - 1) && add_point(points, value) &&
	       add_point(points, value + 1);
}

static bool find_points(
	const struct sock_filter *program, unsigned short length, struct points *ret)
{
	const struct intercepted_call *call;
	bool found = add_around(ret, native_arch) && add_around(ret, compat_arch);

	/* A call that was left out is no constant of the filter's. */
	for (size_t i = 0; found && (call = intercepted_call_at(i)); i++)
		found = add_point(ret, (uint32_t)call->nr);
	for (size_t i = 0; found && i < length; i++)
		found = !is_comparison(program[i].code) || add_around(ret, program[i].k);
	return found;
}

static uint32_t wanted(uint32_t arch, uint32_t nr, enum mediation mediation)
{
	const struct intercepted_call *call = intercepted_call_find(arch, (int)nr);

	if (arch != native_arch && arch != compat_arch)
		return RET_NO_SYSTEM;
#ifdef __x86_64__
	/* -1 is no call, but what a tracer puts in the place of one. */
	if (arch == native_arch && nr >= X32_BIT && nr != UINT32_MAX)
		return RET_NO_SYSTEM;
#endif
	return call && mediation_intercepts(mediation, call->call) ? SECCOMP_RET_USER_NOTIF
								   : SECCOMP_RET_ALLOW;
}

bool filter_is_whole(
	const struct sock_filter *program, unsigned short length, enum mediation mediation)
{
	struct points points = {0};

	if (!find_points(program, length, &points))
		return false;
	for (size_t i = 0; i < points.count; i++)
		for (size_t j = 0; j < points.count; j++) {
			uint32_t arch = points.values[i], nr = points.values[j];

			if (run(program, length, arch, nr) != wanted(arch, nr, mediation))
				return false;
		}
	return true;
}
