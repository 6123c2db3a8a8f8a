/* SPDX-License-Identifier: MIT */
/* A signal that comes while a thread makes a call of ours does to the thread's own call what it
 * does to it otherwise: it fails, or is restarted. */
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/session/detour.h"
#include "daemon/session/revoke.h"
#include "door.h"
#include "include/util.h"
#include "tests/must-work.h"
#include "tests/patience.h"

#define TIMEOUT_MS  900
#define PATIENCE_US (10000000ULL * (uint64_t)patience())
#define PREPARE_US  200000  /* frozen, it is waited for in vain */
#define ENTRY_US    1000000 /* the same */
#define PAUSE_US    60000   /* for a signal to have its effect, before the calls are ended */

static int ends[2];
static struct timespec timeout = {.tv_nsec = TIMEOUT_MS * 1000000L};
static volatile int *words; /* shared */

static long in_read(void)
{
	char byte;

	return result_of(read(ends[0], &byte, 1));
}

static long in_nanosleep(void)
{
	return result_of(nanosleep(&timeout, NULL));
}

static long in_futex(void)
{
	return result_of(syscall(SYS_futex, &words[0], FUTEX_WAIT, 0, NULL, NULL, 0));
}

static long in_timed_futex(void)
{
	return result_of(syscall(SYS_futex, &words[1], FUTEX_WAIT, 0, &timeout, NULL, 0));
}

static long in_poll(void)
{
	struct pollfd p = {.fd = ends[0], .events = POLLHUP};

	return result_of(poll(&p, 1, TIMEOUT_MS));
}

static long in_select(void)
{
	struct timeval while_ = {.tv_usec = TIMEOUT_MS * 1000};

	return result_of(select(0, NULL, NULL, NULL, &while_));
}

static long in_epoll_wait(void)
{
	struct epoll_event event;

	return result_of(epoll_wait(epoll_create1(0), &event, 1, TIMEOUT_MS));
}

static long in_sigtimedwait(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	return result_of(sigtimedwait(&set, NULL, &timeout));
}

static long in_pause(void)
{
	return result_of(pause());
}

static long in_sigsuspend(void)
{
	sigset_t set;

	(void)sigemptyset(&set);
	return result_of(sigsuspend(&set));
}

static long in_receive(void)
{
	char name[32], buffer[32];
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 32};
	struct timespec end;
	mqd_t queue;

	(void)snprintf(name, sizeof(name), "/detour-%d", (int)getpid());
	queue = mq_open(name, O_RDONLY | O_CREAT, 0600, &attributes);
	(void)mq_unlink(name);
	(void)clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec++;
	return result_of(mq_timedreceive(queue, buffer, sizeof(buffer), NULL, &end));
}

static long in_semop(void)
{
	struct sembuf down = {.sem_op = -1};
	int set = semget(IPC_PRIVATE, 1, 0600);
	long r = result_of(semtimedop(set, &down, 1, &timeout));

	(void)semctl(set, 0, IPC_RMID);
	return r;
}

static const struct {
	const char *name;
	long (*wait)(void);
	bool endless;
} calls[] = {
	{"read", in_read},
	{"nanosleep", in_nanosleep},
	{"futex", in_futex},
	{"futex with a timeout", in_timed_futex},
	{"poll", in_poll},
	{"select", in_select},
	{"epoll_wait", in_epoll_wait},
	{"sigtimedwait", in_sigtimedwait},
	{"pause", in_pause, true},
	{"sigsuspend", in_sigsuspend, true},
	{"mq_timedreceive", in_receive},
	{"semtimedop", in_semop},
};
#define CALLS ELEMENTSOF(calls)

enum moment {
	NO_DETOUR, /* the signal comes to a call that nobody disturbs; or none comes */
	BEFORE_ALL,
	BEFORE_CALL,
	AFTER_CALL,
};

static const struct {
	enum moment moment;
	const char *name;
} moments[] = {
	{BEFORE_ALL, "before it"}, {BEFORE_CALL, "during it"}, {AFTER_CALL, "after the call"}};

/* What became of one, and how often its handler ran. */
struct outcome {
	long result, handled;
};

static struct outcome *outcomes; /* shared, [CALLS] */
static volatile long handled;

static void on_signal(int signal)
{
	(void)signal;
	handled++;
}

static void wait_in_call(size_t i, int flags)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
	sigset_t set;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigaction(SIGUSR1, &action, NULL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	outcomes[i].result = calls[i].wait();
	outcomes[i].handled = handled;
	_exit(0);
}

static void wait_until_blocked(pid_t pid)
{
	uint64_t deadline = now_usec() + PATIENCE_US;
	struct blocked blocked;

	while (!blocked_read_of(pid, &blocked) && now_usec() < deadline)
		(void)usleep(1000);
	/* By then it is in the call that it is to wait in. */
	(void)usleep(20000);
	cr_assert(blocked_read_of(pid, &blocked));
}

