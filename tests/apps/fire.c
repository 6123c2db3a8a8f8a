/* SPDX-License-Identifier: MIT */
/* Makes every message-queue call many times under a rain of signals.
 *
 * usage: fire NAME ROUNDS INTERVAL-IN-MICROSECONDS restart|interrupt
 *
 * Prints for each call how often it failed with EINTR, how often with anything else, and how often
 * a call that failed had been carried out all the same. Repeats what was interrupted. Exits with 1
 * if anything but EINTR was seen. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

enum call { OPEN, SEND, RECEIVE, GETATTR, NOTIFY, UNLINK, CALLS };

static const char *const names[CALLS] = {
	"mq_open", "mq_send", "mq_receive", "mq_getattr", "mq_notify", "mq_unlink"};
static unsigned long interrupted[CALLS], failed[CALLS], done_anyway;
static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	signals += number != 0;
}

static void rain(long microseconds, int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	struct itimerval timer = {
		.it_interval.tv_usec = microseconds, .it_value.tv_usec = microseconds};

	(void)sigaction(SIGURG, &action, NULL);
	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

/* True if the call is to be repeated. */
static bool again(enum call call, long result)
{
	if (result >= 0)
		return false;
	if (errno == EINTR) {
		interrupted[call]++;
		return true;
	}
	failed[call]++;
	(void)fprintf(stderr, "%s: %s\n", names[call], strerror(errno));
	return false;
}

static mqd_t open_new(const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 16};
	bool interrupted_before = false;
	mqd_t queue;

	/* If an interrupted call had created the queue, the next one would find it there. */
	while (again(OPEN, queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes)))
		interrupted_before = true;
	if (queue < 0 && interrupted_before)
		done_anyway++;
	return queue;
}

static void delete (const char *name)
{
	bool interrupted_before = false;
	int r;

	while (again(UNLINK, r = mq_unlink(name)))
		interrupted_before = true;
	if (r < 0 && interrupted_before)
		done_anyway++;
}

static void use(mqd_t queue)
{
	struct sigevent none = {.sigev_notify = SIGEV_NONE};
	struct mq_attr attributes;
	char buffer[16];

	while (again(NOTIFY, mq_notify(queue, &none)))
		;
	while (again(NOTIFY, mq_notify(queue, NULL)))
		;
	while (again(SEND, mq_send(queue, "x", 1, 0)))
		;
	while (again(GETATTR, mq_getattr(queue, &attributes)))
		;
	/* An interrupted send or receive that had been carried out would show here. */
	if (attributes.mq_curmsgs != 1)
		done_anyway++;
	while (again(RECEIVE, mq_receive(queue, buffer, sizeof(buffer), NULL)))
		;
}

int main(int argc, char **argv)
{
	unsigned long others = 0;

	if (argc != 5) {
		(void)fprintf(stderr, "usage: fire NAME ROUNDS MICROSECONDS restart|interrupt\n");
		return 2;
	}
	rain(atol(argv[3]), strcmp(argv[4], "restart") == 0 ? SA_RESTART : 0);
	for (long i = atol(argv[2]); i > 0; i--) {
		mqd_t queue = open_new(argv[1]);

		if (queue >= 0) {
			use(queue);
			(void)mq_close(queue);
		}
		delete (argv[1]);
	}
	rain(0, SA_RESTART);
	for (int i = 0; i < CALLS; i++) {
		(void)printf(
			"%s interrupted %lu failed %lu\n", names[i], interrupted[i], failed[i]);
		others += failed[i];
	}
	(void)printf("done anyway %lu\nsignals %s\n", done_anyway,
		signals > 0 ? "came" : "did not come");
	return others > 0 || done_anyway > 0 || signals == 0;
}
