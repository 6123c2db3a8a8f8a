/* SPDX-License-Identifier: MIT */
/* Tutorial: a queue in an event loop, beside a timer. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void watch(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		perror("epoll_ctl");
}

int main(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};
	struct itimerspec every = {.it_value.tv_nsec = 30000000, .it_interval.tv_nsec = 30000000};
	mqd_t queue = mq_open("/mqgate-tutorial", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0), epoll = epoll_create1(0), sent = 0,
	    received = 0;

	watch(epoll, queue);
	watch(epoll, timer);
	(void)timerfd_settime(timer, 0, &every, NULL);
	while (received < 5) {
		struct epoll_event event;
		uint64_t ticks;
		char text[64];

		if (epoll_wait(epoll, &event, 1, 5000) != 1) {
			printf("nothing happened\n");
			break;
		}
		if (event.data.fd == timer) {
			if (read(timer, &ticks, sizeof(ticks)) == sizeof(ticks) && sent < 5 &&
				mq_send(queue, (char[]){(char)('0' + sent)}, 1, 0) == 0)
				sent++;
		} else if (mq_receive(queue, text, sizeof(text), NULL) == 1) {
			printf("received %c\n", text[0]);
			received++;
		}
	}
	return mq_unlink("/mqgate-tutorial") < 0;
}
