/* SPDX-License-Identifier: MIT */
/* What a session process carries out itself gives what the kernel gives, and notes what it has
 * done. This process is the caller, too. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <malloc.h>
#include <mqueue.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/session/call/emulate.h"
#include "include/syscalls.h"

#define ID   7
#define SIZE 32 /* of a message */
#define MOST 2  /* messages */

static struct target target;
static struct done_call *done;
static int both, reader, writer, memory;
static char *beside;
static char *hole; /* a page that cannot be used, behind one that can only be read */

/* Room for what is noted, and another mapping behind it. */
static void *map_beside(size_t page)
{
	size_t size = (sizeof(*done) + page - 1) / page * page;
	char *room = mmap(NULL, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq((void *)room, MAP_FAILED);
	beside = mmap(room + size, page, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	cr_assert_neq((void *)beside, MAP_FAILED);
	*beside = 'b';
	return room;
}

static void setup(void)
{
	struct mq_attr attributes = {.mq_maxmsg = MOST, .mq_msgsize = SIZE};
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char name[64];

	(void)snprintf(name, sizeof(name), "/mqgate-data-%d", getpid());
	both = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
	reader = mq_open(name, O_RDONLY | O_NONBLOCK);
	writer = mq_open(name, O_WRONLY | O_NONBLOCK);
	cr_assert(both >= 0 && reader >= 0 && writer >= 0 && mq_unlink(name) == 0);
	cr_assert_eq(target_open(getpid(), &target), 0);
	memory = memfd_create("done", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(memory, sizeof(*done)), 0);
	done = mmap(map_beside(page), sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		memory, 0);
	hole = mmap(NULL, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(done != MAP_FAILED && hole != MAP_FAILED);
	hole += page;
	cr_assert_eq(mprotect(hole, page, PROT_NONE), 0);
}

TestSuite(data_calls, .init = setup);

/* --- both ways --- */

struct arguments {
	enum mq_call call;
	int fd;
	uint64_t others[4];
};

static int number_of(enum mq_call call)
{
	return call == MQ_CALL_SEND      ? SYS_mq_timedsend
	       : call == MQ_CALL_RECEIVE ? SYS_mq_timedreceive
					 : SYS_mq_getsetattr;
}

static long by_kernel(const struct arguments *arguments)
{
	const uint64_t *others = arguments->others;
	long r = syscall(number_of(arguments->call), arguments->fd, others[0], others[1], others[2],
		others[3]);

	return r < 0 ? -errno : r;
}

static struct data_call decode(const struct arguments *arguments, uint32_t arch, int nr)
{
	struct seccomp_notif notification = {.id = ID, .data = {.nr = nr, .arch = arch}};

	notification.data.args[0] = (uint64_t)arguments->fd;
	memcpy(&notification.data.args[1], arguments->others, sizeof(arguments->others));
	return data_call_decode(&notification, arguments->call);
}

static struct queue_file queue_of(int fd)
{
	return (struct queue_file){
		.fd = fd, .access = fcntl(fd, F_GETFL) & O_ACCMODE, .message_size = SIZE};
}

static long carry_out(const struct arguments *arguments, uint32_t arch)
{
	struct data_call call = decode(arguments, arch, number_of(arguments->call));
	struct queue_file queue = queue_of(arguments->fd);
	struct emulated emulated = EMULATED_NONE;
	long r = emulate_prepare(&target, &call, arguments->fd < 0 ? NULL : &queue, &emulated);

	if (r == 0)
		r = emulate_try(&target, &emulated, ID, done);
	emulated_clear(&emulated);
	return r;
}

static long by_us(const struct arguments *arguments)
{
	return carry_out(arguments, native_arch);
}

/* What a call leaves behind. */
struct outcome {
	long result, messages, flags;
	unsigned priority;
	char text[64];
	struct mq_attr old;
};

static unsigned priority;
static char text[64];
static struct mq_attr old;

static void arrange(int messages)
{
	char buffer[SIZE];

	(void)fcntl(both, F_SETFL, O_NONBLOCK);
	while (mq_receive(both, buffer, sizeof(buffer), NULL) >= 0)
		;
	for (int i = 0; i < messages; i++)
		cr_assert_eq(mq_send(both, "a message", 9, 5), 0);
	priority = 99;
	memset(text, 'x', sizeof(text));
	memset(&old, 'x', sizeof(old));
}

static struct outcome outcome(
	long (*way)(const struct arguments *), const struct arguments *arguments, int messages)
{
	struct outcome outcome = {0};
	struct mq_attr now;

	arrange(messages);
	outcome.result = way(arguments);
	(void)mq_getattr(both, &now);
	outcome.messages = now.mq_curmsgs;
	outcome.flags = now.mq_flags;
	outcome.priority = priority;
	memcpy(outcome.text, text, sizeof(text));
	outcome.old = old;
	return outcome;
}

static void compare(const struct arguments *arguments, int messages)
{
	struct outcome kernel = outcome(by_kernel, arguments, messages);
	struct outcome ours = outcome(by_us, arguments, messages);
	const uint64_t *others = arguments->others;

	cr_assert(memcmp(&kernel, &ours, sizeof(ours)) == 0,
		"call %d of %d (%lx, %lx, %lx, %lx) with %d messages: %ld, %ld messages; by us "
		"%ld, %ld",
		arguments->call, arguments->fd, (unsigned long)others[0], (unsigned long)others[1],
		(unsigned long)others[2], (unsigned long)others[3], messages, kernel.result,
		kernel.messages, ours.result, ours.messages);
	/* What was carried out and could not be handed out is noted. */
	if (ours.result != -EFAULT)
		cr_assert_eq(done->id, ours.result < 0 ? 0 : ID);
	emulate_answered(done);
}

static const struct timespec times[] = {{0, 0}, {-1, 0}, {0, -1}, {0, 999999999}, {0, 1000000000},
	{INT32_MAX, 0}, {INT32_MAX, 1000000000}};

/* With every timeout; of a queue that is empty, not empty and full. */
static void compare_all(struct arguments *arguments)
{
	for (int messages = 0; messages <= MOST; messages++) {
		arguments->others[3] = 0;
		compare(arguments, messages);
		arguments->others[3] = (uintptr_t)hole;
		compare(arguments, messages);
		for (size_t i = 0; i < ELEMENTSOF(times); i++) {
			arguments->others[3] = (uintptr_t)&times[i];
			compare(arguments, messages);
		}
	}
}

Test(data_calls, sending_is_as_the_kernel_sends)
{
	const uint64_t buffers[] = {(uintptr_t)text, 0, (uintptr_t)hole, (uintptr_t)hole - 4};
	static const uint64_t sizes[] = {0, 4, SIZE, SIZE + 1};
	static const uint64_t priorities[] = {3, 32767, 32768, UINT32_MAX, (UINT64_C(1) << 32) + 3};
	const int fds[] = {both, writer, reader, -1};

	for (size_t fd = 0; fd < ELEMENTSOF(fds); fd++)
		for (size_t buffer = 0; buffer < ELEMENTSOF(buffers); buffer++)
			for (size_t size = 0; size < ELEMENTSOF(sizes); size++)
				for (size_t i = 0; i < ELEMENTSOF(priorities); i++)
					compare_all(&(struct arguments){MQ_CALL_SEND, fds[fd],
						{buffers[buffer], sizes[size], priorities[i]}});
}

Test(data_calls, what_is_sent_is_what_was_meant)
{
	struct arguments arguments = {MQ_CALL_SEND, writer, {(uintptr_t) "what is sent", 12, 4, 0}};
	unsigned with = 0;

	arrange(0);
	cr_expect_eq(by_us(&arguments), 0);
	cr_expect_eq(mq_receive(both, text, SIZE, &with), 12);
	cr_expect_eq(with, 4U);
	cr_expect_eq(memcmp(text, "what is sent", 12), 0);
}

Test(data_calls, receiving_is_as_the_kernel_receives)
{
	const uint64_t buffers[] = {(uintptr_t)text, 0, (uintptr_t)hole, (uintptr_t)hole - 64};
	const uint64_t priorities[] = {0, (uintptr_t)&priority, (uintptr_t)hole};
	static const uint64_t sizes[] = {0, SIZE - 1, SIZE, SIZE + 1, 1U << 20, UINT64_MAX};
	const int fds[] = {both, reader, writer, -1};

	for (size_t fd = 0; fd < ELEMENTSOF(fds); fd++)
		for (size_t buffer = 0; buffer < ELEMENTSOF(buffers); buffer++)
			for (size_t size = 0; size < ELEMENTSOF(sizes); size++)
				for (size_t i = 0; i < ELEMENTSOF(priorities); i++)
					compare_all(&(struct arguments){MQ_CALL_RECEIVE, fds[fd],
						{buffers[buffer], sizes[size], priorities[i]}});
}

Test(data_calls, attributes_are_as_the_kernel_has_them)
{
	static const struct mq_attr set = {.mq_flags = O_NONBLOCK}, unset, wrong = {.mq_flags = 1},
				    high = {.mq_flags = INT64_C(1) << 40};
	const uint64_t new[] = {0, (uintptr_t)&set, (uintptr_t)&unset, (uintptr_t)&wrong,
		(uintptr_t)&high, (uintptr_t)hole, (uintptr_t)hole - 64};
	const uint64_t olds[] = {0, (uintptr_t)&old, (uintptr_t)hole, (uintptr_t)hole - 64};
	const int fds[] = {both, reader, writer, -1};

	for (size_t fd = 0; fd < ELEMENTSOF(fds); fd++)
		for (size_t i = 0; i < ELEMENTSOF(new); i++)
			for (size_t k = 0; k < ELEMENTSOF(olds); k++)
				for (int messages = 0; messages <= MOST; messages++)
					compare(&(struct arguments){MQ_CALL_GETSETATTR, fds[fd],
							{new[i], olds[k]}},
						messages);
}

Test(data_calls, what_was_copied_is_freed)
{
	struct arguments arguments = {MQ_CALL_SEND, both, {(uintptr_t)text, SIZE, 4, 0}};
	size_t before;

	arrange(0);
	cr_expect_eq(by_us(&arguments), 0);
	before = mallinfo2().uordblks;
	for (int i = 0; i < 2000; i++) {
		arguments.others[0] = (uintptr_t)(i % 2 ? text : hole);
		(void)by_us(&arguments);
	}
	cr_expect_leq(mallinfo2().uordblks, before + SIZE * 100);
}

/* --- of 32-bit programs --- */

Test(data_calls, attributes_of_32_bit_programs)
{
	int32_t set[8] = {O_NONBLOCK, 7, 7, 7}, was[9] = {0};
	struct arguments arguments = {
		MQ_CALL_GETSETATTR, both, {(uintptr_t)set, (uintptr_t)was, 0, 0}};

	arrange(1);
	was[8] = 42;
	(void)fcntl(both, F_SETFL, 0);
	cr_expect_eq(carry_out(&arguments, compat_arch), 0);
	cr_expect_eq(fcntl(both, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	cr_expect(was[0] == 0 && was[1] == MOST && was[2] == SIZE && was[3] == 1 && was[4] == 0);
	cr_expect_eq(was[8], 42, "it is one of eight");
	set[0] = 1;
	cr_expect_eq(carry_out(&arguments, compat_arch), -EINVAL);
	arguments.others[0] = (uintptr_t)hole;
	cr_expect_eq(carry_out(&arguments, compat_arch), -EFAULT);
	arguments.others[0] = 0;
	arguments.others[1] = (uintptr_t)hole;
	cr_expect_eq(carry_out(&arguments, compat_arch), -EFAULT);
}

static int timeout_of(uint32_t arch, int nr, const void *timeout, struct timespec *ret)
{
	struct arguments arguments = {
		MQ_CALL_SEND, both, {(uintptr_t)text, 1, 0, (uintptr_t)timeout}};
	struct data_call call = decode(&arguments, arch, nr);
	struct queue_file queue = queue_of(both);
	struct emulated emulated = EMULATED_NONE;
	int r = emulate_prepare(&target, &call, &queue, &emulated);

	*ret = emulated.deadline;
	emulated_clear(&emulated);
	return r;
}

static int number_in(uint32_t arch, bool has_long_time)
{
	const struct intercepted_call *row;

	for (size_t i = 0; (row = intercepted_call_at(i)); i++)
		if (row->arch == arch && row->call == MQ_CALL_SEND &&
			intercepted_call_has_long_time(row->nr) == has_long_time)
			return row->nr;
	cr_assert_fail("no such call");
	return -1;
}

Test(data_calls, times_of_32_bit_programs)
{
	const int narrow = number_in(compat_arch, false), wide = number_in(compat_arch, true);
	const int32_t brief[] = {77, 88, -1}, late[] = {-1, 0}, wrong[] = {77, -1};
	const int64_t padded[] = {77, INT64_C(5) << 32 | 88}, negative[] = {-1, 0};
	struct timespec time;

	cr_expect_eq(timeout_of(compat_arch, narrow, brief, &time), 0);
	cr_expect(time.tv_sec == 77 && time.tv_nsec == 88);
	cr_expect_eq(timeout_of(compat_arch, narrow, late, &time), -EINVAL);
	cr_expect_eq(timeout_of(compat_arch, narrow, wrong, &time), -EINVAL);
	cr_expect_eq(timeout_of(compat_arch, wide, padded, &time), 0);
	cr_expect(time.tv_sec == 77 && time.tv_nsec == 88, "the upper half is padding");
	cr_expect_eq(timeout_of(compat_arch, wide, negative, &time), -EINVAL);
	cr_expect_eq(timeout_of(compat_arch, narrow, hole - sizeof(brief[0]), &time), -EFAULT);
	cr_expect_eq(timeout_of(compat_arch, narrow, hole - 2 * sizeof(brief[0]), &time), 0);
	cr_expect_eq(timeout_of(compat_arch, wide, hole - 2 * sizeof(brief[0]), &time), -EFAULT);
	cr_expect_eq(timeout_of(native_arch, SYS_mq_timedsend, padded, &time), -EINVAL);
}

/* --- what would have to wait --- */

static long wait_until(const struct timespec *deadline, uint64_t *ret_left)
{
	struct arguments arguments = {
		MQ_CALL_RECEIVE, both, {(uintptr_t)text, SIZE, 0, (uintptr_t)deadline}};
	struct data_call call = decode(&arguments, native_arch, SYS_mq_timedreceive);
	struct queue_file queue = queue_of(both);
	struct emulated emulated = EMULATED_NONE;
	long r = emulate_prepare(&target, &call, &queue, &emulated);

	cr_assert_eq(r, 0);
	r = emulate_try(&target, &emulated, ID, done);
	*ret_left = emulated_time_left(&emulated);
	return r;
}

static struct timespec in_nanoseconds(int64_t nanoseconds)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_REALTIME, &time);
	nanoseconds += time.tv_nsec;
	time.tv_sec += nanoseconds / 1000000000;
	time.tv_nsec = nanoseconds % 1000000000;
	return time;
}

static int64_t nanoseconds_to(const struct timespec *time)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (time->tv_sec - now.tv_sec) * 1000000000 + time->tv_nsec - now.tv_nsec;
}

/* The next microsecond after it, or the one after that. */
static void expect_left(int64_t nanoseconds)
{
	struct emulated emulated = {.has_deadline = true, .deadline = in_nanoseconds(nanoseconds)};
	int64_t before = nanoseconds_to(&emulated.deadline);
	int64_t left = (int64_t)emulated_time_left(&emulated) * 1000;
	int64_t after = nanoseconds_to(&emulated.deadline);

	cr_assert(left > after && left <= before + 2000, "%ld ns of %ld to %ld", (long)left,
		(long)after, (long)before);
}

Test(data_calls, how_long_it_may_wait)
{
	struct timespec past = in_nanoseconds(-1), far = {.tv_sec = INT64_MAX};
	uint64_t left;

	arrange(0);
	cr_assert_eq(fcntl(both, F_SETFL, 0), 0);
	cr_expect_eq(wait_until(NULL, &left), -EINPROGRESS);
	cr_expect_eq(left, UINT64_MAX, "for ever");
	cr_expect_eq(wait_until(&past, &left), -EINPROGRESS);
	cr_expect_eq(left, 0U);
	past.tv_sec--;
	past.tv_nsec = 999999999;
	cr_expect_eq(wait_until(&past, &left), -EINPROGRESS);
	cr_expect_eq(left, 0U);
	for (int64_t i = 5; i < 3000; i++)
		expect_left(i * 1000001);
	cr_expect_eq(wait_until(&far, &left), -EINPROGRESS);
	cr_expect(left >= INT32_MAX * UINT64_C(1000000) - 1000000 &&
			  left <= (INT32_MAX + UINT64_C(1)) * 1000000,
		"%lu", (unsigned long)left);
	cr_expect_eq(done->id, 0U, "nothing is noted");
}

/* --- what is noted --- */

Test(data_calls, what_was_done_is_noted)
{
	struct arguments send = {MQ_CALL_SEND, both, {(uintptr_t) "text", 4, 6, 0}},
			 receive = {MQ_CALL_RECEIVE, both, {(uintptr_t)text, SIZE, 0, 0}},
			 get = {MQ_CALL_GETSETATTR, both, {0, 0, 0, 0}};

	arrange(0);
	cr_expect_eq(by_us(&send), 0);
	cr_expect(done->id == ID && done->result == 0);
	cr_expect_eq(emulate_outcome(done, MQ_CALL_SEND), 0);
	emulate_answered(done);
	cr_expect_eq(by_us(&get), 0);
	cr_expect(done->id == ID && done->result == 0 && done->attributes.mq_curmsgs == 1);
	emulate_answered(done);
	cr_expect_eq(by_us(&receive), 4);
	cr_expect(done->id == ID && done->result == 4 && done->priority == 6);
	cr_expect_eq(memcmp(done->message, "text", 4), 0);
	cr_expect_eq(emulate_outcome(done, MQ_CALL_RECEIVE), 4);
	emulate_answered(done);
	cr_expect(done->id == 0 && done->used == 0);
}

Test(data_calls, what_is_not_carried_out_is_not_noted)
{
	static const struct mq_attr wrong = {.mq_flags = 1};
	struct arguments set = {MQ_CALL_GETSETATTR, both, {(uintptr_t)&wrong, 0, 0, 0}};

	done->attributes.mq_msgsize = SIZE;
	cr_expect_eq(by_us(&set), -EINVAL);
	cr_expect_eq(done->id, 0U);
	cr_expect_eq(done->attributes.mq_msgsize, 0, "of an earlier call");
}

Test(data_calls, an_empty_message_is_one)
{
	struct arguments receive = {
		MQ_CALL_RECEIVE, both, {(uintptr_t)text, SIZE, (uintptr_t)&priority, 0}};

	arrange(0);
	cr_assert_eq(mq_send(both, "", 0, 9), 0);
	errno = EIO;
	cr_expect_eq(by_us(&receive), 0);
	cr_expect_eq(priority, 9U);
	cr_expect_eq(done->id, (uint64_t)ID);
}

Test(data_calls, what_a_send_has_for_the_app_is_its_result)
{
	const struct data_call call = {.call = MQ_CALL_SEND};

	done->result = 77;
	cr_expect_eq(emulate_hand_out(&target, &call, done), 77);
}

/* Whose note of what was done did not come any more. */
static long found(enum mq_call call, unsigned with, char last, long size)
{
	done->result = DONE_TRYING;
	done->priority = with;
	done->used = 10;
	done->attributes.mq_msgsize = size;
	done->message[9] = last;
	cr_expect_eq(emulate_outcome(done, call), done->result);
	return done->result;
}

Test(data_calls, what_cannot_be_told_is_an_error)
{
	cr_expect_eq(found(MQ_CALL_RECEIVE, UINT32_MAX, '\x5a', 0), -EINPROGRESS);
	cr_expect_eq(found(MQ_CALL_RECEIVE, 3, 'z', 0), 10);
	cr_expect_eq(found(MQ_CALL_RECEIVE, 3, '\x5a', 0), -EIO);
	cr_expect_eq(found(MQ_CALL_GETSETATTR, 0, 0, 0), -EINPROGRESS);
	cr_expect_eq(found(MQ_CALL_GETSETATTR, 0, 0, SIZE), 0);
	cr_expect_eq(found(MQ_CALL_SEND, 0, 0, 0), -EIO);
	done->used = 0;
	done->result = DONE_TRYING;
	done->priority = 3;
	cr_expect_eq(emulate_outcome(done, MQ_CALL_RECEIVE), -EIO);
}

/* --- memory --- */

static size_t memory_used(void)
{
	struct stat st;

	cr_assert_eq(fstat(memory, &st), 0);
	return (size_t)st.st_blocks * 512;
}

/* Of a queue whose messages are as large as that, of which nothing else is looked at. */
static long try_receiving(uint64_t size)
{
	struct emulated emulated = {.queue = both,
		.call = {.call = MQ_CALL_RECEIVE, .buffer = (uintptr_t)text, .size = size}};

	return emulate_try(&target, &emulated, ID, done);
}

Test(data_calls, memory_for_a_large_message_is_given_back)
{
	const uint64_t large = 10 * SESSION_MESSAGE_KEPT;

	arrange(1);
	cr_expect_eq(try_receiving(large), 9);
	cr_expect_geq(memory_used(), large);
	cr_expect_eq(done->used, large);
	emulate_answered(done);
	cr_expect_leq(memory_used(), SESSION_MESSAGE_KEPT + 3 * (size_t)sysconf(_SC_PAGESIZE));
	cr_expect_eq(memcmp(done->message, "a message", 9), 0, "what is small is kept");
	cr_expect_eq(*beside, 'b');
}

/* A message that nobody could note would be lost. */
Test(data_calls, without_memory_no_message_is_taken)
{
	struct mq_attr now;

	arrange(1);
	cr_assert_eq(ftruncate(memory, SESSION_MESSAGE_KEPT), 0);
	cr_expect_eq(try_receiving(10 * SESSION_MESSAGE_KEPT), -ENOMEM);
	(void)mq_getattr(both, &now);
	cr_expect_eq(now.mq_curmsgs, 1);
	cr_expect_eq(done->id, 0U);
}

Test(data_calls, a_message_that_is_too_large_to_be_kept_is_not_touched)
{
	struct queue_file queue = queue_of(both);
	struct data_call call = {.call = MQ_CALL_RECEIVE,
		.buffer = (uintptr_t)text,
		.size = SESSION_MESSAGE_MAX + UINT64_C(1)};
	struct emulated emulated = EMULATED_NONE;

	queue.message_size = SESSION_MESSAGE_MAX;
	cr_expect_eq(emulate_prepare(&target, &call, &queue, &emulated), 0);
	cr_expect_eq(emulated.call.size, (uint64_t)SESSION_MESSAGE_MAX);
	queue.message_size++;
	cr_expect_eq(emulate_prepare(&target, &call, &queue, &emulated), -EPERM);
}

/* Nobody carries these out so. */
Test(data_calls, others_are_refused)
{
	for (enum mq_call call = 0; call < MQ_CALL_COUNT; call++) {
		struct emulated emulated = {.call.call = call, .queue = -EBADF};
		bool is_ours = call == MQ_CALL_SEND || call == MQ_CALL_RECEIVE ||
			       call == MQ_CALL_GETSETATTR;

		cr_expect_eq(emulate_try(&target, &emulated, ID, done), is_ours ? -EBADF : -EACCES);
	}
}
