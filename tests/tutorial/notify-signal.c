/* SPDX-License-Identifier: MIT */
/* Tutorial: be told of messages by a signal, and register anew each time. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each one when it is asked for. */
static void send_three(int asked)
{
	mqd_t queue = mq_open("/mqgate-tutorial", O_WRONLY);
	char byte;

	for (char c = 'a'; c < 'd' && read(asked, &byte, 1) == 1; c++)
		(void)mq_send(queue, &c, 1, 0);
}

int main(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = 64};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	mqd_t queue =
		mq_open("/mqgate-tutorial", O_RDONLY | O_CREAT | O_NONBLOCK, 0600, &attributes);
	sigset_t set;
	pid_t child;
	int ask[2];

	if (pipe(ask) < 0)
		return 1;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if (mq_notify(queue, &event) < 0)
		perror("mq_notify");
	child = fork();
	if (child == 0) {
		(void)close(ask[1]);
		send_three(ask[0]);
		_exit(0);
	}
	for (int received = 0; received < 3;) {
		struct timespec limit = {.tv_sec = 5};
		siginfo_t info;
		char text[64];

		if (write(ask[1], "", 1) < 0)
			perror("write");
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
	(void)close(ask[1]);
	(void)waitpid(child, NULL, 0);
	return mq_unlink("/mqgate-tutorial") < 0;
}
