/* SPDX-License-Identifier: MIT */
/* Tutorial: wait for a message, but not for ever. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static struct timespec after_ms(long ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

int main(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 64};
	mqd_t queue = mq_open("/mqgate-tutorial", O_RDWR | O_CREAT, 0600, &attributes);
	struct timespec deadline = after_ms(100);
	char text[64];

	if (mq_timedreceive(queue, text, sizeof(text), NULL, &deadline) < 0)
		printf("receive: %s\n", strerror(errno));
	if (mq_timedsend(queue, "first", 6, 0, &deadline) == 0)
		printf("room needs no waiting, even past the deadline\n");
	deadline = after_ms(100);
	if (mq_timedsend(queue, "second", 7, 0, &deadline) < 0)
		printf("send: %s\n", strerror(errno));
	if (mq_timedreceive(queue, text, sizeof(text), NULL, &deadline) > 0)
		printf("received: %s\n", text);
	return mq_unlink("/mqgate-tutorial") < 0;
}
