/* SPDX-License-Identifier: MIT */
/* Registrations for notification are taken back, too, and who has made them notices nothing else.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/session/act.h"
#include "daemon/session/registrations.h"
#include "daemon/session/target.h"
#include "door.h"
#include "include/verdict.h"

#define NOBODY 65534

static mqd_t queue, other;
static volatile sig_atomic_t told;

static mqd_t open_new(const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};

	return mq_open(name, O_RDWR | O_CREAT, 0666, &attributes);
}

static void on_signal(int signal)
{
	told += signal == SIGUSR1;
}

static long register_by_signal(mqd_t mqd)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	return result_of(mq_notify(mqd, &event));
}

static void on_thread(union sigval unused)
{
	(void)unused;
	told++;
}

static long register_by_thread(mqd_t mqd)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_thread};

	return result_of(mq_notify(mqd, &event));
}

/* Who is registered, as the queue says. */
static pid_t owner_by_descriptor(int fd)
{
	char text[256] = "", *at;

	cr_assert_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	at = strstr(text, "NOTIFY_PID:");
	cr_assert_not_null(at);
	return (pid_t)strtol(at + strlen("NOTIFY_PID:"), NULL, 10);
}

static pid_t owner_of(const char *name)
{
	int fd = mq_open(name, O_RDONLY);
	pid_t owner;

	cr_assert(fd >= 0);
	owner = owner_by_descriptor(fd);
	(void)close(fd);
	return owner;
}

/* --- what a thread may be doing ---------------------------------------------------------------
 */

static struct timespec a_while = {.tv_nsec = 600000000};

static long in_epoll_wait(struct stage *stage)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);

	(void)epoll_ctl(epoll, EPOLL_CTL_ADD, stage->go[0], &event);
	return result_of(epoll_wait(epoll, &event, 1, 600));
}

static long in_sigtimedwait(struct stage *stage)
{
	sigset_t set;

	(void)stage;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	return result_of(sigtimedwait(&set, NULL, &a_while));
}

static long in_sigwaitinfo(struct stage *stage)
{
	sigset_t set;

	(void)stage;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	return result_of(sigwaitinfo(&set, NULL));
}

static long in_nanosleep(struct stage *stage)
{
	(void)stage;
	return result_of(nanosleep(&a_while, NULL));
}

static long in_futex(struct stage *stage)
{
	static int word;

	(void)stage;
	return result_of(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &a_while, NULL, 0));
}

static long in_pause(struct stage *stage)
{
	long r;

	(void)stage;
	r = result_of(pause());
	return r;
}

static long in_sigsuspend(struct stage *stage)
{
	sigset_t all, but;
	long r;

	(void)stage;
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	but = all;
	(void)sigdelset(&but, SIGUSR2);
	r = result_of(sigsuspend(&but));
	(void)sigprocmask(SIG_UNBLOCK, &all, NULL);
	return r;
}

static long in_read(struct stage *stage)
{
	char byte;

	return result_of(read(stage->go[0], &byte, 1));
}

static long in_poll(struct stage *stage)
{
	struct pollfd p = {.fd = stage->go[0], .events = POLLIN};

	return result_of(poll(&p, 1, 600));
}

static long in_receive(struct stage *stage)
{
	(void)stage;
	return result_of(mq_receive(other, (char[32]){0}, 32, NULL));
}

/* --- the driver -------------------------------------------------------------------------------
 */

static long (*enroll)(mqd_t);
static long (*wait_in)(struct stage *);

static void register_and_wait(struct stage *stage)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	(void)sigaction(SIGUSR1, &action, NULL);
	(void)sigaction(SIGUSR2, &action, NULL);
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	stage->results[1] = enroll(queue);
	if (write(stage->ready[1], "r", 1) != 1)
		_exit(110);
	stage->results[0] = wait_in(stage);
	stage->results[2] = told;
}

static void wake_by_signal(struct door *door)
{
	cr_assert_eq(kill(door->app, SIGUSR2), 0);
}

static void wake_by_message(struct door *door)
{
	int fd = mq_open(door->stage->other, O_WRONLY);

	cr_assert_eq(mq_send(fd, "m", 1, 0), 0);
	(void)close(fd);
}

static void wake_by_time(struct door *door)
{
	(void)door;
}

static void send_to_revoked(struct door *door)
{
	int fd = mq_open(door->stage->queue, O_WRONLY);

	cr_assert_eq(mq_send(fd, "too late", 8, 0), 0);
	(void)close(fd);
}

