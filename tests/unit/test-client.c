/* SPDX-License-Identifier: MIT */
/* The launcher's conversation, with a manager that says what the test wants. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "include/util.h"
#include "launcher/client.h"

#define CONSTANT UINT64_C(0xfedcba9876543210)

static char directory[108];
static int listening = -EBADF, peer = -EBADF;
static struct client client;
static char *message;

static const struct launch_ref refs[] = {
	{.kind = LAUNCH_REF_PLUG, .text = "logger:events"},
	{.kind = LAUNCH_REF_SLOT, .text = "own"},
};

static void listen_in_directory(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strcpy(directory, "/tmp/test-client-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.64s/launch", directory);
	listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	cr_assert_eq(bind(listening, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(listening, 4), 0);
}

static void connect_client(void)
{
	listen_in_directory();
	cr_assert_eq(client_connect(directory, &client, &message), 0, "%s", message);
	peer = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(peer, 0);
}

static void clear(void)
{
	char path[256];

	client_close(&client);
	free(message);
	(void)safe_close(peer);
	(void)safe_close(listening);
	(void)snprintf(path, sizeof(path), "%s/launch", directory);
	(void)unlink(path);
	(void)rmdir(directory);
}

TestSuite(client, .init = connect_client, .fini = clear);

static void answer(int error, const char *text)
{
	struct launch_answer wire = {.magic = LAUNCH_MAGIC,
		.version = LAUNCH_VERSION,
		.error = error,
		.mediation = MEDIATION_OPEN,
		.filter_id = CONSTANT};

	strcpy(wire.text, text);
	cr_assert_eq(message_send(peer, &wire, sizeof(wire), NULL, 0), 0);
}

static enum mediation mediation;

static int hello(uint64_t *ret_filter_id)
{
	int r = client_hello(&client, refs, ELEMENTSOF(refs), &message);

	return r < 0 ? r : client_answer(&client, ret_filter_id, &mediation, &message);
}

static void assert_message(const char *part)
{
	cr_assert_not_null(message);
	cr_assert_not_null(strstr(message, part), "'%s' is not in: %s", part, message);
}

Test(client, says_hello_and_learns_what_the_filter_is_to_be)
{
	struct launch_hello wire;
	uint64_t filter_id = 0;

	answer(0, "");
	cr_assert_eq(hello(&filter_id), 0, "%s", message);
	cr_assert_eq(filter_id, CONSTANT);
	cr_assert_eq(mediation, MEDIATION_OPEN);
	cr_assert_eq(message_receive(peer, &wire, sizeof(wire), NULL, 0), 1);
	cr_assert_eq(launch_hello_check(&wire, sizeof(wire)), 0);
	cr_assert_eq(wire.ref_count, ELEMENTSOF(refs));
	cr_assert_arr_eq(wire.refs, refs, sizeof(refs));
}

Test(client, hands_over_one_descriptor)
{
	_cleanup_close_ int received = -EBADF;
	_cleanup_free_ char *notice = NULL;
	struct launch_handover wire;
	struct stat sent_stat, received_stat;
	int sent = open("/dev/null", O_RDONLY | O_CLOEXEC);

	answer(0, "");
	cr_assert_eq(client_handover(&client, sent, &notice, &message), 0, "%s", message);
	cr_assert_null(notice);
	cr_assert_eq(message_receive(peer, &wire, sizeof(wire), &received, 1), 1);
	cr_assert_eq(launch_handover_check(&wire, sizeof(wire)), 0);
	cr_assert_eq(fstat(sent, &sent_stat), 0);
	cr_assert_eq(fstat(received, &received_stat), 0);
	cr_assert_eq(sent_stat.st_ino, received_stat.st_ino);
	(void)close(sent);
}

Test(client, what_comes_with_the_word_is_for_the_person)
{
	_cleanup_free_ char *notice = NULL;

	answer(0, "its queues are its own");
	cr_assert_eq(client_handover(&client, -EBADF, &notice, &message), 0, "%s", message);
	cr_assert_str_eq(notice, "its queues are its own");
}

Test(client, a_refusal_is_the_message)
{
	uint64_t filter_id;

	answer(-ENOENT, "plug \"evnts\" not found; is it \"logger:events\"?");
	cr_assert_eq(hello(&filter_id), -ENOENT);
	cr_assert_str_eq(message, "plug \"evnts\" not found; is it \"logger:events\"?");
}

Test(client, a_refusal_without_text_has_a_message_too)
{
	uint64_t filter_id;

	answer(-ENOMEM, "");
	cr_assert_eq(hello(&filter_id), -ENOMEM);
	assert_message(strerror(ENOMEM));
}

Test(client, a_refusal_is_heard_though_the_manager_has_gone)
{
	uint64_t filter_id;

	answer(-EUSERS, "too many sessions");
	closep(&peer);
	cr_assert_eq(hello(&filter_id), -EUSERS);
	cr_assert_str_eq(message, "too many sessions");
}

Test(client, a_manager_that_goes_ends_the_launch)
{
	uint64_t filter_id;

	closep(&peer);
	cr_assert_lt(hello(&filter_id), 0);
	assert_message("closed the connection");
	assert_message(directory);
}

Test(client, a_manager_that_is_silent_ends_the_launch_at_the_deadline)
{
	uint64_t filter_id;

	client.deadline = now_usec() + 50000;
	cr_assert_eq(hello(&filter_id), -ETIMEDOUT);
	assert_message("does not answer");
}

Test(client, waits_longer_than_the_manager_does)
{
	cr_assert_gt(client.deadline, now_usec() + LAUNCH_DEADLINE_USEC);
}

Test(client, another_version_ends_the_launch)
{
	struct launch_answer wire = {.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION + 1};
	uint64_t filter_id;

	cr_assert_eq(message_send(peer, &wire, sizeof(wire), NULL, 0), 0);
	cr_assert_eq(hello(&filter_id), -EPROTONOSUPPORT);
	assert_message("another version");
}

Test(client, another_size_ends_the_launch)
{
	uint64_t filter_id;

	cr_assert_eq(message_send(peer, "x", 1, NULL, 0), 0);
	cr_assert_eq(hello(&filter_id), -EBADMSG);
}

static void no_client(void)
{
	listen_in_directory();
	client = (struct client){.socket = -EBADF};
}

TestSuite(unreachable, .init = no_client, .fini = clear);

Test(unreachable, nobody_there)
{
	cr_assert_eq(client_connect("/nonexistent", &client, &message), -ENOENT);
	assert_message(
		"cannot reach mqgated at /nonexistent/launch: connect: No such file or directory; "
		"is it running? (start it: systemctl start mqgated; in a container, mount this socket; or give its "
		"--runtime-dir)");
}

Test(unreachable, nobody_listens)
{
	closep(&listening);
	cr_assert_eq(client_connect(directory, &client, &message), -ECONNREFUSED);
	assert_message("is it running?");
}

Test(unreachable, a_directory_whose_socket_does_not_fit)
{
	const size_t longest = sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("/launch");
	char path[256] = {0};

	memset(path, 'd', longest);
	cr_assert_eq(client_connect(path, &client, &message), -ENOENT);
	free(take_pointer(message));
	path[longest] = 'd';
	cr_assert_eq(client_connect(path, &client, &message), -ENAMETOOLONG);
	assert_message("100 bytes");
}
