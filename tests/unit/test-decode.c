/* SPDX-License-Identifier: MIT */
/* Decoding with a fake memory: what is copied, what is refused, in which order, and which bytes are
 * asked for. */
#include <criterion/criterion.h>
#include <fcntl.h>

#include "daemon/session/call/decode.h"
#include "include/syscalls.h"
#include "include/util.h"

#define BASE 0x10000U

/* Two pages of memory; what lies outside cannot be read. Every look is counted. */
struct fake {
	char bytes[8192];
	unsigned looks;
	uint64_t highest;
	int failure; /* instead of reading */
};

static int fake_read(void *context, uint64_t address, void *buffer, size_t size)
{
	struct fake *fake = context;

	fake->looks++;
	if (fake->failure)
		return fake->failure;
	if (address < BASE || address + size > BASE + sizeof(fake->bytes))
		return -EFAULT;
	fake->highest = MAX(fake->highest, address + size);
	memcpy(buffer, fake->bytes + (address - BASE), size);
	return 0;
}

static struct fake fake;
static struct request request;

static int number_of(uint32_t arch, enum mq_call call)
{
	const struct intercepted_call *row;

	for (size_t i = 0; (row = intercepted_call_at(i)); i++)
		if (row->arch == arch && row->call == call)
			return row->nr;
	return -1;
}

static int decode_on(
	uint32_t arch, enum mq_call call, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	struct seccomp_notif notification = {.id = 7,
		.pid = 42,
		.data = {.arch = arch, .nr = number_of(arch, call), .args = {a0, a1, a2, a3}}};
	struct app_memory memory = {.read = fake_read, .context = &fake};
	int r;

	memset(&request, 0x5a, sizeof(request));
	fake.looks = 0;
	fake.highest = 0;
	r = request_begin(&notification, &request);
	return r < 0 || request_has_descriptor(&request)
		       ? r
		       : request_copy(&notification, &memory, &request);
}

static int decode(enum mq_call call, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	return decode_on(native_arch, call, a0, a1, a2, a3);
}

static void put(uint64_t address, const char *text)
{
	memcpy(fake.bytes + (address - BASE), text, strlen(text) + 1);
}

Test(decode, open_copies_everything)
{
	struct mq_attr attributes = {.mq_maxmsg = 3, .mq_msgsize = 64};

	put(BASE, "events");
	memcpy(fake.bytes + 512, &attributes, sizeof(attributes));
	cr_assert_eq(decode(MQ_CALL_OPEN, BASE, 0102, 0640, BASE + 512), 0);
	cr_expect_eq(request.refusal, 0);
	cr_expect_str_eq(request.name, "events");
	cr_expect_eq(request.oflag, 0102);
	cr_expect_eq((int)request.mode, 0640);
	cr_expect(request.has_attributes);
	cr_expect_eq(request.attributes.mq_msgsize, 64);
	cr_expect_eq(request.tid, 42);
	cr_expect(request.id == 7);
}

Test(decode, a_name_is_looked_at_once)
{
	put(BASE, "events");
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE, 0, 0, 0), 0);
	cr_expect_eq(fake.looks, 1);
}

Test(decode, no_attributes_are_not_looked_for)
{
	put(BASE, "events");
	cr_assert_eq(decode(MQ_CALL_OPEN, BASE, 0, 0, 0), 0);
	cr_expect_not(request.has_attributes);
	cr_expect_eq(fake.looks, 1);
}

Test(decode, refusals_in_the_kernels_order)
{
	static const struct {
		const char *what, *name;
		uint64_t name_at, attributes_at;
		int refusal;
	} cases[] = {
		{"NULL name", NULL, 0, 0, EFAULT},
		{"empty name", "", BASE, 0, ENOENT},
		{"bad attributes before an empty name", "", BASE, 8, EFAULT},
		{"bad name after good attributes", NULL, 8, BASE + 512, EFAULT},
		{"attributes across the end", "x", BASE, BASE + 8192 - 8, EFAULT},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		memset(&fake, 0, sizeof(fake));
		if (cases[i].name)
			put(cases[i].name_at, cases[i].name);
		cr_assert_eq(decode(MQ_CALL_OPEN, cases[i].name_at, 0, 0, cases[i].attributes_at),
			0, "%s", cases[i].what);
		cr_expect_eq(request.refusal, cases[i].refusal, "%s", cases[i].what);
		cr_expect_str_eq(request.name, "", "%s", cases[i].what);
	}
}

