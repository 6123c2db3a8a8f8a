/* SPDX-License-Identifier: MIT */
/* crowd NAME PROCESSES: so many processes that wait for a message on NAME, until it is taken away.
 *
 * Prints "waiting" when all of them are about to wait. At the end of its input it tells how many
 * were refused, and how many received something. */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

enum { REFUSED, RECEIVED, FAILED };

static int wait_for_message(mqd_t queue)
{
	char buffer[64];

	if (mq_receive(queue, buffer, sizeof(buffer), NULL) >= 0)
		return RECEIVED;
	return errno == EACCES ? REFUSED : FAILED;
}

int main(int argc, char **argv)
{
	int status, counts[3] = {0};
	mqd_t queue;
	char byte;
	long processes;

	if (argc != 3)
		return 2;
	queue = mq_open(argv[1], O_RDWR);
	if (queue < 0)
		return 1;
	processes = atol(argv[2]);
	for (long i = 0; i < processes; i++)
		if (fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			_exit(wait_for_message(queue));
		}
	(void)puts("waiting");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	while (wait(&status) > 0)
		counts[WIFEXITED(status) && WEXITSTATUS(status) < FAILED ? WEXITSTATUS(status)
									 : FAILED]++;
	(void)printf("%d refused, %d received, %d failed\n", counts[REFUSED], counts[RECEIVED],
		counts[FAILED]);
	return 0;
}
