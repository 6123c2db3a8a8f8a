/* SPDX-License-Identifier: MIT */
/* Under `open` mediation descriptors are taken away, and who had them notices nothing else. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include "door.h"
#include "include/limits.h"
#include "include/syscalls.h"
#include "include/util.h"

#define NOBODY 65534

/* In the app. The numbers are the same in each. */
static mqd_t queue, other;

static mqd_t open_new(const char *name, int flags)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};

	return mq_open(name, O_RDWR | O_CREAT | flags, 0666, &attributes);
}

static void open_both(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue, 0);
	other = open_new(stage->other, 0);
	stage->results[10] = queue;
	if (write(stage->ready[1], "r", 1) != 1)
		_exit(110);
}

static void link_of(pid_t pid, long number, char *ret, size_t size)
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%ld", pid, number);
	n = readlink(path, ret, size - 1);
	ret[MAX(n, 0)] = '\0';
}

static bool is_taken(pid_t pid, long number)
{
	char link[256];

	link_of(pid, number, link, sizeof(link));
	return streq(link, "/dev/null");
}

static unsigned flags_of(pid_t pid, long number)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64], line[128];
	unsigned flags = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%ld", pid, number);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	return flags;
}

static bool exceeds(pid_t pid, long number, uint32_t permissions)
{
	unsigned access = flags_of(pid, number) & O_ACCMODE;
	uint32_t needs = access == O_RDONLY   ? PERMISSION_READ
			 : access == O_WRONLY ? PERMISSION_WRITE
					      : PERMISSION_READ | PERMISSION_WRITE;

	return !is_taken(pid, number) && (needs & ~permissions) != 0;
}

/* On a busy machine the deadline may pass; what is left is tried again with the next grants. */
static void lose(struct door *door, uint32_t permissions)
{
	int i = 0;

	do
		door_grant_both(door, permissions, PERMISSIONS_ALL);
	while (exceeds(door->app, door->stage->results[10], permissions) && ++i < 10);
}

static void start_app(struct door *door, void (*app)(struct stage *))
{
	door_open_as(door, MEDIATION_OPEN, NOBODY, NULL, app);
	door_wait(door);
	door_grant_both(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
	(void)usleep(50000);
}

/* --- what a thread may be doing --------------------------------------------------------------- */

#define WHILE_MS 600
#define LONG_MS  2400 /* longer than is tried */

static struct timespec a_while = {.tv_nsec = WHILE_MS * 1000000L};

static struct timespec at(clockid_t clock, long ms)
{
	struct timespec ts;

	(void)clock_gettime(clock, &ts);
	ts.tv_nsec += ms % 1000 * 1000000;
	ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static long in_epoll_wait(struct stage *stage)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);

	(void)epoll_ctl(epoll, EPOLL_CTL_ADD, stage->go[0], &event);
	return result_of(epoll_wait(epoll, &event, 1, -1));
}

static long in_epoll_wait_for_long(struct stage *stage)
{
	(void)stage;
	return result_of(epoll_wait(epoll_create1(0), &(struct epoll_event){0}, 1, LONG_MS));
}

static long in_epoll_waits(struct stage *stage)
{
	int epoll = epoll_create1(0);
	long r = 0;

	(void)stage;
	for (int i = 0; i < 20 && r == 0; i++)
		r = result_of(epoll_wait(epoll, &(struct epoll_event){0}, 1, WHILE_MS / 20));
	return r;
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

static long in_sigtimedwait_for_long(struct stage *stage)
{
	struct timespec longer = {.tv_sec = LONG_MS / 1000, .tv_nsec = LONG_MS % 1000 * 1000000L};
	sigset_t set;

	(void)stage;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	return result_of(sigtimedwait(&set, NULL, &longer));
}

static long in_nanosleep(struct stage *stage)
{
	(void)stage;
	return result_of(nanosleep(&a_while, NULL));
}

static long in_absolute_sleep(struct stage *stage)
{
	struct timespec end = at(CLOCK_MONOTONIC, WHILE_MS);

	(void)stage;
	return -clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

static long in_futex(struct stage *stage)
{
	static int word;

	(void)stage;
	return result_of(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &a_while, NULL, 0));
}

static long in_absolute_futex(struct stage *stage)
{
	struct timespec end = at(CLOCK_MONOTONIC, WHILE_MS);
	static int word;

	(void)stage;
	return result_of(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, &end, NULL, ~0U));
}