static void take_back_from(
	long (*by)(mqd_t), long (*in)(struct stage *), void (*wake)(struct door *), long expected)
{
	struct door door;

	enroll = by;
	wait_in = in;
	door_open(&door, NOBODY, NULL, register_and_wait);
	door_wait(&door);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	(void)usleep(100000);
	cr_expect_eq(owner_of(door.stage->queue), door.app);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	send_to_revoked(&door);
	(void)usleep(20000);
	wake(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[1], 0);
	cr_expect_eq(door.stage->results[0], expected, "the call gave %ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[2], 0, "told of a message");
}

Test(force, in_epoll_wait)
{
	take_back_from(register_by_signal, in_epoll_wait, wake_by_time, 0);
}

Test(force, in_sigtimedwait)
{
	take_back_from(register_by_signal, in_sigtimedwait, wake_by_time, -EAGAIN);
}

Test(force, in_sigwaitinfo)
{
	take_back_from(register_by_signal, in_sigwaitinfo, wake_by_signal, SIGUSR2);
}

Test(force, in_nanosleep)
{
	take_back_from(register_by_signal, in_nanosleep, wake_by_time, 0);
}

Test(force, in_futex)
{
	take_back_from(register_by_signal, in_futex, wake_by_time, -ETIMEDOUT);
}

Test(force, in_pause)
{
	take_back_from(register_by_signal, in_pause, wake_by_signal, -EINTR);
}

Test(force, in_sigsuspend)
{
	take_back_from(register_by_signal, in_sigsuspend, wake_by_signal, -EINTR);
}

Test(force, in_poll)
{
	take_back_from(register_by_signal, in_poll, wake_by_time, 0);
}

Test(force, in_read)
{
	take_back_from(register_by_signal, in_read, door_go, 1);
}

Test(force, in_a_receive_from_another_queue)
{
	take_back_from(register_by_signal, in_receive, wake_by_message, 1);
}

Test(force, by_a_thread)
{
	take_back_from(register_by_thread, in_read, door_go, 1);
}

/* --- running ----------------------------------------------------------------------------------
 */

#define ROUNDS 2000

static atomic_bool stop;
static int rounds = ROUNDS;

/* Registers at each report of the test, while the first thread counts. */
static void *enroll_at_each_round(void *argument)
{
	struct stage *stage = argument;

	for (int i = 0; i < rounds; i++) {
		char byte;

		if (read(stage->go[0], &byte, 1) != 1)
			break;
		if (register_by_signal(queue) != 0)
			stage->results[3]++;
		if (write(stage->ready[1], "r", 1) != 1)
			break;
	}
	(void)in_read(stage);
	stop = true;
	return NULL;
}

/* All in registers and on the stack: each round must give the same. */
static uint64_t count(uint64_t seed)
{
	volatile uint64_t cells[64];
	uint64_t a = seed, b = 1, c = 2, d = 3;
	double x = 1.0;

	for (int i = 0; i < 20000; i++) {
		a = a * 6364136223846793005U + 1442695040888963407U;
		b ^= a >> 7;
		c += b << 3;
		d = d * 31 + c;
		x = x * 1.0000001 + 0.5;
		cells[i % 64] = d;
	}
	for (int i = 0; i < 64; i++)
		a ^= cells[i];
	return a ^ b ^ c ^ d ^ (uint64_t)x;
}

static void start_enrolling(struct stage *stage)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	pthread_t thread;

	(void)sigaction(SIGUSR1, &action, NULL);
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	(void)pthread_create(&thread, NULL, enroll_at_each_round, stage);
	if (write(stage->ready[1], "r", 1) != 1)
		_exit(110);
}

static void spin(struct stage *stage)
{
	uint64_t right = count(42);

	start_enrolling(stage);
	while (!stop) {
		stage->results[0] += count(42) != right;
		stage->results[1]++;
	}
	stage->results[2] = told;
}

