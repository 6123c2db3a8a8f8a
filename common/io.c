/* SPDX-License-Identifier: MIT */
/* One message, one system call: SOCK_SEQPACKET with descriptors. */
#include <sys/socket.h>

#include "include/protocol.h"

/* Room for more descriptors than any message has, so that too many are seen (and closed) and not
 * cut off. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int) * (MESSAGE_FDS_MAX + 2)) +
		   CMSG_SPACE(sizeof(struct ucred))];
};

int message_send(int socket, const void *data, size_t size, const int *fds, size_t fd_count)
{
	union control control = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	assert(fd_count <= MESSAGE_FDS_MAX);
	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
	}
	if (sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -errno;
	return 0;
}

static bool is_of_kind(const struct cmsghdr *c, int type)
{
	return c->cmsg_level == SOL_SOCKET && c->cmsg_type == type;
}

pid_t message_sender(struct msghdr *message)
{
	struct ucred ucred = {0};

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (is_of_kind(c, SCM_CREDENTIALS))
			memcpy(&ucred, CMSG_DATA(c), sizeof(ucred));
	return ucred.pid;
}

/* Takes every descriptor that came: keeps the first ones that were asked for, closes the rest.
 * Returns how many came. */
static size_t take_control(
	struct msghdr *message, int *ret_fds, size_t fd_count, bool with_sender, bool *ret_others)
{
	size_t came = 0;

	*ret_others = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t count;

		if (with_sender && is_of_kind(c, SCM_CREDENTIALS))
			continue;
		if (!is_of_kind(c, SCM_RIGHTS)) {
			*ret_others = true;
			continue;
		}
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++, came++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (came < fd_count)
				ret_fds[came] = fd;
			else
				(void)safe_close(fd);
		}
	}
	return came;
}

static int receive(int socket, void *data, size_t size, int *ret_fds, size_t fds_max,
	size_t *ret_count, pid_t *ret_sender)
{
	union control control;
	struct iovec iov = {.iov_base = data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	bool others;
	size_t came;
	ssize_t n;

	n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_TRUNC);
	if (n < 0)
		return -errno;
	came = take_control(&message, ret_fds, fds_max, ret_sender != NULL, &others);
	if (ret_sender)
		*ret_sender = message_sender(&message);
	*ret_count = came;
	if (n == 0 && came == 0)
		return 0;
	if ((size_t)n == size && came <= fds_max && !others &&
		!(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 1;
	for (size_t i = 0; i < MIN(came, fds_max); i++)
		ret_fds[i] = safe_close(ret_fds[i]);
	return (size_t)n == size && came < fds_max && !others ? -EMFILE : -EBADMSG;
}

int message_receive_some(
	int socket, void *data, size_t size, int *ret_fds, size_t fds_max, size_t *ret_count)
{
	return receive(socket, data, size, ret_fds, fds_max, ret_count, NULL);
}

static int receive_exactly(
	int socket, void *data, size_t size, int *ret_fds, size_t fd_count, pid_t *ret_sender)
{
	size_t came;
	int r = receive(socket, data, size, ret_fds, fd_count, &came, ret_sender);

	if (r == -EMFILE)
		return -EBADMSG;
	if (r <= 0 || came == fd_count)
		return r;
	for (size_t i = 0; i < came; i++)
		ret_fds[i] = safe_close(ret_fds[i]);
	return -EBADMSG;
}

int message_receive(int socket, void *data, size_t size, int *ret_fds, size_t fd_count)
{
	return receive_exactly(socket, data, size, ret_fds, fd_count, NULL);
}

int message_receive_from(
	int socket, void *data, size_t size, int *ret_fds, size_t fd_count, pid_t *ret_sender)
{
	*ret_sender = 0;
	return receive_exactly(socket, data, size, ret_fds, fd_count, ret_sender);
}
