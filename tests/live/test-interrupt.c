/* SPDX-License-Identifier: MIT */
/* Interrupted again and again, and made to enter a call each time, a program that watches its own
 * registers, memory, signals and restartable sequences finds nothing changed.
 *
 * MQGATE_INTERRUPTIONS says how often; 2,000 times unless it is set. */
#include "door.h"
#include "include/util.h"

#if defined(__x86_64__)

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

/* --- registers ----------------------------------------------------------------------------------
 */

struct registers {
	uint64_t general[15]; /* all but rsp; rcx counts */
	uint64_t red_zone[16];
	uint8_t flags[2]; /* overflow; sign, zero, adjust, parity, carry */
};

struct registers loaded_registers, found_registers;
uint8_t loaded_vectors[16][32], found_vectors[16][32];

/* Loads all, idles, and stores all; what idles writes to rcx only. */
__attribute__((naked, noinline)) static void idle_in_registers(void)
{
	__asm__("push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
		"lea loaded_registers(%rip), %rax\n"
		".set i, 0\n"
		".rept 16\n"
		"mov 120+8*i(%rax), %rcx; mov %rcx, -8-8*i(%rsp)\n"
		".set i, i+1\n"
		".endr\n"
		"mov $0x7f, %cl; add $1, %cl\n" /* overflow, which sahf leaves alone */
		"mov 249(%rax), %cl\n"
		"mov %rax, %rdx; mov %cl, %ah; sahf; mov %rdx, %rax\n"
		"mov 8(%rax), %rbx; mov 24(%rax), %rdx; mov 32(%rax), %rsi\n"
		"mov 40(%rax), %rdi; mov 48(%rax), %rbp; mov 56(%rax), %r8\n"
		"mov 64(%rax), %r9; mov 72(%rax), %r10; mov 80(%rax), %r11\n"
		"mov 88(%rax), %r12; mov 96(%rax), %r13; mov 104(%rax), %r14\n"
		"mov 112(%rax), %r15\n"
		"mov 0(%rax), %rax\n"
		"mov $40000, %ecx\n"
		"1: lea -1(%rcx), %rcx; jrcxz 2f; jmp 1b\n"
		"2: mov %rax, found_registers(%rip)\n"
		"lahf; seto %al; mov %al, found_registers+248(%rip)\n"
		"mov %ah, %al; mov %al, found_registers+249(%rip)\n"
		"lea found_registers(%rip), %rax\n"
		"mov %rbx, 8(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax)\n"
		"mov %rdi, 40(%rax); mov %rbp, 48(%rax); mov %r8, 56(%rax)\n"
		"mov %r9, 64(%rax); mov %r10, 72(%rax); mov %r11, 80(%rax)\n"
		"mov %r12, 88(%rax); mov %r13, 96(%rax); mov %r14, 104(%rax)\n"
		"mov %r15, 112(%rax)\n"
		".set i, 0\n"
		".rept 16\n"
		"mov -8-8*i(%rsp), %rcx; mov %rcx, 120+8*i(%rax)\n"
		".set i, i+1\n"
		".endr\n"
		"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
		"ret\n");
}

#define ALL_VECTORS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"

__attribute__((naked, noinline)) static void idle_in_ymm(void)
{
	__asm__(".irp n," ALL_VECTORS "\n vmovdqu loaded_vectors+32*\\n(%rip), %ymm\\n\n .endr\n"
		"mov $40000, %ecx\n"
		"1: dec %ecx; jnz 1b\n"
		".irp n," ALL_VECTORS "\n vmovdqu %ymm\\n, found_vectors+32*\\n(%rip)\n .endr\n"
		"vzeroupper\n"
		"ret\n");
}

__attribute__((naked, noinline)) static void idle_in_xmm(void)
{
	__asm__(".irp n," ALL_VECTORS "\n movdqu loaded_vectors+32*\\n(%rip), %xmm\\n\n .endr\n"
		"mov $40000, %ecx\n"
		"1: dec %ecx; jnz 1b\n"
		".irp n," ALL_VECTORS "\n movdqu %xmm\\n, found_vectors+32*\\n(%rip)\n .endr\n"
		"ret\n");
}

static void watch_registers(uint64_t seed)
{
	uint64_t *words = (uint64_t *)&loaded_registers;

	for (size_t i = 0; i < offsetof(struct registers, flags) / sizeof(*words); i++)
		words[i] = seed = seed * 6364136223846793005U + 1442695040888963407U;
	loaded_registers.general[2] = found_registers.general[2] = 0;
	loaded_registers.flags[0] = 1;
	loaded_registers.flags[1] = (seed & 0xd5) | 2; /* as sahf loads them */
	idle_in_registers();
	seen[WRONG_REGISTERS] +=
		memcmp(&loaded_registers, &found_registers, sizeof(found_registers)) != 0;
}

