/* SPDX-License-Identifier: MIT */
/* Watches a queue that nobody else may use.
 *
 * usage: observer NAME SECONDS
 *
 * Not confined, and owner of the queue. For so long it holds the queue in turn at one message and
 * full, and looks each time whether anything has come or gone; and empties it for a moment, so that
 * whoever is registered would be told. Somebody may be seen registered, but must not stay so.
 * Prints what it saw, and exits 1 if anything came, went or stayed. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "include/limits.h"

static mqd_t queue;
static unsigned long wrong, looks, foreign, registered, stayed;

static void drain(void)
{
	char buffer[8192];
	ssize_t n;

	while ((n = mq_receive(queue, buffer, sizeof(buffer), NULL)) >= 0)
		foreign += n != 4 || memcmp(buffer, "mine", 4) != 0;
}

static long messages(void)
{
	struct mq_attr attributes = {0};

	(void)mq_getattr(queue, &attributes);
	return attributes.mq_curmsgs;
}

static pid_t owner(void)
{
	char text[256] = "", *at;

	if (pread(queue, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	at = strstr(text, "NOTIFY_PID:");
	return at ? (pid_t)strtol(at + strlen("NOTIFY_PID:"), NULL, 10) : 0;
}

static bool lives(pid_t pid)
{
	return pid != 0 && kill(pid, 0) == 0;
}

/* Whoever registers is killed; twice REVOKE_DEADLINE_USEC for finding him and for dying. What he
 * has registered may outlive him, if another process had his table, and tells nobody. */
static void look_for_owner(void)
{
	pid_t seen = owner();

	if (seen == 0)
		return;
	registered++;
	for (uint64_t i = 0; i < 2 * REVOKE_DEADLINE_USEC / 1000 && owner() == seen && lives(seen);
		i++)
		(void)usleep(1000);
	stayed += owner() == seen && lives(seen);
}

static void look(long expected)
{
	struct timespec time = {.tv_nsec = 5000000};

	(void)nanosleep(&time, NULL);
	looks++;
	wrong += messages() != expected;
}

int main(int argc, char **argv)
{
	struct timespec now, end;

	if (argc != 3)
		return 2;
	queue = mq_open(argv[1], O_RDWR | O_NONBLOCK);
	if (queue < 0)
		return 2;
	drain();
	foreign = 0;
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += atol(argv[2]);
	do {
		look_for_owner();
		(void)mq_send(queue, "mine", 4, 0);
		look(1);
		while (mq_send(queue, "mine", 4, 0) == 0)
			;
		look(8);
		drain();
		look(0);
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	(void)printf("%lu looks, %lu wrong, %lu messages of others, %lu times somebody registered, "
		     "%lu stayed\n",
		looks, wrong, foreign, registered, stayed);
	return wrong > 0 || foreign > 0 || stayed > 0;
}
