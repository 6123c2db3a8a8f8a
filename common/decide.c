/* SPDX-License-Identifier: MIT */
/* The pure decision.
 *
 * Precedence: first what copying the arguments already refuses (the kernel does that before it
 * looks at anything, so it tells nothing about any queue); then the grants. Everything that is
 * denied here is EACCES, whatever the reason and whether or not the queue exists: a denied name is
 * never looked up. What is allowed then gets whatever the kernel says.
 *
 * Permissions are those of snapd's posix-mq interface. mq_open needs what its access mode asks for,
 * and with O_CREAT also create, even if the queue exists; create alone never opens anything.
 * mq_notify needs read, because it tells when messages arrive and the kernel does not check it
 * against the access mode. mq_getattr and mq_setattr need no more than that something is granted.
 */
#include "include/verdict.h"

#include <errno.h>
#include <fcntl.h>

static uint32_t open_needs(int oflag)
{
	static const uint32_t by_access_mode[] = {
		[O_RDONLY] = PERMISSION_READ,
		[O_WRONLY] = PERMISSION_WRITE,
		[O_RDWR] = PERMISSION_READ | PERMISSION_WRITE,
		/* The kernel refuses this one, after looking the name up. */
		[O_ACCMODE] = PERMISSION_READ | PERMISSION_WRITE,
	};

	return PERMISSION_OPEN | by_access_mode[oflag & O_ACCMODE] |
	       (oflag & O_CREAT ? PERMISSION_CREATE : 0);
}

uint32_t request_needs(const struct request *request)
{
	switch (request->call) {
	case MQ_CALL_OPEN:
		return open_needs(request->oflag);
	case MQ_CALL_UNLINK:
		return PERMISSION_DELETE;
	case MQ_CALL_SEND:
		return PERMISSION_WRITE;
	case MQ_CALL_RECEIVE:
		return PERMISSION_READ;
	case MQ_CALL_NOTIFY:
		return request->removes_notification ? 0 : PERMISSION_READ;
	case MQ_CALL_GETSETATTR:
		return PERMISSION_OPEN;
	case MQ_CALL_COUNT:
		break;
	}
	return PERMISSIONS_ALL;
}

static struct verdict allowed(enum reason reason)
{
	return (struct verdict){.allow = true, .reason = reason};
}

static struct verdict denied(int error, enum reason reason)
{
	return (struct verdict){.error = error, .reason = reason};
}

static bool by_descriptor(const struct request *request)
{
	return request->call != MQ_CALL_OPEN && request->call != MQ_CALL_UNLINK;
}

struct verdict decide(uint32_t granted, const struct request *request)
{
	uint32_t needs = request_needs(request);
	struct verdict verdict;

	if (request->refusal != 0)
		return denied(request->refusal, REASON_MALFORMED);
	if (by_descriptor(request) && request->queue == QUEUE_NONE)
		return allowed(REASON_NO_QUEUE);
	if (needs == 0)
		return allowed(REASON_HARMLESS);
	if (by_descriptor(request) && request->queue != QUEUE_NAMED)
		return denied(EACCES, REASON_UNKNOWN_QUEUE);

	verdict = denied(EACCES, REASON_NOT_GRANTED);
	verdict.missing = needs & ~granted;
	return verdict.missing ? verdict : allowed(REASON_GRANTED);
}

const char *reason_to_string(enum reason reason)
{
	switch (reason) {
	case REASON_UNDECIDED:
		return "not decided";
	case REASON_GRANTED:
		return "granted";
	case REASON_MALFORMED:
		return "malformed arguments";
	case REASON_NOT_GRANTED:
		return "permission not granted";
	case REASON_UNKNOWN_QUEUE:
		return "queue cannot be identified";
	case REASON_NO_QUEUE:
		return "not a message queue";
	case REASON_HARMLESS:
		return "needs no permission";
	case REASON_FAILED:
		return "could not be carried out";
	case REASON_TOO_LONG:
		return "a name of more than 255 bytes, which no queue can have";
	case REASON_REFUSED:
		return "granted, and refused by the kernel";
	case REASON_CONTAINER_MQUEUE:
		return "the container has a message queue file system; give it another one there "
		       "(--tmpfs /dev/mqueue)";
	case REASON_CONTAINER_ADMIN:
		return "the container's program has CAP_SYS_ADMIN, or could get it; take it away "
		       "(--cap-drop SYS_ADMIN)";
	case REASON_CONTAINER_PRIVILEGES:
		return "the container's program could gain privileges; start it with "
		       "no-new-privileges (--security-opt no-new-privileges)";
	case REASON_CONTAINER_PIDS:
		return "the container shares its PID namespace; give it one of its own (no --pid, "
		       "no shareProcessNamespace)";
	case REASON_CONTAINER_ELSEWHERE:
		return "the program is in other namespaces than its container";
	case REASON_CONTAINER_REFUSED:
		return "the container is not served; the log of mqgated says why";
	case REASON_KILLED:
		return "what it had could not be taken back otherwise";
	}
	return "unknown reason";
}
