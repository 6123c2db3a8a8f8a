/* SPDX-License-Identifier: MIT */
/* The filter of a container, run over the calls that matter.
 *
 * It is the filter whose listener we have: whatever a process of the container adds, execs or
 * forks, this one stays, and what it refuses no other one allows. So it is looked at once. The
 * kernel takes most of these arguments for 32 bits; each is tried with the upper half set, too. */
#include "container-filter.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>

#include "include/bpf.h"
#include "include/container.h"
#include "include/filter-id.h"
#include "include/syscalls.h"
#include "include/util.h"

#define X32_BIT    0x40000000
#define X32_NOTIFY 527 /* the one whose number is another one there */
#define UPPER_HALF (UINT64_C(1) << 32)

/* Numbers of one call: as in include/syscalls.h, also of other architectures than the builder's. */
struct numbers {
	int x86_64, i386, arm64, arm;
};

static const struct road {
	const char *what;
	struct numbers numbers;
	uint64_t arguments[2];
	bool flags; /* the first argument: it may have more of them */
} roads[] = {
	{"mount", {165, 21, 40, 21}, {0}},
	{"fsopen", {430, 430, 430, 430}, {0}},
	{"fsmount", {432, 432, 432, 432}, {0}},
	{"open_tree", {428, 428, 428, 428}, {0}},
	{"move_mount", {429, 429, 429, 429}, {0}},
	{"pivot_root", {155, 217, 41, 218}, {0}},
	{"chroot", {161, 61, 51, 61}, {0}},
	{"setns", {308, 346, 268, 375}, {0}},
	{"clone3", {435, 435, 435, 435}, {0}},
	{"clone of user namespaces", {56, 120, 220, 120}, {CLONE_NEWUSER}, true},
	{"unshare of user namespaces", {272, 310, 97, 337}, {CLONE_NEWUSER}, true},
	{"seccomp with a listener", {317, 354, 277, 383},
		{SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER}},
	{"open_tree_attr", {467, 467, 467, 467}, {0}},
};

#define SHARES_TABLE "clone of descriptor tables, untold"

/* Other flags that may come with those in question. */
static const uint64_t besides[] = {0, SIGCHLD, CLONE_FILES, CLONE_THREAD,
	CLONE_FILES | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, CLONE_NEWNS | SIGCHLD, UINT32_MAX};

static int number_on(const struct numbers *numbers, uint32_t arch)
{
	switch (arch) {
	case AUDIT_ARCH_X86_64:
		return numbers->x86_64;
	case AUDIT_ARCH_I386:
		return numbers->i386;
	case AUDIT_ARCH_AARCH64:
		return numbers->arm64;
	default:
		return numbers->arm;
	}
}

static uint32_t action_of(
	const struct sock_filter *program, size_t length, const struct seccomp_data *data)
{
	return bpf_run(program, length, data, NULL) & SECCOMP_RET_ACTION_FULL;
}

static bool is_refused(
	const struct sock_filter *program, size_t length, const struct seccomp_data *data)
{
	switch (action_of(program, length, data)) {
	case SECCOMP_RET_ERRNO:
	case SECCOMP_RET_TRAP:
	case SECCOMP_RET_KILL_THREAD:
	case SECCOMP_RET_KILL_PROCESS:
		return true;
	default:
		return false;
	}
}

/* With each of its arguments as it is, and with something in the upper half. */
static bool closes(const struct sock_filter *program, size_t length, struct seccomp_data data)
{
	for (int halves = 0; halves < 4; halves++) {
		struct seccomp_data tried = data;

		tried.args[0] |= halves & 1 ? UPPER_HALF : 0;
		tried.args[1] |= halves & 2 ? UPPER_HALF : 0;
		if (!is_refused(program, length, &tried))
			return false;
	}
	return true;
}

static bool closes_road(const struct sock_filter *program, size_t length, const struct road *road,
	uint32_t arch, int bits)
{
	struct seccomp_data data = {.nr = number_on(&road->numbers, arch) | bits,
		.arch = arch,
		.args = {road->arguments[0], road->arguments[1]}};

	for (size_t i = 0; i < (road->flags ? ELEMENTSOF(besides) : 1); i++) {
		data.args[0] = road->arguments[0] | (road->flags ? besides[i] : 0);
		if (!closes(program, length, data))
			return false;
	}
	return true;
}

static const char *find_open(
	const struct sock_filter *program, size_t length, uint32_t arch, int bits)
{
	for (size_t i = 0; i < ELEMENTSOF(roads); i++)
		if (!closes_road(program, length, &roads[i], arch, bits))
			return roads[i].what;
	return NULL;
}

static bool is_told_or_refused(
	const struct sock_filter *program, size_t length, const struct seccomp_data *data)
{
	return action_of(program, length, data) == SECCOMP_RET_USER_NOTIF ||
	       is_refused(program, length, data);
}

/* bits: X32_BIT, whose calls the session does not know and denies; or 0. */
static const char *find_not_handed_over(
	const struct sock_filter *program, size_t length, uint32_t arch, int bits)
{
	const struct intercepted_call *call;
	struct seccomp_data data = {.arch = arch};

	for (size_t i = 0; (call = intercepted_call_at(i)); i++) {
		data.nr = call->nr | bits;
		if (call->arch == arch && !is_told_or_refused(program, length, &data))
			return mq_call_to_string(call->call);
	}
	data.nr = X32_BIT | X32_NOTIFY;
	return bits && !is_told_or_refused(program, length, &data)
		       ? mq_call_to_string(MQ_CALL_NOTIFY)
		       : NULL;
}

static const char *find_untold(
	const struct sock_filter *program, size_t length, uint32_t arch, int bits)
{
	static const struct numbers clone = {56, 120, 220, 120};
	struct seccomp_data data = {.nr = number_on(&clone, arch) | bits, .arch = arch};

	for (size_t i = 0; i < ELEMENTSOF(besides); i++) {
		data.args[0] = CLONE_FILES | (besides[i] & ~(uint64_t)CLONE_THREAD);
		if (!is_told_or_refused(program, length, &data))
			return SHARES_TABLE;
	}
	return NULL;
}

const char *container_filter_lacks(const struct sock_filter *program, size_t length)
{
	const struct {
		uint32_t arch;
		int bits;
	} all[] = {{native_arch, 0}, {compat_arch, 0},
		{native_arch, native_arch == AUDIT_ARCH_X86_64 ? X32_BIT : 0}};
	const char *what = NULL;

	for (size_t i = 0; i < ELEMENTSOF(all) && !what; i++) {
		what = find_not_handed_over(program, length, all[i].arch, all[i].bits);
		what = what ?: find_untold(program, length, all[i].arch, all[i].bits);
		what = what ?: find_open(program, length, all[i].arch, all[i].bits);
	}
	return what;
}

static bool has_container_mark(const struct sock_filter *program, size_t length, uint64_t id)
{
	static const struct numbers mark = {180, 169, 42, 169};
	struct seccomp_data data = {
		.nr = number_on(&mark, native_arch), .arch = native_arch, .args = {id}};
	const uint32_t marked = SECCOMP_RET_ERRNO | CONTAINER_MARK_ERROR;

	if (bpf_run(program, length, &data, NULL) != marked)
		return false;
	data.args[0] = ~id;
	return bpf_run(program, length, &data, NULL) != marked;
}

bool filter_is(const struct sock_filter *program, size_t length, const struct filter_mark *mark)
{
	return mark->contained ? has_container_mark(program, length, mark->id)
			       : filter_id_is(program, length, mark->id);
}
