/* SPDX-License-Identifier: MIT */
/* traffic send|receive|create|denied NAME COUNT: many calls, each of which must do its work exactly
 * once.
 *
 * send     creates NAME unless it exists and sends the numbers 1…COUNT
 * receive  does the same and receives them; each must come once and in order
 * create   COUNT times: creates NAME exclusively, unlinks it; neither may have been done before
 * denied   COUNT times: neither opens NAME nor unlinks it; each must be refused with EACCES
 *
 * Prints "COUNT done" and exits 0, or says what went wrong and exits 1. */
#include "app.h"

#define PATIENCE 60000 /* milliseconds that one call may take */

static int send_all(mqd_t queue, const char *name, long count)
{
	for (long i = 1; i <= count; i++) {
		struct timespec deadline = from_now(PATIENCE);
		char text[MESSAGE_SIZE];
		int n = snprintf(text, sizeof(text), "%ld", i);

		if (mq_timedsend(queue, text, (size_t)n, 0, &deadline) < 0)
			return failed("mq_send", name);
	}
	return 0;
}

static int receive_all(mqd_t queue, const char *name, long count)
{
	for (long i = 1; i <= count; i++) {
		struct timespec deadline = from_now(PATIENCE);
		char text[MESSAGE_SIZE + 1] = {0};

		if (mq_timedreceive(queue, text, MESSAGE_SIZE, NULL, &deadline) < 0)
			return failed("mq_receive", name);
		if (strtol(text, NULL, 10) != i) {
			fprintf(stderr, "message %s came where %ld was due\n", text, i);
			return 1;
		}
	}
	return 0;
}

static int create_all(const char *name, long count)
{
	for (long i = 0; i < count; i++) {
		mqd_t queue = create_queue(name, O_RDWR | O_EXCL, 2);
		struct mq_attr attributes;

		if (queue < 0)
			return failed("mq_open", name);
		if (mq_getattr(queue, &attributes) < 0)
			return failed("mq_getattr", name);
		if (mq_close(queue) < 0)
			return failed("mq_close", name);
		if (mq_unlink(name) < 0)
			return failed("mq_unlink", name);
	}
	return 0;
}

static int denied_all(const char *name, long count)
{
	for (long i = 0; i < count; i++) {
		if (mq_open(name, O_RDWR) >= 0 || errno != EACCES)
			return failed("mq_open", name);
		if (mq_unlink(name) == 0 || errno != EACCES)
			return failed("mq_unlink", name);
	}
	return 0;
}

int main(int argc, char **argv)
{
	mqd_t queue = -1;
	long count;
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: traffic send|receive|create|denied NAME COUNT\n");
		return 2;
	}
	count = strtol(argv[3], NULL, 10);
	if (strcmp(argv[1], "create") == 0) {
		r = create_all(argv[2], count);
	} else if (strcmp(argv[1], "denied") == 0) {
		r = denied_all(argv[2], count);
	} else {
		queue = create_queue(argv[2], O_RDWR, 4);
		if (queue < 0)
			return failed("mq_open", argv[2]);
		r = strcmp(argv[1], "send") == 0 ? send_all(queue, argv[2], count)
						 : receive_all(queue, argv[2], count);
	}
	if (r == 0)
		printf("%ld done\n", count);
	return r;
}
