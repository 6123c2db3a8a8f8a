/* SPDX-License-Identifier: MIT */
/* Interrupted again and again, and made to enter a call each time, a program that watches its own
 * registers, memory, signals and restartable sequences finds nothing changed.
 *
 * MQGATE_INTERRUPTIONS says how often; 2,000 times unless it is set. */
#include <fcntl.h>
#include <linux/futex.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/session/detour.h"
#include "daemon/session/filters.h"
#include "daemon/session/notify.h"
#include "door.h"
#include "include/util.h"

#define INTERRUPTIONS_DEFAULT 2000
#define PLAIN_STOPS           1000
#define SECRET                UINT64_C(0x5ec4e7)
#define VICTIM                50 /* the descriptor that is replaced each time */

/* In stage->results: counted by the app, but for the last two. */
enum {
	ROUNDS,
	WRONG_REGISTERS,
	WRONG_VECTORS,
	WRONG_CALLS,
	BROKEN_OFF, /* calls that failed with EINTR, with no signal */
	WRONG_SIGNALS,
	WRONG_MEMORY,
	SEQUENCES, /* that were completed */
	ABORTED,
	RESUMED, /* sequences that went on after an interruption */
	SIGNALS,
	FINISH,
	EPOCH, /* of interruptions */
};

static volatile long *seen;

/* --- what the architecture is about -------------------------------------------------------------
 */

/* Counts in seen[] how often registers, of both kinds, are not what they were. */
static void watch_registers(uint64_t seed);
static void watch_vectors(uint8_t seed);

/* Compares the epoch at the end of a restartable sequence with that of its beginning. The test
 * counts it up while the thread is stopped; so if the two differ, it was interrupted in the middle,
 * and has gone on. */
static void make_sequence(void);

#if defined(__x86_64__)
#include "interrupt-x86-64.h"
#elif defined(__aarch64__)
#include "interrupt-aarch64.h"
#endif

/* --- calls, signals, memory
 * ------------------------------------------------------------------------- */

static char alternate[65536];

static void on_alarm(int signal)
{
	char here;
	sigset_t mask;

	(void)sigprocmask(SIG_SETMASK, NULL, &mask);
	if (&here < alternate || &here >= alternate + sizeof(alternate) ||
		sigismember(&mask, signal) != 1 || sigismember(&mask, SIGUSR1) != 1 ||
		sigismember(&mask, SIGUSR2) != 0)
		seen[WRONG_SIGNALS]++;
	seen[SIGNALS]++;
}

static void start_signals(void)
{
	const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART};
	const struct itimerval often = {{.tv_usec = 3000}, {.tv_usec = 3000}};
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	(void)sigaltstack(&stack, NULL);
	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &often, NULL);
}

static int set_of_none, word, pipes[2];

static long call_number(long i)
{
	struct timespec shortly = {.tv_nsec = 50000};
	struct pollfd p = {.fd = pipes[0], .events = POLLIN};
	sigset_t set;
	char byte;

	switch (i) {
	case 0:
		return result_of(nanosleep(&shortly, NULL));
	case 1:
		return result_of(
			syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &shortly, NULL, 0));
	case 2:
		return result_of(epoll_wait(set_of_none, &(struct epoll_event){0}, 1, 1));
	case 3:
		(void)sigemptyset(&set);
		(void)sigaddset(&set, SIGUSR1);
		return result_of(sigtimedwait(&set, NULL, &shortly));
	case 4:
		return result_of(poll(&p, 1, 1));
	case 5:
		return write(pipes[1], "x", 1) == 1 ? result_of(read(pipes[0], &byte, 1)) : -EDOM;
	default:
		(void)sigprocmask(SIG_SETMASK, NULL, &set);
		return sigismember(&set, SIGUSR1) + 2 * sigismember(&set, SIGUSR2) +
		       4 * sigismember(&set, SIGALRM);
	}
}

static void watch_calls(long round)
{
	static const long expected[] = {0, -ETIMEDOUT, 0, -EAGAIN, 0, 1, 1};
	long i = round % (long)ELEMENTSOF(expected), signals = seen[SIGNALS];
	long r = call_number(i);

	if (r == -EINTR)
		seen[BROKEN_OFF] += signals == seen[SIGNALS];
	else
		seen[WRONG_CALLS] += r != expected[i];
}

