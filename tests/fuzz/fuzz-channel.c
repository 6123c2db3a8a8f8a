/* SPDX-License-Identifier: MIT */
/* The manager's messages to a session process: a list of them, over a real socket. Only what the
 * protocol allows is acknowledged, and nothing before grants came. Questions for holders and
 * examinations are left out: answering looks at the processes of this machine. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "daemon/session/session.h"
#include "fuzz.h"

static int make_memfd(const char *name, off_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	REQUIRE(fd >= 0 && ftruncate(fd, size) == 0);
	return fd;
}

static void make_attach(struct input *input, struct session_message *ret, int fds[static 2])
{
	ret->type = SESSION_ATTACH;
	ret->attach.record_rate = take_byte(input);
	ret->attach.record_allowed = take_byte(input);
	ret->attach.mediation = take_byte(input);
	take(input, &ret->attach.filter_id, sizeof(ret->attach.filter_id));
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[1] = make_memfd(INFLIGHT_MEMFD, take_byte(input) == 0xff ? 4096 : (off_t)INFLIGHT_SIZE);
}

/* What follows a byte that says how much, in units of 4, and one that says how much else. */
static void make_grants(struct input *input, struct session_message *ret, int *ret_fd)
{
	size_t size = (size_t)take_byte(input) * 4;

	ret->type = SESSION_GRANTS;
	ret->grants.size = size + (int8_t)take_byte(input);
	size = MIN(size, input->size);
	*ret_fd = make_memfd("grants", 0);
	REQUIRE(write(*ret_fd, input->data, size) == (ssize_t)size);
	input->data += size;
	input->size -= size;
}

static void send_message(int socket, struct input *input)
{
	struct session_message message = {0};
	int fds[2] = {-EBADF, -EBADF};
	size_t size = sizeof(message), fd_count = 0;

	switch (take_byte(input)) {
	case 'a':
		make_attach(input, &message, fds);
		fd_count = 2;
		break;
	case 'g':
		make_grants(input, &message, &fds[0]);
		fd_count = 1;
		break;
	case 'c':
		size = take_byte(input) + 1U;
		break;
	default:
		take(input, &message, take_byte(input));
		if (message.type == SESSION_HOLDERS || message.type == SESSION_EXAMINE)
			message.type = 0;
		fds[0] = make_memfd("other", 16);
		fd_count = 1;
		break;
	}
	REQUIRE(message_send(socket, &message, size, fds, fd_count) == 0);
	(void)safe_close(fds[0]);
	(void)safe_close(fds[1]);
}

static void check_answer(int socket, const struct supervisor *session)
{
	struct session_message answer;
	int r = message_receive(socket, &answer, sizeof(answer), NULL, 0);

	REQUIRE(r == 1 || r == -EAGAIN);
	if (r == 1)
		REQUIRE(answer.type == SESSION_ACK && session->grants &&
			answer.ack.generation == session->grants->generation);
}

/* Above what was open before the first input: what a session process keeps to its end, and what it
 * would have exited with. */
static void close_descriptors(void)
{
	static int first;

	if (first == 0)
		for (int fd = 0; fd < 1024; fd++)
			if (fcntl(fd, F_GETFD) >= 0)
				first = fd + 1;
	(void)close_range((unsigned)first, ~0U, 0);
}

static void close_session(struct supervisor *session)
{
	if (session->inflight)
		(void)munmap(session->inflight, INFLIGHT_SIZE);
	session->grants = grants_free(session->grants);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct supervisor session;
	struct input input = {data, size};
	int sockets[2], r = 1;

	close_descriptors();
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
	memset(&session, 0, sizeof(session));
	session.channel = sockets[0];
	session.listener = -EBADF;
	while (input.size > 0 && r > 0) {
		send_message(sockets[1], &input);
		r = session_take_message(&session);
		REQUIRE(r == 1 || r < 0);
		REQUIRE(!session.grants || session.inflight);
		check_answer(sockets[1], &session);
	}
	close_session(&session);
	close_descriptors();
	return 0;
}
