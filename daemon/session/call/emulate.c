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

void emulated_clear(struct emulated *emulated)
{
	emulated->queue = safe_close(emulated->queue);
	free(emulated->message);
	emulated->message = NULL;
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

static int check_send(const struct emulated *emulated, const struct mq_attr *attributes)
{
	if (check_access(emulated->queue, true) < 0)
		return -EBADF;
	return emulated->call.size > (uint64_t)attributes->mq_msgsize ? -EMSGSIZE : 0;
}

static int check_receive(const struct emulated *emulated, const struct mq_attr *attributes)
{
	if (check_access(emulated->queue, false) < 0)
		return -EBADF;
	return emulated->call.size < (uint64_t)attributes->mq_msgsize ? -EMSGSIZE : 0;
}

static int prepare_message(struct target *target, struct emulated *emulated)
{
	struct app_memory memory = target_memory(target);
	struct mq_attr attributes;
	bool send = emulated->call.call == MQ_CALL_SEND;
	int r;

	if (send && (uint32_t)emulated->call.priority >= PRIORITY_MAX)
		return -EINVAL;
	if (syscall(SYS_mq_getsetattr, emulated->queue, NULL, &attributes) < 0)
		return -errno;
	r = send ? check_send(emulated, &attributes) : check_receive(emulated, &attributes);
	if (r < 0)
		return r;
	if (attributes.mq_msgsize > SESSION_MESSAGE_MAX)
		return -EPERM;
	if (!send) {
		emulated->call.size = (uint64_t)attributes.mq_msgsize;
		return 0;
	}
	emulated->message = malloc(emulated->call.size + 1);
	if (!emulated->message)
		return -ENOMEM;
	return emulated->call.size == 0 ? 0
					: memory.read(memory.context, emulated->call.buffer,
						  emulated->message, emulated->call.size);
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

static int prepare_getsetattr(struct target *target, struct emulated *emulated)
{
	if (emulated->call.buffer == 0)
		return 0;
	return read_attributes(target, &emulated->call, &emulated->attributes);
}

static int prepare_transfer(struct target *target, struct emulated *emulated)
{
	int r = 0;

	emulated->has_deadline = emulated->call.timeout != 0;
	if (emulated->has_deadline)
		r = read_timeout(target, &emulated->call, &emulated->deadline);
	return r < 0 ? r : prepare_message(target, emulated);
}

int emulate_prepare(
	struct target *target, const struct data_call *call, int queue, struct emulated *ret)
{
	struct emulated emulated = {.call = *call, .queue = queue};
	int r = call->call == MQ_CALL_GETSETATTR ? prepare_getsetattr(target, &emulated)
						 : prepare_transfer(target, &emulated);

	if (r < 0) {
		emulated.queue = -EBADF;
		emulated_clear(&emulated);
		return r;
	}
	*ret = emulated;
	return 0;
}

static const struct timespec past = {0, 0};

/* The id last: then all of it is there. */
static void note_done(struct done_call *done, uint64_t id, long result)
{
	done->result = result;
	__atomic_store_n(&done->id, id, __ATOMIC_SEQ_CST);
}

static long try_send(struct emulated *emulated, uint64_t id, struct done_call *done)
{
	const struct data_call *call = &emulated->call;

	if (syscall(SYS_mq_timedsend, emulated->queue, emulated->message, call->size,
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
	struct target *target, struct emulated *emulated, uint64_t id, struct done_call *done)
{
	const struct data_call *call = &emulated->call;
	long n;

	if (populate(done, call->size) < 0)
		return -ENOMEM;
	n = syscall(SYS_mq_timedreceive, emulated->queue, done->message, call->size,
		&done->priority, &past);
	if (n < 0) {
		n = errno == ETIMEDOUT ? -EINPROGRESS : -errno;
		give_back_memory(done);
		return n;
	}
	note_done(done, id, n);
	return emulate_hand_out(target, call, done);
}

long emulate_hand_out(
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

void emulate_answered(struct done_call *done)
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

static long try_getsetattr(struct target *target, struct emulated *emulated)
{
	const struct data_call *call = &emulated->call;
	struct mq_attr old;

	if (syscall(SYS_mq_getsetattr, emulated->queue, call->buffer ? &emulated->attributes : NULL,
		    &old) < 0)
		return -errno;
	return call->size == 0 ? 0 : write_attributes(target, call, &old);
}

long emulate_try(
	struct target *target, struct emulated *emulated, uint64_t id, struct done_call *done)
{
	switch (emulated->call.call) {
	case MQ_CALL_SEND:
		return try_send(emulated, id, done);
	case MQ_CALL_RECEIVE:
		return try_receive(target, emulated, id, done);
	case MQ_CALL_GETSETATTR:
		return try_getsetattr(target, emulated);
	case MQ_CALL_OPEN:
	case MQ_CALL_UNLINK:
	case MQ_CALL_NOTIFY:
	case MQ_CALL_COUNT:
		break;
	}
	return -EACCES;
}

bool emulated_is_late(const struct emulated *emulated)
{
	struct timespec now;

	if (!emulated->has_deadline || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return false;
	return now.tv_sec > emulated->deadline.tv_sec ||
	       (now.tv_sec == emulated->deadline.tv_sec &&
		       now.tv_nsec >= emulated->deadline.tv_nsec);
}
