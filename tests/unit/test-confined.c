/* SPDX-License-Identifier: MIT */
/* Which filters say of a process that it is confined. */
#include <criterion/criterion.h>
#include <linux/audit.h>
#include <linux/seccomp.h>

#include "daemon/session/revoke/confined.h"
#include "include/filter-id.h"
#include "include/syscalls.h"
#include "include/util.h"

#define LOAD(field)   BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, value)
/* So many are left out if it is not that. */
#define UNLESS(value, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skip)

static int number_of_open(uint32_t arch)
{
	const struct intercepted_call *call;

	for (size_t i = 0; (call = intercepted_call_at(i)); i++)
		if (call->arch == arch && call->call == MQ_CALL_OPEN)
			return call->nr;
	return -1;
}

/* To this call it says that, and to all else ALLOW. */
static bool answer_confines(uint32_t arch, int nr, uint32_t answer)
{
	const struct sock_filter program[] = {LOAD(arch), UNLESS(arch, 3), LOAD(nr),
		UNLESS((uint32_t)nr, 1), RETURN(answer), RETURN(SECCOMP_RET_ALLOW)};

	return filter_confines(program, ELEMENTSOF(program));
}

Test(confined, by_the_form_of_a_filter_id_whatever_it_is)
{
	const uint64_t ids[] = {0, 1, UINT32_MAX, UINT64_C(0x123456789abcdef), UINT64_MAX};
	struct sock_filter program[FILTER_ID_LENGTH + 1];

	for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
		filter_id_write(program, ids[i]);
		program[FILTER_ID_LENGTH] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
		cr_assert(filter_confines(program, FILTER_ID_LENGTH + 1));
	}
	program[1].jt = 1;
	cr_expect_not(filter_confines(program, FILTER_ID_LENGTH + 1), "it does something else");
	filter_id_write(program, 1);
	program[2].jf = 1;
	cr_expect_not(filter_confines(program, FILTER_ID_LENGTH + 1));
	filter_id_write(program, 1);
	program[0].k = offsetof(struct seccomp_data, nr);
	cr_expect_not(filter_confines(program, FILTER_ID_LENGTH + 1));
}

Test(confined, by_handing_mq_open_to_a_listener)
{
	const int native = number_of_open(native_arch), compat = number_of_open(compat_arch);

	cr_expect(answer_confines(native_arch, native, SECCOMP_RET_USER_NOTIF));
	cr_expect(answer_confines(native_arch, native, SECCOMP_RET_USER_NOTIF | 7), "with data");
	cr_expect(answer_confines(compat_arch, compat, SECCOMP_RET_USER_NOTIF));
}

Test(confined, by_nothing_else)
{
	const int native = number_of_open(native_arch);
	const struct sock_filter allow = RETURN(SECCOMP_RET_ALLOW);

	cr_expect_not(filter_confines(&allow, 1));
	cr_expect_not(answer_confines(native_arch, native, SECCOMP_RET_ERRNO | EPERM));
	cr_expect_not(answer_confines(native_arch, native, SECCOMP_RET_KILL_PROCESS));
	cr_expect_not(answer_confines(native_arch, native, SECCOMP_RET_TRACE));
	cr_expect_not(answer_confines(native_arch, native + 100, SECCOMP_RET_USER_NOTIF),
		"a supervisor of something else");
}
