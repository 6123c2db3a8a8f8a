/* SPDX-License-Identifier: MIT */
/* The adversary's modes that play with processes. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "adversary.h"

#define CHAINS         3
#define RECEIVERS      3
#define NUMBERS_PASSED 2000 /* then another thread's number is asked for */
#define SYSCALL_STOP   (SIGTRAP | 0x80)

/* --- numbers that come round --------------------------------------------------------------- */

static pid_t noted;

static void *be_noted(void *data)
{
	struct mq_attr attributes;

	if (mq_getattr((mqd_t)(intptr_t)data, &attributes) < 0)
		give_up("mq_getattr");
	noted = gettid();
	return NULL;
}

/* A thread that the session has seen, and that is gone. */
static void note_a_thread(mqd_t queue)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, be_noted, (void *)(intptr_t)queue) != 0 ||
		pthread_join(thread, NULL) != 0)
		give_up("a thread");
	say("wanted %d", (int)noted);
}

/* A receiver that has its number; 0: it does not come round. */
static pid_t take_its_number(mqd_t queue)
{
	for (int i = 0; i < NUMBERS_PASSED; i++) {
		pid_t pid = fork();

		if (pid == 0 && getpid() == noted)
			receive_for_ever(queue);
		if (pid == 0)
			_exit(0);
		if (pid == noted)
			return pid;
		(void)waitpid(pid, NULL, 0);
	}
	return 0;
}

/* Lets each traced process go on from each stop. */
static void let_go_on(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0)
		if (WIFSTOPPED(status))
			(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
}

void attack_recycle(void)
{
	mqd_t queue = open_queue("", O_RDONLY);
	pid_t pid;

	do {
		note_a_thread(queue);
		pid = take_its_number(queue);
	} while (pid == 0);
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		give_up("PTRACE_SEIZE");
	say("ready");
	let_go_on();
}

/* --- processes that end, and that execute -------------------------------------------------- */

/* Every process of it may receive, and is gone a moment later. */
static void be_chain(mqd_t queue)
{
	for (;;) {
		(void)receive_once(queue, 2);
		if (fork() > 0)
			_exit(0);
	}
}

void attack_chain(void)
{
	mqd_t queue = open_queue("", O_RDONLY);

	for (int i = 0; i < CHAINS; i++)
		if (fork() == 0)
			be_chain(queue);
	say("ready");
}

static mqd_t inherited_queue(void)
{
	const char *descriptor = getenv("ADVERSARY_QUEUE");
	char text[16];
	mqd_t queue;

	if (descriptor)
		return atoi(descriptor);
	queue = open_queue("", O_RDONLY);
	(void)snprintf(text, sizeof(text), "%d", queue);
	(void)setenv("ADVERSARY_QUEUE", text, 1);
	(void)fcntl(queue, F_SETFD, 0);
	say("ready");
	return queue;
}

void attack_execs(void)
{
	mqd_t queue = inherited_queue();

	start_thread(receive_in_thread, (void *)(intptr_t)queue);
	(void)receive_once(queue, 5);
	(void)execl("/proc/self/exe", "adversary", "execs", queue_name, directory, (char *)NULL);
	give_up("execl");
}

/* --- stopped and traced -------------------------------------------------------------------- */

void attack_stopped(void)
{
	mqd_t queue = open_queue("", O_RDONLY);
	pid_t pids[RECEIVERS];

	for (int i = 0; i < RECEIVERS; i++)
		pids[i] = start_receiver(queue);
	say("ready");
	wait_until_told("hold");
	for (int i = 0; i < RECEIVERS; i++)
		(void)kill(pids[i], SIGSTOP);
	wait_until_told("go");
	for (int i = 0; i < RECEIVERS; i++)
		(void)kill(pids[i], SIGCONT);
}

static void trace(pid_t pid, int options)
{
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(intptr_t)options) < 0)
		give_up("PTRACE_SEIZE");
}

/* Whether it stands before a call on the queue. */
static bool enters_receive(pid_t pid, int status)
{
	struct __ptrace_syscall_info call;

	return WSTOPSIG(status) == SYSCALL_STOP &&
	       ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(call), &call) > 0 &&
	       call.op == PTRACE_SYSCALL_INFO_ENTRY && call.entry.nr == SYS_mq_timedreceive;
}

/* Where it must not go on before "go": at the end of its life, or, from "hold" on, where it enters
 * a call. */
static bool is_to_be_kept(pid_t pid, int status)
{
	return status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8) ||
	       (is_told("hold") && enters_receive(pid, status));
}

static void go_on(pid_t pid, bool to_calls)
{
	(void)ptrace(to_calls ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL, NULL);
}

void attack_traced(void)
{
	mqd_t queue = open_queue("", O_RDONLY);
	pid_t exits = start_receiver(queue), enters = start_child(), kept[2] = {0}, pid;
	int status;

	if (enters == 0)
		for (;;)
			(void)receive_once(queue, 20);
	trace(exits, PTRACE_O_TRACEEXIT);
	trace(enters, PTRACE_O_TRACEEXIT | PTRACE_O_TRACESYSGOOD);
	(void)ptrace(PTRACE_INTERRUPT, enters, NULL, NULL);
	say("ready");
	for (;;) {
		pid = waitpid(-1, &status, __WALL | WNOHANG);
		if (pid > 0 && WIFSTOPPED(status) && !is_told("go") && is_to_be_kept(pid, status))
			kept[pid == enters] = pid;
		else if (pid > 0 && WIFSTOPPED(status))
			go_on(pid, pid == enters);
		if (pid <= 0)
			pause_for(1);
		for (int i = 0; i < 2 && is_told("go"); i++)
			if (kept[i] > 0) {
				go_on(kept[i], i == 1);
				kept[i] = 0;
			}
	}
}
