/* SPDX-License-Identifier: MIT */
/* One message, one system call: SOCK_SEQPACKET with descriptors. */
#include <sys/socket.h>

#include "include/protocol.h"

/* Room for more descriptors than any message has, so that too many are seen (and closed) and not
 * cut off. */
union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int) * (MESSAGE_FDS_MAX + 2))];
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

/* Takes every descriptor that came: keeps the first ones that were asked for, closes the rest.
 * Returns how many came. */
static size_t take_descriptors(
	struct msghdr *message, int *ret_fds, size_t fd_count, bool *ret_others)
{
	size_t came = 0;

	*ret_others = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
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

int message_receive_some(
	int socket, void *data, size_t size, int *ret_fds, size_t fds_max, size_t *ret_count)
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
	came = take_descriptors(&message, ret_fds, fds_max, &others);
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

int message_receive(int socket, void *data, size_t size, int *ret_fds, size_t fd_count)
{
	size_t came;
	int r = message_receive_some(socket, data, size, ret_fds, fd_count, &came);

	if (r == -EMFILE)
		return -EBADMSG;
	if (r <= 0 || came == fd_count)
		return r;
	for (size_t i = 0; i < came; i++)
		ret_fds[i] = safe_close(ret_fds[i]);
	return -EBADMSG;
}