static long in_poll(struct stage *stage)
{
	(void)stage;
	return result_of(poll(NULL, 0, WHILE_MS));
}

static long in_select(struct stage *stage)
{
	struct timeval timeout = {.tv_usec = WHILE_MS * 1000L};

	(void)stage;
	return result_of(select(0, NULL, NULL, NULL, &timeout));
}

static long in_pause(struct stage *stage)
{
	(void)stage;
	return result_of(pause());
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
	(void)sigprocmask(SIG_SETMASK, NULL, &but);
	return sigismember(&but, SIGUSR2) ? r : -EDOM;
}

static long in_read(struct stage *stage)
{
	char byte;

	return result_of(read(stage->go[0], &byte, 1));
}

static long in_receive(struct stage *stage)
{
	(void)stage;
	return result_of(mq_receive(other, (char[32]){0}, 32, NULL));
}

static long in_timed_receive(struct stage *stage)
{
	struct timespec end = at(CLOCK_REALTIME, WHILE_MS);

	(void)stage;
	return result_of(mq_timedreceive(other, (char[32]){0}, 32, NULL, &end));
}

static long in_lost_receive(struct stage *stage)
{
	long r = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));

	(void)in_read(stage);
	return r;
}

/* --- the driver ------------------------------------------------------------------------------- */

static long (*wait_in)(struct stage *);

static void on_signal(int signal)
{
	(void)signal;
}

static void wait_and_try(struct stage *stage)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	uint64_t begin;

	(void)sigaction(SIGUSR2, &action, NULL);
	open_both(stage);
	begin = now_usec();
	stage->results[0] = wait_in(stage);
	stage->results[1] = (long)(now_usec() - begin) / 1000;
	(void)in_read(stage);
	stage->results[2] = result_of(mq_send(queue, "m", 1, 0));
	stage->results[3] = result_of(mq_send(other, "m", 1, 0));
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

#define LATE_MS 200 /* less than what has passed when the thread is stopped */

/* expected: what the call gives; ms: how long it lasts, 0: for as long as it takes. True unless it
 * lasted longer, as it may on a busy machine. */
static bool try_to_take_from(
	long (*in)(struct stage *), void (*wake)(struct door *), long expected, long ms, bool taken)
{
	struct door door;
	const long *results;

	wait_in = in;
	start_app(&door, wait_and_try);
	results = door.stage->results;
	cr_expect_not(is_taken(door.app, results[10]));
	if (ms > 0)
		(void)usleep(LATE_MS * 1000);
	if (taken)
		lose(&door, 0);
	else
		door_grant_both(&door, 0, PERMISSIONS_ALL);
	cr_expect_eq(is_taken(door.app, results[10]), taken);
	wake(&door);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(results[0], expected, "the call gave %ld", results[0]);
	cr_expect_eq(results[2], taken ? -EBADF : 0);
	cr_expect_eq(results[3], 0);
	cr_expect(ms == 0 || results[1] >= ms - 1, "it lasted %ld ms", results[1]);
	return ms == 0 || results[1] < ms + LATE_MS;
}

static void take_from(
	long (*in)(struct stage *), void (*wake)(struct door *), long expected, long ms, bool taken)
{
	for (int i = 0; i < 4; i++)
		if (try_to_take_from(in, wake, expected, ms, taken))
			return;
	cr_expect_fail("it always lasted too long");
}

Test(replace, in_epoll_wait)
{
	take_from(in_epoll_wait, door_go, 1, 0, true);
}

Test(replace, in_sigwaitinfo)
{
	take_from(in_sigwaitinfo, wake_by_signal, SIGUSR2, 0, true);
}

/* It could not go on as it was; so it is left. */
Test(replace, in_a_long_epoll_wait)
{
	take_from(in_epoll_wait_for_long, wake_by_time, 0, LONG_MS, false);
}

Test(replace, in_a_long_sigtimedwait)
{
	take_from(in_sigtimedwait_for_long, wake_by_time, -EAGAIN, LONG_MS, false);
}

