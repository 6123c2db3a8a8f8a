/* SPDX-License-Identifier: MIT */
/* Filter programs of an app's own making: running one ends and always says the same, and only the
 * session's filter id is taken for it. */
#include "fuzz.h"
#include "include/bpf.h"
#include "include/filter-id.h"

static void check_filter_id(const struct sock_filter *program, size_t length, uint64_t filter_id)
{
	struct sock_filter own[FILTER_ID_LENGTH + 1] = {0};

	filter_id_write(own, filter_id);
	REQUIRE(filter_id_is(own, FILTER_ID_LENGTH, filter_id));
	REQUIRE(!filter_id_is(own, FILTER_ID_LENGTH - 1, filter_id));
	REQUIRE(filter_has_id(own, FILTER_ID_LENGTH));
	REQUIRE(!filter_has_id(own, FILTER_ID_LENGTH - 1));
	for (unsigned bit = 0; bit < 64; bit++)
		REQUIRE(!filter_id_is(own, FILTER_ID_LENGTH, filter_id ^ UINT64_C(1) << bit));
	if (filter_id_is(program, length, filter_id))
		REQUIRE(memcmp(program, own, FILTER_ID_LENGTH * sizeof(*own)) == 0 &&
			filter_has_id(program, length));
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
	uint64_t filter_id;
	uint32_t result, looked;
	size_t length;

	take(&input, &filter_id, sizeof(filter_id));
	take(&input, &call, sizeof(call));
	length = MIN(input.size / sizeof(*program), (size_t)BPF_MAXINSNS);
	program = malloc(length * sizeof(*program) + 1);
	REQUIRE(program);
	take(&input, program, length * sizeof(*program));
	check_filter_id(program, length, filter_id);
	result = bpf_run(program, length, &call, &looked);
	check_blind(program, length, &call, looked, result);
	if (length == 0)
		REQUIRE(result == SECCOMP_RET_KILL_PROCESS);
	return 0;
}