static uint64_t calculate(void)
{
	volatile uint64_t cells[64];
	uint64_t a = 42, d = 3;
	double x = 1.0;

	for (int i = 0; i < 5000; i++) {
		a = a * 6364136223846793005U + 1442695040888963407U;
		d = d * 31 + (a >> 7);
		x = x * 1.0000001 + 0.5;
		cells[i % 64] = d;
	}
	for (int i = 0; i < 64; i++)
		a ^= cells[i];
	return a ^ d ^ (uint64_t)x;
}

static void watch_itself(struct stage *stage)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};
	uint64_t right = calculate();

	(void)alarm(0);
	seen = stage->results;
	app_pause(stage);
	(void)dup2(mq_open(stage->queue, O_RDWR | O_CREAT, 0600, &attributes), VICTIM);
	set_of_none = epoll_create1(0);
	if (pipe(pipes) < 0)
		_exit(111);
	start_signals();
	if (write(stage->ready[1], "r", 1) != 1)
		_exit(110);
	while (!seen[FINISH]) {
		watch_registers((uint64_t)seen[ROUNDS]);
		watch_vectors((uint8_t)seen[ROUNDS]);
		for (int i = 0; i < 10; i++)
			make_sequence();
		watch_calls(seen[ROUNDS]);
		seen[WRONG_MEMORY] += calculate() != right;
		seen[ROUNDS]++;
	}
}

/* --- the test in the session's place
 * ------------------------------------------------------------------ */

struct interruptions {
	struct door door;
	struct seccomp_data expected;
	int replacement;
	unsigned entered, inside; /* calls that came; stops inside a sequence */
};

static int serve(void *context)
{
	struct interruptions *interruptions = context;
	int listener = interruptions->door.listener;
	struct pollfd p = {.fd = listener, .events = POLLIN};
	struct seccomp_notif notification = {0};

	if (poll(&p, 1, 0) != 1)
		return 0;
	cr_assert_eq(notify_receive(listener, &notification), 0);
	cr_assert_eq((pid_t)notification.pid, interruptions->door.app);
	cr_assert_eq(
		memcmp(&notification.data, &interruptions->expected, sizeof(notification.data)), 0,
		"the filter sees another call than was foretold");
	cr_assert_eq(
		notify_replace(listener, notification.id, interruptions->replacement, VICTIM, true),
		0);
	interruptions->entered++;
	return notify_reply(
		listener, notification.id, &(struct answer){.kind = ANSWER_VALUE, .value = 0});
}

static void release_nobody(void *context, pid_t tid)
{
	(void)context, (void)tid;
}

/* Another test may look at all processes of the machine just then. */
static void ask(const struct interruptions *interruptions, const struct force_hooks *hooks,
	struct detour *ret)
{
	uint64_t deadline = now_usec() + 5000000;
	int r;

	while ((r = detour_ask(interruptions->door.app, hooks, ret)) == -EPERM &&
		now_usec() < deadline)
		(void)usleep(1000);
	cr_assert_eq(r, 0, "%d", r);
}

/* False: it could not make it now, since there is a signal for it. */
static bool make_call(struct interruptions *interruptions, struct detour *detour)
{
	const struct forced_call forced = {
		.call = MQ_CALL_NOTIFY, .arguments = {UINT64_MAX, 0, SECRET, SECRET, 0, 0}};
	uint64_t place = machine_place(&detour->saved), begin;
	enum force_result result = detour_prepare(detour, now_usec() + 5000000);

	if (result == FORCE_LATER && detour->signal != 0)
		return false;
	cr_assert_eq(result, FORCE_DONE);
	interruptions->inside += !detour->in_call && machine_place(&detour->saved) != place;
	detour_describe(detour, &forced, &interruptions->expected);
	cr_assert(filters_notify(detour->tid, &interruptions->expected));
	begin = now_usec();
	result = detour_make(detour, &forced, 30000000, begin + 30000000);
	cr_assert_eq(result, FORCE_DONE, "%d after %lu us", (int)result, now_usec() - begin);
	return true;
}

