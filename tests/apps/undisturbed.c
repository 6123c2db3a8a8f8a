/* SPDX-License-Identifier: MIT */
/* undisturbed LAUNCH COUNT: a launcher with threads that wait in calls of every kind. It says hello
 * so often, and counts what its calls tell of being stopped. Prints "accepted N interrupted N". */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "app.h"
#include "include/protocol.h"

static unsigned interrupted;

static void count(long r)
{
	if (r < 0 && errno == EINTR)
		__atomic_fetch_add(&interrupted, 1, __ATOMIC_SEQ_CST);
}

static void *wait_in_epoll(void *unused)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	(void)unused;
	for (;;)
		count(epoll_wait(epoll, &event, 1, -1));
	return NULL;
}

static void *wait_for_signal(void *unused)
{
	sigset_t set;

	(void)unused;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	for (;;)
		count(sigwaitinfo(&set, NULL));
	return NULL;
}

static void *wait_for_futex(void *unused)
{
	static int futex;

	(void)unused;
	for (;;)
		count(syscall(SYS_futex, &futex, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0));
	return NULL;
}

static void *wait_for_data(void *unused)
{
	int fds[2];

	(void)unused;
	if (pipe(fds) < 0)
		exit(3);
	for (;;)
		count(read(fds[0], fds, 1));
	return NULL;
}

static void *sleep_on(void *unused)
{
	(void)unused;
	for (;;)
		count(nanosleep(&(struct timespec){.tv_sec = 1000}, NULL));
	return NULL;
}

static void *wait_with_timeout(void *unused)
{
	const struct timeval timeout = {.tv_sec = 1000};
	int fds[2];
	char byte;

	(void)unused;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0 ||
		setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		exit(3);
	for (;;)
		count(recv(fds[0], &byte, 1, 0));
	return NULL;
}

/* More than there is room for, which nobody reads. */
static void *write_much(void *unused)
{
	static char much[1 << 20];
	int fds[2];

	(void)unused;
	if (pipe(fds) < 0)
		exit(3);
	for (;;)
		if (write(fds[1], much, sizeof(much)) < (ssize_t)sizeof(much))
			__atomic_fetch_add(&interrupted, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		(void)failed("connect", path);
		exit(3);
	}
	return fd;
}

static unsigned greet(const char *path)
{
	struct launch_hello hello = {.magic = LAUNCH_MAGIC,
		.version = LAUNCH_VERSION,
		.ref_count = 1,
		.refs = {{.kind = LAUNCH_REF_PLUG, .text = "some:queue"}}};
	struct launch_answer answer = {.error = 1};
	int fd = connect_to(path);
	struct pollfd p = {.fd = fd, .events = POLLIN};
	long r;

	count(send(fd, &hello, sizeof(hello), MSG_NOSIGNAL));
	do {
		r = poll(&p, 1, 10000);
		count(r);
	} while (r < 0);
	count(recv(fd, &answer, sizeof(answer), 0));
	if (answer.error != 0)
		fprintf(stderr, "%s\n", answer.text);
	(void)close(fd);
	return answer.error == 0;
}

/* argv */
static void *greet_often(void *context)
{
	char **argv = context;
	unsigned accepted = 0;

	pause_for(100);
	for (int i = 0; i < atoi(argv[2]); i++)
		accepted += greet(argv[1]);
	printf("accepted %u interrupted %u\n", accepted,
		__atomic_load_n(&interrupted, __ATOMIC_SEQ_CST));
	(void)fflush(stdout);
	_exit(0);
}

int main(int argc, char *argv[])
{
	void *(*const others[])(void *) = {wait_in_epoll, write_much, wait_for_signal,
		wait_for_data, wait_for_futex, sleep_on, greet_often};
	pthread_t thread;

	if (argc != 3) {
		fprintf(stderr, "usage: undisturbed LAUNCH COUNT\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (pthread_create(&thread, NULL, others[i], argv) != 0)
			return failed("pthread_create", "");
	/* The thread that is listed first. */
	(void)wait_with_timeout(NULL);
}
