/* SPDX-License-Identifier: MIT */
/* Between a peer of the control bus and the library. */
#include "relay.h"

#include <assert.h>
#include <endian.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "include/limits.h"
#include "include/protocol.h"
#include "include/util.h"

/* Of whatever goes through. There are no threads. */
static uint8_t buffer[CONTROL_MESSAGE_MAX];
static_assert(CONTROL_GREETING_MAX <= CONTROL_MESSAGE_MAX, "lines go through it, too");

int relay_open(struct relay *relay, int *outside, pid_t connector, int *ret_library)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0)
		return -errno;
	*relay = (struct relay){
		.outside = take_fd(outside), .inside = sockets[0], .connector = connector};
	*ret_library = sockets[1];
	return 0;
}

int relay_mistrust(struct relay *relay)
{
	return ioctl(relay->outside, FIONREAD, &relay->early) < 0 ? -errno : 0;
}

void relay_close(struct relay *relay)
{
	closep(&relay->outside);
	closep(&relay->inside);
	free(take_pointer(relay->unread));
	relay->unread_size = relay->unread_start = 0;
}

/* --- in --------------------------------------------------------------------------------------- */

static uint32_t number_at(const uint8_t *data, size_t offset)
{
	uint32_t number;

	memcpy(&number, data + offset, sizeof(number));
	return data[0] == 'l' ? le32toh(number) : be32toh(number);
}

int message_size(const uint8_t *data, size_t size, size_t *ret)
{
	uint64_t body, fields;

	if (size < MESSAGE_HEADER_SIZE)
		return 0;
	if (data[0] != 'l' && data[0] != 'B')
		return -EBADMSG;
	body = number_at(data, 4);
	fields = number_at(data, 12);
	fields = (fields + 7) & ~UINT64_C(7);
	if (MESSAGE_HEADER_SIZE + fields + body > CONTROL_MESSAGE_MAX)
		return -EMSGSIZE;
	*ret = (size_t)(MESSAGE_HEADER_SIZE + fields + body);
	return 1;
}

static int line_size(const uint8_t *data, size_t size, size_t *ret)
{
	const uint8_t *end = memmem(data, size, "\r\n", 2);

	if (!end)
		return size < CONTROL_GREETING_MAX ? 0 : -EMSGSIZE;
	*ret = (size_t)(end + 2 - data);
	return 1;
}

/* What lies in the socket stays there; descriptors, too, and without being received: that they are
 * there is seen by the flag, since there is no room but for the sender. Returns bytes, all of one
 * sender, 0 if there are none, or negative errno. */
static ssize_t look(const struct relay *relay, size_t size)
{
	char sender[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = {.iov_base = buffer, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = sender,
		.msg_controllen = sizeof(sender)};
	ssize_t n = recvmsg(relay->outside, &message, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	return message.msg_flags & MSG_CTRUNC && !relay->descriptors ? -EPERM : n;
}

/* The descriptor, and whether the connector has sent it. */
static void take_control(struct relay *relay, struct msghdr *message, int *ret_descriptor)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			closep(ret_descriptor);
			memcpy(ret_descriptor, CMSG_DATA(c), sizeof(int));
		}
	relay->others |= message_sender(message) != relay->connector;
}

/* Into the buffer, of this size, all of which is there: in one piece, or in several if there are
 * descriptors between, or senders differ. */
static int take(struct relay *relay, size_t size, int *ret_descriptor)
{
	for (size_t have = 0; have < size;) {
		union {
			struct cmsghdr header;
			char space[CMSG_SPACE(sizeof(struct ucred)) + CMSG_LEN(sizeof(int))];
		} control;
		struct iovec iov = {.iov_base = buffer + have, .iov_len = size - have};
		struct msghdr message = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = CMSG_SPACE(sizeof(struct ucred)) +
					  (relay->descriptors ? CMSG_LEN(sizeof(int)) : 0)};
		ssize_t n = recvmsg(relay->outside, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		take_control(relay, &message, ret_descriptor);
		have += (size_t)n;
	}
	return 1;
}

