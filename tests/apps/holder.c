/* SPDX-License-Identifier: MIT */
/* holder QUEUE KIND: opens a queue and keeps it open, one way or another. Prints "holding PID" with
 * the process that does, then waits for the end of its standard input (kinds of one process) or to
 * be killed. None lives longer than a minute.
 *
 *   plain       this process
 *   daemon      a child that has become a daemon; this process ends
 *   namespaces  a child that is the first of a PID namespace, in a user namespace of its own
 *   traced      a child that this process traces; both hold
 *   threads     a thread, when the first one has ended
 *   vfork       a child after vfork(), for which this process waits
 *   race        a process that forks and ends, and so does its child, and so on
 *   swarm       processes that fork as fast as they can, as many as there may be
 *   execs       this process, which executes a script and has to wait for its interpreter: a child
 *               keeps a lease on that; both are made in the directory that TMPDIR names
 *   held        this process, which reads descriptor 9 once it is told to
 *   hidden      no process: a socket
 *   soon        this process, for one second more
 *   table       a thread with a descriptor table of its own */
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/epoll.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "app.h"

static const char *name;
static mqd_t queue;

static void say(pid_t pid)
{
	(void)printf("holding %d\n", (int)pid);
	(void)fflush(stdout);
}

static void wait_for_events(int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);

	if (fd >= 0)
		(void)epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	(void)epoll_wait(epoll, &event, 1, 60000);
	(void)close(epoll);
}

static void stay(void)
{
	(void)alarm(60);
	for (;;)
		wait_for_events(-1);
}

static void wait_for_end(void)
{
	char byte;

	do
		wait_for_events(STDIN_FILENO);
	while (read(STDIN_FILENO, &byte, 1) > 0);
	exit(0);
}

static void plain(void)
{
	say(getpid());
	wait_for_end();
}

static void soon(void)
{
	say(getpid());
	(void)usleep(1000000);
	(void)mq_close(queue);
	wait_for_end();
}

static void become_daemon(void)
{
	if (fork() != 0)
		exit(0);
	(void)setsid();
	if (fork() != 0)
		exit(0);
	say(getpid());
	stay();
}

static int stay_there(void *unused)
{
	(void)unused;
	stay();
	return 0;
}

static void namespaces(void)
{
	static char stack[65536];
	pid_t pid = clone(
		stay_there, stack + sizeof(stack), CLONE_NEWPID | CLONE_NEWUSER | SIGCHLD, NULL);

	say(pid);
	(void)mq_close(queue);
	wait_for_end();
}

static void traced(void)
{
	pid_t pid = fork();

	if (pid == 0)
		stay();
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		exit(1);
	say(pid);
	wait_for_end();
}

static void *hold_in_thread(void *unused)
{
	(void)unused;
	(void)usleep(20000);
	say(getpid());
	stay();
	return NULL;
}

static void threads(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, hold_in_thread, NULL) == 0)
		pthread_exit(NULL);
	exit(1);
}

static void *hold_in_own_table(void *unused)
{
	(void)unused;
	if (unshare(CLONE_FILES) < 0 || mq_open(name, O_RDWR) < 0)
		exit(1);
	say(getpid());
	stay();
	return NULL;
}

static void table(void)
{
	pthread_t thread;

	(void)mq_close(queue);
	if (pthread_create(&thread, NULL, hold_in_own_table, NULL) == 0)
		wait_for_end();
	exit(1);
}

static void wait_for_child(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		say(getppid());
		stay();
	}
	wait_for_end();
}

static void race(void)
{
	time_t end = time(NULL) + 60;

	(void)signal(SIGCHLD, SIG_IGN);
	say(getpid());
	while (time(NULL) < end)
		if (fork() != 0)
			_exit(0);
}

static void swarm(void)
{
	const struct rlimit few = {60, 60};

	(void)signal(SIGCHLD, SIG_IGN);
	(void)setrlimit(RLIMIT_NPROC, &few);
	(void)alarm(60);
	say(getpid());
	for (;;) {
		pid_t pid = fork();

		if (pid == 0)
			(void)alarm(60);
		if (pid < 0)
			(void)usleep(100);
	}
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		exit(1);
	(void)close(fd);
}

static void lease(const char *path, int told)
{
	int fd = open(path, O_RDONLY);

	(void)mq_close(queue);
	(void)signal(SIGIO, SIG_IGN);
	if (fd < 0 || fcntl(fd, F_SETLEASE, F_WRLCK) < 0 || write(told, "l", 1) != 1)
		exit(1);
	stay();
}

static void execute(void)
{
	char interpreter[4096], script[4096], line[4200];
	int leased[2];

	(void)snprintf(interpreter, sizeof(interpreter), "%s/interpreter-%d", getenv("TMPDIR"),
		(int)getpid());
	(void)snprintf(script, sizeof(script), "%s/script-%d", getenv("TMPDIR"), (int)getpid());
	(void)snprintf(line, sizeof(line), "#!%s\n", interpreter);
	write_file(interpreter, "none\n");
	write_file(script, line);
	if (pipe(leased) < 0)
		exit(1);
	if (fork() == 0)
		lease(interpreter, leased[1]);
	if (read(leased[0], line, 1) != 1)
		exit(1);
	say(getpid());
	(void)execl(script, script, NULL);
	exit(1);
}

static void be_held(void)
{
	char byte;

	say(getpid());
	(void)!read(STDIN_FILENO, &byte, 1);
	(void)!read(9, &byte, 1);
	wait_for_end();
}

static void hide(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct iovec data = {(char *)"x", 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int sockets[2];

	memcpy(CMSG_DATA(&control.header), &queue, sizeof(int));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0 ||
		sendmsg(sockets[0], &message, 0) != 1)
		exit(1);
	(void)mq_close(queue);
	say(getpid());
	wait_for_end();
}

static const struct {
	const char *name;
	void (*hold)(void);
} kinds[] = {
	{"plain", plain},
	{"daemon", become_daemon},
	{"namespaces", namespaces},
	{"traced", traced},
	{"threads", threads},
	{"vfork", wait_for_child},
	{"race", race},
	{"swarm", swarm},
	{"execs", execute},
	{"held", be_held},
	{"hidden", hide},
	{"soon", soon},
	{"table", table},
};

int main(int argc, char **argv)
{
	name = argc == 3 ? argv[1] : "";
	queue = mq_open(name, O_RDWR);
	if (queue < 0) {
		perror(name);
		return 1;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, argv[2]) == 0)
			kinds[i].hold();
	return 1;
}