static void watch_vectors(uint8_t seed)
{
	memset(found_vectors, 0, sizeof(found_vectors));
	for (size_t i = 0; i < 16; i++)
		for (size_t j = 0; j < 32; j++)
			loaded_vectors[i][j] = seed++;
	if (__builtin_cpu_supports("avx")) {
		idle_in_ymm();
		seen[WRONG_VECTORS] +=
			memcmp(loaded_vectors, found_vectors, sizeof(found_vectors)) != 0;
		return;
	}
	idle_in_xmm();
	for (size_t i = 0; i < 16; i++)
		seen[WRONG_VECTORS] += memcmp(loaded_vectors[i], found_vectors[i], 16) != 0;
}

/* --- a restartable sequence
 * ------------------------------------------------------------------------ */

/* Compares the epoch at its end with that of its beginning. The test counts it up while the thread
 * is stopped; so if the two differ, it was interrupted in the middle, and has gone on. */
static void make_sequence(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	__asm__ volatile goto(".pushsection .data.sequences, \"aw\"\n"
			      ".balign 32\n"
			      "3: .long 0, 0\n"
			      ".quad 1f, 2f-1f, 4f\n"
			      ".popsection\n"
			      "lea 3b(%%rip), %%rax\n"
			      "mov %%rax, 8(%0)\n"
			      "1: mov (%1), %%rcx\n"
			      "mov $20000, %%edx\n"
			      "5: dec %%edx; jnz 5b\n"
			      "cmp (%1), %%rcx\n"
			      "jne %l[resumed]\n"
			      "incq (%2)\n"
			      "2: jmp %l[completed]\n"
			      ".byte 0x0f, 0xb9, 0x3d\n"
			      ".long 0x53053053\n"
			      "4: jmp %l[aborted]\n"
			      :
			      : "r"(area), "r"(&seen[EPOCH]), "r"(&seen[SEQUENCES])
			      : "rax", "rcx", "rdx", "memory", "cc"
			      : completed, aborted, resumed);
completed:
	return;
aborted:
	seen[ABORTED]++;
	return;
resumed:
	seen[RESUMED]++;
}

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

	if (r != expected[i] && (r != -EINTR || signals == seen[SIGNALS]))
		seen[WRONG_CALLS]++;
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

static void interrupt(struct interruptions *interruptions, bool call)
{
	const struct force_hooks hooks = {
		.context = interruptions, .serve = serve, .release = release_nobody};
	const struct forced_call forced = {
		.call = MQ_CALL_NOTIFY, .arguments = {UINT64_MAX, 0, SECRET, SECRET, 0, 0}};
	enum force_result result;
	struct detour detour;
	uint64_t place, begin;

	ask(interruptions, &hooks, &detour);
	cr_assert_eq(detour_await(&detour, now_usec() + 5000000), 0);
	if (call) {
		place = detour.saved.rip;
		cr_assert_eq(detour_prepare(&detour), FORCE_DONE);
		interruptions->inside += detour.saved.rip != place;
		detour_describe(&detour, &forced, &interruptions->expected);
		cr_assert(filters_notify(detour.tid, &interruptions->expected));
		begin = now_usec();
		result = detour_make(&detour, &forced, begin + 30000000);
		cr_assert_eq(
			result, FORCE_DONE, "%d after %lu us", (int)result, now_usec() - begin);
	}
	interruptions->door.stage->results[EPOCH]++;
	cr_assert_eq(detour_let_go(&detour), 0);
}

/* Microseconds of one. */
static double interrupt_often(struct interruptions *interruptions, long count, bool call)
{
	uint64_t spent = 0;

	for (long i = 0; i < count; i++) {
		uint64_t begin = now_usec();

		interrupt(interruptions, call);
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

static void expect_nothing_wrong(const long *counts)
{
	cr_expect_eq(counts[WRONG_REGISTERS], 0, "%ld", counts[WRONG_REGISTERS]);
	cr_expect_eq(counts[WRONG_VECTORS], 0, "%ld", counts[WRONG_VECTORS]);
	cr_expect_eq(counts[WRONG_CALLS], 0, "%ld", counts[WRONG_CALLS]);
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
	cr_log_warn("%ld calls, %u of them from inside a sequence: %.2f times a plain stop; "
		    "%ld rounds, %ld signals, %ld sequences aborted",
		count, interruptions.inside, forced / plain, door->stage->results[ROUNDS],
		door->stage->results[SIGNALS], door->stage->results[ABORTED]);
	cr_expect_eq(interruptions.entered, (unsigned)count);
	cr_expect_gt(interruptions.inside, 0);
	expect_nothing_wrong(door->stage->results);
	door->session = fork();
	if (door->session == 0)
		_exit(0);
	door_close(door);
}

#endif
