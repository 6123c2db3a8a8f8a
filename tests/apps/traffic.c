/* SPDX-License-Identifier: MIT */
/* traffic send|receive|create|denied NAME [COUNT]: many calls, each of which must do its work
 * exactly once. Without COUNT until SIGTERM; who receives, until who sends ends and says so by a 0.
 *
 * send     creates NAME unless it exists and sends the numbers 1…COUNT
 * receive  does the same and receives them; each must come once and in order
 * create   COUNT times: creates NAME exclusively, unlinks it; neither may have been done before
 * denied   COUNT times: neither opens NAME nor unlinks it; each must be refused with EACCES
 *
 * Prints how many are "done" and exits 0, or says what went wrong and exits 1. */
#include <signal.h>
#include <stdbool.h>

#include "app.h"

#define PATIENCE 60000 /* milliseconds that one call may take */

/* A signal that is blocked interrupts no call. */
static void block_end(void)
{
	sigset_t end;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
}

/* Whether there is more to do; count 0: until the end. */
static bool goes_on(long done, long count)
{
	sigset_t pending;

	if (count > 0)
		return done < count;
	sigpending(&pending);
	return !sigismember(&pending, SIGTERM);
}

static int send_one(mqd_t queue, const char *name, long number)
{
	struct timespec deadline = from_now(PATIENCE);
	char text[MESSAGE_SIZE];
	int n = snprintf(text, sizeof(text), "%ld", number);

	return mq_timedsend(queue, text, (size_t)n, 0, &deadline) < 0 ? failed("mq_send", name) : 0;
}

static int send_all(mqd_t queue, const char *name, long count, long *ret_done)
{
	int r;

	for (; goes_on(*ret_done, count); (*ret_done)++) {
		r = send_one(queue, name, *ret_done + 1);
		if (r != 0)
			return r;
	}
	return count > 0 ? 0 : send_one(queue, name, 0);
}

static int receive_all(mqd_t queue, const char *name, long count, long *ret_done)
{
	for (; count == 0 || *ret_done < count; (*ret_done)++) {
		struct timespec deadline = from_now(PATIENCE);
		char text[MESSAGE_SIZE + 1] = {0};

		if (mq_timedreceive(queue, text, MESSAGE_SIZE, NULL, &deadline) < 0)
			return failed("mq_receive", name);
		if (count == 0 && strcmp(text, "0") == 0)
			return 0;
		if (strtol(text, NULL, 10) != *ret_done + 1) {
			fprintf(stderr, "message %s came where %ld was due\n", text, *ret_done + 1);
			return 1;
		}
	}
	return 0;
}

static int create_all(const char *name, long count, long *ret_done)
{
	for (; goes_on(*ret_done, count); (*ret_done)++) {
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

static int denied_all(const char *name, long count, long *ret_done)
{
	for (; goes_on(*ret_done, count); (*ret_done)++) {
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
	long count, done = 0;
	int r;

	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: traffic send|receive|create|denied NAME [COUNT]\n");
		return 2;
	}
	count = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
	if (count == 0)
		block_end();
	if (strcmp(argv[1], "create") == 0) {
		r = create_all(argv[2], count, &done);
	} else if (strcmp(argv[1], "denied") == 0) {
		r = denied_all(argv[2], count, &done);
	} else {
		queue = create_queue(argv[2], O_RDWR, 4);
		if (queue < 0)
			return failed("mq_open", argv[2]);
		r = strcmp(argv[1], "send") == 0 ? send_all(queue, argv[2], count, &done)
						 : receive_all(queue, argv[2], count, &done);
	}
	if (r == 0)
		printf("%ld done\n", done);
	return r;
}