/* They are waited for. */
Test(replace, in_short_epoll_waits)
{
	take_from(in_epoll_waits, wake_by_time, 0, WHILE_MS, true);
}

Test(replace, in_nanosleep)
{
	take_from(in_nanosleep, wake_by_time, 0, WHILE_MS, true);
}

Test(replace, in_an_absolute_sleep)
{
	take_from(in_absolute_sleep, wake_by_time, 0, WHILE_MS, true);
}

Test(replace, in_futex)
{
	take_from(in_futex, wake_by_time, -ETIMEDOUT, WHILE_MS, true);
}

Test(replace, in_an_absolute_futex)
{
	take_from(in_absolute_futex, wake_by_time, -ETIMEDOUT, WHILE_MS, true);
}

Test(replace, in_poll)
{
	take_from(in_poll, wake_by_time, 0, WHILE_MS, true);
}

Test(replace, in_select)
{
	take_from(in_select, wake_by_time, 0, WHILE_MS, true);
}

Test(replace, in_pause)
{
	take_from(in_pause, wake_by_signal, -EINTR, 0, true);
}

Test(replace, in_sigsuspend)
{
	take_from(in_sigsuspend, wake_by_signal, -EINTR, 0, true);
}

Test(replace, in_read)
{
	take_from(in_read, door_go, 1, 0, true);
}

Test(replace, in_a_receive_from_another_queue)
{
	take_from(in_receive, wake_by_message, 1, 0, true);
}

Test(replace, in_a_timed_receive_from_another_queue)
{
	take_from(in_timed_receive, wake_by_time, -ETIMEDOUT, WHILE_MS, true);
}

Test(replace, in_a_receive_from_the_lost_one)
{
	take_from(in_lost_receive, door_go, -EBADF, 0, true);
}

/* --- filters of its own ------------------------------------------------------------------------
 */

static uint32_t answers[3]; /* to mq_notify, mq_unlink, mq_open */

static void filter_itself(void)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mq_notify, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mq_unlink, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mq_open, 3, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, answers[0]),
		BPF_STMT(BPF_RET | BPF_K, answers[1]),
		BPF_STMT(BPF_RET | BPF_K, answers[2]),
	};
	struct sock_fprog fprog = {ELEMENTSOF(program), program};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog) < 0)
		_exit(111);
}

static long in_read_behind_a_filter(struct stage *stage)
{
	filter_itself();
	return in_read(stage);
}

static void take_behind_filters(uint32_t notify, uint32_t delete, uint32_t opening, bool taken)
{
	answers[0] = notify;
	answers[1] = delete;
	answers[2] = opening;
	take_from(in_read_behind_a_filter, door_go, 1, 0, taken);
}

Test(replace, a_filter_of_its_own_that_allows)
{
	take_behind_filters(SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW, SECCOMP_RET_LOG, true);
}

Test(replace, a_filter_of_its_own_that_kills_one_call)
{
	take_behind_filters(
		SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, true);
}

Test(replace, a_filter_of_its_own_that_allows_one_call)
{
	take_behind_filters(SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP, SECCOMP_RET_ALLOW, true);
}

Test(replace, a_filter_of_its_own_that_kills_every_call)
{
	take_behind_filters(SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ERRNO | EPERM,
		SECCOMP_RET_KILL_THREAD, false);
}

/* --- calls dispatched to the program itself ------------------------------------------------------
 */

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

static void on_dispatch(int signal)
{
	(void)signal;
	_exit(112);
}

static long in_read_with_dispatch(struct stage *stage)
{
	static volatile char selector;
	long r;

	(void)signal(SIGSYS, on_dispatch);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, 0, 0, &selector) < 0)
		return result_of(-1);
	r = in_read(stage);
	(void)prctl(PR_SET_SYSCALL_USER_DISPATCH, 0, 0, 0, 0);
	return r;
}

Test(replace, one_that_dispatches_its_calls_itself)
{
	take_from(in_read_with_dispatch, door_go, 1, 0, false);
}

/* --- traced, stopped
 * ------------------------------------------------------------------------------ */

