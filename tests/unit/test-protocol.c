/* SPDX-License-Identifier: MIT */
/* Messages: what is believed, what is refused, and no descriptor left over. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "include/protocol.h"
#include "include/syscalls.h"

/* --- checks -------------------------------------------------------------------------------- */

static struct launch_hello hello(uint32_t count)
{
	struct launch_hello message = {
		.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .ref_count = count};

	for (uint32_t i = 0; i < count && i < LAUNCH_REFS_MAX; i++) {
		message.refs[i].kind = LAUNCH_REF_PLUG + i % LAUNCH_REF_APP;
		strcpy(message.refs[i].text, "logger:events");
	}
	return message;
}

static int check_hello(const struct launch_hello *message)
{
	return launch_hello_check(message, sizeof(*message));
}

Test(protocol, hello_counts)
{
	struct launch_hello message;

	for (uint32_t count = 1; count <= LAUNCH_REFS_MAX; count++) {
		message = hello(count);
		cr_expect(check_hello(&message) == 0, "%u", count);
	}
	message = hello(0);
	cr_expect(check_hello(&message) == -EBADMSG);
	message = hello(LAUNCH_REFS_MAX + 1);
	cr_expect(check_hello(&message) == -EBADMSG);
	message = hello(UINT32_MAX);
	cr_expect(check_hello(&message) == -EBADMSG);
}

Test(protocol, hello_sizes)
{
	struct launch_hello messages[2] = {hello(1), hello(1)};

	for (size_t size = 0; size < sizeof(messages); size++)
		cr_expect(launch_hello_check(messages, size) ==
				  (size == sizeof(messages[0]) ? 0 : -EBADMSG),
			"%zu", size);
}

Test(protocol, hello_header)
{
	struct launch_hello message = hello(1);

	message.magic++;
	cr_expect(check_hello(&message) == -EBADMSG);
	message = hello(1);
	message.version++;
	cr_expect(check_hello(&message) == -EPROTONOSUPPORT);
	message = hello(1);
	message.reserved = 1;
	cr_expect(check_hello(&message) == -EBADMSG);
}

/* Every released one, and the next one not. */
Test(protocol, versions)
{
	for (uint32_t version = 0; version <= LAUNCH_VERSION + 1; version++) {
		struct launch_hello greeting = hello(1);
		struct launch_answer answer = {.magic = LAUNCH_MAGIC, .version = version};
		struct launch_handover handover = {.magic = LAUNCH_MAGIC, .version = version};
		int expected = version == 1 || version == 2 ? 0 : -EPROTONOSUPPORT;

		greeting.version = version;
		cr_expect_eq(check_hello(&greeting), expected, "%u", version);
		cr_expect_eq(launch_answer_check(&answer, sizeof(answer)), expected);
		cr_expect_eq(launch_handover_check(&handover, sizeof(handover)), expected);
	}
}

Test(protocol, hello_refs)
{
	struct launch_hello message = hello(2);

	message.refs[1].kind = LAUNCH_REF_NONE;
	cr_expect(check_hello(&message) == -EBADMSG);
	message.refs[1].kind = LAUNCH_REF_INSTANCE + 1;
	cr_expect(check_hello(&message) == -EBADMSG);
	message = hello(2);
	message.refs[1].text[0] = '\0';
	cr_expect(check_hello(&message) == -EBADMSG);
	message = hello(2);
	memset(message.refs[1].text, 'a', sizeof(message.refs[1].text));
	cr_expect(check_hello(&message) == -EBADMSG);
	message.refs[1].text[sizeof(message.refs[1].text) - 1] = '\0';
	cr_expect(check_hello(&message) == 0);
}

/* Every byte of the refs that do not count. */
Test(protocol, hello_instances)
{
	struct launch_hello message = hello(2);

	message.refs[1].kind = LAUNCH_REF_INSTANCE;
	strcpy(message.refs[1].text, "a b");
	cr_expect_eq(check_hello(&message), -EBADMSG, "what no instance is");
	strcpy(message.refs[1].text, "east");
	cr_expect_eq(check_hello(&message), 0);
	message.version = LAUNCH_VERSION_OLDEST;
	cr_expect_eq(check_hello(&message), -EBADMSG, "0.1.0 knew none");
	message.version = LAUNCH_VERSION;
	message.refs[0] = message.refs[1];
	cr_expect_eq(check_hello(&message), -EBADMSG, "two");
	message.ref_count = 1;
	memset(&message.refs[1], 0, sizeof(message.refs[1]));
	cr_expect_eq(check_hello(&message), -EBADMSG, "nothing else");
}

