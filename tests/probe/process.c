/* SPDX-License-Identifier: MIT */
/* Processes, and descriptors on the move. */
#include "probe.h"

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

extern char **environ;

static char buffer[8192];
static mqd_t queue;

/* --- processes --- */

static void use_inherited(void)
{
	TRY(mq_receive(queue, buffer, 32, NULL));
	TRY(mq_send(queue, "child", 5, 1));
	TRY(mq_unlink(QUEUE));
}

static void leader_leaves(void)
{
	exit(9); /* not reached: the other thread ends the process */
}

static void *use_after_leader(void *unused)
{
	struct timespec pause = {.tv_nsec = 50000000};

	(void)unused;
	(void)nanosleep(&pause, NULL);
	TRY(mq_send(queue, "without a leader", 16, 1));
	TRY(mq_receive(queue, buffer, 32, NULL));
	TRY(mq_open(OTHER, O_RDWR | O_CREAT, 0600, NULL) >= 0);
	TRY(mq_unlink(OTHER));
	exit(0);
}

static void leader_exits(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, use_after_leader, NULL) != 0)
		leader_leaves();
	(void)syscall(SYS_exit, 0);
}

static void *exec_from_thread(void *unused)
{
	(void)unused;
	(void)execl("/proc/self/exe", "probe", "data", NULL);
	exit(8);
}

static void non_leader_execs(void)
{
	pthread_t thread;

	(void)pthread_create(&thread, NULL, exec_from_thread, NULL);
	(void)pthread_join(thread, NULL);
}

static void grandchild(void)
{
	in_child("grandchild", use_inherited);
}

static void spawn_probe(void)
{
	char name[] = "probe", what[] = "timeouts", *argv[] = {name, what, NULL};
	pid_t pid;

	int r = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ);

	wait_for(pid, "spawned");
	(void)report(r, "posix_spawn");
}

static void vfork_probe(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		(void)raw_send(queue, "vfork", 5, 2, NULL);
		(void)execl("/proc/self/exe", "probe", "poll", NULL);
		_exit(7);
	}
	wait_for(pid, "vforked");
	TRY(mq_receive(queue, buffer, 32, NULL));
}

void probe_processes(void)
{
	(void)alarm(25 * (unsigned)patience());
	queue = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	TRY(mq_send(queue, "parent", 6, 0));
	in_child("child", use_inherited);
	TRY(mq_receive(queue, buffer, 32, NULL));
	TRY(mq_send(queue, "parent", 6, 0));
	in_child("child of a child", grandchild);
	in_child("leader exits", leader_exits);
	in_child("exec by another thread", non_leader_execs);
	queue = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	spawn_probe();
	queue = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	vfork_probe();
}

/* --- passing --- */

static void send_fd(int socket, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(int));
	if (sendmsg(socket, &message, 0) != 1)
		exit(6);
}

static int receive_fd(int socket)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

static int sockets[2];

static void receiver(void)
{
	int fd = receive_fd(sockets[1]);
	struct mq_attr attributes;

	TRY(mq_send(fd, "passed", 6, 4));
	TRY(mq_getattr(fd, &attributes));
	TRY(mq_receive(fd, buffer, 32, NULL));
	if (write(sockets[1], "", 1) != 1)
		exit(6);
	fd = receive_fd(sockets[1]);
	TRY(mq_send(fd, "deleted", 7, 4));
	TRY(mq_receive(fd, buffer, 32, NULL));
}

void probe_passing(void)
{
	struct stat st;
	mqd_t second;
	pid_t pid;

	(void)alarm(20 * (unsigned)patience());
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) < 0)
		exit(6);
	pid = fork();
	if (pid == 0) {
		receiver();
		exit(0);
	}
	queue = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	send_fd(sockets[0], queue);
	if (read(sockets[0], buffer, 1) != 1)
		exit(6);
	TRY(mq_unlink(QUEUE));
	TRY(mq_open(QUEUE, O_RDWR));
	TRY(mq_send(queue, "still there", 11, 0));
	TRY(fstat(queue, &st));
	note("  links %u", (unsigned)st.st_nlink);
	TRY(mq_receive(queue, buffer, 32, NULL));
	send_fd(sockets[0], queue);
	wait_for(pid, "receiver");

	second = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	TRY(mq_send(second, "new", 3, 0));
	TRY(mq_receive(queue, buffer, 32, NULL));
	TRY(mq_receive(second, buffer, 32, NULL));
	TRY(dup2(second, queue) >= 0);
	TRY(mq_send(queue, "through the copy", 16, 0));
	TRY(mq_receive(second, buffer, 32, NULL));
}
