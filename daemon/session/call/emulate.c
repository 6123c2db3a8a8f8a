/* SPDX-License-Identifier: MIT */
/* Calls on a descriptor that this process carries out itself.
 *
 * CONTINUE gives a call back with a number, and what is behind that number may have been exchanged
 * by then. As long as the session has lost nothing that does not matter. Once it has, the call is
 * made here, on a copy of the descriptor taken from the caller: the file that was checked is the
 * file that is used. Only what would block is tried with a timeout in the past, so this process
 * never waits inside the kernel; the caller's own O_NONBLOCK is a property of the file and needs
 * nothing.
 *
 * What is done is noted at once, and a message is received into memory that outlives this process:
 * should it be killed then, the next one hands the message out, or says that it was sent. What is
 * left is the way back from the kernel's own call, a few instructions.
 *
 * Errors come in the kernel's order: timeout, priority, access mode, size, memory. */
#include "emulate.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "include/limits.h"
#include "include/syscalls.h"

#define PRIORITY_MAX 32768

struct data_call data_call_decode(const struct seccomp_notif *notification, enum mq_call call)
{
	const __u64 *args = notification->data.args;
	bool compat = notification->data.arch == compat_arch;

	return (struct data_call){.call = call,
		.compat = compat,
		.buffer = args[1],
		.size = args[2],
		.priority = args[3],
		.timeout = args[4],
		.long_time = !compat || intercepted_call_has_long_time(notification->data.nr)};
}

void carried_clear(struct carried *carried)
{
	carried->queue = safe_close(carried->queue);
	free(carried->message);
	carried->message = NULL;
}

static int read_timeout(struct target *target, const struct data_call *call, struct timespec *ret)
{
	struct app_memory memory = target_memory(target);
	int64_t wide[2];
	int32_t narrow[2];
	int r;

	if (call->long_time)
		r = memory.read(memory.context, call->timeout, wide, sizeof(wide));
	else
		r = memory.read(memory.context, call->timeout, narrow, sizeof(narrow));
	if (r < 0)
		return r;
	*ret = call->long_time ? (struct timespec){wide[0], wide[1]}
			       : (struct timespec){narrow[0], narrow[1]};
	/* The upper half of a 32-bit caller's nanoseconds is padding. */
	if (call->compat && call->long_time)
		ret->tv_nsec &= UINT32_MAX;
	return ret->tv_sec < 0 || ret->tv_nsec < 0 || ret->tv_nsec >= 1000000000 ? -EINVAL : 0;
}

static int check_access(int queue, bool write)
{
	int flags = fcntl(queue, F_GETFL), mode = flags & O_ACCMODE;

	if (flags < 0)
		return -errno;
	return mode == O_RDWR || mode == (write ? O_WRONLY : O_RDONLY) ? 0 : -EBADF;
}

static int check_send(const struct carried *carried, const struct mq_attr *attributes)
{
	if (check_access(carried->queue, true) < 0)
		return -EBADF;
	return carried->call.size > (uint64_t)attributes->mq_msgsize ? -EMSGSIZE : 0;
}

static int check_receive(const struct carried *carried, const struct mq_attr *attributes)
{
	if (check_access(carried->queue, false) < 0)
		return -EBADF;
	return carried->call.size < (uint64_t)attributes->mq_msgsize ? -EMSGSIZE : 0;
}

static int prepare_message(struct target *target, struct carried *carried)
{
	struct app_memory memory = target_memory(target);
	struct mq_attr attributes;
	bool send = carried->call.call == MQ_CALL_SEND;
	int r;

	if (send && (uint32_t)carried->call.priority >= PRIORITY_MAX)
		return -EINVAL;
	if (syscall(SYS_mq_getsetattr, carried->queue, NULL, &attributes) < 0)
		return -errno;
	r = send ? check_send(carried, &attributes) : check_receive(carried, &attributes);
	if (r < 0)
		return r;
	if (attributes.mq_msgsize > SESSION_MESSAGE_MAX)
		return -EPERM;
	if (!send) {
		carried->call.size = (uint64_t)attributes.mq_msgsize;
		return 0;
	}
	carried->message = malloc(carried->call.size + 1);
	if (!carried->message)
		return -ENOMEM;
	return carried->call.size == 0 ? 0
				       : memory.read(memory.context, carried->call.buffer,
						 carried->message, carried->call.size);
}

static int read_attributes(struct target *target, const struct data_call *call, struct mq_attr *ret)
{
	struct app_memory memory = target_memory(target);
	int32_t compat[8];
	int r;

	if (!call->compat)
		return memory.read(memory.context, call->buffer, ret, sizeof(*ret));
	r = memory.read(memory.context, call->buffer, compat, sizeof(compat));
	if (r == 0)
		*ret = (struct mq_attr){.mq_flags = compat[0],
			.mq_maxmsg = compat[1],
			.mq_msgsize = compat[2],
			.mq_curmsgs = compat[3]};
	return r;
}

static int prepare_getsetattr(struct target *target, struct carried *carried)
{
	if (carried->call.buffer == 0)
		return 0;
	return read_attributes(target, &carried->call, &carried->attributes);
}

