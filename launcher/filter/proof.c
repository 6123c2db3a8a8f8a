/* SPDX-License-Identifier: MIT */
/* Proves a filter: what the kernel would do for each call.
 *
 * When memory runs out, libseccomp 2.5 may leave rules out and report success. A call that is not
 * in the filter is not supervised; so what it has built is interpreted before it is printed.
 *
 * A filter that only compares architecture and number with constants answers the same to all
 * between two of them. So it is proved for every architecture and number by asking for the
 * constants and what is beside them. Of an architecture, number or argument that it has not even
 * looked at, every other one gets the same answer.
 *
 * Where it looks at arguments it compares some bits of one with a constant, so they are asked for
 * bit by bit. */
#include "proof.h"

#include <linux/audit.h>
#include <sched.h>

#include "include/bpf.h"
#include "include/util.h"

#define POINTS_MAX 512 /* ours has some 70 */

#define X32_BIT       0x40000000
#define RET_NO_SYSTEM (SECCOMP_RET_ERRNO | ENOSYS)
#define LOOKED_CALL   (BPF_LOOKED(arch) | BPF_LOOKED(nr))

struct points {
	uint32_t values[POINTS_MAX];
	size_t count;
};

struct proof {
	const struct sock_filter *program;
	unsigned short length;
	const struct architectures *architectures;
	enum mediation mediation;
};

/* The calls whose arguments matter. Not by libseccomp, which is what is to be proved. */
static const struct {
	uint32_t arch, seccomp, setns, clone;
} numbers[] = {
	{AUDIT_ARCH_X86_64, 317, 308, 56},
	{AUDIT_ARCH_I386, 354, 346, 120},
	{AUDIT_ARCH_AARCH64, 277, 268, 220},
	{AUDIT_ARCH_ARM, 383, 375, 120},
};

#define NR_CLONE3 435 /* everywhere */

static bool is_comparison(uint16_t code)
{
	return code == (BPF_JMP | BPF_JEQ | BPF_K) || code == (BPF_JMP | BPF_JGT | BPF_K) ||
	       code == (BPF_JMP | BPF_JGE | BPF_K);
}

static bool loads_argument(const struct sock_filter *at)
{
	return at->code == (BPF_LD | BPF_W | BPF_ABS) &&
	       at->k >= offsetof(struct seccomp_data, args);
}

/* Comparing the accumulator with constants is all that it may do, and with bits of an argument. */
static bool is_simple(const struct sock_filter *program, unsigned short length)
{
	for (unsigned short i = 0; i < length; i++) {
		uint16_t code = program[i].code;

		if (code == (BPF_ALU | BPF_AND | BPF_K)) {
			if (i == 0 || !loads_argument(&program[i - 1]))
				return false;
		} else if (code != (BPF_LD | BPF_W | BPF_ABS) && code != (BPF_RET | BPF_K) &&
			   code != (BPF_JMP | BPF_JA) && !is_comparison(code)) {
			return false;
		}
	}
	return true;
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

static bool find_points(const struct proof *proof, struct points *ret)
{
	const struct intercepted_call *call;
	bool found = add_around(ret, proof->architectures->native) &&
		     add_around(ret, proof->architectures->compat);

	/* A call that was left out is no constant of the filter's. */
	for (size_t i = 0; found && (call = intercepted_call_at(i)); i++)
		found = add_point(ret, (uint32_t)call->nr);
	for (size_t i = 0; found && i < ELEMENTSOF(numbers); i++)
		found = add_point(ret, numbers[i].seccomp) && add_point(ret, numbers[i].setns) &&
			add_point(ret, numbers[i].clone) && add_point(ret, NR_CLONE3);
	for (size_t i = 0; found && i < proof->length; i++)
		found = !is_comparison(proof->program[i].code) ||
			add_around(ret, proof->program[i].k);
	return found;
}

/* The kernel takes all three for an int. */
static bool installs_listener(const struct seccomp_data *data)
{
	return (uint32_t)data->args[0] == SECCOMP_SET_MODE_FILTER &&
	       data->args[1] & SECCOMP_FILTER_FLAG_NEW_LISTENER;
}

static bool enters_mounts(const struct seccomp_data *data)
{
	return (uint32_t)data->args[1] == 0 || data->args[1] & CLONE_NEWNS;
}

/* 0: its arguments do not matter. */
static uint32_t wanted_by_arguments(const struct seccomp_data *data)
{
	for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
		if (numbers[i].arch != data->arch)
			continue;
		if ((uint32_t)data->nr == numbers[i].seccomp)
			return installs_listener(data) ? SECCOMP_RET_ERRNO | EBUSY
						       : SECCOMP_RET_ALLOW;
		if ((uint32_t)data->nr == numbers[i].setns)
			return enters_mounts(data) ? SECCOMP_RET_ERRNO | EPERM : SECCOMP_RET_ALLOW;
		if ((uint32_t)data->nr == numbers[i].clone)
			return call_shares_table(data->arch, data->nr, data->args[0])
				       ? SECCOMP_RET_USER_NOTIF
				       : SECCOMP_RET_ALLOW;
	}
	return 0;
}