static int serve_nothing(void *context)
{
	(void)context;
	return 0;
}

static void release_nobody(void *context, pid_t tid)
{
	(void)context, (void)tid;
}

static int the_signal = SIGUSR1;

static void send_if(bool now, pid_t pid)
{
	if (now)
		cr_assert_eq(kill(pid, the_signal), 0);
}

static const struct force_hooks hooks = {.serve = serve_nothing, .release = release_nobody};

static void stop(pid_t tid, struct detour *ret)
{
	cr_assert_eq(detour_ask(tid, &hooks, ret), 0);
	cr_assert_eq(detour_await(ret, now_usec() + PATIENCE_US), 0);
}

/* mq_notify() on what is no descriptor: FORCE_FAILED if it is made. */
static enum force_result take_detour(pid_t pid, enum moment moment)
{
	const struct forced_call call = {
		.call = MQ_CALL_NOTIFY, .arguments = {UINT64_MAX, 0, 1, 2, 3, 4}};
	struct detour detour;
	enum force_result result;

	stop(pid, &detour);
	send_if(moment == BEFORE_ALL, pid);
	result = detour_prepare(&detour, now_usec() + PREPARE_US);
	send_if(moment == BEFORE_CALL, pid);
	if (result == FORCE_DONE)
		result = detour_make(&detour, &call, ENTRY_US, now_usec() + PATIENCE_US);
	send_if(moment == AFTER_CALL, pid);
	cr_assert_eq(detour_let_go(&detour), 0);
	return result;
}

/* With a signal before it, it may have to be tried later. */
static void take_detour_meanwhile(pid_t pid, enum moment moment)
{
	enum force_result result = take_detour(pid, moment);

	cr_assert(result == FORCE_FAILED || (result == FORCE_LATER && moment == BEFORE_ALL));
}

/* All calls at once, as they last. */
static void try_all(enum moment moment, int flags, struct outcome ret[static CALLS])
{
	pid_t children[CALLS];

	memset(outcomes, 0, CALLS * sizeof(*outcomes));
	words[0] = 0;
	cr_assert_eq(pipe(ends), 0);
	for (size_t i = 0; i < CALLS; i++) {
		children[i] = fork();
		if (children[i] == 0)
			wait_in_call(i, flags);
		wait_until_blocked(children[i]);
		if (moment == NO_DETOUR)
			send_if(true, children[i]);
		else
			take_detour_meanwhile(children[i], moment);
	}
	(void)usleep(PAUSE_US);
	words[0] = 1;
	(void)syscall(SYS_futex, &words[0], FUTEX_WAKE, 1, NULL, NULL, 0);
	cr_assert_eq(write(ends[1], "x", 1), 1);
	for (size_t i = 0; i < CALLS; i++)
		if (calls[i].endless && the_signal != SIGUSR1)
			cr_assert_eq(kill(children[i], SIGUSR1), 0);
	for (size_t i = 0; i < CALLS; i++)
		cr_assert_eq(waitpid(children[i], NULL, 0), children[i]);
	(void)close(ends[0]);
	(void)close(ends[1]);
	memcpy(ret, outcomes, CALLS * sizeof(*ret));
}

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert(memory != MAP_FAILED);
	return memory;
}

static void expect_the_same(int flags)
{
	struct outcome bare[CALLS], disturbed[CALLS];

	outcomes = share(CALLS * sizeof(*outcomes));
	words = share(2 * sizeof(*words));
	try_all(NO_DETOUR, flags, bare);
	for (size_t j = 0; j < ELEMENTSOF(moments); j++) {
		try_all(moments[j].moment, flags, disturbed);
		for (size_t i = 0; i < CALLS; i++) {
			cr_expect_eq(disturbed[i].handled, bare[i].handled, "%s, %s: %ld signals",
				calls[i].name, moments[j].name, disturbed[i].handled);
			cr_expect_eq(disturbed[i].result, bare[i].result,
				"%s, %s: %ld instead of %ld", calls[i].name, moments[j].name,
				disturbed[i].result, bare[i].result);
		}
	}
}

Test(detour, a_signal_meanwhile, .timeout = 60)
{
	expect_the_same(0);
}

/* For a traced thread the kernel keeps even what is ignored. */
Test(detour, a_signal_meanwhile_that_is_ignored, .timeout = 60)
{
	the_signal = SIGWINCH;
	expect_the_same(0);
}

Test(detour, a_signal_meanwhile_with_restart, .timeout = 60)
{
	expect_the_same(SA_RESTART);
}

/* --- who executes a program meanwhile ----------------------------------------------------------
 */

#define EXECUTIONS 300

static void *execute_soon(void *unused)
{
	(void)unused;
	words[0] = gettid();
	(void)usleep((useconds_t)words[1]);
	(void)execl("/bin/true", "true", NULL);
	_exit(111);
}