static int give(const struct relay *relay, const void *data, size_t size, int descriptor)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS,
			     .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (descriptor >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		memcpy(CMSG_DATA(&control.header), &descriptor, sizeof(int));
	}
	n = sendmsg(relay->inside, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return -errno;
	/* The library has read everything before. */
	return (size_t)n == size ? 1 : -ENOBUFS;
}

/* A call of nothing, to be answered in the place of the one whose header is in the buffer. */
static int refuse_message(struct relay *relay)
{
	static const char call[] = "l\1\0\1"
				   "\0\0\0\0"
				   "\0\0\0\0"
				   "\40\0\0\0"
				   "\1\1o\0\1\0\0\0/\0\0\0\0\0\0\0"
				   "\3\1s\0\7\0\0\0TooLong\0";
	uint8_t refused[sizeof(call) - 1];
	const uint32_t serial = htole32(number_at(buffer, 8));

	memcpy(refused, call, sizeof(refused));
	memcpy(refused + 8, &serial, sizeof(serial));
	relay->shut = true;
	return give(relay, refused, sizeof(refused), -EBADF);
}

/* 1, with the size of what comes next and is whole; 0 or negative errno as relay_in(). */
static int next(struct relay *relay, bool greeted, size_t *ret_size)
{
	ssize_t n = look(relay, greeted ? MESSAGE_HEADER_SIZE : CONTROL_GREETING_MAX);
	int available = 0, r;

	if (n <= 0)
		return (int)n;
	r = greeted ? message_size(buffer, (size_t)n, ret_size)
		    : line_size(buffer, (size_t)n, ret_size);
	if (r > 0 && ioctl(relay->outside, FIONREAD, &available) < 0)
		return -errno;
	if (r > 0 && (size_t)available < *ret_size)
		r = 0;
	relay->begun = r == 0;
	if (r == 0 && relay->ended)
		return -ECONNRESET;
	/* Where its end is, there may be a descriptor, too. */
	n = r > 0 ? look(relay, *ret_size) : 0;
	return n < 0 ? (int)n : r;
}

int relay_in(struct relay *relay, bool greeted)
{
	_cleanup_close_ int descriptor = -EBADF;
	size_t size = 0;
	int r;

	relay->begun = false;
	if (relay->shut)
		return 0;
	r = next(relay, greeted, &size);
	if (r == -EMSGSIZE && greeted)
		return refuse_message(relay);
	if (r <= 0)
		return r;
	if (!greeted && (relay->greeting += size) > CONTROL_GREETING_MAX)
		return -EMSGSIZE;
	relay->others |= greeted && relay->early > 0;
	relay->early -= MIN(relay->early, (int)size);
	r = take(relay, size, &descriptor);
	return r < 0 ? r : give(relay, buffer, size, descriptor);
}

/* --- out -------------------------------------------------------------------------------------- */

static ssize_t send_some(const struct relay *relay, const void *data, size_t size)
{
	ssize_t n = send(relay->outside, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	return n;
}

static int send_unread(struct relay *relay)
{
	ssize_t n = send_some(relay, relay->unread + relay->unread_start, relay_unread(relay));

	if (n < 0)
		return (int)n;
	relay->unread_start += (size_t)n;
	if (relay_unread(relay) == 0) {
		free(take_pointer(relay->unread));
		relay->unread_size = relay->unread_start = 0;
	}
	return 0;
}

static int keep_unread(struct relay *relay, const uint8_t *data, size_t size)
{
	uint8_t *unread = realloc(relay->unread, relay->unread_size + size);

	if (!unread)
		return -ENOMEM;
	memcpy(unread + relay->unread_size, data, size);
	relay->unread = unread;
	relay->unread_size += size;
	return 0;
}

static int pass_on(struct relay *relay, const uint8_t *data, size_t size)
{
	ssize_t n = relay->unread ? 0 : send_some(relay, data, size);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : keep_unread(relay, data + n, size - (size_t)n);
}

int relay_out(struct relay *relay)
{
	int r = relay->unread ? send_unread(relay) : 0;

	for (bool moved = false; r >= 0; moved = true) {
		ssize_t n = recv(relay->inside, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return moved;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		r = pass_on(relay, buffer, (size_t)n);
	}
	return r;
}