Test(protocol, hello_rest_must_be_zero)
{
	struct launch_hello message = hello(1);
	unsigned char *bytes = (unsigned char *)&message;

	for (size_t i = offsetof(struct launch_hello, refs[1]); i < sizeof(message); i++) {
		bytes[i] = 1;
		cr_expect(check_hello(&message) == -EBADMSG, "%zu", i);
		bytes[i] = 0;
	}
	cr_expect(check_hello(&message) == 0);
}

Test(protocol, answer)
{
	const struct launch_answer good = {.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION};
	struct launch_answer message = good;

	cr_expect(launch_answer_check(&message, sizeof(message)) == 0);
	cr_expect(launch_answer_check(&message, sizeof(message) - 1) == -EBADMSG);
	cr_expect(launch_answer_check(&message, 0) == -EBADMSG);
	message.error = -EACCES;
	cr_expect(launch_answer_check(&message, sizeof(message)) == 0);
	message.error = EACCES;
	cr_expect(launch_answer_check(&message, sizeof(message)) == -EBADMSG);
	message = good;
	message.magic = 0;
	cr_expect(launch_answer_check(&message, sizeof(message)) == -EBADMSG);
	message = good;
	message.version = 0;
	cr_expect(launch_answer_check(&message, sizeof(message)) == -EPROTONOSUPPORT);
	message = good;
	message.mediation = MEDIATION_OPEN;
	cr_expect(launch_answer_check(&message, sizeof(message)) == 0);
	message.mediation = MEDIATION_COUNT;
	cr_expect(launch_answer_check(&message, sizeof(message)) == -EBADMSG);
	message = good;
	memset(message.text, 'x', sizeof(message.text));
	cr_expect(launch_answer_check(&message, sizeof(message)) == -EBADMSG);
	message.text[LAUNCH_TEXT_MAX - 1] = '\0';
	cr_expect(launch_answer_check(&message, sizeof(message)) == 0);
}

Test(protocol, handover)
{
	struct launch_handover message = {.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION};

	cr_expect(launch_handover_check(&message, sizeof(message)) == 0);
	cr_expect(launch_handover_check(&message, sizeof(message) - 1) == -EBADMSG);
	cr_expect(launch_handover_check(&message, sizeof(message) + 1) == -EBADMSG);
	message.version = LAUNCH_VERSION + 1;
	cr_expect(launch_handover_check(&message, sizeof(message)) == -EPROTONOSUPPORT);
	message.magic = 2;
	cr_expect(launch_handover_check(&message, sizeof(message)) == -EBADMSG);
}

/* --- sockets ------------------------------------------------------------------------------- */

static int pair[2];
static size_t open_at_start;

static size_t open_descriptors(void)
{
	DIR *stream = opendir("/proc/self/fd");
	size_t count = 0;

	cr_assert(stream != NULL);
	while (readdir(stream))
		count++;
	closedir(stream);
	return count;
}

static void open_pair(void)
{
	cr_assert(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	open_at_start = open_descriptors();
}

/* Whatever a test does, it leaves no descriptor behind. */
static void no_leak(void)
{
	cr_expect(open_descriptors() == open_at_start, "%zu, not %zu", open_descriptors(),
		open_at_start);
	(void)safe_close(pair[0]);
	(void)safe_close(pair[1]);
}

TestSuite(messages, .init = open_pair, .fini = no_leak, .timeout = 20);

/* Sends a message with any number of descriptors, as a hostile peer can. */
static void send_raw(const void *data, size_t size, size_t fd_count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int) * 253)];
	} control = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	int fds[253];

	for (size_t i = 0; i < fd_count; i++)
		fds[i] = STDERR_FILENO;
	if (fd_count > 0) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(&control.header), fds, sizeof(int) * fd_count);
	}
	cr_assert(sendmsg(pair[0], &message, 0) == (ssize_t)size);
}

static int receive(size_t size, size_t fd_count, int ret_fds[static 2])
{
	char buffer[256];

	return message_receive(pair[1], buffer, size, ret_fds, fd_count);
}

