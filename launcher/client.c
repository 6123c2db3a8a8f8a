/* SPDX-License-Identifier: MIT */
/* The launcher's conversation with mqgated. */
#include "client.h"

#include <poll.h>
#include <sys/socket.h>

#include "include/bus.h"
#include "include/socket.h"
#include "refuse.h"

/* mqgated keeps LAUNCH_DEADLINE_USEC; a little more, so that its refusal is heard. */
#define DEADLINE_USEC (LAUNCH_DEADLINE_USEC + 2 * 1000000ULL)

void client_close(struct client *client)
{
	closep(&client->socket);
	free(take_pointer(client->path));
}

static int refuse_unreachable(
	const struct client *client, const char *runtime_dir, int error, char **ret_message)
{
	const char *remedy = "; is it running? (start it: systemctl start mqgated; in a "
			     "container, mount this socket; or give its --runtime-dir)";
	const char *unit = "";

	if (error == -ENOENT || error == -EACCES)
		unit = in_unit("; or does the unit hide it? (InaccessiblePaths=, "
			       "TemporaryFileSystem=, RootDirectory=: add BindReadOnlyPaths=)");
	if (error == -EACCES)
		remedy = "; launch-group in mqgated.yaml, or the mode of a directory above the "
			 "socket, keeps you out";
	else if (error == -EPERM || error == -ENOSYS || error == -EMFILE)
		remedy = remedy_of(error);
	else if (error == -EAFNOSUPPORT)
		remedy = "; allow Unix sockets (RestrictAddressFamilies=AF_UNIX in the unit)";
	else if (error == -EAGAIN)
		return refuse(ret_message, -ETIMEDOUT,
			"cannot reach mqgated at %s: it does not accept the connection; is it "
			"overloaded? (mqctl status)",
			client->path);
	else if (error == -ENAMETOOLONG)
		return refuse(ret_message, error,
			"runtime directory '%s': the path is too long for a socket in it (at most "
			"%zu bytes); choose a shorter one",
			runtime_dir, SOCKET_PATH_SIZE - sizeof("/" LAUNCH_SOCKET));
	return refuse(ret_message, error, "cannot reach mqgated at %s: connect: %s%s%s",
		client->path, strerror(-error), remedy, unit);
}

int client_connect(const char *runtime_dir, struct client *ret, char **ret_message)
{
	struct client client = {.deadline = now_usec() + DEADLINE_USEC};
	int r;

	if (asprintf(&client.path, "%s/" LAUNCH_SOCKET, runtime_dir) < 0)
		return refuse(ret_message, -ENOMEM, "not enough memory");
	/* While LAUNCHES_OF_ROOT_MAX of root's are being served, connect() itself waits. */
	client.socket = socket_connect(client.path, SOCK_SEQPACKET, DEADLINE_USEC);
	if (client.socket < 0) {
		r = refuse_unreachable(&client, runtime_dir, client.socket, ret_message);
		client_close(&client);
		return r;
	}
	*ret = client;
	return 0;
}

void client_take(int socket, struct client *ret)
{
	*ret = (struct client){.socket = socket, .deadline = now_usec() + DEADLINE_USEC};
}

/* 0 once the socket is ready or has failed, -ETIMEDOUT. */
static int wait_readable(const struct client *client)
{
	struct pollfd pollfd = {.fd = client->socket, .events = POLLIN};

	for (;;) {
		uint64_t now = now_usec();
		int r;

		if (now >= client->deadline)
			return -ETIMEDOUT;
		r = poll(&pollfd, 1, (int)((client->deadline - now) / 1000 + 1));
		if (r > 0)
			return 0;
		if (r < 0 && errno != EINTR)
			return -errno;
	}
}

static int receive_answer(struct client *client, struct launch_answer *ret)
{
	int r;

	do {
		r = wait_readable(client);
		if (r < 0)
			return r;
		r = message_receive(client->socket, ret, sizeof(*ret), NULL, 0);
	} while (r == -EAGAIN || r == -EINTR);
	if (r == 0)
		return -ECONNRESET;
	return r < 0 ? r : launch_answer_check(ret, sizeof(*ret));
}

static int refuse_silence(const struct client *client, int error, char **ret_message)
{
	if (!client->path)
		return refuse(ret_message, error,
			"mqgate-alone does not serve this command: %s; try again",
			error == -ECONNRESET || error == -EPIPE ? "it has ended"
								: strerror(-error));
	switch (error) {
	case -ETIMEDOUT:
		return refuse(ret_message, error,
			"mqgated at %s does not answer; look at its log (journalctl -u mqgated)",
			client->path);
	case -ECONNRESET:
	case -EPIPE:
		return refuse(ret_message, error,
			"mqgated at %s closed the connection; look at its log (journalctl -u "
			"mqgated)",
			client->path);
	case -EBADMSG:
	case -EPROTONOSUPPORT:
		return refuse(ret_message, error,
			"mqgated at %s is another version than this mq-run; install both from "
			"the same release and restart mqgated",
			client->path);
	default:
		return refuse(ret_message, error,
			"cannot talk to mqgated at %s: sendmsg or recvmsg: %s%s", client->path,
			strerror(-error), remedy_of(error));
	}
}

static int hear_answer(struct client *client, struct launch_answer *ret, char **ret_message)
{
	int r;

	r = receive_answer(client, ret);
	if (r < 0)
		return refuse_silence(client, r, ret_message);
	if (ret->error == 0)
		return 0;
	if (isempty(ret->text))
		return refuse(ret_message, ret->error, "mqgated refuses the launch: %s",
			strerror(-ret->error));
	return refuse(ret_message, ret->error, "%s", ret->text);
}

/* A refusal that came before our message tells more than the broken pipe does: it is heard next. */
static int say(struct client *client, const void *message, size_t size, int fd, char **ret_message)
{
	int r;

	r = message_send(client->socket, message, size, &fd, fd >= 0 ? 1 : 0);
	return r < 0 && r != -EPIPE ? refuse_silence(client, r, ret_message) : 0;
}

int client_hello(
	struct client *client, const struct launch_ref *refs, size_t ref_count, char **ret_message)
{
	struct launch_hello hello = {
		.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .ref_count = (uint32_t)ref_count};

	assert(ref_count <= LAUNCH_REFS_MAX);
	memcpy(hello.refs, refs, ref_count * sizeof(*refs));
	return say(client, &hello, sizeof(hello), -EBADF, ret_message);
}

int client_answer(struct client *client, uint64_t *ret_filter_id, enum mediation *ret_mediation,
	char **ret_message)
{
	struct launch_answer answer;
	int r = hear_answer(client, &answer, ret_message);

	if (r < 0)
		return r;
	*ret_filter_id = answer.filter_id;
	*ret_mediation = answer.mediation;
	return 0;
}

int client_handover(struct client *client, int listener, char **ret_notice, char **ret_message)
{
	struct launch_handover handover = {.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION};
	struct launch_answer answer;
	int r = say(client, &handover, sizeof(handover), listener, ret_message);

	r = r < 0 ? r : hear_answer(client, &answer, ret_message);
	*ret_notice = r == 0 && !isempty(answer.text) ? strdup(answer.text) : NULL;
	return r;
}
