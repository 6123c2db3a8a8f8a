/* SPDX-License-Identifier: MIT */
/* Calls on a descriptor that this process carries out itself.
 *
 * CONTINUE gives a call back with a number, and what is behind that number may have been exchanged
 * by then. As long as the session has lost nothing that does not matter. Once it has, and unless
 * the caller is alone (serve.c), the call is made here, on a copy of the descriptor taken from the
 * caller: the file that was checked is the file that is used. Only what would block is tried with a
 * timeout in the past, so this process never waits inside the kernel; the caller's own O_NONBLOCK
 * is a property of the file and needs nothing.
 *
 * What is about to be done is noted, and then what was done; a message is received into memory that
 * outlives this process. Should it be killed, the next one hands the message out, or says that it
 * was sent. Between the two notes the kernel itself tells: before it is asked, what it writes at
 * every success is given values that it never writes. What cannot be told even so is not repeated:
 * the app gets EIO, and the log a line (resume.c).
 *
 * Errors come in the kernel's order: timeout, priority, access mode, size, memory. */
#include "emulate.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "include/limits.h"
#include "include/syscalls.h"

#define PRIORITY_MAX       32768
#define PRIORITY_UNTOUCHED UINT32_MAX /* the kernel writes none from PRIORITY_MAX on */
#define BYTE_UNTOUCHED     '\x5a'

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
	/* The upper half of a 32-bit caller's nanoseconds is padding, or there is none. */
	if (call->compat)
		ret->tv_nsec &= UINT32_MAX;
	return ret->tv_sec < 0 || ret->tv_nsec < 0 || ret->tv_nsec >= 1000000000 ? -EINVAL : 0;
}

static int check_queue(const struct emulated *emulated, const struct queue_file *queue)
{
	bool send = emulated->call.call == MQ_CALL_SEND;

	if (!queue || queue->access == (send ? O_RDONLY : O_WRONLY))
		return -EBADF;
	if (send ? emulated->call.size > queue->message_size
		 : emulated->call.size < queue->message_size)
		return -EMSGSIZE;
	return queue->message_size > SESSION_MESSAGE_MAX ? -EPERM : 0;
}

static int prepare_message(
	struct target *target, const struct queue_file *queue, struct emulated *emulated)
{
	struct app_memory memory = target_memory(target);
	bool send = emulated->call.call == MQ_CALL_SEND;
	int r;

	if (send && (uint32_t)emulated->call.priority >= PRIORITY_MAX)
		return -EINVAL;
	r = check_queue(emulated, queue);
	if (r < 0)
		return r;
	if (!send) {
		emulated->call.size = queue->message_size;
		return 0;
	}
	emulated->message = malloc(emulated->call.size + 1);
	if (!emulated->message)
		return -ENOMEM;
	return emulated->call.size == 0 ? 0
					: memory.read(memory.context, emulated->call.buffer,
						  emulated->message, emulated->call.size);
}

/* Of them the kernel looks at the flags only. */
static int read_attributes(struct target *target, const struct data_call *call, struct mq_attr *ret)
{
	struct app_memory memory = target_memory(target);
	int32_t compat[8];
	int r;

	if (!call->compat)
		return memory.read(memory.context, call->buffer, ret, sizeof(*ret));
	r = memory.read(memory.context, call->buffer, compat, sizeof(compat));
	if (r == 0)
		ret->mq_flags = compat[0];
	return r;
}

/* That there is no queue the kernel says, after it has looked at the flags. */
static int prepare_getsetattr(struct target *target, struct emulated *emulated)
{
	return emulated->call.buffer == 0
		       ? 0
		       : read_attributes(target, &emulated->call, &emulated->attributes);
}

static int prepare_transfer(
	struct target *target, const struct queue_file *queue, struct emulated *emulated)
{
	int r = 0;

	emulated->has_deadline = emulated->call.timeout != 0;
	if (emulated->has_deadline)
		r = read_timeout(target, &emulated->call, &emulated->deadline);
	return r < 0 ? r : prepare_message(target, queue, emulated);
}

int emulate_prepare(struct target *target, const struct data_call *call,
	const struct queue_file *queue, struct emulated *ret)
{
	struct emulated emulated = {.call = *call, .queue = queue ? queue->fd : -EBADF};
	int r = call->call == MQ_CALL_GETSETATTR ? prepare_getsetattr(target, &emulated)
						 : prepare_transfer(target, queue, &emulated);

	if (r < 0) {
		emulated_clear(&emulated);
		return r;
	}
	*ret = emulated;
	return 0;
}

static const struct timespec past = {0, 0};

/* The id last: then all of it is there. */
static void note_trying(struct done_call *done, uint64_t id)
{
	done->result = DONE_TRYING;
	__atomic_store_n(&done->id, id, __ATOMIC_SEQ_CST);
}

static void note_nothing(struct done_call *done)
{
	__atomic_store_n(&done->id, 0, __ATOMIC_SEQ_CST);
}

