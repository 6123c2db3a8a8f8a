/* SPDX-License-Identifier: MIT */
/* Tutorial: be told of messages by a function in a thread of its own. */
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

static mqd_t queue;
static sem_t done;

static void on_message(union sigval value);

static void ask_to_be_told(int round)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD,
		.sigev_notify_function = on_message,
		.sigev_value.sival_int = round};

	if (mq_notify(queue, &event) < 0)
		perror("mq_notify");
}

static void on_message(union sigval value)
{
	char text[64];

	ask_to_be_told(value.sival_int + 1);
	while (mq_receive(queue, text, sizeof(text), NULL) > 0)
		printf("round %d: %s\n", value.sival_int, text);
	(void)sem_post(&done);
}

int main(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};

	(void)sem_init(&done, 0, 0);
	queue = mq_open("/mqgate-tutorial", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
	ask_to_be_told(0);
	for (int i = 0; i < 3; i++) {
		struct timespec limit;

		if (mq_send(queue, "ping", 5, 0) < 0)
			perror("mq_send");
		(void)clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec += 5;
		if (sem_timedwait(&done, &limit) < 0)
			perror("sem_timedwait");
	}
	return mq_unlink("/mqgate-tutorial") < 0;
}
