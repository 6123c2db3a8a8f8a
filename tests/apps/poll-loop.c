/* SPDX-License-Identifier: MIT */
/* An event loop that goes on when it is refused: it polls a queue, tries to receive, and polls
 *again. Beside it, on command, round trips on another queue.
 *
 * usage: poll-loop NAME OTHER
 *
 * Commands on stdin, each answered with a line:
 *	loop      begins the loop
 *	refused   how often it was refused
 *	trips N   microseconds of N messages sent to OTHER and received */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static atomic_long refused;
static mqd_t queue, other;

static void *loop(void *argument)
{
	struct pollfd fd = {.fd = queue, .events = POLLIN};
	char buffer[64];

	for (;;) {
		if (poll(&fd, 1, -1) < 0)
			return NULL;
		if (mq_receive(queue, buffer, sizeof(buffer), NULL) >= 0)
			(void)printf("received\n"), (void)fflush(stdout);
		else if (errno == EACCES)
			refused++;
	}
}

static long microseconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static long trips(long count)
{
	long start = microseconds();
	char buffer[64];

	while (count-- > 0)
		if (mq_send(other, "x", 1, 0) < 0 ||
			mq_receive(other, buffer, sizeof(buffer), NULL) != 1)
			return -errno;
	return microseconds() - start;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[32];

	if (argc != 3) {
		(void)fprintf(stderr, "usage: poll-loop NAME OTHER\n");
		return 2;
	}
	queue = mq_open(argv[1], O_RDONLY | O_NONBLOCK);
	other = mq_open(argv[2], O_RDWR);
	if (queue < 0 || other < 0) {
		perror("mq_open");
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		if (strncmp(line, "loop", 4) == 0)
			(void)printf("%d\n", pthread_create(&thread, NULL, loop, NULL));
		else if (strncmp(line, "trips ", 6) == 0)
			(void)printf("%ld\n", trips(atol(line + 6)));
		else
			(void)printf("%ld\n", (long)refused);
		(void)fflush(stdout);
	}
	return 0;
}
