/* SPDX-License-Identifier: MIT */
/* Signals and threads. */
#include "probe.h"

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

static char buffer[8192];
static mqd_t queue;

/* --- signals --- */

static volatile sig_atomic_t handled;

static void handle(int number)
{
	handled += number ? 1 : 0;
}

static void on(int number, int flags)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = flags};

	(void)sigaction(number, &action, NULL);
	handled = 0;
}

static void every_ms(long ms)
{
	struct itimerval timer = {
		.it_interval.tv_usec = ms % 1000 * 1000, .it_value.tv_usec = ms % 1000 * 1000};

	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void interrupt_receive(int flags)
{
	struct timespec timeout;
	bool late;
	long r;

	on(SIGALRM, flags);
	queue = fresh(QUEUE, O_RDWR);
	every_ms(120);
	clock_start();
	timeout = in_ms(500);
	r = raw_receive(queue, buffer, 32, NULL, &timeout);
	late = r < 0 && errno == ETIMEDOUT;
	(void)report(r, "receive, interrupted, flags %#x", (unsigned)flags);
	note("  %s, signals %s", late ? clock_class() : "before its time",
		handled > 0 ? "some" : "none");
	for (int i = 0; i < 4; i++)
		(void)mq_send(queue, "x", 1, 0);
	handled = 0;
	timeout = in_ms(500);
	(void)report(raw_send(queue, "x", 1, 0, &timeout), "send, interrupted, flags %#x",
		(unsigned)flags);
	every_ms(0);
	(void)close(queue);
}

/* Many calls under fire: with SA_RESTART each one must succeed. */
static void under_fire(void)
{
	int failed = 0;

	on(SIGALRM, SA_RESTART);
	every_ms(1);
	for (int i = 0; i < 1000; i++) {
		(void)mq_unlink(QUEUE);
		queue = mq_open(QUEUE, O_RDWR | O_CREAT | O_EXCL, 0600,
			&(struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 8});
		if (queue < 0 || mq_send(queue, "x", 1, 0) < 0 ||
			mq_receive(queue, buffer, 8, NULL) != 1 || mq_unlink(QUEUE) < 0)
			failed++;
		(void)close(queue);
	}
	every_ms(0);
	note("under fire: %d of 1000 failed", failed);
}

static void blocked_and_killed(void)
{
	pid_t pid;

	queue = fresh(QUEUE, O_RDWR);
	pid = fork();
	if (pid == 0) {
		(void)mq_receive(queue, buffer, 32, NULL);
		exit(0);
	}
	(void)usleep(50000);
	(void)kill(pid, SIGKILL);
	wait_for(pid, "a receiver killed");
	TRY(mq_send(queue, "kept", 4, 0));
	TRY(mq_receive(queue, buffer, 32, NULL));
	pid = fork();
	if (pid == 0) {
		(void)mq_receive(queue, buffer, 32, NULL);
		exit(0);
	}
	(void)usleep(50000);
	(void)kill(pid, SIGSTOP);
	(void)usleep(20000);
	(void)kill(pid, SIGCONT);
	(void)usleep(20000);
	TRY(mq_send(queue, "after the stop", 14, 0));
	wait_for(pid, "a receiver stopped and continued");
}

void probe_signals(void)
{
	interrupt_receive(0);
	interrupt_receive(SA_RESTART);
	in_child("under fire", under_fire);
	in_child("blocked", blocked_and_killed);
}

/* --- threads --- */

static void *receive_for_ever(void *unused)
{
	(void)unused;
	return mq_receive(queue, buffer, 32, NULL) >= 0 ? NULL : (void *)1;
}

static void *send_for_ever(void *unused)
{
	(void)unused;
	return mq_send(queue, "x", 1, 0) >= 0 ? NULL : (void *)1;
}

static void cancel(const char *what, void *(*f)(void *))
{
	pthread_t thread;
	void *result;

	(void)pthread_create(&thread, NULL, f, NULL);
	(void)usleep(50000);
	(void)report(pthread_cancel(thread), "cancel %s", what);
	(void)pthread_join(thread, &result);
	note("  %s", result == PTHREAD_CANCELED ? "cancelled" : "not cancelled");
}

static int received[8];

static void *receive_share(void *argument)
{
	int *count = argument;
	struct timespec timeout = in_ms(3000L * patience());

	while (mq_timedreceive(queue, (char[32]){0}, 32, NULL, &timeout) == 1)
		(*count)++;
	return NULL;
}

static void share_work(void)
{
	pthread_t threads[8];
	int total = 0;

	for (int i = 0; i < 8; i++)
		(void)pthread_create(&threads[i], NULL, receive_share, &received[i]);
	for (int i = 0; i < 2000; i++)
		if (mq_send(queue, "x", 1, 0) < 0)
			note("send %d: %s", i, strerrorname_np(errno));
	for (int i = 0; i < 8; i++)
		(void)mq_send(queue, "end", 3, 0);
	for (int i = 0; i < 8; i++) {
		(void)pthread_join(threads[i], NULL);
		total += received[i];
	}
	note("8 threads received %d messages", total);
}

void probe_threads(void)
{
	(void)alarm(25 * (unsigned)patience());
	queue = fresh(QUEUE, O_RDWR);
	cancel("receive", receive_for_ever);
	for (int i = 0; i < 4; i++)
		(void)mq_send(queue, "x", 1, 0);
	cancel("send", send_for_ever);
	for (int i = 0; i < 4; i++)
		(void)mq_receive(queue, buffer, 32, NULL);
	share_work();
}