static void note_done(struct done_call *done, long result)
{
	__atomic_store_n(&done->result, result, __ATOMIC_SEQ_CST);
}

static long try_send(struct emulated *emulated, uint64_t id, struct done_call *done)
{
	const struct data_call *call = &emulated->call;
	long r;

	note_trying(done, id);
	r = syscall(SYS_mq_timedsend, emulated->queue, emulated->message, call->size,
		(uint32_t)call->priority, &past);
	if (r < 0) {
		note_nothing(done);
		return errno == ETIMEDOUT ? -EINPROGRESS : -errno;
	}
	note_done(done, 0);
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

static int write_attributes(
	struct target *target, const struct data_call *call, const struct mq_attr *attributes)
{
	int32_t compat[8] = {(int32_t)attributes->mq_flags, (int32_t)attributes->mq_maxmsg,
		(int32_t)attributes->mq_msgsize, (int32_t)attributes->mq_curmsgs};

	return call->compat ? target_write(target, call->size, compat, sizeof(compat))
			    : target_write(target, call->size, attributes, sizeof(*attributes));
}

static long hand_out_message(
	struct target *target, const struct data_call *call, const struct done_call *done)
{
	if (call->priority != 0 &&
		target_write(target, call->priority, &done->priority, sizeof(done->priority)) < 0)
		return -EFAULT;
	if (target_write(target, call->buffer, done->message, (size_t)done->result) < 0)
		return -EFAULT;
	return done->result;
}

long emulate_hand_out(
	struct target *target, const struct data_call *call, const struct done_call *done)
{
	switch (call->call) {
	case MQ_CALL_RECEIVE:
		return hand_out_message(target, call, done);
	case MQ_CALL_GETSETATTR:
		return call->size == 0 ? 0 : write_attributes(target, call, &done->attributes);
	default:
		return done->result;
	}
}

static long try_receive(
	struct target *target, struct emulated *emulated, uint64_t id, struct done_call *done)
{
	const struct data_call *call = &emulated->call;
	long n;

	if (populate(done, call->size) < 0)
		return -ENOMEM;
	done->priority = PRIORITY_UNTOUCHED;
	done->message[call->size - 1] = BYTE_UNTOUCHED;
	note_trying(done, id);
	n = syscall(SYS_mq_timedreceive, emulated->queue, done->message, call->size,
		&done->priority, &past);
	if (n < 0) {
		n = errno == ETIMEDOUT ? -EINPROGRESS : -errno;
		emulate_answered(done);
		return n;
	}
	note_done(done, n);
	return emulate_hand_out(target, call, done);
}

void emulate_answered(struct done_call *done)
{
	__atomic_store_n(&done->id, 0, __ATOMIC_SEQ_CST);
	give_back_memory(done);
}

static long try_getsetattr(
	struct target *target, struct emulated *emulated, uint64_t id, struct done_call *done)
{
	const struct data_call *call = &emulated->call;
	long r;

	done->attributes.mq_msgsize = 0;
	note_trying(done, id);
	r = syscall(SYS_mq_getsetattr, emulated->queue, call->buffer ? &emulated->attributes : NULL,
		&done->attributes);
	if (r < 0) {
		note_nothing(done);
		return -errno;
	}
	note_done(done, 0);
	return emulate_hand_out(target, call, done);
}

/* How long a message was is written nowhere, unless it reaches to the end. */
static int64_t received(const struct done_call *done)
{
	if (done->priority == PRIORITY_UNTOUCHED)
		return -EINPROGRESS;
	return done->used > 0 && done->message[done->used - 1] != BYTE_UNTOUCHED
		       ? (int64_t)done->used
		       : -EIO;
}

long emulate_outcome(struct done_call *done, enum mq_call call)
{
	if (done->result != DONE_TRYING)
		return done->result;
	if (call == MQ_CALL_RECEIVE)
		done->result = received(done);
	else if (call == MQ_CALL_GETSETATTR)
		done->result = done->attributes.mq_msgsize == 0 ? -EINPROGRESS : 0;
	else
		done->result = -EIO;
	return done->result;
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
		return try_getsetattr(target, emulated, id, done);
	case MQ_CALL_OPEN:
	case MQ_CALL_UNLINK:
	case MQ_CALL_NOTIFY:
	case MQ_CALL_COUNT:
		break;
	}
	return -EACCES;
}

uint64_t emulated_time_left(const struct emulated *emulated)
{
	const struct timespec *deadline = &emulated->deadline;
	struct timespec now;
	int64_t seconds;

	if (!emulated->has_deadline || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return UINT64_MAX;
	if (now.tv_sec > deadline->tv_sec ||
		(now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec))
		return 0;
	seconds = MIN(deadline->tv_sec - now.tv_sec, INT32_MAX);
	return (uint64_t)(seconds * 1000000 + (deadline->tv_nsec - now.tv_nsec) / 1000) + 1;
}