static void take_back_each_round(struct door *door, void (*app)(struct stage *), int count)
{
	door_open(door, NOBODY, NULL, app);
	door_wait(door);
	door_grant_both(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
	for (int i = 0; i < count; i++) {
		door_grant_both(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
		door_go(door);
		door_wait(door);
		cr_assert_eq(owner_of(door->stage->queue), door->app);
		door_grant_both(door, 0, PERMISSIONS_ALL);
		cr_assert_eq(owner_of(door->stage->queue), 0, "round %d", i);
	}
	door_go(door);
	door_close(door);
}

Test(force, a_thread_that_runs_is_not_disturbed, .timeout = 100)
{
	struct door door;

	take_back_each_round(&door, spin, ROUNDS);
	cr_expect_eq(door.stage->results[0], 0, "%ld results were wrong", door.stage->results[0]);
	cr_expect_gt(door.stage->results[1], 100);
	cr_expect_eq(door.stage->results[2], 0);
	cr_expect_eq(door.stage->results[3], 0, "%ld could not register", door.stage->results[3]);
}

/* Its calls come while it is being stopped. */
static void register_elsewhere(struct stage *stage)
{
	rounds = ROUNDS / 4;
	start_enrolling(stage);
	while (!stop) {
		long r = register_by_signal(other);

		stage->results[0] = r != 0 ? r : stage->results[0];
		r = result_of(mq_notify(other, NULL));
		stage->results[0] = r != 0 ? r : stage->results[0];
		stage->results[1]++;
	}
}

Test(force, one_that_registers_elsewhere_meanwhile, .timeout = 100)
{
	struct door door;

	take_back_each_round(&door, register_elsewhere, ROUNDS / 4);
	cr_expect_eq(door.stage->results[0], 0, "a call gave %ld", door.stage->results[0]);
	cr_expect_gt(door.stage->results[1], 100);
}

/* --- what stays, what is inside the door, who is stopped -------------------------------------- */

static long enroll_on_both(mqd_t mqd)
{
	long r = register_by_signal(mqd);

	return r < 0 ? r : register_by_signal(other);
}

static void stay(struct stage *stage)
{
	enroll = enroll_on_both;
	wait_in = in_pause;
	register_and_wait(stage);
}

Test(force, what_is_still_granted_stays)
{
	struct door door;

	door_open(&door, NOBODY, NULL, stay);
	door_wait(&door);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	(void)usleep(50000);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	cr_expect_eq(owner_of(door.stage->other), door.app);
	send_to_revoked(&door);
	(void)usleep(20000);
	wake_by_message(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EINTR);
	cr_expect_eq(door.stage->results[2], 1, "told %ld times", door.stage->results[2]);
}

static long in_send_read(struct stage *stage)
{
	(void)stage;
	return result_of(mq_receive(other, (char[32]){0}, 32, NULL));
}

static void wait_inside_the_door(struct stage *stage)
{
	enroll = register_by_signal;
	wait_in = in_send_read;
	register_and_wait(stage);
}

/* The session has lost a permission before, so the receiver waits in the session process. */
Test(force, one_that_waits_inside_the_door)
{
	struct door door;

	door_open(&door, NOBODY, NULL, wait_inside_the_door);
	door_wait(&door);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	(void)usleep(50000);
	door_grant_both(&door, PERMISSIONS_ALL & ~(uint32_t)PERMISSION_DELETE, PERMISSIONS_ALL);
	(void)usleep(100000);
	cr_expect_eq(owner_of(door.stage->queue), door.app);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	send_to_revoked(&door);
	wake_by_message(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 1, "%ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[2], 0);
}

Test(force, one_that_is_stopped)
{
	struct door door;
	siginfo_t info = {0};

	enroll = register_by_signal;
	wait_in = in_read;
	door_open(&door, NOBODY, NULL, register_and_wait);
	door_wait(&door);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	cr_assert_eq(kill(door.app, SIGSTOP), 0);
	cr_assert_eq(waitid(P_PID, (id_t)door.app, &info, WSTOPPED | WNOWAIT), 0);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	cr_expect_eq(owner_of(door.stage->queue), 0);
	door_go(&door);
	(void)usleep(50000);
	cr_expect_eq(door.stage->results[0], 0, "it went on, though stopped");
	cr_assert_eq(kill(door.app, SIGCONT), 0);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 1);
}

/* --- the bound --- */

static void register_often(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	for (int i = 0; i < SESSION_REGISTRATIONS_MAX + 10; i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			long r = register_by_signal(queue);

			_exit(r == 0 ? 0 : 1);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			stage->results[0]++;
	}
}

Test(force, registrations_that_are_over_are_forgotten, .timeout = 60)
{
	struct door door;

	door_open(&door, NOBODY, NULL, register_often);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "%ld refused", door.stage->results[0]);
}

static struct registrations registrations;

static int note(const struct own_identity *own, const char *name)
{
	mqd_t mqd = mq_open(name, O_RDONLY);
	struct descriptor descriptor;
	uint64_t birth;

	cr_assert_eq(own_descriptor(mqd, &descriptor), 0);
	(void)close(mqd);
	if (registrations_birth(getpid(), &birth) < 0)
		return -ESRCH;
	return registrations_note(&registrations, own, getpid(), birth, descriptor.key, name + 1);
}

Test(force, at_the_bound_a_further_one_is_refused, .timeout = 60)
{
	const struct rlimit files = {2048, 2048};
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 1};
	struct sigevent silent = {.sigev_notify = SIGEV_NONE};
	static mqd_t mqds[SESSION_REGISTRATIONS_MAX + 1];
	struct own_identity own = {0};
	char name[64];
	int fd;

	need_root();
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &files), 0);
	cr_assert_eq(unshare(CLONE_NEWIPC), 0);
	fd = open("/proc/sys/fs/mqueue/queues_max", O_WRONLY);
	cr_assert_eq(write(fd, "2000", 4), 4);
	cr_assert_eq(own_identity_get(&own), 0);
	for (int i = 0; i <= SESSION_REGISTRATIONS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "/bound-%d", i);
		mqds[i] = mq_open(name, O_RDONLY | O_CREAT, 0600, &attributes);
		cr_assert(mqds[i] >= 0, "%s: %s", name, strerror(errno));
		cr_assert_eq(note(&own, name), i < SESSION_REGISTRATIONS_MAX ? 0 : -ENOSPC);
		/* Last: closing the copy in note() would remove it. */
		cr_assert_eq(mq_notify(mqds[i], &silent), 0);
	}
	cr_assert_eq(mq_notify(mqds[7], NULL), 0);
	cr_expect_eq(note(&own, name), 0, "there is room after one is over");
}

