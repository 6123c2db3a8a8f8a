/* SPDX-License-Identifier: MIT */
/* Sends and receives on some queues from many processes and threads, as fast as it is let, and goes
 * on when it is refused.
 *
 * usage: hammer NAME[,NAME…] PROCESSES THREADS [receive]
 *
 * With "receive" all threads receive and wait for messages. Without, half of the threads block,
 * half poll; descriptors are duplicated, inherited and kept. Ends at end of file on stdin. */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUEUES_MAX 16

static mqd_t inherited[QUEUES_MAX];
static const char *names[QUEUES_MAX];
static int queue_count;
static bool only_receive;

static void pause_a_little(void)
{
	struct timespec time = {.tv_nsec = 300000};

	(void)nanosleep(&time, NULL);
}

static mqd_t any_queue(void)
{
	static atomic_uint next;
	unsigned i = next++ % (unsigned)queue_count;
	mqd_t queue = mq_open(names[i], O_RDWR);

	return queue >= 0 ? queue : dup(inherited[i]);
}

static void *hammer(void *argument)
{
	long kind = only_receive ? 1 : (long)argument;
	struct timespec past = {0};
	mqd_t queue = any_queue();
	char buffer[64];

	for (;;) {
		int r;

		if (kind % 4 == 0)
			r = mq_send(queue, "x", 1, 0);
		else if (kind % 4 == 1)
			r = (int)mq_receive(queue, buffer, sizeof(buffer), NULL);
		else if (kind % 4 == 2)
			r = mq_timedsend(queue, "y", 1, 1, &past);
		else
			r = (int)mq_timedreceive(queue, buffer, sizeof(buffer), NULL, &past);
		if (r < 0) {
			pause_a_little();
			(void)close(queue);
			queue = any_queue();
		}
	}
	return NULL;
}

static void run(long threads)
{
	pthread_t thread;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (long i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, hammer, (void *)i) != 0)
			exit(1);
	(void)hammer(NULL);
}

int main(int argc, char **argv)
{
	char byte;

	if (argc != 4 && argc != 5) {
		(void)fprintf(stderr, "usage: hammer NAME[,NAME…] PROCESSES THREADS [receive]\n");
		return 2;
	}
	/* A group of its own, to end all of it together. */
	(void)setpgid(0, 0);
	only_receive = argc == 5;
	for (char *name = strtok(argv[1], ","); name && queue_count < QUEUES_MAX;
		name = strtok(NULL, ",")) {
		names[queue_count] = name;
		inherited[queue_count] = mq_open(name, O_RDWR);
		if (inherited[queue_count++] < 0) {
			perror(name);
			return 1;
		}
	}
	for (long i = atol(argv[2]); i > 0; i--)
		if (fork() == 0)
			run(atol(argv[3]));
	(void)printf("hammering\n");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	(void)signal(SIGTERM, SIG_IGN);
	(void)kill(0, SIGTERM);
	return 0;
}
