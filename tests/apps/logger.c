/* SPDX-License-Identifier: MIT */
/* logger NAME: prints what comes in on a queue. If it may not, it says so and goes on trying. */
#include "app.h"

/* Milliseconds */
#define RETRY    2000
#define PATIENCE 200

static mqd_t open_when_allowed(const char *name)
{
	int said = 0;

	for (;;) {
		mqd_t queue = mq_open(name, O_RDONLY);

		if (queue >= 0)
			return queue;
		if (errno != said)
			printf("mq_open %s: %s\n", name, strerror(errno));
		said = errno;
		pause_for(RETRY);
	}
}

/* Until a call is refused. */
static void log_messages(mqd_t queue, const char *name)
{
	for (;;) {
		struct timespec deadline = from_now(PATIENCE);
		char text[MESSAGE_SIZE];
		unsigned priority;
		ssize_t n = mq_timedreceive(queue, text, sizeof(text), &priority, &deadline);

		if (n >= 0) {
			printf("received [%u] %.*s\n", priority, (int)n, text);
		} else if (errno != ETIMEDOUT && errno != EINTR) {
			printf("mq_receive %s: %s\n", name, strerror(errno));
			return;
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: logger NAME\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (;;) {
		mqd_t queue = open_when_allowed(argv[1]);

		printf("open     %s\n", argv[1]);
		log_messages(queue, argv[1]);
		(void)mq_close(queue);
	}
}