/* True if it was made to enter a call. */
static bool interrupt(struct interruptions *interruptions, bool call)
{
	const struct force_hooks hooks = {
		.context = interruptions, .serve = serve, .release = release_nobody};
	struct detour detour;
	bool made;

	ask(interruptions, &hooks, &detour);
	cr_assert_eq(detour_await(&detour, now_usec() + 5000000), 0);
	made = call && make_call(interruptions, &detour);
	interruptions->door.stage->results[EPOCH]++;
	cr_assert_eq(detour_let_go(&detour), 0);
	return made;
}

/* Microseconds of one. */
static double interrupt_often(struct interruptions *interruptions, long count, bool call)
{
	uint64_t spent = 0;

	for (long i = 0; i < count; i++) {
		uint64_t begin = now_usec();

		while (interrupt(interruptions, call) != call)
			(void)usleep(100);
		spent += now_usec() - begin;
		/* Wherever it is. */
		(void)usleep((useconds_t)(i * 7 % 100));
	}
	return (double)spent / (double)count;
}

static long how_often(void)
{
	const char *text = getenv("MQGATE_INTERRUPTIONS");
	long count = text ? strtol(text, NULL, 10) : INTERRUPTIONS_DEFAULT;

	cr_assert_gt(count, 0);
	return count;
}

/* On aarch64 a call may begin between the last look and the request to stop (machine-aarch64.c). */
static void expect_nothing_wrong(const long *counts, long may_be_broken_off)
{
	cr_expect_eq(counts[WRONG_REGISTERS], 0, "%ld", counts[WRONG_REGISTERS]);
	cr_expect_eq(counts[WRONG_VECTORS], 0, "%ld", counts[WRONG_VECTORS]);
	cr_expect_eq(counts[WRONG_CALLS], 0, "%ld", counts[WRONG_CALLS]);
	cr_expect_leq(counts[BROKEN_OFF], may_be_broken_off, "%ld", counts[BROKEN_OFF]);
	cr_expect_eq(counts[WRONG_SIGNALS], 0, "%ld", counts[WRONG_SIGNALS]);
	cr_expect_eq(counts[WRONG_MEMORY], 0, "%ld", counts[WRONG_MEMORY]);
	cr_expect_eq(counts[RESUMED], 0, "%ld", counts[RESUMED]);
	cr_expect_gt(counts[ROUNDS], 0);
	cr_expect_gt(counts[SEQUENCES], 0);
	cr_expect_gt(counts[SIGNALS], 0);
}

Test(interrupt, nothing_is_changed, .timeout = 600)
{
	static struct interruptions interruptions;
	struct door *door = &interruptions.door;
	long count = how_often();
	double plain, forced;

	door_open_as(door, MEDIATION_OPEN, 65534, NULL, watch_itself);
	door_wait(door);
	door_grant(door, PERMISSIONS_ALL);
	door_go(door);
	door_wait(door);
	cr_assert_eq(kill(door->session, SIGKILL), 0);
	cr_assert_eq(waitpid(door->session, NULL, 0), door->session);
	interruptions.replacement = open("/dev/null", O_RDWR | O_CLOEXEC);
	plain = interrupt_often(&interruptions, MIN(count, (long)PLAIN_STOPS), false);
	forced = interrupt_often(&interruptions, count, true);
	door->stage->results[FINISH] = 1;
	cr_log_info("%ld calls, %u of them from inside a sequence: %.2f times a plain stop; "
		    "%ld rounds, %ld signals, %ld sequences aborted, %ld calls broken off",
		count, interruptions.inside, forced / plain, door->stage->results[ROUNDS],
		door->stage->results[SIGNALS], door->stage->results[ABORTED],
		door->stage->results[BROKEN_OFF]);
	cr_expect_eq(interruptions.entered, (unsigned)count);
	cr_expect_gt(interruptions.inside, 0);
	expect_nothing_wrong(door->stage->results, MACHINE_RESTARTS_EARLY ? count / 100 : 0);
	door->session = fork();
	if (door->session == 0)
		_exit(0);
	door_close(door);
}
