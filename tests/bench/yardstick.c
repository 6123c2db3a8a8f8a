/* SPDX-License-Identifier: MIT */
/* What the kernel's own mechanism costs: supervisors that decide nothing.
 *
 * usage: bench-yardstick empty|opener|filter COMMAND [ARGUMENT]…
 *
 * Becomes COMMAND under mqgate's own filter, supervised by a child that for each call does
 *
 *	empty   receive, answer "continue"
 *	opener  the same; but mq_open it makes itself: reads the name from the caller's memory, asks
 *	        whether the notification is still valid, opens, injects the descriptor and answers
 *	        in one
 *
 * with the synchronous wake-up, or
 *
 *	filter  becomes COMMAND under a filter that allows everything, supervised by nobody
 *
 * No poll, no decision, no identity of the caller's: nobody may use
 * message queues safely this way; it is what a supervisor cannot go below. */
#include <fcntl.h>
#include <linux/audit.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "include/compat.h"
#include "include/protocol.h"
#include "include/syscalls.h"
#include "include/util.h"
#include "launcher/filter.h"

static bool opener;

static int read_name(const struct seccomp_notif *notification, char name[static QUEUE_NAME_MAX + 1])
{
	char path[64];
	_cleanup_close_ int memory = -EBADF;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%u/mem", notification->pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	if (memory < 0)
		return -errno;
	n = pread(memory, name, QUEUE_NAME_MAX + 1, (off_t)notification->data.args[0]);
	if (n <= 0 || !memchr(name, '\0', (size_t)n))
		return -EFAULT;
	return 0;
}

/* Returns false if the call remains to be answered. */
static bool open_on_behalf(int listener, const struct seccomp_notif *notification)
{
	struct seccomp_notif_addfd addfd = {
		.id = notification->id, .flags = SECCOMP_ADDFD_FLAG_SEND, .newfd_flags = O_CLOEXEC};
	uint64_t id = notification->id;
	static char name[QUEUE_NAME_MAX + 1];
	_cleanup_close_ int queue = -EBADF;

	if (read_name(notification, name) < 0 ||
		ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) < 0)
		return false;
	queue = (int)syscall(SYS_mq_open, name, (int)notification->data.args[1], 0600, NULL);
	if (queue < 0)
		return false;
	addfd.srcfd = (uint32_t)queue;
	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd) >= 0;
}

static void serve(int listener, const struct seccomp_notif *notification)
{
	struct seccomp_notif_resp response = {
		.id = notification->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
	const struct intercepted_call *call =
		intercepted_call_find(notification->data.arch, notification->data.nr);

	if (opener && call && call->call == MQ_CALL_OPEN &&
		!(notification->data.args[1] & O_CREAT) && open_on_behalf(listener, notification))
		return;
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static _noreturn_ void supervise(int socket)
{
	static struct seccomp_notif notification;
	int listener;
	char byte;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (message_receive(socket, &byte, 1, &listener, 1) == -EAGAIN)
		(void)usleep(1000);
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) < 0)
		(void)fprintf(stderr, "bench-yardstick: this kernel has no synchronous wake-up\n");
	for (;;) {
		memset(&notification, 0, sizeof(notification));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0)
			serve(listener, &notification);
		else if (errno != ENOENT && errno != EINTR)
			_exit(1);
	}
}

/* Loads the filter and hands the listener to the supervisor. */
static int confine(int socket)
{
	_cleanup_free_ char *message = NULL;
	_cleanup_close_ int listener = -EBADF;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	r = filter_load(1, MEDIATION_CALL, &listener, &message);
	if (r == 0)
		r = message_send(socket, "", 1, &listener, 1);
	return r;
}

static int allow_everything(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

static int supervised(void)
{
	int sockets[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	switch (fork()) {
	case -1:
		return -errno;
	case 0:
		(void)close(sockets[0]);
		supervise(sockets[1]);
	default:
		return confine(sockets[0]);
	}
}

int main(int argc, char **argv)
{
	bool filter = argc > 2 && streq(argv[1], "filter");
	int r;

	opener = argc > 2 && streq(argv[1], "opener");
	if (argc < 3 || (!opener && !filter && !streq(argv[1], "empty"))) {
		(void)fprintf(
			stderr, "usage: bench-yardstick empty|opener|filter COMMAND [ARGUMENT]…\n");
		return 2;
	}
	r = filter ? allow_everything() : supervised();
	if (r < 0) {
		(void)fprintf(stderr, "bench-yardstick: %s\n", strerror(-r));
		return 1;
	}
	(void)execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