static long in_read_traced(struct stage *stage)
{
	pid_t tracer;
	int tell[2];
	char byte;
	long r;

	if (pipe(tell) < 0)
		return -errno;
	(void)prctl(PR_SET_DUMPABLE, 1);
	(void)prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	tracer = fork();
	if (tracer == 0) {
		r = ptrace(PTRACE_SEIZE, getppid(), NULL, NULL);
		(void)close(queue);
		if (write(tell[1], r == 0 ? "y" : "n", 1) == 1)
			(void)pause();
		_exit(0);
	}
	if (read(tell[0], &byte, 1) != 1 || byte != 'y')
		return -EPERM;
	r = in_read(stage);
	(void)kill(tracer, SIGKILL);
	(void)waitpid(tracer, NULL, 0);
	return r;
}

Test(replace, one_that_is_traced)
{
	take_from(in_read_traced, door_go, 1, 0, false);
}

Test(replace, one_that_is_stopped)
{
	struct door door;
	siginfo_t info = {0};

	wait_in = in_read;
	start_app(&door, wait_and_try);
	cr_assert_eq(kill(door.app, SIGSTOP), 0);
	cr_assert_eq(waitid(P_PID, (id_t)door.app, &info, WSTOPPED | WNOWAIT), 0);
	lose(&door, 0);
	cr_expect(is_taken(door.app, door.stage->results[10]));
	door_go(&door);
	(void)usleep(50000);
	cr_expect_eq(door.stage->results[0], 0, "it went on, though stopped");
	door_go(&door);
	cr_assert_eq(kill(door.app, SIGCONT), 0);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 1);
	cr_expect_eq(door.stage->results[2], -EBADF);
}

/* --- what is left of a descriptor
 * ------------------------------------------------------------------ */

static void hold_three(struct stage *stage)
{
	open_both(stage);
	(void)in_read(stage);
	stage->results[0] = result_of(mq_send(queue, "m", 1, 0));
	stage->results[1] = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));
}

static void narrow_to(uint32_t permissions, unsigned access, long sending, long receiving)
{
	struct door door;
	long number;

	start_app(&door, hold_three);
	number = door.stage->results[10];
	lose(&door, permissions | PERMISSION_OPEN);
	cr_expect_eq(
		flags_of(door.app, number), access | O_CLOEXEC, "%#o", flags_of(door.app, number));
	if (permissions & PERMISSION_READ) {
		int fd = mq_open(door.stage->queue, O_WRONLY);

		cr_assert_eq(mq_send(fd, "m", 1, 0), 0);
		(void)close(fd);
	}
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], sending, "%ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], receiving, "%ld", door.stage->results[1]);
}

/* O_LARGEFILE is set by the kernel. */
#if defined(__aarch64__)
#define KERNEL_LARGEFILE 0400000
#else
#define KERNEL_LARGEFILE 0100000
#endif

Test(replace, only_reading_is_left)
{
	narrow_to(PERMISSION_READ, O_RDONLY | KERNEL_LARGEFILE, -EBADF, 1);
}

Test(replace, only_writing_is_left)
{
	narrow_to(PERMISSION_WRITE, O_WRONLY | KERNEL_LARGEFILE, 0, -EBADF);
}

Test(replace, what_was_not_lost_stays)
{
	narrow_to(PERMISSION_READ | PERMISSION_WRITE, O_RDWR, 0, 1);
}

static void hold_flags(struct stage *stage)
{
	open_both(stage);
	(void)close(queue);
	queue = open_new(stage->queue, O_NONBLOCK);
	(void)fcntl(queue, F_SETFD, 0);
	stage->results[11] = dup2(queue, 77);
	app_pause(stage);
	stage->results[0] = result_of(mq_receive(queue, (char[32]){0}, 32, NULL));
	stage->results[1] = result_of(mq_receive(77, (char[32]){0}, 32, NULL));
}

Test(replace, flags_are_kept)
{
	struct door door;

	start_app(&door, hold_flags);
	door_wait(&door);
	lose(&door, PERMISSION_OPEN | PERMISSION_READ);
	cr_expect_eq(flags_of(door.app, door.stage->results[10]) & ~KERNEL_LARGEFILE,
		(unsigned)(O_RDONLY | O_NONBLOCK));
	cr_expect_eq(flags_of(door.app, 77) & ~KERNEL_LARGEFILE, (unsigned)(O_RDONLY | O_NONBLOCK));
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EAGAIN);
	cr_expect_eq(door.stage->results[1], -EAGAIN);
}

