/* SPDX-License-Identifier: MIT */
/* Filter programs of an app's own making: running one ends and always says the same, and only the
 * session's constant is taken for it. */
#include "fuzz.h"
#include "include/bpf.h"
#include "include/constant.h"

static void check_constant(const struct sock_filter *program, size_t length, uint64_t constant)
{
	struct sock_filter own[CONSTANT_LENGTH + 1] = {0};

	constant_write(own, constant);
	REQUIRE(constant_is(own, CONSTANT_LENGTH, constant));
	REQUIRE(!constant_is(own, CONSTANT_LENGTH - 1, constant));
	for (unsigned bit = 0; bit < 64; bit++)
		REQUIRE(!constant_is(own, CONSTANT_LENGTH, constant ^ UINT64_C(1) << bit));
	if (constant_is(program, length, constant))
		REQUIRE(memcmp(program, own, CONSTANT_LENGTH * sizeof(*own)) == 0);
}

/* What it has not looked at changes nothing. */
static void check_blind(const struct sock_filter *program, size_t length,
	const struct seccomp_data *call, uint32_t looked, uint32_t result)
{
	uint32_t words[sizeof(*call) / sizeof(uint32_t)];
	struct seccomp_data other;

	memcpy(words, call, sizeof(*call));
	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		words[i] ^= looked >> i & 1 ? 0 : UINT32_MAX;
	memcpy(&other, words, sizeof(other));
	REQUIRE(bpf_run(program, length, &other, NULL) == result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct seccomp_data call;
	_cleanup_free_ struct sock_filter *program = NULL;
	uint64_t constant;
	uint32_t result, looked;
	size_t length;

	take(&input, &constant, sizeof(constant));
	take(&input, &call, sizeof(call));
	length = MIN(input.size / sizeof(*program), (size_t)BPF_MAXINSNS);
	program = malloc(length * sizeof(*program) + 1);
	REQUIRE(program);
	take(&input, program, length * sizeof(*program));
	check_constant(program, length, constant);
	result = bpf_run(program, length, &call, &looked);
	check_blind(program, length, &call, looked, result);
	if (length == 0)
		REQUIRE(result == SECCOMP_RET_KILL_PROCESS);
	return 0;
}
