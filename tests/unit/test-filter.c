/* SPDX-License-Identifier: MIT */
/* The door's filter, interpreted: what the kernel would do for each call. */
#include <criterion/criterion.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>

#include "include/bpf.h"
#include "include/filter-id.h"
#include "include/syscalls.h"
#include "include/util.h"
#include "launcher/filter.h"
#include "launcher/filter/make.h"

#define CONSTANT      UINT64_C(0x0123456789abcdef)
#define X32_BIT       0x40000000
#define RET_NO_SYSTEM (SECCOMP_RET_ERRNO | ENOSYS)

#ifdef native_arch
/* The same once more for the other pair of architectures: meson.build gives their names to what
 * filter.c takes for ours. */
#ifdef __x86_64__
const uint32_t native_arch = AUDIT_ARCH_AARCH64, compat_arch = AUDIT_ARCH_ARM;
#else
const uint32_t native_arch = AUDIT_ARCH_X86_64, compat_arch = AUDIT_ARCH_I386;
#endif
#endif

static struct sock_filter program[FILTER_LENGTH_MAX];
static unsigned short length;
static struct architectures ours;

static void build_for(enum mediation mediation)
{
	ours = (struct architectures){native_arch, compat_arch};
	length = filter_write(program, CONSTANT, mediation);
}

static void build(void)
{
	build_for(MEDIATION_CALL);
}

TestSuite(filter, .init = build);

/* The calls that are refused by their arguments. */
static const struct numbers {
	uint32_t arch;
	int seccomp, setns, clone;
} numbers[] = {
	{AUDIT_ARCH_X86_64, 317, 308, 56},
	{AUDIT_ARCH_I386, 354, 346, 120},
	{AUDIT_ARCH_AARCH64, 277, 268, 220},
	{AUDIT_ARCH_ARM, 383, 375, 120},
};

#define NR_CLONE3 435 /* everywhere */

static const struct numbers *numbers_of(uint32_t arch)
{
	for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
		if (numbers[i].arch == arch)
			return &numbers[i];
	return NULL;
}

static bool has_arguments(uint32_t arch, int nr)
{
	const struct numbers *of = numbers_of(arch);

	return of && (nr == of->seccomp || nr == of->setns || nr == of->clone);
}

static uint32_t otherwise(int nr)
{
	return nr == NR_CLONE3 ? RET_NO_SYSTEM : SECCOMP_RET_ALLOW;
}

static uint32_t answer(const struct seccomp_data *data)
{
	return bpf_run(program, length, data, NULL);
}

/* Also checks what lets the kernel answer from its cache: only number and architecture are looked
 * at. */
static uint32_t run(uint32_t arch, int nr)
{
	struct seccomp_data data = {.arch = arch, .nr = nr};
	uint32_t looked, result = bpf_run(program, length, &data, &looked);

	cr_assert_eq(looked & ~(BPF_LOOKED(arch) | BPF_LOOKED(nr)), 0, "%#x %d", arch, nr);
	return result;
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
		if (!intercepted_call_find(native_arch, nr) && !has_arguments(native_arch, nr))
			cr_assert_eq(run(native_arch, nr), otherwise(nr), "%d", nr);
	cr_assert_eq(run(AUDIT_ARCH_RISCV64, 0), RET_NO_SYSTEM);
}

