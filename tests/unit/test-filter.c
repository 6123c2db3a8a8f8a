/* SPDX-License-Identifier: MIT */
/* The door's filter, interpreted: what the kernel would do for each call. */
#include <criterion/criterion.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>

#include "include/constant.h"
#include "include/syscalls.h"
#include "include/util.h"
#include "launcher/filter.h"
#include "launcher/proof.h"

#define CONSTANT      UINT64_C(0x0123456789abcdef)
#define X32_BIT       0x40000000
#define RET_NO_SYSTEM (SECCOMP_RET_ERRNO | ENOSYS)

static struct sock_filter *program;
static unsigned short length;

static void build_for(enum mediation mediation)
{
	cr_assert_eq(filter_build(CONSTANT, mediation, &program, &length), 0);
}

static void build(void)
{
	build_for(MEDIATION_CALL);
}

static void discard(void)
{
	free(program);
}

TestSuite(filter, .init = build, .fini = discard);

static bool jumps(const struct sock_filter *at, uint32_t accumulator)
{
	switch (at->code) {
	case BPF_JMP | BPF_JEQ | BPF_K:
		return accumulator == at->k;
	case BPF_JMP | BPF_JGT | BPF_K:
		return accumulator > at->k;
	case BPF_JMP | BPF_JGE | BPF_K:
		return accumulator >= at->k;
	case BPF_JMP | BPF_JSET | BPF_K:
		return accumulator & at->k;
	default:
		cr_assert_fail("instruction %#x", at->code);
	}
	return false;
}

/* Also checks what lets the kernel answer from its cache: only number and architecture are looked
 * at. */
static uint32_t run(uint32_t arch, int nr)
{
	struct seccomp_data data = {.arch = arch, .nr = nr};
	uint32_t accumulator = 0;

	for (size_t pc = 0; pc < length; pc++) {
		const struct sock_filter *at = &program[pc];

		if (at->code == (BPF_RET | BPF_K))
			return at->k;
		if (at->code == (BPF_LD | BPF_W | BPF_ABS)) {
			cr_assert_leq(at->k, offsetof(struct seccomp_data, arch));
			memcpy(&accumulator, (const char *)&data + at->k, sizeof(accumulator));
		} else if (at->code == (BPF_JMP | BPF_JA)) {
			pc += at->k;
		} else {
			pc += jumps(at, accumulator) ? at->jt : at->jf;
		}
	}
	cr_assert_fail("the program runs off its end");
	return 0;
}

Test(filter, every_call_of_the_table_is_notified)
{
	const struct intercepted_call *call;
	size_t notified = 0;

	for (size_t i = 0; (call = intercepted_call_at(i)); i++)
		if (call->arch == native_arch || call->arch == compat_arch) {
			cr_assert_eq(run(call->arch, call->nr), SECCOMP_RET_USER_NOTIF, "%s",
				mq_call_to_string(call->call));
			notified++;
		}
	cr_assert_eq(notified, 2 * MQ_CALL_COUNT + 2, "and the two calls with 64-bit time");
}

Test(filter, open_mediation_notifies_opening_deleting_and_notifying_only)
{
	const struct intercepted_call *call;
	size_t notified = 0;

	discard();
	build_for(MEDIATION_OPEN);
	for (size_t i = 0; (call = intercepted_call_at(i)); i++) {
		bool by_name = call->call == MQ_CALL_OPEN || call->call == MQ_CALL_UNLINK;
		bool decided = by_name || call->call == MQ_CALL_NOTIFY;

		if (call->arch != native_arch && call->arch != compat_arch)
			continue;
		cr_assert_eq(run(call->arch, call->nr),
			decided ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW, "%s",
			mq_call_to_string(call->call));
		notified += decided;
	}
	cr_assert_eq(notified, 2 * 3);
	for (int nr = 0; nr < 1024; nr++)
		if (!intercepted_call_find(native_arch, nr))
			cr_assert_eq(run(native_arch, nr), SECCOMP_RET_ALLOW, "%d", nr);
	cr_assert_eq(run(AUDIT_ARCH_RISCV64, 0), RET_NO_SYSTEM);
}

Test(filter, every_other_call_is_allowed)
{
	for (int nr = 0; nr < 1024; nr++)
		for (int i = 0; i < 2; i++) {
			uint32_t arch = i ? compat_arch : native_arch;

			if (!intercepted_call_find(arch, nr))
				cr_assert_eq(run(arch, nr), SECCOMP_RET_ALLOW, "%#x %d", arch, nr);
		}
}