/* By a thread that is not the first one: it takes the number of that one. */
static void execute_by_another_thread(void)
{
	pthread_t thread;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)pthread_create(&thread, NULL, execute_soon, NULL);
	for (;;)
		(void)pause();
}

/* The session's loop does the same. It waits for dead children, too. */
static bool ends_soon(pid_t pid)
{
	uint64_t deadline = now_usec() + PATIENCE_US;

	while (now_usec() < deadline) {
		siginfo_t information = {0};

		if (waitid(P_PID, (id_t)pid, &information, WEXITED | WNOHANG | __WALL) < 0 ||
			information.si_pid == pid)
			return true;
		revoke_let_go_strays();
		(void)usleep(1000);
	}
	return false;
}

Test(detour, who_executes_a_program_meanwhile_is_let_go, .timeout = 60)
{
	uint64_t deadline = now_usec() + 3 * PATIENCE_US;
	unsigned gone = 0;

	words = share(2 * sizeof(*words));
	/* And on, where it takes more to hit the moment. */
	for (int i = 0; i < EXECUTIONS || (gone == 0 && now_usec() < deadline); i++) {
		struct detour detour;
		pid_t child;

		words[0] = 0;
		words[1] = i % 50 * (i < EXECUTIONS ? 4 : 40);
		child = fork();
		if (child == 0)
			execute_by_another_thread();
		while (words[0] == 0)
			;
		(void)usleep(60);
		if (detour_ask(words[0], &hooks, &detour) == 0) {
			if (detour_await(&detour, now_usec() + PATIENCE_US) == 0)
				cr_assert_eq(detour_let_go(&detour), 0);
			else
				gone++;
		}
		cr_assert(ends_soon(child), "number %d hangs", i);
	}
	cr_expect_gt(gone, 0);
}

/* --- who is killed, who is frozen
 * --------------------------------------------------------------- */

static void wait_for_a_child(void)
{
	pid_t child;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		words[0] = getpid();
		for (;;)
			(void)pause();
	}
	_exit(waitpid(child, NULL, 0) == child ? 0 : 112);
}

Test(detour, who_is_killed_meanwhile_is_left_to_its_parent, .timeout = 60)
{
	struct detour detour;
	pid_t parent;

	words = share(2 * sizeof(*words));
	parent = fork();
	if (parent == 0)
		wait_for_a_child();
	while (words[0] == 0)
		;
	wait_until_blocked(words[0]);
	stop(words[0], &detour);
	cr_assert_eq(kill(words[0], SIGKILL), 0);
	(void)usleep(20000);
	cr_expect_lt(detour_let_go(&detour), 0);
	cr_expect(ends_soon(parent));
}

/* A control group of ours. The mount by which it was made is gone from the tree already. */
static int groups = -EBADF;
static char group[32];

static void open_groups(void)
{
	char place[] = "/tmp/mqgate-test.XXXXXX";

	cr_assert_not_null(mkdtemp(place));
	if (mount("none", place, "cgroup2", 0, NULL) == 0) {
		groups = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		(void)umount2(place, MNT_DETACH);
	}
	(void)rmdir(place);
	if (groups < 0)
		leave_out("control groups cannot be mounted");
}

static void make_group(void)
{
	open_groups();
	(void)snprintf(group, sizeof(group), "mqgate-test-%d", (int)getpid());
	cr_assert_eq(mkdirat(groups, group, 0755), 0);
}

static void write_group(const char *file, int value)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = openat(groups, path, O_WRONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_gt(dprintf(fd, "%d", value), 0);
	(void)close(fd);
}

/* However the test has ended. */
static void remove_group(void)
{
	uint64_t deadline = now_usec() + PATIENCE_US;

	if (groups < 0)
		return;
	write_group("cgroup.kill", 1);
	while (unlinkat(groups, group, AT_REMOVEDIR) < 0 && errno == EBUSY &&
		now_usec() < deadline) {
		revoke_let_go_strays();
		(void)usleep(1000);
	}
	(void)close(groups);
}

Test(detour, who_is_frozen_is_tried_later, .fini = remove_group, .timeout = 60)
{
	pid_t child;

	make_group();
	outcomes = share(CALLS * sizeof(*outcomes));
	cr_assert_eq(pipe(ends), 0);
	child = fork();
	if (child == 0)
		wait_in_call(0, 0);
	wait_until_blocked(child);
	write_group("cgroup.procs", child);
	write_group("cgroup.freeze", 1);
	(void)usleep(50000);
	cr_expect_eq(take_detour(child, NO_DETOUR), FORCE_LATER);
	write_group("cgroup.freeze", 0);
	(void)usleep(PAUSE_US);
	cr_expect_eq(write(ends[1], "x", 1), 1);
	cr_expect_eq(waitpid(child, NULL, 0), child);
	cr_expect_eq(outcomes[0].result, 1);
}
