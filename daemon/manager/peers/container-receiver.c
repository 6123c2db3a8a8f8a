/* SPDX-License-Identifier: MIT */
/* What stands between the manager and a container runtime: a child, as for launchers.
 *
 * All that is said and sent is hostile: it is collected and taken apart here, without a capability
 * that opens anything, and can hold up nobody but this child. */
#include "container-receiver.h"

#include <poll.h>
#include <sys/socket.h>

#include "fd-receiver.h"
#include "include/write.h"
#include "peer.h"

/* A message may come in pieces, and descriptors with any of them. They stay open until the kernel
 * closes them at our end. */
struct pieces {
	char text[CONTAINER_MESSAGE_MAX];
	size_t size;
	struct container_scan scan;
	int fds[CONTAINER_DESCRIPTORS_MAX];
	size_t fd_count;
};

static bool take_descriptors(const struct cmsghdr *c, struct pieces *pieces)
{
	const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	if (pieces->fd_count + count > ELEMENTSOF(pieces->fds))
		return false;
	memcpy(pieces->fds + pieces->fd_count, CMSG_DATA(c), sizeof(int) * count);
	pieces->fd_count += count;
	return true;
}

/* From whoever holds the connection: runtimes make it in one process, and send in another one,
 * which has the container's user already. False: there will be no other. */
static bool take_piece(int runtime, struct pieces *pieces)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int) * CONTAINER_DESCRIPTORS_MAX)];
	} control;
	struct iovec iov = {.iov_base = pieces->text + pieces->size,
		.iov_len = sizeof(pieces->text) - pieces->size};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(runtime, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0 || message.msg_flags & MSG_CTRUNC)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
			!take_descriptors(c, pieces))
			return false;
	pieces->size += (size_t)n;
	return true;
}

static void judge(const struct pieces *pieces, struct container_report *report)
{
	const char *fault = "what its runtime says is longer than CONTAINER_MESSAGE_MAX";
	int r = pieces->size == sizeof(pieces->text)
			? -EMSGSIZE
			: container_message_parse(
				  pieces->text, pieces->size, &report->message, &fault);

	if (r == 0 && report->message.descriptor_count != pieces->fd_count)
		fault = "other descriptors came than it says";
	else if (r == -ENOMEM)
		fault = strerror(ENOMEM);
	(void)snprintf(report->fault, sizeof(report->fault), "%s", fault ?: "");
}

static void tell(int manager, const struct pieces *pieces)
{
	static struct container_report report;
	int listener = -EBADF;

	judge(pieces, &report);
	if (report.message.listener < pieces->fd_count)
		listener = pieces->fds[report.message.listener];
	if (listener_check(listener) < 0)
		listener = -EBADF;
	(void)message_send(manager, &report, sizeof(report), &listener, listener >= 0);
}

static void serve_runtime(int manager, int runtime)
{
	static struct pieces pieces;
	struct pollfd fds[2] = {
		{.fd = manager, .events = POLLIN}, {.fd = runtime, .events = POLLIN}};

	while (poll(fds, 2, -1) > 0 || errno == EINTR) {
		if (fds[0].revents)
			break;
		if (fds[1].revents && !take_piece(runtime, &pieces)) {
			if (pieces.size > 0)
				tell(manager, &pieces);
			break;
		}
		if (container_scan_ends(&pieces.scan, pieces.text, pieces.size) ||
			pieces.size == sizeof(pieces.text)) {
			tell(manager, &pieces);
			break;
		}
	}
	fd_receiver_let_go(runtime, runtime);
}

int container_receiver_start(struct account *account, int *socket)
{
	return fd_receiver_start_with(account, serve_runtime, socket);
}
