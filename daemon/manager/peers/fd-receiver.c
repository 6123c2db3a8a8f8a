/* SPDX-License-Identifier: MIT */
/* The fd receiver: a child of the manager that stands between it and one launcher; and how
 * connections are closed that were given none.
 *
 * A launcher may send any descriptor, and whoever closes that one last can be made to wait by it: a
 * connection that lingers, a file of a user's own file system. Whoever receives it cannot but close
 * it. So the manager never receives any: the fd receiver does, hands on what is a listener, and
 * keeps the rest open until it exits (then the kernel waits for nobody). A descriptor that nobody
 * has received yet is closed with the launcher's socket, so that too is the fd receiver's until the
 * end. */
#include "fd-receiver.h"

#include "account.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "include/capabilities.h"
#include "include/compat.h"
#include "include/limits.h"
#include "include/protocol.h"
#include "include/task.h"
#include "daemon/manager/core/list.h"
#include "daemon/manager/core/manager.h"
#include "peer.h"

#define MESSAGE_DESCRIPTORS_MAX 253 /* SCM_MAX_FD: all that one message can have */

int descriptors_allow(int socket, bool allow)
{
	const int value = allow;

	return setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &value, sizeof(value)) < 0 ? -errno
											: 0;
}

bool descriptors_wait(int socket)
{
	char byte, credentials[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = credentials,
		.msg_controllen = sizeof(credentials)};

	/* Cut off, since there is no room for any. An error may have come before a message. */
	return recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT) < 0 ||
	       message.msg_flags & MSG_CTRUNC;
}

/* The descriptors of a message, of which the first two at most are told. */
static size_t take_descriptors(struct msghdr *message, int ret_fds[static 2])
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			count = MIN((c->cmsg_len - CMSG_LEN(0)) / sizeof(int), 2U);
			memcpy(ret_fds, CMSG_DATA(c), sizeof(int) * count);
		}
	return count;
}

static pid_t connector(int socket)
{
	struct ucred credentials = {0};
	socklen_t size = sizeof(credentials);

	return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0
		       ? -1
		       : credentials.pid;
}

/* A message as it came, but with a socket of ours in the place of each descriptor that is no
 * listener. Only one counts: the manager takes no more. Returns 0 at the end, which is also a
 * message of somebody else. */
static int pass_in(int launcher, int manager)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int) * MESSAGE_DESCRIPTORS_MAX)];
	} control;
	char data[sizeof(struct launch_hello) + 1];
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(launcher, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fds[2] = {manager, manager};
	size_t count;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : 0;
	count = take_descriptors(&message, fds);
	if ((n == 0 && count == 0) || message_sender(&message) != connector(launcher))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (listener_check(fds[i]) < 0)
			fds[i] = manager;
	return message_send(manager, data, (size_t)n, fds, count) == 0;
}

static int pass_out(int manager, int launcher)
{
	struct launch_answer answer;
	int r = message_receive(manager, &answer, sizeof(answer), NULL, 0);

	if (r == -EAGAIN || r == -EINTR)
		return 1;
	return r == 1 && message_send(launcher, &answer, sizeof(answer), NULL, 0) == 0;
}

static bool is_stream(int socket)
{
	int type = SOCK_SEQPACKET;
	socklen_t size = sizeof(type);

	(void)getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size);
	return type == SOCK_STREAM;
}

/* Receives what is left, since whoever closes the socket last would close the descriptors in it,
 * and unread data would keep the peer from reading what it was told. A message without bytes is
 * told from the end by its sender's credentials, which come with every message then; an error hides
 * no message for longer than once. Nothing is closed but by the kernel, which waits for nobody when
 * a process exits. */
void fd_receiver_let_go(int socket, int same)
{
	char data[256];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int) * MESSAGE_DESCRIPTORS_MAX)];
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = sizeof(data)};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	bool stream = is_stream(socket), ended = false;

	(void)shutdown(socket, SHUT_RDWR);
	(void)setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &(int){1}, sizeof(int));
	for (int errors = 0; errors < 2 && !ended;) {
		ssize_t n;

		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		errors += n < 0;
		ended = n == 0 && (stream || message.msg_controllen == 0);
	}
	_exit(0);
}