static long in_watch(struct stage *stage)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(0);

	(void)stage;
	(void)epoll_ctl(epoll, EPOLL_CTL_ADD, queue, &event);
	return result_of(epoll_wait(epoll, &event, 1, -1));
}

static long in_registration(struct stage *stage)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	sigset_t set;

	(void)stage;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	if (mq_notify(queue, &event) < 0)
		return -errno;
	return result_of(sigwaitinfo(&set, NULL));
}

/* Nothing that is still granted is lost with the descriptor. */
static void lose_writing(long (*in)(struct stage *), long expected)
{
	struct door door;
	int fd;

	wait_in = in;
	start_app(&door, wait_and_try);
	lose(&door, PERMISSION_OPEN | PERMISSION_READ);
	cr_expect_eq(flags_of(door.app, door.stage->results[10]) & O_ACCMODE, O_RDWR, "it is left");
	fd = mq_open(door.stage->queue, O_WRONLY);
	cr_assert_eq(mq_send(fd, "m", 1, 0), 0);
	(void)close(fd);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], expected);
}

Test(replace, one_that_is_watched_by_an_epoll_set)
{
	lose_writing(in_watch, 1);
}

Test(replace, one_with_a_registration)
{
	lose_writing(in_registration, SIGUSR2);
}

Test(replace, a_registration_falls_with_the_last_permission)
{
	char text[256] = "";
	struct door door;
	int fd;

	wait_in = in_registration;
	start_app(&door, wait_and_try);
	lose(&door, 0);
	cr_expect(is_taken(door.app, door.stage->results[10]));
	fd = mq_open(door.stage->queue, O_RDONLY);
	cr_assert_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	(void)close(fd);
	cr_expect(strstr(text, "NOTIFY_PID:0 "), "%s", text);
	wake_by_signal(&door);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], SIGUSR2);
}

/* --- shared tables, other processes
 * ----------------------------------------------------------------- */

static void *read_with_a_table_of_its_own(void *argument)
{
	struct stage *stage = argument;

	(void)unshare(CLONE_FILES);
	stage->results[12] = gettid();
	(void)in_read(stage);
	stage->results[4] = result_of(mq_send(queue, "m", 1, 0));
	return NULL;
}

static char child_stack[65536];

static int read_in_a_child(void *argument)
{
	struct stage *stage = argument;

	stage->results[13] = getpid();
	(void)in_read(stage);
	stage->results[5] = result_of(mq_send(queue, "m", 1, 0));
	_exit(0);
}

/* A thread that has one, a process that shares it, and a child that has copied it. */
static void hold_in_many_tables(struct stage *stage)
{
	pthread_t thread;
	pid_t shares, copied;

	open_both(stage);
	(void)pthread_create(&thread, NULL, read_with_a_table_of_its_own, stage);
	shares = clone(read_in_a_child, child_stack + sizeof(child_stack),
		CLONE_FILES | CLONE_VM | SIGCHLD, stage);
	copied = fork();
	if (copied == 0) {
		stage->results[14] = getpid();
		(void)in_read(stage);
		_exit((int)-result_of(mq_send(queue, "m", 1, 0)));
	}
	if (write(stage->ready[1], "r", 1) != 1)
		_exit(110);
	(void)in_read(stage);
	stage->results[2] = result_of(mq_send(queue, "m", 1, 0));
	(void)pthread_join(thread, NULL);
	(void)waitpid(shares, NULL, 0);
	(void)waitpid(copied, (int *)&stage->results[6], 0);
}

Test(replace, every_table)
{
	struct door door;
	const long *results;
	int own;

	start_app(&door, hold_in_many_tables);
	own = mq_open(door.stage->queue, O_RDWR);
	results = door.stage->results;
	door_wait(&door);
	(void)usleep(50000);
	for (int i = 12; i < 15; i++) {
		lose(&door, 0);
		for (int j = 0; j < 10 && !is_taken((pid_t)results[i], results[10]); j++)
			door_grant_both(&door, 0, PERMISSIONS_ALL);
	}
	for (int i = 12; i < 15; i++)
		cr_expect(is_taken((pid_t)results[i], results[10]), "%d", i);
	cr_expect(is_taken(door.app, results[10]));
	cr_expect_not(is_taken(getpid(), own), "an outsider keeps its own");
	cr_expect_eq(mq_send(own, "m", 1, 0), 0);
	(void)close(own);
	for (int i = 0; i < 4; i++)
		door_go(&door);
	door_close(&door);
	cr_expect_eq(results[2], -EBADF);
	cr_expect_eq(results[4], -EBADF);
	cr_expect_eq(results[5], -EBADF);
	cr_expect_eq(WEXITSTATUS(results[6]), EBADF);
}

