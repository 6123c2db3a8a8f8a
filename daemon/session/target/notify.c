/* SPDX-License-Identifier: MIT */
/* The seccomp notification ioctls.
 *
 * The contract with the kernel, as far as we lean on it:
 *
 * - RECV takes one notification; afterwards only a fatal signal interrupts the caller, because the
 * filter was loaded with WAIT_KILLABLE_RECV. An id is never used twice by one listener. The buffer
 * must be zero before.
 * - An id is valid while the caller is blocked in that very call. Whatever was read about the
 * caller (by thread id, which may have been reused) is about the caller if the id is valid after
 * the reading. SEND and ADDFD to an id that is not valid do nothing and say ENOENT.
 * - ADDFD injects a descriptor and leaves the caller blocked. With FLAG_SEND it would also answer;
 * but then, if we die of a SIGKILL after the kernel has noted the answer and before the caller has
 * taken the descriptor, the descriptor is dropped and the call returns 0 (seen: a program took its
 * standard input for the queue). Without, dying leaves the caller blocked, and the next session
 * process goes on (inflight.h). What FLAG_SEND is for, a signal between the two steps, cannot come:
 * see RECV.
 * - CONTINUE makes no promise about memory: it may only be answered where the decision rests on
 * registers.
 *
 * ENOENT, EINPROGRESS and ESRCH all mean "gone": the app was killed or the answer was taken from us
 * by somebody who kept a copy of the listener. A launcher may keep one; all it gains is to answer
 * its own calls. */
#include "notify.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "include/compat.h"
#include "include/util.h"

void notify_prepare(int listener)
{
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
}

int notify_receive(int listener, struct seccomp_notif *ret)
{
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, ret) < 0)
		return -errno;
	return 0;
}

bool notify_is_valid(int listener, uint64_t id)
{
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

int notify_inject(int listener, uint64_t id, int fd)
{
	struct seccomp_notif_addfd addfd = {
		.id = id, .srcfd = (uint32_t)fd, .newfd_flags = O_CLOEXEC};
	int number = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);

	if (number >= 0)
		return number;
	return errno == EINPROGRESS || errno == ESRCH ? -ENOENT : errno == EBADF ? -EMFILE : -errno;
}

int notify_reply(int listener, uint64_t id, const struct answer *answer)
{
	struct seccomp_notif_resp response = {.id = id};

	switch (answer->kind) {
	case ANSWER_CONTINUE:
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
		break;
	case ANSWER_VALUE:
		response.val = answer->value;
		break;
	case ANSWER_ERROR:
		response.error = -answer->error;
		break;
	}
	/* What cannot be delivered cannot be delivered: there is nobody left to tell. */
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) < 0 ? -ENOENT : 0;
}
