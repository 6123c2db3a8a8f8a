/* SPDX-License-Identifier: MIT */
/* Gives and takes away, and looks whether anything gets through after the taking has returned.
 *
 * usage: stopwatch NAME[,NAME…] ROUNDS PLUG SLOT [GIVE TAKE]
 *
 * Not confined, and owner of the queues. Each round: "mqctl connect PLUG SLOT", or the program GIVE
 * with these arguments; a random moment; "mqctl disconnect PLUG SLOT", or TAKE. Then, with the
 * clock running, each queue is emptied and one message put in. If a moment later there is anything
 * but that message, something was sent or received. Then it is filled, and must stay full. */
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

#define QUEUES_MAX 16

static mqd_t queues[QUEUES_MAX];
static int queue_count;
static unsigned long through_while_connected;

static void run_program(char **argv)
{
	int status;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0 ||
		waitpid(pid, &status, 0) != pid || status != 0) {
		(void)printf("%s %s failed\n", argv[0], argv[1]);
		exit(1);
	}
}

static void run_mqctl(char *verb, char *plug, char *slot)
{
	run_program((char *[]){(char[]){"mqctl"}, verb, plug, slot, NULL});
}

static void run_other(char *program, char *plug, char *slot)
{
	run_program((char *[]){program, plug, slot, NULL});
}

static void sleep_us(long us)
{
	struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	(void)nanosleep(&time, NULL);
}

static long messages(mqd_t queue)
{
	struct mq_attr attributes = {0};

	(void)mq_getattr(queue, &attributes);
	return attributes.mq_curmsgs;
}

static void drain(mqd_t queue)
{
	char buffer[64];

	while (mq_receive(queue, buffer, sizeof(buffer), NULL) >= 0)
		through_while_connected++;
}

/* Of how many queues it is not true that exactly this is still there after a moment. */
static int count_others(const char *what, long expected)
{
	int wrong = 0;

	sleep_us(3000);
	for (int i = 0; i < queue_count; i++) {
		long found = messages(queues[i]);

		if (found == expected)
			continue;
		(void)printf("%s: %ld messages instead of %ld\n", what, found, expected);
		wrong++;
	}
	return wrong;
}

static int look(void)
{
	int wrong;

	for (int i = 0; i < queue_count; i++) {
		drain(queues[i]);
		(void)mq_send(queues[i], "mark", 4, 9);
	}
	wrong = count_others("empty but for one", 1);
	for (int i = 0; i < queue_count; i++)
		while (mq_send(queues[i], "full", 4, 9) == 0)
			;
	wrong += count_others("full", 8);
	for (int i = 0; i < queue_count; i++)
		drain(queues[i]);
	return wrong;
}

static void open_queues(char *names)
{
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};

	for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
		if (queue_count == QUEUES_MAX)
			exit(2);
		queues[queue_count] =
			mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0666, &attributes);
		if (queues[queue_count++] < 0)
			exit(1);
	}
}

int main(int argc, char **argv)
{
	int wrong = 0;
	long rounds;

	if (argc != 5 && argc != 7)
		return 2;
	open_queues(argv[1]);
	rounds = atol(argv[2]);
	srandom((unsigned)getpid());
	for (long i = 0; i < rounds; i++) {
		if (argc == 7)
			run_other(argv[5], argv[3], argv[4]);
		else
			run_mqctl((char[]){"connect"}, argv[3], argv[4]);
		sleep_us(random() % 8000);
		if (argc == 7)
			run_other(argv[6], argv[3], argv[4]);
		else
			run_mqctl((char[]){"disconnect"}, argv[3], argv[4]);
		wrong += look();
	}
	(void)printf("%ld rounds, %d wrong, traffic %s\n", rounds, wrong,
		through_while_connected > (unsigned long)(rounds * queue_count) ? "seen"
										: "not seen");
	return wrong > 0;
}
