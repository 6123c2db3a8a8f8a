/* SPDX-License-Identifier: MIT */
/* Tutorial: a server that answers requests, over two queues. */
#include <ctype.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUESTS "/mqgate-tutorial-requests"
#define REPLIES  "/mqgate-tutorial-replies"

static int serve(void)
{
	mqd_t requests = mq_open(REQUESTS, O_RDONLY), replies = mq_open(REPLIES, O_WRONLY);
	char text[64];
	ssize_t length;

	while ((length = mq_receive(requests, text, sizeof(text), NULL)) > 1) {
		for (ssize_t i = 0; i < length; i++)
			text[i] = (char)toupper(text[i]);
		if (mq_send(replies, text, (size_t)length, 0) < 0)
			perror("mq_send");
	}
	return 0;
}

int main(void)
{
	static const char *const questions[] = {"temperature", "pressure", "humidity", ""};
	struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 64};
	mqd_t requests = mq_open(REQUESTS, O_WRONLY | O_CREAT, 0600, &attributes);
	mqd_t replies = mq_open(REPLIES, O_RDONLY | O_CREAT, 0600, &attributes);
	pid_t server = fork();
	int status = 1;

	if (server == 0)
		_exit(serve());
	for (int i = 0; i < 4; i++) {
		char text[64];

		if (mq_send(requests, questions[i], strlen(questions[i]) + 1, 0) < 0)
			perror("mq_send");
		if (i < 3 && mq_receive(replies, text, sizeof(text), NULL) > 0)
			printf("%s -> %s\n", questions[i], text);
	}
	(void)waitpid(server, &status, 0);
	(void)mq_unlink(REQUESTS);
	(void)mq_unlink(REPLIES);
	return status;
}
