/* SPDX-License-Identifier: MIT */
/* A notification and the app's memory: what is copied is complete and bounded, each is looked at
 * once, and what was refused or is not granted is not allowed. */
#include <fcntl.h>

#include "daemon/session/call/decode.h"
#include "fuzz.h"
#include "include/syscalls.h"
#include "include/verdict.h"

#define PAGE   4096U
#define PAGES  4U
#define BASE   0x10000U
#define LENGTH (PAGES * PAGE)

/* Pages that may be missing; further looks may fail for other reasons. */
struct memory {
	uint8_t bytes[LENGTH];
	uint8_t looks_at[LENGTH];
	uint8_t looks_max; /* at one byte: name and attributes may lie on each other */
	uint8_t missing;   /* a bit a page */
	uint8_t failing;   /* at this look */
	uint8_t looks;
	bool faulted, failed;
};

static int read_byte(struct memory *memory, uint64_t address, uint8_t *ret)
{
	uint64_t at = address - BASE;

	if (address < BASE || at >= LENGTH || memory->missing >> at / PAGE & 1)
		return -EFAULT;
	REQUIRE(++memory->looks_at[at] <= memory->looks_max);
	*ret = memory->bytes[at];
	return 0;
}

static int read_memory(void *context, uint64_t address, void *buffer, size_t size)
{
	struct memory *memory = context;
	int r = 0;

	REQUIRE(!memory->faulted && !memory->failed);
	if (++memory->looks == memory->failing) {
		memory->failed = true;
		return -EPERM;
	}
	for (size_t i = 0; i < size && r == 0; i++)
		r = read_byte(memory, address + i, (uint8_t *)buffer + i);
	memory->faulted = r < 0;
	return r;
}

static const struct grants *some_grants(void)
{
	static struct grants *grants;

	if (grants)
		return grants;
	REQUIRE(grants_new(1, &grants) == 0);
	REQUIRE(grants_add(grants, &(struct grant){.name = "events",
					   .permissions = PERMISSION_READ | PERMISSION_WRITE}) ==
		0);
	REQUIRE(grants_add(grants,
			&(struct grant){.name = "e", .permissions = PERMISSION_DELETE}) == 0);
	REQUIRE(grants_add(grants, &(struct grant){.name = "m-*",
					   .pattern = true,
					   .permissions = PERMISSION_READ | PERMISSION_CREATE}) ==
		0);
	grants_seal(grants);
	return grants;
}

static uint64_t take_address(struct input *input)
{
	uint32_t number = take_number(input);

	/* Mostly near the memory, else anywhere. */
	return number & 1 ? (uint64_t)number << 32 | take_number(input)
			  : BASE - PAGE + (number >> 1) % (LENGTH + 2 * PAGE);
}

static void take_notification(struct input *input, struct seccomp_notif *ret)
{
	const struct intercepted_call *row;
	size_t i = take_byte(input);

	*ret = (struct seccomp_notif){.id = 1, .pid = 1};
	row = intercepted_call_at(i);
	ret->data.arch = row ? row->arch : take_number(input);
	ret->data.nr = row ? row->nr : (int)take_number(input);
	ret->data.args[0] = take_address(input);
	ret->data.args[1] = take_number(input);
	ret->data.args[2] = take_number(input);
	ret->data.args[3] = take_byte(input) & 1 ? take_address(input) : 0;
	ret->data.args[4] = take_number(input);
}

static void check_copy(const struct request *request, const struct memory *memory)
{
	REQUIRE(memchr(request->name, '\0', sizeof(request->name)));
	REQUIRE(!memory->failed);
	REQUIRE(memory->faulted == (request->refusal == EFAULT));
	REQUIRE(request->refusal == 0 || request->refusal == EFAULT || request->refusal == ENOENT ||
		request->refusal == ENAMETOOLONG);
	REQUIRE((request->name[0] == '\0') == (request->refusal != 0));
}

/* No queue's name has a slash, so what has one is nobody's grant but a pattern's; the kernel itself
 * then refuses it. */
static void check_verdict(const struct request *request)
{
	struct verdict verdict = decide(
		grants_find(some_grants(), &SUBJECT_NOBODY, request->name).permissions, request);
	uint32_t granted = grants_find(some_grants(), &SUBJECT_NOBODY, request->name).permissions;

	REQUIRE(verdict.allow == (verdict.error == 0));
	REQUIRE(verdict.reason != REASON_UNDECIDED);
	if (request->refusal != 0)
		REQUIRE(!verdict.allow && verdict.error == request->refusal);
	if (verdict.allow && verdict.reason == REASON_GRANTED)
		REQUIRE((request_needs(request) & ~granted) == 0 && granted != 0);
	if (verdict.allow && verdict.reason == REASON_HARMLESS)
		REQUIRE(request->removes_notification && request->call == MQ_CALL_NOTIFY);
	if (request->call == MQ_CALL_OPEN && verdict.allow && request->oflag & O_CREAT)
		REQUIRE(granted & PERMISSION_CREATE);
	if (request_has_descriptor(request) && request->queue == QUEUE_UNKNOWN)
		REQUIRE(!verdict.allow || verdict.reason == REASON_HARMLESS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct memory memory;
	static struct request request;
	const struct app_memory reader = {.read = read_memory, .context = &memory};
	struct seccomp_notif notification;
	struct input input = {data, size};
	int r;

	take_notification(&input, &notification);
	memory = (struct memory){.missing = take_byte(&input), .failing = take_byte(&input)};
	memset(memory.bytes, take_byte(&input), sizeof(memory.bytes));
	if (input.size > 0)
		memcpy(memory.bytes, input.data, MIN(input.size, sizeof(memory.bytes)));
	memset(&request, 0x5a, sizeof(request));
	memory.looks_max = notification.data.args[3] ? 2 : 1;
	r = request_begin(&notification, &request);
	REQUIRE((r < 0) ==
		(intercepted_call_find(notification.data.arch, notification.data.nr) == NULL));
	if (r < 0) {
		REQUIRE(r == -ENOSYS && request.call == MQ_CALL_COUNT);
		return 0;
	}
	if (!request_has_descriptor(&request))
		r = request_copy(&notification, &reader, &request);
	if (r < 0) {
		REQUIRE(memory.failed);
		return 0;
	}
	if (!request_has_descriptor(&request))
		check_copy(&request, &memory);
	check_verdict(&request);
	return 0;
}