static int prepare_transfer(struct target *target, struct carried *carried)
{
	int r = 0;

	carried->has_deadline = carried->call.timeout != 0;
	if (carried->has_deadline)
		r = read_timeout(target, &carried->call, &carried->deadline);
	return r < 0 ? r : prepare_message(target, carried);
}

int carry_prepare(
	struct target *target, const struct data_call *call, int queue, struct carried *ret)
{
	struct carried carried = {.call = *call, .queue = queue};
	int r = call->call == MQ_CALL_GETSETATTR ? prepare_getsetattr(target, &carried)
						 : prepare_transfer(target, &carried);

	if (r < 0) {
		carried.queue = -EBADF;
		carried_clear(&carried);
		return r;
	}
	*ret = carried;
	return 0;
}

static const struct timespec past = {0, 0};

/* The id last: then all of it is there. */
static void note_done(struct done_call *done, uint64_t id, long result)
{
	done->result = result;
	__atomic_store_n(&done->id, id, __ATOMIC_SEQ_CST);
}

static long try_send(struct carried *carried, uint64_t id, struct done_call *done)
{
	const struct data_call *call = &carried->call;

	if (syscall(SYS_mq_timedsend, carried->queue, carried->message, call->size,
		    (uint32_t)call->priority, &past) < 0)
		return errno == ETIMEDOUT ? -EINPROGRESS : -errno;
	note_done(done, id, 0);
	return 0;
}

/* There must be memory for a message before it is taken, even if we are being killed. */
static int populate(struct done_call *done, size_t size)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)done->message / page * page;

	done->used = (uint32_t)size;
	return madvise((void *)start, (uintptr_t)done->message + size - start,
		       MADV_POPULATE_WRITE) < 0
		       ? -errno
		       : 0;
}

static void give_back_memory(struct done_call *done)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = ((uintptr_t)done->message + SESSION_MESSAGE_KEPT) / page * page;

	if (done->used > SESSION_MESSAGE_KEPT)
		(void)madvise(
			(void *)start, (uintptr_t)done->message + done->used - start, MADV_REMOVE);
	done->used = 0;
}

static long try_receive(
	struct target *target, struct carried *carried, uint64_t id, struct done_call *done)
{
	const struct data_call *call = &carried->call;
	long n;

	if (populate(done, call->size) < 0)
		return -ENOMEM;
	n = syscall(SYS_mq_timedreceive, carried->queue, done->message, call->size, &done->priority,
		&past);
	if (n < 0) {
		n = errno == ETIMEDOUT ? -EINPROGRESS : -errno;
		give_back_memory(done);
		return n;
	}
	note_done(done, id, n);
	return carry_hand_out(target, call, done);
}

long carry_hand_out(
	struct target *target, const struct data_call *call, const struct done_call *done)
{
	if (call->call != MQ_CALL_RECEIVE)
		return done->result;
	if (call->priority != 0 &&
		target_write(target, call->priority, &done->priority, sizeof(done->priority)) < 0)
		return -EFAULT;
	if (target_write(target, call->buffer, done->message, (size_t)done->result) < 0)
		return -EFAULT;
	return done->result;
}

void carry_answered(struct done_call *done)
{
	__atomic_store_n(&done->id, 0, __ATOMIC_SEQ_CST);
	give_back_memory(done);
}

static int write_attributes(
	struct target *target, const struct data_call *call, const struct mq_attr *attributes)
{
	int32_t compat[8] = {(int32_t)attributes->mq_flags, (int32_t)attributes->mq_maxmsg,
		(int32_t)attributes->mq_msgsize, (int32_t)attributes->mq_curmsgs};

	return call->compat ? target_write(target, call->size, compat, sizeof(compat))
			    : target_write(target, call->size, attributes, sizeof(*attributes));
}

static long try_getsetattr(struct target *target, struct carried *carried)
{
	const struct data_call *call = &carried->call;
	struct mq_attr old;

	if (syscall(SYS_mq_getsetattr, carried->queue, call->buffer ? &carried->attributes : NULL,
		    &old) < 0)
		return -errno;
	return call->size == 0 ? 0 : write_attributes(target, call, &old);
}

long carry_try(struct target *target, struct carried *carried, uint64_t id, struct done_call *done)
{
	switch (carried->call.call) {
	case MQ_CALL_SEND:
		return try_send(carried, id, done);
	case MQ_CALL_RECEIVE:
		return try_receive(target, carried, id, done);
	case MQ_CALL_GETSETATTR:
		return try_getsetattr(target, carried);
	case MQ_CALL_OPEN:
	case MQ_CALL_UNLINK:
	case MQ_CALL_NOTIFY:
	case MQ_CALL_COUNT:
		break;
	}
	return -EACCES;
}

bool carried_is_late(const struct carried *carried)
{
	struct timespec now;

	if (!carried->has_deadline || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return false;
	return now.tv_sec > carried->deadline.tv_sec ||
	       (now.tv_sec == carried->deadline.tv_sec && now.tv_nsec >= carried->deadline.tv_nsec);
}