/* --- numbers that come to mean something else
 * --------------------------------------------------------- */

#define EXCHANGES 25

static atomic_bool exchanging;
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER; /* takes the lowest number */

/* The number is the lost queue's and a file's in turn. The file must never be replaced. */
static void *exchange(void *argument)
{
	struct stage *stage = argument;
	struct stat st;

	while (exchanging) {
		int fd;

		(void)pthread_mutex_lock(&opening);
		(void)close(queue);
		fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		if (fd != queue)
			_exit(113);
		for (int i = 0; i < 20; i++)
			if (fstat(fd, &st) < 0 || minor(st.st_rdev) != 5)
				stage->results[4]++;
		(void)dup2(77, queue);
		(void)pthread_mutex_unlock(&opening);
		for (int i = 0; i < 20; i++)
			(void)fstat(queue, &st);
		stage->results[5]++;
	}
	return NULL;
}

static void exchange_numbers(struct stage *stage)
{
	pthread_t thread;

	open_both(stage);
	(void)dup2(queue, 77);
	exchanging = true;
	(void)pthread_create(&thread, NULL, exchange, stage);
	for (int i = 0; i < EXCHANGES; i++) {
		mqd_t mqd;

		app_pause(stage);
		(void)pthread_mutex_lock(&opening);
		mqd = mq_open(stage->queue, O_RDWR);
		if (mqd < 0 || dup2(mqd, 77) != 77)
			stage->results[6]++;
		(void)close(mqd);
		(void)pthread_mutex_unlock(&opening);
	}
	exchanging = false;
	(void)pthread_join(thread, NULL);
}

Test(replace, a_number_that_means_something_else_is_not_replaced, .timeout = 100)
{
	struct door door;

	start_app(&door, exchange_numbers);
	for (int i = 0; i < EXCHANGES; i++) {
		door_wait(&door);
		door_grant_both(&door, 0, PERMISSIONS_ALL);
		door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
		door_go(&door);
	}
	door_close(&door);
	cr_expect_eq(
		door.stage->results[4], 0, "%ld times the file was gone", door.stage->results[4]);
	cr_expect_gt(door.stage->results[5], EXCHANGES);
	cr_expect_eq(door.stage->results[6], 0);
}

/* --- the bounds
 * ------------------------------------------------------------------------------------------ */

static long thread_count;

static void *wait_for_ever(void *argument)
{
	(void)argument;
	for (;;)
		(void)pause();
	return NULL;
}

static void hold_with_threads(struct stage *stage)
{
	pthread_attr_t small;

	open_both(stage);
	(void)pthread_attr_init(&small);
	(void)pthread_attr_setstacksize(&small, 65536);
	for (long i = 0; i < thread_count; i++)
		if (pthread_create(&(pthread_t){0}, &small, wait_for_ever, NULL) != 0)
			_exit(114);
	if (write(stage->ready[1], "r", 1) != 1)
		_exit(110);
	(void)in_read(stage);
	_exit(0);
}

static void take_with_threads(long count, bool taken)
{
	struct door door;

	thread_count = count;
	start_app(&door, hold_with_threads);
	door_wait(&door);
	(void)usleep(100000);
	if (taken)
		lose(&door, 0);
	else
		door_grant_both(&door, 0, PERMISSIONS_ALL);
	cr_expect_eq(is_taken(door.app, door.stage->results[10]), taken, "%ld threads", count);
	door_go(&door);
	door_close(&door);
}

Test(replace, as_many_threads_as_may_share_a_table, .timeout = 60)
{
	take_with_threads(REPLACE_THREADS_MAX - 1, true);
	take_with_threads(REPLACE_THREADS_MAX, false);
}
