/* SPDX-License-Identifier: MIT */
/* traced NAME receive|register: waits for a message on NAME, or to be told of one, while a child
 * traces it. */
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static int trace_parent(int told)
{
	pid_t parent = getppid();

	if (ptrace(PTRACE_SEIZE, parent, NULL, NULL) < 0 || write(told, "t", 1) != 1)
		return 1;
	(void)waitpid(parent, NULL, __WALL);
	return 0;
}

int main(int argc, char **argv)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	char buffer[65536];
	mqd_t queue;
	int ends[2];

	if (argc != 3 || pipe(ends) < 0)
		return 2;
	queue = mq_open(argv[1], O_RDWR);
	if (queue < 0)
		return 1;
	/* A program that has changed its ids can be traced by root only, until it says otherwise.
	 */
	(void)prctl(PR_SET_DUMPABLE, 1);
	if (fork() == 0)
		_exit(trace_parent(ends[1]));
	if (read(ends[0], buffer, 1) != 1)
		return 1;
	if (strcmp(argv[2], "register") == 0 && mq_notify(queue, &event) < 0)
		return 1;
	(void)puts("waiting");
	(void)fflush(stdout);
	if (strcmp(argv[2], "register") == 0)
		(void)pause();
	else
		(void)mq_receive(queue, buffer, sizeof(buffer), NULL);
	return 0;
}