/* --- exchanged descriptors --- */

static int number;
static atomic_int phase;

static void *exchange(void *unused)
{
	unsigned delay = 0;

	while (!stop) {
		while (phase != 1 && !stop)
			;
		for (volatile unsigned i = 0; i < delay; i++)
			;
		delay = (delay + 97) % 60000;
		(void)dup2(queue, number);
		phase = 2;
	}
	return unused;
}

static void register_on_the_lost_one(struct stage *stage)
{
	pthread_t thread;

	(void)signal(SIGUSR1, SIG_IGN);
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	number = dup(other);
	app_pause(stage); /* the first one is taken away */
	stage->results[2] = register_by_signal(other);
	(void)mq_notify(other, NULL);
	(void)pthread_create(&thread, NULL, exchange, NULL);
	for (int i = 0; i < 30000; i++) {
		(void)dup2(other, number);
		phase = 1;
		(void)register_by_signal(number);
		while (phase != 2)
			;
		(void)mq_notify(other, NULL);
	}
	stop = true;
}

static void expect_killed_for_exchanging(bool deleted)
{
	struct worker_message message;
	struct door door;
	int status = 0, kept;

	door_open(&door, NOBODY, NULL, register_on_the_lost_one);
	door_wait(&door);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(&door);
	door_wait(&door);
	door_grant_both(&door, 0, PERMISSIONS_ALL);
	kept = mq_open(door.stage->queue, O_RDONLY);
	if (deleted)
		cr_assert_eq(mq_unlink(door.stage->queue), 0);
	door_go(&door);
	do
		message = door_record(&door);
	while (message.record.reason != REASON_KILLED);
	cr_expect_eq(message.record.tgid, door.app);
	cr_expect_eq(message.record.uid, (uint32_t)NOBODY);
	cr_assert_eq(waitpid(door.app, &status, 0), door.app);
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", (unsigned)status);
	cr_expect_eq(owner_by_descriptor(kept), 0);
	cr_expect_eq(door.stage->results[2], 0, "registering where it is granted works");
	(void)kill(door.session, SIGKILL);
	(void)mq_unlink(door.stage->queue);
	(void)mq_unlink(door.stage->other);
}

Test(force, who_registers_by_exchanging_descriptors_is_killed, .timeout = 60)
{
	expect_killed_for_exchanging(false);
}

Test(force, also_on_a_queue_that_was_deleted, .timeout = 60)
{
	expect_killed_for_exchanging(true);
}