Test(messages, with_and_without_descriptors)
{
	static const int fds[] = {STDIN_FILENO, STDERR_FILENO};
	char sent[] = "sixteen bytes ok", received[16];

	for (size_t count = 0; count <= 2; count++) {
		int taken[2] = {-EBADF, -EBADF};

		cr_assert(message_send(pair[0], sent, 16, fds, count) == 0);
		cr_assert(message_receive(pair[1], received, 16, taken, count) == 1);
		cr_expect(memcmp(sent, received, 16) == 0);
		for (size_t i = 0; i < 2; i++) {
			cr_expect((taken[i] >= 0) == (i < count));
			if (taken[i] < 0)
				continue;
			cr_expect(fcntl(taken[i], F_GETFD) == FD_CLOEXEC);
			(void)safe_close(taken[i]);
		}
	}
}

Test(messages, every_other_size_is_refused)
{
	static const char data[256];

	for (size_t size = 1; size <= sizeof(data); size++) {
		int taken[2] = {-EBADF, -EBADF};

		send_raw(data, size, 1);
		cr_expect(receive(64, 1, taken) == (size == 64 ? 1 : -EBADMSG), "%zu", size);
		cr_expect((taken[0] >= 0) == (size == 64));
		(void)safe_close(taken[0]);
	}
}

Test(messages, every_other_number_of_descriptors_is_refused)
{
	static const char data[64];

	for (size_t wanted = 0; wanted <= 2; wanted++)
		for (size_t sent = 0; sent <= 253; sent++) {
			int taken[2] = {-EBADF, -EBADF};
			int r;

			send_raw(data, sizeof(data), sent);
			r = receive(sizeof(data), wanted, taken);
			cr_expect(r == (sent == wanted ? 1 : -EBADMSG), "%zu for %zu: %d", sent,
				wanted, r);
			cr_expect((taken[0] >= 0) == (sent == wanted && wanted > 0));
			(void)safe_close(taken[0]);
			(void)safe_close(taken[1]);
			cr_assert(open_descriptors() == open_at_start, "%zu for %zu", sent, wanted);
		}
}

Test(messages, an_empty_message_with_descriptors_is_no_end)
{
	int taken[2] = {-EBADF, -EBADF};

	send_raw("", 0, 1);
	cr_expect(receive(64, 1, taken) == -EBADMSG);
	cr_expect(taken[0] < 0);
}

Test(messages, nothing_there)
{
	int taken[2];

	cr_expect(receive(64, 0, taken) == -EAGAIN);
	(void)shutdown(pair[0], SHUT_WR);
	cr_expect(receive(64, 0, taken) == 0);
}

Test(messages, credentials_that_come_along_are_refused)
{
	static const char data[64];
	int taken[2] = {-EBADF, -EBADF}, on = 1;

	cr_assert(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	send_raw(data, sizeof(data), 1);
	cr_expect(receive(sizeof(data), 1, taken) == -EBADMSG);
	cr_expect(taken[0] < 0);
}

Test(messages, who_has_sent_one_is_told_where_it_is_asked_for)
{
	static const char data[64];
	char buffer[64];
	pid_t sender = -1, child;
	int on = 1;

	send_raw(data, sizeof(data), 0);
	cr_expect_eq(message_receive_from(pair[1], buffer, sizeof(data), NULL, 0, &sender), 1);
	cr_expect_eq(sender, 0, "nobody has asked for it");
	cr_assert(setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	send_raw(data, sizeof(data), 0);
	cr_expect_eq(message_receive_from(pair[1], buffer, sizeof(data), NULL, 0, &sender), 1);
	cr_expect_eq(sender, getpid());
	child = fork();
	if (child == 0)
		_exit(message_send(pair[0], data, sizeof(data), NULL, 0) < 0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_expect_eq(message_receive_from(pair[1], buffer, sizeof(data), NULL, 0, &sender), 1);
	cr_expect_eq(sender, child);
}

Test(messages, sending_never_blocks_and_never_signals)
{
	static const char data[1024];
	int r = 0;

	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = message_send(pair[0], data, sizeof(data), NULL, 0);
	cr_expect(r == -EAGAIN);
	(void)shutdown(pair[0], SHUT_WR);
	cr_expect(message_send(pair[0], data, sizeof(data), NULL, 0) == -EPIPE);
}