Test(filter, every_other_call_but_clone3_is_allowed)
{
	for (int nr = 0; nr < 1024; nr++)
		for (int i = 0; i < 2; i++) {
			uint32_t arch = i ? compat_arch : native_arch;

			if (!intercepted_call_find(arch, nr) && !has_arguments(arch, nr))
				cr_assert_eq(run(arch, nr), otherwise(nr), "%#x %d", arch, nr);
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

/* --- what is refused by its arguments ------------------------------------------------------- */

#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))

static uint32_t call_seccomp(uint32_t arch, uint64_t operation, uint64_t flags)
{
	return answer(&(struct seccomp_data){
		.arch = arch, .nr = numbers_of(arch)->seccomp, .args = {operation, flags, 0x1000}});
}

static uint32_t call_setns(uint32_t arch, uint64_t type)
{
	return answer(&(struct seccomp_data){
		.arch = arch, .nr = numbers_of(arch)->setns, .args = {3, type}});
}

/* No bit, each one, each pair, and the same without what is in them; in the lower half, and with
 * each way to fill the upper one, which the kernel does not look at. */
static void for_each_pattern(uint32_t arch, void (*check)(uint32_t arch, uint64_t pattern))
{
	static const uint64_t uppers[] = {0, 1, 8, 0x20000, 0x80000000, UINT32_MAX};

	for (unsigned i = 0; i <= 32; i++)
		for (unsigned j = i; j <= 32; j++)
			for (size_t k = 0; k < ELEMENTSOF(uppers); k++) {
				uint32_t low = (uint32_t)(UINT64_C(1) << i | UINT64_C(1) << j);

				check(arch, uppers[k] << 32 | low);
				check(arch, uppers[k] << 32 | (uint32_t)~low);
			}
}

static void check_flags(uint32_t arch, uint64_t flags)
{
	bool listens = flags & SECCOMP_FILTER_FLAG_NEW_LISTENER;

	cr_assert_eq(call_seccomp(arch, SECCOMP_SET_MODE_FILTER, flags),
		listens ? REFUSED(EBUSY) : SECCOMP_RET_ALLOW, "%#lx", (unsigned long)flags);
	cr_assert_eq(call_seccomp(arch, SECCOMP_SET_MODE_STRICT, flags), SECCOMP_RET_ALLOW);
	cr_assert_eq(call_seccomp(arch, SECCOMP_GET_ACTION_AVAIL, flags), SECCOMP_RET_ALLOW);
	cr_assert_eq(call_seccomp(arch, SECCOMP_GET_NOTIF_SIZES, flags), SECCOMP_RET_ALLOW);
}

static void check_operation(uint32_t arch, uint64_t operation)
{
	bool sets = (uint32_t)operation == SECCOMP_SET_MODE_FILTER;

	cr_assert_eq(call_seccomp(arch, operation, SECCOMP_FILTER_FLAG_NEW_LISTENER),
		sets ? REFUSED(EBUSY) : SECCOMP_RET_ALLOW, "%#lx", (unsigned long)operation);
	cr_assert_eq(call_seccomp(arch, operation, 0), SECCOMP_RET_ALLOW);
}

static void check_type(uint32_t arch, uint64_t type)
{
	bool enters = (uint32_t)type == 0 || type & CLONE_NEWNS;

	cr_assert_eq(call_setns(arch, type), enters ? REFUSED(EPERM) : SECCOMP_RET_ALLOW, "%#lx",
		(unsigned long)type);
}

static void check_clone(uint32_t arch, uint64_t clone_flags)
{
	bool shares = clone_flags & CLONE_FILES && !(clone_flags & CLONE_THREAD);

	cr_assert_eq(answer(&(struct seccomp_data){
			     .arch = arch, .nr = numbers_of(arch)->clone, .args = {clone_flags}}),
		shares ? SECCOMP_RET_USER_NOTIF : SECCOMP_RET_ALLOW, "%#lx",
		(unsigned long)clone_flags);
}

static void check_refusals(void)
{
	for_each_pattern(native_arch, check_clone);
	for_each_pattern(compat_arch, check_clone);
	cr_assert_eq(run(native_arch, NR_CLONE3), REFUSED(ENOSYS));
	cr_assert_eq(run(compat_arch, NR_CLONE3), REFUSED(ENOSYS));
	for_each_pattern(native_arch, check_flags);
	for_each_pattern(compat_arch, check_flags);
	for_each_pattern(native_arch, check_operation);
	for_each_pattern(compat_arch, check_operation);
	for_each_pattern(native_arch, check_type);
	for_each_pattern(compat_arch, check_type);
}

Test(filter, no_second_listener_no_mount_namespace_no_secret_table)
{
	check_refusals();
	build_for(MEDIATION_OPEN);
	check_refusals();
}

Test(filter, carries_the_filter_id_in_front)
{
	cr_assert_gt(length, FILTER_ID_LENGTH);
	cr_assert(filter_id_is(program, length, CONSTANT));
	cr_assert_not(filter_id_is(program, length, CONSTANT + 1));
	cr_assert_not(filter_id_is(program, length, CONSTANT + (UINT64_C(1) << 32)));
	cr_assert_not(filter_id_is(program, FILTER_ID_LENGTH - 1, CONSTANT));
	cr_assert_eq(program[0].code, BPF_LD | BPF_W | BPF_ABS);
	cr_assert_eq(program[0].k, offsetof(struct seccomp_data, arch));
	cr_assert_eq(program[1].k, (uint32_t)CONSTANT);
	cr_assert_eq(program[2].k, CONSTANT >> 32);
	for (size_t i = 1; i < FILTER_ID_LENGTH; i++) {
		cr_assert_eq(program[i].code, BPF_JMP | BPF_JEQ | BPF_K);
		cr_assert_eq(program[i].jt, 0);
		cr_assert_eq(program[i].jf, 0);
	}
}

Test(filter, no_filter_id_changes_an_answer)
{
	struct sock_filter other[FILTER_LENGTH_MAX];

	cr_assert_eq(filter_write(other, native_arch, MEDIATION_CALL), length);
	cr_assert_arr_eq(other + FILTER_ID_LENGTH, program + FILTER_ID_LENGTH,
		(length - FILTER_ID_LENGTH) * sizeof(*other));
}

/* --- what libseccomp leaves out ------------------------------------------------------------- */

static unsigned rules, left_out;

int __wrap_seccomp_rule_add_array(
	scmp_filter_ctx, uint32_t, int, unsigned, const struct scmp_arg_cmp *);
int __real_seccomp_rule_add_array(
	scmp_filter_ctx, uint32_t, int, unsigned, const struct scmp_arg_cmp *);

int __wrap_seccomp_rule_add_array(scmp_filter_ctx context, uint32_t action, int syscall,
	unsigned count, const struct scmp_arg_cmp *arguments)
{
	return ++rules == left_out
		       ? 0
		       : __real_seccomp_rule_add_array(context, action, syscall, count, arguments);
}

Test(filter, a_filter_that_lacks_a_rule_is_not_made)
{
	unsigned short ignored;
	size_t refused = 0;
	int r;

	for (left_out = 1; left_out < 100; left_out++) {
		struct sock_filter *made = NULL;

		rules = 0;
		r = filter_make(&ours, MEDIATION_CALL, &made, &ignored);
		free(made);
		if (rules < left_out)
			break;
		refused += r == -ENOMEM;
	}
	cr_expect_eq(r, 0);
	/* Of the table: the two architectures have most rules in common, and the later one adds
	 * it. And each of the refusals. */
	cr_expect_eq(refused, 2 + 5, "%zu", refused);
}

Test(filter, a_filter_with_any_other_answer_is_not_whole)
{
	cr_assert(filter_is_whole(program, length, &ours, MEDIATION_CALL));
	cr_expect_not(filter_is_whole(program, length, &ours, MEDIATION_OPEN));
	for (unsigned short i = FILTER_ID_LENGTH; i < length; i++) {
		struct sock_filter kept = program[i];

		if (kept.code == (BPF_RET | BPF_K))
			program[i].k = SECCOMP_RET_KILL_THREAD;
		else if (BPF_CLASS(kept.code) == BPF_JMP)
			program[i].jt = kept.jf, program[i].jf = kept.jt;
		else if (BPF_CLASS(kept.code) == BPF_ALU)
			program[i].k = ~kept.k;
		else if (BPF_CLASS(program[i + 1].code) == BPF_ALU && program[i + 1].k == 0)
			continue; /* no bit of it counts */
		else
			program[i].k += sizeof(uint32_t);
		cr_expect_not(filter_is_whole(program, length, &ours, MEDIATION_CALL), "%u", i);
		program[i] = kept;
	}
	cr_expect_not(filter_is_whole(program, length - 1, &ours, MEDIATION_CALL));
}

/* Each instruction that compares, with each other number that differs in one bit; but for the forks
 * of the tree, which may lie anywhere between two calls. */
Test(filter, a_filter_that_compares_with_anything_else_is_not_whole)
{
	for (unsigned short i = FILTER_ID_LENGTH; i < length; i++)
		for (unsigned bit = 0; bit < 32; bit++) {
			if (program[i].code != (BPF_JMP | BPF_JEQ | BPF_K) &&
				BPF_CLASS(program[i].code) != BPF_ALU)
				continue;
			program[i].k ^= UINT32_C(1) << bit;
			cr_expect_not(filter_is_whole(program, length, &ours, MEDIATION_CALL),
				"%u %u", i, bit);
			program[i].k ^= UINT32_C(1) << bit;
		}
}