Test(filter, other_architectures_have_no_calls)
{
	static const uint32_t others[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_X86_64,
		AUDIT_ARCH_AARCH64, AUDIT_ARCH_RISCV64, 0, UINT32_MAX};

	for (size_t i = 0; i < ELEMENTSOF(others); i++)
		for (int nr = 0; others[i] != native_arch && others[i] != compat_arch && nr < 512;
			nr++)
			cr_assert_eq(run(others[i], nr), RET_NO_SYSTEM, "%#x %d", others[i], nr);
}

#if defined(__x86_64__)
Test(filter, x32_has_no_calls)
{
	for (int nr = 0; nr < 1024; nr++)
		cr_assert_eq(run(AUDIT_ARCH_X86_64, X32_BIT | nr), RET_NO_SYSTEM, "%d", nr);
}
#endif

Test(filter, carries_the_constant_in_front)
{
	cr_assert_gt(length, CONSTANT_LENGTH);
	cr_assert(constant_is(program, length, CONSTANT));
	cr_assert_not(constant_is(program, length, CONSTANT + 1));
	cr_assert_not(constant_is(program, length, CONSTANT + (UINT64_C(1) << 32)));
	cr_assert_not(constant_is(program, CONSTANT_LENGTH - 1, CONSTANT));
	cr_assert_eq(program[0].code, BPF_LD | BPF_W | BPF_ABS);
	cr_assert_eq(program[0].k, offsetof(struct seccomp_data, arch));
	cr_assert_eq(program[1].k, (uint32_t)CONSTANT);
	cr_assert_eq(program[2].k, CONSTANT >> 32);
	for (size_t i = 1; i < CONSTANT_LENGTH; i++) {
		cr_assert_eq(program[i].code, BPF_JMP | BPF_JEQ | BPF_K);
		cr_assert_eq(program[i].jt, 0);
		cr_assert_eq(program[i].jf, 0);
	}
}

Test(filter, no_constant_changes_an_answer)
{
	struct sock_filter *other = NULL;
	unsigned short other_length;

	cr_assert_eq(filter_build(native_arch, MEDIATION_CALL, &other, &other_length), 0);
	cr_assert_eq(other_length, length);
	cr_assert_arr_eq(other + CONSTANT_LENGTH, program + CONSTANT_LENGTH,
		(length - CONSTANT_LENGTH) * sizeof(*other));
	free(other);
}

/* --- what libseccomp leaves out ------------------------------------------------------------------
 */

static unsigned rules, left_out;

int __wrap_seccomp_rule_add(scmp_filter_ctx, uint32_t, int, unsigned, ...);
int __real_seccomp_rule_add(scmp_filter_ctx, uint32_t, int, unsigned, ...);

int __wrap_seccomp_rule_add(
	scmp_filter_ctx context, uint32_t action, int syscall, unsigned count, ...)
{
	return ++rules == left_out ? 0 : __real_seccomp_rule_add(context, action, syscall, count);
}

Test(filter, a_filter_that_lacks_a_rule_is_not_loaded)
{
	unsigned short ignored;
	size_t refused = 0;
	int r;

	discard();
	program = NULL;
	for (left_out = 1; left_out < 100; left_out++) {
		rules = 0;
		r = filter_build(CONSTANT, MEDIATION_CALL, &program, &ignored);
		if (rules < left_out)
			break;
		refused += r == -ENOMEM;
		free(program);
		program = NULL;
	}
	cr_expect_eq(r, 0);
	/* The two architectures have most rules in common, and the later one adds it. */
	cr_expect_eq(refused, 2, "%zu", refused);
}

Test(filter, a_filter_with_any_other_answer_is_not_whole)
{
	cr_assert(filter_is_whole(program, length, MEDIATION_CALL));
	cr_expect_not(filter_is_whole(program, length, MEDIATION_OPEN));
	for (unsigned short i = 0; i < length; i++) {
		struct sock_filter kept = program[i];

		if (kept.code != (BPF_RET | BPF_K))
			continue;
		program[i].k = SECCOMP_RET_KILL_THREAD;
		cr_expect_not(filter_is_whole(program, length, MEDIATION_CALL), "%u", i);
		program[i] = kept;
	}
	cr_expect_not(filter_is_whole(program, length - 1, MEDIATION_CALL));
}
