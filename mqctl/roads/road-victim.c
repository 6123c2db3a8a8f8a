/* SPDX-License-Identifier: MIT */
/* Roads over an unconfined neighbour, and the neighbour. */
#include <poll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "road.h"

#define POKED "poked"

static volatile int command;

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	(void)unlink(path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0)
		return -1;
	return fd;
}

union control {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

static void give(int listening, int fd)
{
	union control control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
					 .cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {.iov_base = (char[]){'x'}, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int peer = accept(listening, NULL, NULL);

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	(void)sendmsg(peer, &message, MSG_NOSIGNAL);
	(void)close(peer);
}

int be_victim(void)
{
	struct pollfd polled[3] = {
		{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}, {.events = POLLIN}};
	int fd = mq_open(queue, O_RDWR), dev = open("/dev", O_RDONLY | O_DIRECTORY);
	FILE *file;

	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	polled[1].fd = listen_at(path_in(directory, "/socket"));
	polled[2].fd = listen_at(path_in(directory, "/directory-socket"));
	file = fopen(path_in(directory, "/victim"), "we");
	if (fd < 0 || dev < 0 || polled[1].fd < 0 || polled[2].fd < 0 || !file ||
		chdir("/dev/mqueue") < 0)
		return untried("victim");
	fprintf(file, "%d %d %lu\n", getpid(), fd, (unsigned long)&command);
	(void)fclose(file);
	printf("ready\n");
	(void)fflush(stdout);
	while (poll(polled, 3, 20) >= 0 && !polled[0].revents) {
		if (polled[1].revents)
			give(polled[1].fd, fd);
		if (polled[2].revents)
			give(polled[2].fd, dev);
		if (command)
			(void)mq_send(fd, POKED, sizeof(POKED), 0);
		command = 0;
	}
	return 0;
}

int find_victim(struct victim *ret)
{
	FILE *file = fopen(path_in(directory, "/victim"), "re");
	int n = file ? fscanf(file, "%d %d %lu", &ret->pid, &ret->fd, &ret->command) : 0;

	if (file)
		(void)fclose(file);
	return n == 3 ? 0 : -1;
}

/* The neighbour was made to send to the queue. */
static int wait_for_poked(void)
{
	struct timespec soon = from_now(3000);
	char buffer[8192];
	mqd_t mq = mq_open(queue, O_RDONLY);

	if (mq_timedreceive(mq, buffer, sizeof(buffer), NULL, &soon) != sizeof(POKED))
		return closed("mq_receive");
	return is_open();
}

int road_ptrace(const struct victim *victim)
{
	if (ptrace(PTRACE_ATTACH, victim->pid, NULL, NULL) < 0)
		return closed("PTRACE_ATTACH");
	if (waitpid(victim->pid, NULL, __WALL) < 0)
		return closed("waitpid");
	if (ptrace(PTRACE_POKEDATA, victim->pid, (void *)victim->command, (void *)1L) < 0)
		return closed("PTRACE_POKEDATA");
	if (ptrace(PTRACE_DETACH, victim->pid, NULL, NULL) < 0)
		return closed("PTRACE_DETACH");
	return wait_for_poked();
}

static const char *in_proc(const struct victim *victim, const char *suffix)
{
	char prefix[64];

	(void)snprintf(prefix, sizeof(prefix), "/proc/%d/", victim->pid);
	return path_in(prefix, suffix);
}

int road_proc_mem(const struct victim *victim)
{
	const int poked = 1;
	int fd = open(in_proc(victim, "mem"), O_RDWR);

	if (fd < 0)
		return closed("open");
	if (pwrite(fd, &poked, sizeof(poked), (off_t)victim->command) != sizeof(poked))
		return closed("pwrite");
	return wait_for_poked();
}

int road_process_vm_writev(const struct victim *victim)
{
	struct iovec from = {.iov_base = &(int){1}, .iov_len = sizeof(int)};
	struct iovec to = {.iov_base = (void *)victim->command, .iov_len = sizeof(int)};

	if (process_vm_writev(victim->pid, &from, 1, &to, 1, 0) != sizeof(int))
		return closed("process_vm_writev");
	return wait_for_poked();
}

int road_pidfd_getfd(const struct victim *victim)
{
	int pidfd = (int)syscall(SYS_pidfd_open, victim->pid, 0);

	if (pidfd < 0)
		return untried("pidfd_open");
	return use_or_closed((int)syscall(SYS_pidfd_getfd, pidfd, victim->fd, 0), "pidfd_getfd");
}

int road_proc_fd(const struct victim *victim)
{
	char number[32];

	(void)snprintf(number, sizeof(number), "fd/%d", victim->fd);
	return use_or_closed(open(in_proc(victim, number), O_RDWR), "open");
}

int road_proc_root(const struct victim *victim)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "root/dev/mqueue%s", queue);
	return use_or_closed(open(in_proc(victim, path), O_RDWR), "open");
}

int road_proc_cwd(const struct victim *victim)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "cwd%s", queue);
	return use_or_closed(open(in_proc(victim, path), O_RDWR), "open");
}

/* What the neighbour gives at this socket; negative with errno. */
int receive_descriptor(const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	union control control = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path_in(directory, name));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		recvmsg(fd, &message, 0) != 1 || control.header.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

int road_sent_descriptor(const struct victim *victim)
{
	int fd = receive_descriptor("/socket");

	return fd < 0 ? untried("recvmsg") : use(fd);
}
