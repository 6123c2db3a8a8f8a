/* SPDX-License-Identifier: MIT */
/* Connects and disconnects, and looks whether anything gets through after the disconnect has
 * returned.
 *
 * usage: stopwatch NAME ROUNDS PLUG SLOT
 *
 * Not confined, and owner of the queue. Each round: connect, wait a random moment, disconnect;
 * then, with the clock running, the queue is emptied and one message put in. If a moment later
 * there is anything but that message, something was sent or received. Then the queue is filled, and
 * must stay full. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static mqd_t queue;
static unsigned long through_while_connected;

static void run_mqctl(const char *verb, const char *plug, const char *slot)
{
	char *argv[] = {strdup("mqctl"), strdup(verb), strdup(plug), strdup(slot), NULL};
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, "mqctl", NULL, NULL, argv, environ) != 0 ||
		waitpid(pid, &status, 0) != pid || status != 0) {
		(void)printf("mqctl %s failed\n", verb);
		exit(1);
	}
	for (int i = 0; argv[i]; i++)
		free(argv[i]);
}

static void sleep_us(long us)
{
	struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	(void)nanosleep(&time, NULL);
}

static long messages(void)
{
	struct mq_attr attributes = {0};

	(void)mq_getattr(queue, &attributes);
	return attributes.mq_curmsgs;
}

static void drain(void)
{
	char buffer[64];

	while (mq_receive(queue, buffer, sizeof(buffer), NULL) >= 0)
		through_while_connected++;
}

/* Whether exactly this is still there after a moment. */
static int stays(const char *what, long expected)
{
	sleep_us(3000);
	if (messages() == expected)
		return 0;
	(void)printf("%s: %ld messages instead of %ld\n", what, messages(), expected);
	return 1;
}

int main(int argc, char **argv)
{
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};
	int wrong = 0;
	long rounds;

	if (argc != 5)
		return 2;
	queue = mq_open(argv[1], O_RDWR | O_CREAT | O_NONBLOCK, 0666, &attributes);
	if (queue < 0)
		return 1;
	rounds = atol(argv[2]);
	srandom((unsigned)getpid());
	for (long i = 0; i < rounds; i++) {
		run_mqctl("connect", argv[3], argv[4]);
		sleep_us(random() % 8000);
		run_mqctl("disconnect", argv[3], argv[4]);
		drain();
		(void)mq_send(queue, "mark", 4, 9);
		wrong += stays("empty but for one", 1);
		while (mq_send(queue, "full", 4, 9) == 0)
			;
		wrong += stays("full", 8);
		drain();
	}
	(void)printf("%ld rounds, %d wrong, traffic %s\n", rounds, wrong,
		through_while_connected > (unsigned long)rounds ? "seen" : "not seen");
	return wrong > 0;
}