static void pass_on(int manager, int launcher)
{
	struct pollfd fds[2] = {
		{.fd = manager, .events = POLLIN}, {.fd = launcher, .events = POLLIN}};

	/* What the manager says comes first: it may be its last word. */
	while (poll(fds, 2, -1) > 0 || errno == EINTR)
		if (fds[0].revents ? !pass_out(manager, launcher)
				   : fds[1].revents && !pass_in(launcher, manager))
			break;
	fd_receiver_let_go(launcher, launcher);
}

void close_all_but(int first, int second)
{
	const unsigned low = (unsigned)MIN(first, second), high = (unsigned)MAX(first, second);

	if (low > 3)
		(void)close_range(3, low - 1, 0);
	if (high > low + 1)
		(void)close_range(low + 1, high - 1, 0);
	(void)close_range(high + 1, UINT32_MAX, 0);
}

struct fd_receiver {
	struct fd_receiver *previous, *next;
	struct manager *manager;
	struct account *account; /* NULL: it is for no launch */
	sd_event_source *child_source;
};

static void fd_receiver_free(struct fd_receiver *receiver)
{
	LIST_DROP(receiver->manager->fd_receivers, receiver);
	receiver->child_source = sd_event_source_disable_unref(receiver->child_source);
	if (receiver->account)
		receiver->account->taken[SHARE_FD_RECEIVERS]--;
	receiver->account = account_unref(receiver->account);
	free(receiver);
}

void fd_receivers_free(struct manager *manager)
{
	FOREACH (receiver, manager->fd_receivers)
		fd_receiver_free(receiver);
}

/* It ends by itself when either side closes. */
static int on_child(sd_event_source *source, const siginfo_t *information, void *userdata)
{
	fd_receiver_free(userdata);
	return 0;
}

/* The child has these two descriptors, or the one, and no other. */
static int spawn(void (*work)(int, int), int first, int second, pid_t *ret_pid)
{
	pid_t pid = task_fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		close_all_but(first, second);
		/* If we are root, programs of root could keep it from handing on anything. */
		if (capabilities_keep(CAPABILITY(SYS_RESOURCE)) < 0)
			_exit(0);
		work(first, second);
	}
	*ret_pid = pid;
	return 0;
}

static int reap_later(struct manager *manager, struct account *account, pid_t pid)
{
	struct fd_receiver *receiver = calloc(1, sizeof(*receiver));
	int r;

	if (!receiver)
		return -ENOMEM;
	receiver->manager = manager;
	if (account) {
		receiver->account = account_ref(account);
		account->taken[SHARE_FD_RECEIVERS]++;
	}
	LIST_ADD(manager->fd_receivers, receiver);
	r = sd_event_add_child(
		manager->event, &receiver->child_source, pid, WEXITED, on_child, receiver);
	if (r < 0)
		fd_receiver_free(receiver);
	return r;
}

static int start_child(struct manager *manager, struct account *account, void (*work)(int, int),
	int first, int second)
{
	pid_t pid = -1;
	int r;

	r = spawn(work, first, second, &pid);
	if (r < 0)
		return r;
	r = reap_later(manager, account, pid);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	return r;
}

int fd_receiver_start_with(struct account *account, void (*work)(int, int), int *socket)
{
	_cleanup_close_ int ours = -EBADF, theirs = -EBADF;
	int sockets[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) < 0)
		return -errno;
	ours = sockets[0];
	theirs = sockets[1];
	r = start_child(account->manager, account, work, theirs, *socket);
	if (r < 0)
		return r;
	(void)safe_close(*socket);
	*socket = take_fd(&ours);
	return 0;
}

int fd_receiver_start(struct account *account, int *socket)
{
	return fd_receiver_start_with(account, pass_on, socket);
}

/* To be asked when nothing more can come. A message may have no bytes, but not in a stream. */
static bool is_empty(int socket)
{
	char byte;

	return is_stream(socket) && recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void fd_receiver_close_loaded(struct manager *manager, int *socket)
{
	if (*socket >= 0) {
		(void)shutdown(*socket, SHUT_RDWR);
		if (!is_empty(*socket))
			(void)start_child(manager, NULL, fd_receiver_let_go, *socket, *socket);
	}
	closep(socket);
}

void fd_receiver_close(struct manager *manager, int *socket)
{
	if (!manager->refuses_descriptors)
		fd_receiver_close_loaded(manager, socket);
	closep(socket);
}
