/* SPDX-License-Identifier: MIT */
/* numbered send|receive NAME COUNT LOST: numbered messages in a session that has lost something.
 *
 * Opens LOST, says "ready", and begins when LOST is refused. A second thread that does nothing
 * keeps its calls from being given back to the kernel.
 *
 * send     sends the numbers 1…COUNT to NAME, every other one as long as a message can be, and then
 *          "end" three times. A call that fails with EIO is not repeated: "uncertain NUMBER".
 * receive  receives them until "end". Numbers may be missing ("missing NUMBER"), but none may come
 *          twice or out of order. A call that fails with EIO: "uncertain".
 *
 * Prints "done" and exits 0, or says what went wrong and exits 1. */
#include <pthread.h>

#include "app.h"

#define ENDS 3

static void *do_nothing(void *context)
{
	for (;;)
		(void)pause();
	return context;
}

static int lose(const char *name)
{
	mqd_t lost = create_queue(name, O_RDWR, 4);

	if (lost < 0)
		return failed("mq_open", name);
	puts("ready");
	while (mq_open(name, O_RDWR) >= 0)
		pause_for(100);
	return errno == EACCES ? 0 : failed("mq_open", name);
}

/* 0, or 1 for an error that is not EIO. */
static int send_one(mqd_t queue, const char *name, const char *text, size_t size)
{
	if (mq_send(queue, text, size, 0) == 0)
		return 0;
	if (errno != EIO)
		return failed("mq_send", name);
	printf("uncertain %s\n", text);
	return 0;
}

static int send_all(mqd_t queue, const char *name, long count)
{
	char text[MESSAGE_SIZE];
	int r = 0;

	for (long i = 1; r == 0 && i <= count; i++) {
		memset(text, 0, sizeof(text));
		(void)snprintf(text, sizeof(text), "%ld", i);
		text[MESSAGE_SIZE - 1] = 'x';
		r = send_one(queue, name, text, i % 2 ? MESSAGE_SIZE : strlen(text));
	}
	for (int i = 0; r == 0 && i < ENDS; i++)
		r = send_one(queue, name, "end", 3);
	return r;
}

static int receive_all(mqd_t queue, const char *name)
{
	long last = 0;

	for (;;) {
		char text[MESSAGE_SIZE + 1] = {0};
		long number;

		if (mq_receive(queue, text, MESSAGE_SIZE, NULL) < 0) {
			if (errno != EIO)
				return failed("mq_receive", name);
			puts("uncertain");
			continue;
		}
		if (strcmp(text, "end") == 0)
			return 0;
		number = strtol(text, NULL, 10);
		if (number <= last) {
			fprintf(stderr, "message %s came after %ld\n", text, last);
			return 1;
		}
		while (++last < number)
			printf("missing %ld\n", last);
	}
}

int main(int argc, char **argv)
{
	pthread_t thread;
	mqd_t queue;
	int r;

	if (argc != 5) {
		fprintf(stderr, "usage: numbered send|receive NAME COUNT LOST\n");
		return 2;
	}
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	if (pthread_create(&thread, NULL, do_nothing, NULL) != 0)
		return failed("pthread_create", "");
	queue = create_queue(argv[2], O_RDWR, 4);
	if (queue < 0)
		return failed("mq_open", argv[2]);
	r = lose(argv[4]);
	if (r == 0)
		r = strcmp(argv[1], "send") == 0
			    ? send_all(queue, argv[2], strtol(argv[3], NULL, 10))
			    : receive_all(queue, argv[2]);
	if (r == 0)
		puts("done");
	return r;
}
