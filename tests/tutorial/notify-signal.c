/* SPDX-License-Identifier: MIT */
/* Tutorial: be told of messages by a signal, and register anew each time. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void send_three(void)
{
	mqd_t queue = mq_open("/mqgate-tutorial", O_WRONLY);

	for (char c = 'a'; c < 'd'; c++) {
		(void)mq_send(queue, &c, 1, 0);
		(void)usleep(100000);
	}
}

int main(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	mqd_t queue =
		mq_open("/mqgate-tutorial", O_RDONLY | O_CREAT | O_NONBLOCK, 0600, &attributes);
	sigset_t set;
	pid_t child;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if (mq_notify(queue, &event) < 0)
		perror("mq_notify");
	child = fork();
	if (child == 0) {
		send_three();
		_exit(0);
	}
	for (int received = 0; received < 3;) {
		struct timespec limit = {.tv_sec = 5};
		siginfo_t info;
		char text[64];

		if (sigtimedwait(&set, &info, &limit) < 0) {
			perror("sigtimedwait");
			break;
		}
		printf("told by %s\n", info.si_pid == child ? "the sender" : "somebody");
		/* First register again, then empty the queue: nothing is missed. */
		if (mq_notify(queue, &event) < 0)
			perror("mq_notify");
		while (mq_receive(queue, text, sizeof(text), NULL) > 0) {
			printf("received: %c\n", text[0]);
			received++;
		}
	}
	(void)waitpid(child, NULL, 0);
	return mq_unlink("/mqgate-tutorial") < 0;
}