Test(decode, a_name_ends_at_the_end_of_memory)
{
	put(BASE + 8192 - 3, "ab");
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE + 8192 - 3, 0, 0, 0), 0);
	cr_expect_eq(request.refusal, 0);
	cr_expect_str_eq(request.name, "ab");

	memset(fake.bytes + 8192 - 3, 'a', 3);
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE + 8192 - 3, 0, 0, 0), 0);
	cr_expect_eq(request.refusal, EFAULT);
}

Test(decode, the_next_page_is_not_touched_without_need)
{
	put(BASE + 4096 - 3, "ab");
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE + 4096 - 3, 0, 0, 0), 0);
	cr_expect(fake.highest == BASE + 4096);

	put(BASE + 4096 - 3, "abc");
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE + 4096 - 3, 0, 0, 0), 0);
	cr_expect_str_eq(request.name, "abc");
	cr_expect_eq(fake.looks, 2);
}

Test(decode, names_up_to_path_max)
{
	memset(fake.bytes, 'a', sizeof(fake.bytes));
	fake.bytes[PATH_MAX - 1] = '\0';
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE, 0, 0, 0), 0);
	cr_expect_eq(request.refusal, 0);
	cr_expect_eq(strlen(request.name), PATH_MAX - 1);

	fake.bytes[PATH_MAX - 1] = 'a';
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE, 0, 0, 0), 0);
	cr_expect_eq(request.refusal, ENAMETOOLONG);

	/* Not aligned: PATH_MAX bytes span two pages. */
	fake.bytes[1 + PATH_MAX - 1] = '\0';
	cr_assert_eq(decode(MQ_CALL_UNLINK, BASE + 1, 0, 0, 0), 0);
	cr_expect_eq(request.refusal, 0);
}

Test(decode, our_own_failure_is_not_the_apps)
{
	fake.failure = -EPERM;
	cr_expect_eq(decode(MQ_CALL_OPEN, BASE, 0, 0, BASE), -EPERM);
	cr_expect_eq(decode(MQ_CALL_UNLINK, BASE, 0, 0, 0), -EPERM);
}

Test(decode, descriptors_need_no_memory)
{
	static const enum mq_call calls[] = {
		MQ_CALL_SEND, MQ_CALL_RECEIVE, MQ_CALL_NOTIFY, MQ_CALL_GETSETATTR};

	for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
		/* The kernel looks at the lower half only. */
		cr_assert_eq(decode(calls[i], 0x100000003, 0, 0, 0), 0);
		cr_expect_eq(request.fd, 3);
		cr_expect_eq(fake.looks, 0);
		cr_expect(request.queue == QUEUE_UNKNOWN);
		cr_expect(request.removes_notification == (calls[i] == MQ_CALL_NOTIFY));
	}
	cr_assert_eq(decode(MQ_CALL_NOTIFY, 3, BASE, 0, 0), 0);
	cr_expect_not(request.removes_notification);
}

Test(decode, attributes_of_32_bit_programs)
{
	int32_t attributes[8] = {1, -2, 64, 0x7fffffff};

	put(BASE, "events");
	memcpy(fake.bytes + 8192 - sizeof(attributes), attributes, sizeof(attributes));
	cr_assert_eq(
		decode_on(compat_arch, MQ_CALL_OPEN, BASE, O_CREAT, 0600, BASE + 8192 - 32), 0);
	cr_expect_eq(request.refusal, 0, "32 bytes are enough");
	cr_expect(request.has_attributes);
	cr_expect_eq(request.attributes.mq_flags, 1);
	cr_expect_eq(request.attributes.mq_maxmsg, -2);
	cr_expect_eq(request.attributes.mq_msgsize, 64);
	cr_expect_eq(request.attributes.mq_curmsgs, 0x7fffffff);

	cr_assert_eq(decode_on(compat_arch, MQ_CALL_OPEN, BASE, O_RDWR, 0600, 8), 0);
	cr_expect_eq(request.refusal, 0, "without O_CREAT nobody looks at them");
	cr_expect_not(request.has_attributes);
	cr_assert_eq(decode_on(compat_arch, MQ_CALL_OPEN, BASE, O_RDWR | O_CREAT, 0600, 8), 0);
	cr_expect_eq(request.refusal, EFAULT);
}

Test(decode, other_calls_are_not_ours)
{
	struct seccomp_notif notification = {
		.data = {.arch = native_arch, .nr = number_of(native_arch, MQ_CALL_OPEN) - 1}};

	cr_expect_eq(request_begin(&notification, &request), -ENOSYS);
	notification.data.nr = number_of(native_arch, MQ_CALL_OPEN);
	notification.data.arch = native_arch ^ 1;
	cr_expect_eq(request_begin(&notification, &request), -ENOSYS);
}
