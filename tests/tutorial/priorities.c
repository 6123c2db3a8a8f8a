/* SPDX-License-Identifier: MIT */
/* Tutorial: the highest priority comes first, and equal ones in the order they were sent. */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(void)
{
	static const struct {
		const char *text;
		unsigned priority;
	} messages[] = {{"routine", 1}, {"fire", 9}, {"smoke", 5}, {"flood", 9}, {"nothing", 0}};
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};
	mqd_t queue = mq_open("/mqgate-tutorial", O_RDWR | O_CREAT, 0600, &attributes);
	unsigned priority;
	char text[64];

	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (mq_send(queue, messages[i].text, strlen(messages[i].text) + 1,
			    messages[i].priority) < 0)
			perror("mq_send");
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (mq_receive(queue, text, sizeof(text), &priority) < 0)
			perror("mq_receive");
		else
			printf("%u %s\n", priority, text);
	return mq_unlink("/mqgate-tutorial") < 0;
}
