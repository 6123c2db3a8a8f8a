/* SPDX-License-Identifier: MIT */
/* The adversary's modes that play with threads and descriptors. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "adversary.h"

#define BUSY_THREADS  10
#define SPENT_THREADS 8
#define LONG_AGO      (-1000)

static mqd_t queue, kept;
static int number; /* now this and now that */

static void begin_with_queue(void)
{
	queue = open_queue("", O_RDONLY);
}

static void start_receiving_thread(void)
{
	start_thread(receive_in_thread, (void *)(intptr_t)queue);
}

__attribute__((noreturn)) static void call_without_end(void)
{
	const struct timespec past = {0};
	char message[MESSAGE_SIZE];

	for (;;) {
		ssize_t n = mq_timedreceive(queue, message, sizeof(message), NULL, &past);

		if (n >= 0)
			say("got %.*s", (int)n, message);
	}
}

/* --- on one processor ---------------------------------------------------------------------- */

/* The last one that we have: this thread and what it starts. */
static void move_to_last_processor(void)
{
	cpu_set_t all, last;
	int processor = CPU_SETSIZE - 1;

	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		give_up("sched_getaffinity");
	while (processor > 0 && !CPU_ISSET(processor, &all))
		processor--;
	CPU_ZERO(&last);
	CPU_SET(processor, &last);
	if (sched_setaffinity(0, sizeof(last), &last) < 0)
		give_up("sched_setaffinity");
}

static void *be_busy(void *unused)
{
	for (;;)
		(void)getppid();
	return unused;
}

/* The second one never waits, and so has always had its share of the processor. */
static void be_idle_receiver(bool waits)
{
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}) < 0)
		give_up("SCHED_IDLE");
	if (waits)
		receive_for_ever(queue);
	call_without_end();
}

void attack_idle(void)
{
	begin_with_queue();
	move_to_last_processor();
	if (start_child() == 0)
		be_idle_receiver(true);
	if (start_child() == 0)
		be_idle_receiver(false);
	say("ready");
	wait_until_told("hold");
	for (int i = 0; i < BUSY_THREADS; i++)
		start_thread(be_busy, NULL);
}

/* --- threads that are gone ----------------------------------------------------------------- */

void attack_dead_first(void)
{
	begin_with_queue();
	start_receiving_thread();
	start_receiving_thread();
	say("ready");
	(void)syscall(SYS_exit, 0);
}

static void *call_and_end(void *unused)
{
	(void)receive_once(queue, LONG_AGO);
	say("spent %d", (int)gettid());
	return unused;
}

void attack_spent(void)
{
	pthread_t thread;

	begin_with_queue();
	start_receiving_thread();
	for (int i = 0; i < SPENT_THREADS; i++)
		if (pthread_create(&thread, NULL, call_and_end, NULL) != 0 ||
			pthread_join(thread, NULL) != 0)
			give_up("a thread");
	say("ready");
}

/* --- descriptors that are exchanged -------------------------------------------------------- */

static void exchange(void)
{
	for (;;) {
		(void)dup2(queue, number);
		(void)dup2(kept, number);
	}
}

static void *exchange_in_thread(void *unused)
{
	exchange();
	return unused;
}

static void *call_with_number(void *unused)
{
	for (;;)
		(void)receive_once(number, LONG_AGO);
	return unused;
}

static void begin_with_both(int oflag)
{
	queue = open_queue("", oflag);
	kept = open_queue("-kept", O_RDWR);
	number = dup(queue);
}

void attack_exchange(void)
{
	begin_with_both(O_RDONLY);
	start_thread(call_with_number, NULL);
	start_thread(call_with_number, NULL);
	say("ready");
	wait_until_told("hold");
	start_thread(exchange_in_thread, NULL);
}

static int exchange_as_sharer(void *unused)
{
	(void)unused;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	exchange();
	return 0;
}

/* An exchange by a thread would remove the registration again. */
static void be_registering(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	(void)signal(SIGUSR1, SIG_IGN);
	(void)start_sharer(exchange_as_sharer);
	while (!is_told("end"))
		for (int i = 0; i < 100; i++)
			if (mq_notify(number, &event) == 0)
				(void)mq_notify(kept, NULL);
	stay();
}

/* Whoever is caught is killed. */
static void register_again_and_again(void)
{
	for (;;) {
		pid_t pid = start_child();

		if (pid == 0)
			be_registering();
		(void)waitpid(pid, NULL, 0);
		pause_for(10);
	}
}

void attack_register(void)
{
	begin_with_both(O_RDONLY);
	start_receiving_thread();
	say("ready");
	wait_until_told("go");
	register_again_and_again();
}

void attack_register_writer(void)
{
	begin_with_both(O_WRONLY);
	say("ready");
	register_again_and_again();
}

/* --- calls that are refused ---------------------------------------------------------------- */

static void flood_with_names(void)
{
	for (;;) {
		(void)mq_open("/adversary-denied", O_RDWR | O_CREAT, 0600, NULL);
		(void)mq_unlink("/adversary-denied");
	}
}

void attack_flood(void)
{
	begin_with_queue();
	if (start_child() == 0)
		flood_with_names();
	if (start_child() == 0)
		call_without_end();
	say("ready");
}

static long add_filter(unsigned flags)
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = 1, .filter = program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		give_up("no_new_privs");
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
}

void attack_listener(void)
{
	begin_with_queue();
	start_receiving_thread();
	say("ready");
	for (;;) {
		if (add_filter(SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0)
			say("listener");
		pause_for(1);
	}
}

void pile_up_filters(void)
{
	while (add_filter(0) == 0)
		;
}

void attack_filters(void)
{
	begin_with_queue();
	pile_up_filters();
	start_receiving_thread();
	say("ready");
}
