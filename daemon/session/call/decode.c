/* SPDX-License-Identifier: MIT */
/* Notification → request. Faults are found in the kernel's own order: mq_open copies the attributes
 * first, then the name. */
#include "decode.h"

#include <fcntl.h>

#include "include/syscalls.h"
#include "include/util.h"

#define PAGE 4096U

/* The arguments cannot be copied, by nobody's fault but the app's: it gets this errno. */
static int refuse(struct request *request, int error)
{
	request->refusal = error;
	request->name[0] = '\0';
	return 0;
}

/* As getname() does it: EFAULT if a byte before the NUL cannot be read, ENAMETOOLONG if there is no
 * NUL in PATH_MAX bytes, ENOENT if it is empty. Never asks for a byte of a page that the kernel
 * would not have touched. */
static int decode_name(const struct app_memory *memory, uint64_t address, struct request *request)
{
	size_t have = 0;

	while (have < sizeof(request->name)) {
		size_t chunk =
			MIN(PAGE - (size_t)((address + have) % PAGE), sizeof(request->name) - have);
		int r = memory->read(memory->context, address + have, request->name + have, chunk);

		if (r == -EFAULT)
			return refuse(request, EFAULT);
		if (r < 0) {
			request->name[0] = '\0';
			return r;
		}
		if (memchr(request->name + have, '\0', chunk))
			return request->name[0] == '\0' ? refuse(request, ENOENT) : 0;
		have += chunk;
	}
	return refuse(request, ENAMETOOLONG);
}

static int decode_attributes(
	const struct app_memory *memory, uint64_t address, struct request *request)
{
	request->has_attributes = address != 0;
	if (address == 0)
		return 0;
	return memory->read(
		memory->context, address, &request->attributes, sizeof(request->attributes));
}

/* A 32-bit program's: the kernel looks at them only for O_CREAT. */
static int decode_compat_attributes(
	const struct app_memory *memory, uint64_t address, struct request *request)
{
	int32_t compat[8];
	int r;

	request->has_attributes = address != 0 && request->oflag & O_CREAT;
	if (!request->has_attributes)
		return 0;
	r = memory->read(memory->context, address, compat, sizeof(compat));
	if (r < 0)
		return r;
	request->attributes = (struct mq_attr){.mq_flags = compat[0],
		.mq_maxmsg = compat[1],
		.mq_msgsize = compat[2],
		.mq_curmsgs = compat[3]};
	return 0;
}

static int copy_open(const struct seccomp_notif *notification, const struct app_memory *memory,
	struct request *request)
{
	const __u64 *args = notification->data.args;
	int r = notification->data.arch == compat_arch
			? decode_compat_attributes(memory, args[3], request)
			: decode_attributes(memory, args[3], request);

	if (r == -EFAULT)
		return refuse(request, EFAULT);
	if (r < 0)
		return r;
	return decode_name(memory, args[0], request);
}

int request_copy(const struct seccomp_notif *notification, const struct app_memory *memory,
	struct request *request)
{
	if (request->call == MQ_CALL_OPEN)
		return copy_open(notification, memory, request);
	return decode_name(memory, notification->data.args[0], request);
}

static void take_registers(const __u64 args[], struct request *request)
{
	switch (request->call) {
	case MQ_CALL_OPEN:
		request->oflag = (int)args[1];
		request->mode = (mode_t)args[2];
		break;
	case MQ_CALL_NOTIFY:
		request->removes_notification = args[1] == 0;
		request->fd = (int)args[0];
		break;
	case MQ_CALL_SEND:
	case MQ_CALL_RECEIVE:
	case MQ_CALL_GETSETATTR:
		request->fd = (int)args[0];
		break;
	case MQ_CALL_UNLINK:
	case MQ_CALL_COUNT:
		break;
	}
}

int request_begin(const struct seccomp_notif *notification, struct request *ret)
{
	const struct intercepted_call *row =
		intercepted_call_find(notification->data.arch, notification->data.nr);

	ret->id = notification->id;
	ret->tid = (pid_t)notification->pid;
	ret->call = row ? row->call : MQ_CALL_COUNT;
	ret->refusal = 0;
	ret->name[0] = '\0';
	ret->oflag = 0;
	ret->mode = 0;
	ret->has_attributes = false;
	ret->fd = -1;
	ret->queue = QUEUE_UNKNOWN;
	ret->removes_notification = false;
	take_registers(notification->data.args, ret);
	return row ? 0 : -ENOSYS;
}

bool request_has_descriptor(const struct request *request)
{
	return request->call != MQ_CALL_OPEN && request->call != MQ_CALL_UNLINK;
}
