/* SPDX-License-Identifier: MIT */
/* Tutorial: send a message and receive it. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};
	mqd_t queue = mq_open("/mqgate-tutorial", O_RDWR | O_CREAT, 0600, &attributes);
	char text[64];
	ssize_t length;

	if (queue < 0) {
		perror("mq_open");
		return EXIT_FAILURE;
	}
	if (mq_send(queue, "hello, queue", 12, 0) < 0)
		perror("mq_send");
	if (mq_getattr(queue, &attributes) == 0)
		printf("%ld of %ld messages of %ld bytes\n", attributes.mq_curmsgs,
			attributes.mq_maxmsg, attributes.mq_msgsize);
	length = mq_receive(queue, text, sizeof(text), NULL);
	if (length < 0)
		perror("mq_receive");
	else
		printf("received: %.*s\n", (int)length, text);
	(void)mq_close(queue);
	if (mq_unlink("/mqgate-tutorial") < 0)
		perror("mq_unlink");
	return EXIT_SUCCESS;
}