static bool is_ours(const struct proof *proof, uint32_t arch)
{
	return arch == proof->architectures->native || arch == proof->architectures->compat;
}

static uint32_t wanted(const struct proof *proof, const struct seccomp_data *data)
{
	const struct intercepted_call *call = intercepted_call_find(data->arch, data->nr);

	if (!is_ours(proof, data->arch))
		return RET_NO_SYSTEM;
	/* -1 is no call, but what a tracer puts in the place of one. */
	if (data->arch == AUDIT_ARCH_X86_64 && (uint32_t)data->nr >= X32_BIT && data->nr != -1)
		return RET_NO_SYSTEM;
	if (data->nr == NR_CLONE3)
		return RET_NO_SYSTEM;
	return call && mediation_intercepts(proof->mediation, call->call) ? SECCOMP_RET_USER_NOTIF
									  : SECCOMP_RET_ALLOW;
}

/* --- calls whose arguments matter ----------------------------------------------------------- */

/* No bit, all of them, each one. */
#define BIT_PATTERNS 34

static uint32_t bit_pattern(unsigned i)
{
	return i == 0 ? 0 : i == 1 ? UINT32_MAX : UINT32_C(1) << (i - 2);
}

static bool answers_to_arguments(const struct proof *proof, struct seccomp_data *data,
	uint32_t first, uint32_t second, uint32_t upper)
{
	data->args[0] = (uint64_t)upper << 32 | first;
	data->args[1] = (uint64_t)upper << 32 | second;
	return bpf_run(proof->program, proof->length, data, NULL) == wanted_by_arguments(data);
}

static bool answers_to_all_arguments(const struct proof *proof, struct seccomp_data *data)
{
	for (unsigned i = 0; i < 2 * BIT_PATTERNS; i++) {
		uint32_t bits = bit_pattern(i / 2), upper = i % 2 ? UINT32_MAX : 0;

		if (!answers_to_arguments(
			    proof, data, bits, SECCOMP_FILTER_FLAG_NEW_LISTENER, upper) ||
			!answers_to_arguments(proof, data, SECCOMP_SET_MODE_FILTER, bits, upper) ||
			!answers_to_arguments(proof, data, bits | CLONE_FILES, 0, upper) ||
			!answers_to_arguments(
				proof, data, bits & ~(uint32_t)CLONE_THREAD, 0, upper))
			return false;
	}
	return true;
}

/* --- all calls ------------------------------------------------------------------------------ */

static bool answers(const struct proof *proof, uint32_t arch, uint32_t nr, uint32_t *ret_looked)
{
	struct seccomp_data data = {.arch = arch, .nr = (int)nr};
	uint32_t result = bpf_run(proof->program, proof->length, &data, ret_looked);

	if (is_ours(proof, arch) && wanted_by_arguments(&data) != 0)
		return answers_to_all_arguments(proof, &data);
	return result == wanted(proof, &data) && (*ret_looked & ~LOOKED_CALL) == 0;
}

static bool answers_for(const struct proof *proof, const struct points *points, uint32_t arch)
{
	uint32_t looked = LOOKED_CALL;

	/* What is said to one call of an architecture that has none is said to all if it has not
	 * looked which one it is. */
	for (size_t i = 0; i < points->count && (is_ours(proof, arch) || looked & BPF_LOOKED(nr));
		i++)
		if (!answers(proof, arch, points->values[i], &looked))
			return false;
	return true;
}

bool filter_is_whole(const struct sock_filter *program, unsigned short length,
	const struct architectures *architectures, enum mediation mediation)
{
	const struct proof proof = {program, length, architectures, mediation};
	struct points points = {0};

	if (!is_simple(program, length) || !find_points(&proof, &points))
		return false;
	for (size_t i = 0; i < points.count; i++)
		if (!answers_for(&proof, &points, points.values[i]))
			return false;
	return true;
}
