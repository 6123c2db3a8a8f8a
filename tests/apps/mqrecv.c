/* SPDX-License-Identifier: MIT */
/* mqrecv NAME [COUNT [SECONDS]]: prints COUNT messages of a queue as "PRIORITY TEXT". */
#include "app.h"

static int receive_one(mqd_t queue, const char *name, size_t size, long seconds)
{
	struct timespec deadline = from_now(seconds * 1000);
	char *text = malloc(size);
	unsigned priority;
	ssize_t n;

	if (!text)
		return failed("malloc", name);
	n = mq_timedreceive(queue, text, size, &priority, &deadline);
	if (n < 0) {
		free(text);
		return failed("mq_receive", name);
	}
	printf("%u %.*s\n", priority, (int)n, text);
	free(text);
	return 0;
}

int main(int argc, char **argv)
{
	long count = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
	long seconds = argc > 3 ? strtol(argv[3], NULL, 10) : 5;
	struct mq_attr attributes;
	mqd_t queue;

	if (argc < 2 || argc > 4) {
		fprintf(stderr, "usage: mqrecv NAME [COUNT [SECONDS]]\n");
		return 2;
	}
	queue = mq_open(argv[1], O_RDONLY);
	if (queue < 0)
		return failed("mq_open", argv[1]);
	if (mq_getattr(queue, &attributes) < 0)
		return failed("mq_getattr", argv[1]);
	for (long i = 0; i < count; i++)
		if (receive_one(queue, argv[1], (size_t)attributes.mq_msgsize, seconds))
			return 1;
	return 0;
}
