/* SPDX-License-Identifier: MIT */
/* registrant QUEUE spin|epoll|sleep: registers for notification, then does that until the end of
 * its input (sleep: for two seconds), and says what it noticed. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

static volatile sig_atomic_t told;

static void on_signal(int signal)
{
	told += signal == SIGUSR1;
}

static unsigned count(void)
{
	volatile unsigned x = 1;

	for (int i = 0; i < 10000; i++)
		x = x * 1664525U + 1013904223U;
	return x;
}

static int spin(void)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	unsigned right = count();
	int wrong = 0;

	while (poll(&input, 1, 0) == 0)
		for (int i = 0; i < 100; i++)
			wrong += count() != right;
	return wrong;
}

static int wait_for_input(void)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event) < 0)
		return -1;
	return epoll_wait(epoll, &event, 1, 20000) == 1 ? 0 : errno;
}

static int sleep_two_seconds(void)
{
	struct timespec time = {.tv_sec = 2};

	return nanosleep(&time, NULL) == 0 ? 0 : errno;
}

int main(int argc, char *argv[])
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};
	mqd_t queue;
	int wrong;

	if (argc != 3 || signal(SIGUSR1, on_signal) == SIG_ERR)
		return 2;
	queue = mq_open(argv[1], O_RDWR | O_CREAT, 0666, &attributes);
	if (queue < 0 || mq_notify(queue, &event) < 0) {
		perror(argv[1]);
		return 1;
	}
	(void)puts("registered");
	(void)fflush(stdout);
	wrong = strcmp(argv[2], "spin") == 0    ? spin()
		: strcmp(argv[2], "epoll") == 0 ? wait_for_input()
						: sleep_two_seconds();
	(void)printf("wrong %d, told %d times\n", wrong, (int)told);
	return 0;
}
