/* SPDX-License-Identifier: MIT */
/* The filter of a container: one that a runtime makes of our profile closes the roads, and one that
 * lacks any of its rules does not. */
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/session/revoke/container-filter.h"
#include "include/compat.h"
#include "include/container.h"
#include "include/syscalls.h"
#include "include/util.h"

#define ID                         UINT64_C(0x001611165398959c)
#define LOW(argument, mask, value) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, mask, value)
#define NEWUSER                    (uint64_t) CLONE_NEWUSER
#define FILES                      (uint64_t) CLONE_FILES
#define THREAD                     (uint64_t) CLONE_THREAD

/* As mqctl oci-profile has them; system/containers makes the filter of what that prints. */
static const struct rule {
	const char *call;
	uint32_t action;
	unsigned count;
	struct scmp_arg_cmp arguments[2];
} rules[] = {
	{"mq_open", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"mq_unlink", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"mq_timedsend", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"mq_timedreceive", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"mq_notify", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"mq_getsetattr", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"mq_timedsend_time64", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"mq_timedreceive_time64", SCMP_ACT_NOTIFY, 0, {{0}}},
	{"clone", SCMP_ACT_NOTIFY, 1, {LOW(0, NEWUSER | FILES | THREAD, FILES)}},
	{"clone", SCMP_ACT_ERRNO(EPERM), 1, {LOW(0, NEWUSER, NEWUSER)}},
	{"unshare", SCMP_ACT_ERRNO(EPERM), 1, {LOW(0, NEWUSER, NEWUSER)}},
	{"seccomp", SCMP_ACT_ERRNO(EBUSY), 2, {LOW(0, UINT32_MAX, 1), LOW(1, 8, 8)}},
	{"clone3", SCMP_ACT_ERRNO(ENOSYS), 0, {{0}}},
	{"mount", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{"fsopen", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{"fsmount", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{"open_tree", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{"move_mount", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{"pivot_root", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{"chroot", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{"setns", SCMP_ACT_ERRNO(EPERM), 0, {{0}}},
	{CONTAINER_MARK_NAME, SCMP_ACT_ERRNO(CONTAINER_MARK_ERROR), 1,
		{SCMP_A0_64(SCMP_CMP_EQ, ID)}},
};

static struct sock_filter program[BPF_MAXINSNS];
static size_t length;

static uint32_t architectures[] = {SCMP_ARCH_NATIVE, 0, SCMP_ARCH_X32};
static size_t architecture_count;
static uint32_t default_is = SCMP_ACT_ERRNO(ENODATA);

static void setup(void)
{
	(void)seccomp_api_set(5);
	architectures[0] = seccomp_arch_native();
	architectures[1] = compat_arch;
	architecture_count = architectures[0] == SCMP_ARCH_X86_64 ? 3 : 2;
}

TestSuite(container_filter, .init = setup);

/* All rules on this architecture; what *other says instead of the one of its call and action, if it
 * says something. */
static scmp_filter_ctx make(uint32_t arch, const struct rule *without, const struct rule *other)
{
	scmp_filter_ctx context = seccomp_init(default_is);

	if (arch != architectures[0]) {
		cr_assert_eq(seccomp_arch_add(context, arch), 0);
		cr_assert_eq(seccomp_arch_remove(context, architectures[0]), 0);
	}
	for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
		const struct rule *rule = &rules[i] == without ? other : &rules[i];

		cr_assert_eq(seccomp_rule_add_array(context, rule->action,
				     seccomp_syscall_resolve_name(rule->call), rule->count,
				     rule->arguments),
			0, "%s", rule->call);
	}
	return context;
}

/* On the i'th architecture one rule is replaced. */
static void build(size_t i, const struct rule *without, const struct rule *other)
{
	scmp_filter_ctx all = make(architectures[0], i == 0 ? without : NULL, other);
	int fd = memfd_create("filter", MFD_CLOEXEC);

	for (size_t j = 1; j < architecture_count; j++)
		cr_assert_eq(
			seccomp_merge(all, make(architectures[j], i == j ? without : NULL, other)),
			0);
	cr_assert_eq(seccomp_export_bpf(all, fd), 0);
	seccomp_release(all);
	length = (size_t)pread(fd, program, sizeof(program), 0) / sizeof(*program);
	(void)close(fd);
}

static bool exists(size_t i, const char *call)
{
	return seccomp_syscall_resolve_name_arch(architectures[i], call) >= 0;
}

static bool is_marked(uint64_t id)
{
	return filter_is(program, length, &(struct filter_mark){id, true});
}

static void lacks_without(size_t i, const struct rule *without, const struct rule *other)
{
	build(i, without, other);
	cr_expect(container_filter_lacks(program, length),
		"without the rule of %s, architecture %#x", without->call, architectures[i]);
	cr_expect(is_marked(ID));
}

Test(container_filter, each_rule_is_needed)
{
	const struct rule *mark = &rules[ELEMENTSOF(rules) - 1];
	struct rule other = *mark;

	build(0, NULL, NULL);
	cr_expect_null(container_filter_lacks(program, length), "%s",
		container_filter_lacks(program, length));
	cr_expect(is_marked(ID));
	cr_expect_not(is_marked(ID + 1));
	for (size_t i = 0; i < architecture_count; i++)
		for (size_t j = 0; j < ELEMENTSOF(rules) - 1; j++) {
			other = rules[j];
			other.action = SCMP_ACT_ALLOW;
			if (exists(i, other.call))
				lacks_without(i, &rules[j], &other);
		}
	other = *mark;
	other.action = SCMP_ACT_ALLOW;
	build(0, mark, &other);
	cr_expect_not(is_marked(ID));
}

/* As written by hand: it refuses a flag if nothing else is asked for, or what the kernel does not
 * look at is 0. */
Test(container_filter, what_else_is_asked_for_does_not_matter)
{
	static const uint64_t masks[] = {UINT64_C(1) << 32 | NEWUSER, UINT64_MAX, NEWUSER | FILES,
		NEWUSER | SIGCHLD, NEWUSER | THREAD};

	for (size_t i = 0; i < ELEMENTSOF(rules); i++) {
		const bool about_users =
			rules[i].count == 1 && rules[i].arguments[0].datum_b == NEWUSER;

		for (size_t j = 0; j < ELEMENTSOF(masks) && about_users; j++) {
			struct rule other = rules[i];

			other.arguments[0].datum_a = masks[j];
			build(0, NULL, NULL);
			cr_assert_null(container_filter_lacks(program, length));
			default_is = SCMP_ACT_ALLOW;
			lacks_without(0, &rules[i], &other);
			default_is = SCMP_ACT_ERRNO(ENODATA);
		}
	}
}

Test(container_filter, what_refuses_everything_has_no_mark)
{
	const struct sock_filter all[] = {
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | CONTAINER_MARK_ERROR)};

	cr_expect_not(filter_is(all, 1, &(struct filter_mark){ID, true}));
	cr_expect_null(container_filter_lacks(all, 1));
}
