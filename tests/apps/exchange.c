/* SPDX-License-Identifier: MIT */
/* Tries to get messages to a queue that it has lost, by exchanging what lies behind a number.
 *
 * usage: exchange LOST KEPT SECONDS ATTACK…
 *
 * Opens both, prints "ready" and waits for a line on stdin: by then LOST has been taken from it.
 * Then, for so long each, the attacks: one process calls again and again, with a number behind
 * which KEPT lies when the call begins, and does, or has others do, what puts LOST there meanwhile.
 * For each it prints how many calls it made and on which queue messages arrived, or why this
 * machine cannot have it ("ATTACK: cannot …"). Exits 1 if anything came to LOST.
 *
 * At last it tells whether fork, vfork, threads, posix_spawn and system work.
 *
 *	exchange list            the attacks there are
 *	exchange shares          exits 0 if a process can share its table with another by clone(2),
 *and there is no clone3(2) exchange shares-32-bit   the same, no clone3(2), of the calls of 32-bit
 *programs exchange again …         for itself: an attack that goes through execve(2) */
#include "exchange.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "tests/machine/int-0x80.h"

#define STACK     65536
#define UNCERTAIN 40 /* microseconds */
#define TOO_LONG  2000

mqd_t lost, kept;
int number;
struct score *score;

static const struct timespec past = {0};
static const char *attack_name;
static char **arguments;
static int score_fd;

/* --- calling ------------------------------------------------------------------------------- */

void cannot(const char *what)
{
	(void)printf("%s: cannot: %s: %s\n", attack_name, what, strerror(errno));
	(void)fflush(stdout);
	_exit(77);
}

static bool take_one(mqd_t queue)
{
	char buffer[MESSAGE_SIZE];

	return mq_timedreceive(queue, buffer, sizeof(buffer), NULL, &past) >= 0;
}

/* Refused: the exchange came before the look at the descriptor. Each refusal is dear, since those
 * that are repeated are answered late. */
static void learn(bool refused)
{
	if (refused && score->delay < TOO_LONG)
		score->delay += UNCERTAIN / 4;
	else if (score->delay > 0 && random() % 2 == 0)
		score->delay--;
}

static void count_message(void)
{
	if (take_one(kept))
		score->kept++;
	else
		score->lost++;
}

/* Without the library, which may look at the timeout. KEPT is taken from by the caller alone. */
static void send_behind(long fd, const struct timespec *timeout)
{
	bool sent = syscall(SYS_mq_timedsend, fd, "stolen", 6, 0, timeout) == 0;

	learn(!sent && (errno == EACCES || errno == EBADF));
	score->calls++;
	if (sent)
		count_message();
}

void send_with(int fd, const struct timespec *timeout)
{
	send_behind(fd, timeout);
}

void take_turn(void)
{
	(void)dup2(kept, number);
	score->turns++;
	send_with(number, &past);
}

void take_turns(void)
{
	for (;;)
		take_turn();
}

void spin(unsigned microseconds)
{
	struct timespec begin, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000 + (now.tv_nsec - begin.tv_nsec) / 1000 <
		(long)microseconds);
}

void wait_for_look(void)
{
	spin((unsigned)score->delay + (unsigned)random() % UNCERTAIN);
}

void wait_for_turn(void)
{
	while (score->taken == score->turns)
		(void)sched_yield();
	score->taken = score->turns;
	wait_for_look();
}

void exchange_once(void)
{
	(void)dup2(lost, number);
}

void start_thread(void *(*run)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, NULL) != 0)
		cannot("pthread_create");
	(void)pthread_detach(thread);
}

pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (pid < 0)
		cannot("fork");
	return pid;
}

/* --- threads ------------------------------------------------------------------------------- */

static void *exchange_at_each_turn(void *unused)
{
	for (;;) {
		wait_for_turn();
		exchange_once();
	}
	return unused;
}

static void attack_thread(void)
{
	start_thread(exchange_at_each_turn);
	take_turns();
}

/* Its caller is alone as soon as it is gone. */
static int exchange_and_end(void *unused)
{
	(void)unused;
	wait_for_look();
	exchange_once();
	(void)syscall(SYS_exit, 0);
	return 0;
}

#define THREAD_FLAGS \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_CHILD_CLEARTID)

static void attack_dying_thread(void)
{
	static char stack[STACK] __attribute__((aligned(16)));
	static atomic_int alive;

	for (;;) {
		(void)dup2(kept, number);
		alive = 1;
		if (clone(exchange_and_end, stack + STACK, THREAD_FLAGS, NULL, NULL, NULL, &alive) <
			0)
			cannot("clone");
		send_with(number, &past);
		while (alive)
			(void)sched_yield();
	}
}

/* There is always one, and each is soon gone. */
static void *exchange_and_hand_over(void *unused)
{
	wait_for_turn();
	exchange_once();
	start_thread(exchange_and_hand_over);
	return unused;
}

static void attack_thread_chain(void)
{
	start_thread(exchange_and_hand_over);
	take_turns();
}

static void *take_turns_in_thread(void *unused)
{
	take_turns();
	return unused;
}

static void attack_dead_leader(void)
{
	start_thread(exchange_at_each_turn);
	start_thread(take_turns_in_thread);
	(void)syscall(SYS_exit, 0);
}

/* The thread that has exchanged becomes the process, under the number of the one that calls. */
static void *exchange_and_execute(void *unused)
{
	char lost_text[16], kept_text[16], score_text[16], self[] = "/proc/self/exe";

	wait_for_turn();
	exchange_once();
	(void)snprintf(lost_text, sizeof(lost_text), "%d", lost);
	(void)snprintf(kept_text, sizeof(kept_text), "%d", kept);
	(void)snprintf(score_text, sizeof(score_text), "%d", score_fd);
	(void)close(number);
	(void)execl(
		self, arguments[0], "again", attack_name, lost_text, kept_text, score_text, NULL);
	return unused;
}

static void attack_exec(void)
{
	start_thread(exchange_and_execute);
	take_turns();
}

/* With a table of its own it changes nothing, and whoever shares it with others calls. */
static void *unshare_and_exchange(void *unused)
{
	(void)unshare(CLONE_FILES);
	return exchange_at_each_turn(unused);
}

static void attack_unshared_thread(void)
{
	start_thread(unshare_and_exchange);
	take_turns();
}

static void attack_unshared_caller(void)
{
	start_thread(exchange_at_each_turn);
	if (unshare(CLONE_FILES) < 0)
		cannot("unshare");
	take_turns();
}

/* --- processes ----------------------------------------------------------------------------- */

static int be_sharer(void *unused)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)exchange_at_each_turn(unused);
	return 0;
}

/* Goes on even if it got no sharer: what it may send must arrive. */
static void call_beside_sharer(unsigned long flags)
{
	static char stack[STACK] __attribute__((aligned(16)));

	(void)clone(be_sharer, stack + STACK, (int)flags | SIGCHLD, NULL);
	take_turns();
}

static void attack_sharer(void)
{
	call_beside_sharer(CLONE_FILES);
}

static void attack_sharer_of_memory(void)
{
	call_beside_sharer(CLONE_FILES | CLONE_VM);
}

static void attack_memory_only(void)
{
	call_beside_sharer(CLONE_VM);
}

static void call_or_share(long pid)
{
	if (pid == 0)
		(void)be_sharer(NULL);
	take_turns();
}

/* The kernel looks at the lower half of the flags. */
static void attack_sharer_upper_half(void)
{
	call_or_share(syscall(SYS_clone, CLONE_FILES | SIGCHLD | 1UL << 40, 0, 0, 0, 0));
}

static void attack_sharer_clone3(void)
{
	struct clone_args args = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};

	call_or_share(syscall(SYS_clone3, &args, sizeof(args)));
}

#if defined(__x86_64__)
#define COMPAT_CLONE  120
#define COMPAT_CLONE3 435

static void attack_sharer_32_bit(void)
{
	call_or_share(int_0x80_all(COMPAT_CLONE, (const long[5]){CLONE_FILES | SIGCHLD}));
}

static void attack_sharer_clone3_32_bit(void)
{
	struct clone_args *args = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (args == MAP_FAILED)
		cannot("mmap");
	args->flags = CLONE_FILES;
	args->exit_signal = SIGCHLD;
	call_or_share(int_0x80_all(COMPAT_CLONE3, (const long[5]){(long)args, sizeof(*args)}));
}

#define X32_CLONE 0x40000038

static void attack_sharer_x32(void)
{
	call_or_share(syscall(X32_CLONE, CLONE_FILES | SIGCHLD, 0, 0, 0, 0));
}
#endif

static int take_some_turns(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++)
		take_turn();
	return 0;
}

/* The child has its parent's memory; the parent's other thread exchanges in the parent's table. */
static void attack_vfork(void)
{
	static char stack[STACK] __attribute__((aligned(16)));

	start_thread(exchange_at_each_turn);
	for (;;) {
		pid_t pid = clone(
			take_some_turns, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			cannot("vfork");
	}
}

static void attack_fork(void)
{
	start_thread(exchange_at_each_turn);
	for (;;) {
		pid_t pid = start_child();

		if (pid == 0)
			_exit(take_some_turns(NULL));
		if (waitpid(pid, NULL, 0) != pid)
			cannot("waitpid");
	}
}

/* --- signals, filters, registers ----------------------------------------------------------- */

static void exchange_in_handler(int unused)
{
	(void)unused;
	exchange_once();
}

static void exchange_by_signals(void)
{
	struct itimerval timer = {{0, 150}, {0, 150}};
	struct sigaction action = {.sa_handler = exchange_in_handler, .sa_flags = SA_RESTART};

	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void attack_signal(void)
{
	exchange_by_signals();
	take_turns();
}

/* It waits for room, and is restarted. */
static void attack_signal_while_waiting(void)
{
	struct timespec soon;

	exchange_by_signals();
	for (int i = 0;; i++) {
		(void)dup2(kept, number);
		while (syscall(SYS_mq_timedsend, kept, "filler", 6, 0, &past) == 0)
			;
		soon = from_now(2);
		(void)syscall(SYS_mq_timedsend, number, "stolen", 6, 0, &soon);
		while (take_one(kept))
			;
		take_turn();
	}
}

static int filter_call(long nr, uint32_t action, unsigned flags)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog fprog = {sizeof(program) / sizeof(program[0]), program};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);
}

/* What they say counts less than the door. */
static void attack_filters(void)
{
	if (filter_call(SYS_mq_timedsend, SECCOMP_RET_ALLOW, 0) < 0 ||
		filter_call(SYS_mq_timedsend, SECCOMP_RET_LOG, 0) < 0 ||
		filter_call(SYS_mq_timedsend, SECCOMP_RET_TRACE, 0) < 0)
		cannot("seccomp");
	attack_sharer();
}

static void attack_listener(void)
{
	if (filter_call(SYS_mq_timedsend, SECCOMP_RET_USER_NOTIF,
		    SECCOMP_FILTER_FLAG_NEW_LISTENER) >= 0)
		score->lost++;
	take_turns();
}

static void attack_upper_half(void)
{
	for (;;) {
		(void)dup2(kept, number);
		send_behind((long)number | (long)lost << 32, &past);
	}
}

/* --- which there are ----------------------------------------------------------------------- */

static const struct attack {
	const char *name;
	void (*run)(void);
} attacks[] = {
	{"thread", attack_thread},
	{"dying-thread", attack_dying_thread},
	{"thread-chain", attack_thread_chain},
	{"dead-leader", attack_dead_leader},
	{"exec", attack_exec},
	{"unshared-thread", attack_unshared_thread},
	{"unshared-caller", attack_unshared_caller},
	{"sharer", attack_sharer},
	{"sharer-of-memory", attack_sharer_of_memory},
	{"memory-only", attack_memory_only},
	{"sharer-upper-half", attack_sharer_upper_half},
	{"sharer-clone3", attack_sharer_clone3},
#if defined(__x86_64__)
	{"sharer-32-bit", attack_sharer_32_bit},
	{"sharer-clone3-32-bit", attack_sharer_clone3_32_bit},
	{"sharer-x32", attack_sharer_x32},
	{"traced-entry", attack_traced_entry},
	{"traced-event", attack_traced_event},
	{"traced-restart", attack_traced_restart},
#endif
	{"traced-storm", attack_traced_storm},
	{"suspended", attack_suspended},
	{"vfork", attack_vfork},
	{"fork", attack_fork},
	{"signal", attack_signal},
	{"signal-while-waiting", attack_signal_while_waiting},
	{"filters", attack_filters},
	{"listener", attack_listener},
	{"upper-half", attack_upper_half},
	{"ring-worker", attack_ring_worker},
	{"ring-poll", attack_ring_poll},
	{"ring-deferred", attack_ring_deferred},
	{"ring-sqpoll", attack_ring_sqpoll},
	{"ring-inherited", attack_ring_inherited},
	{"fault-thread", attack_fault_thread},
	{"fault-child", attack_fault_child},
	{"fault-worker", attack_fault_worker},
	{"fault-poll", attack_fault_poll},
};
#define ATTACKS (sizeof(attacks) / sizeof(attacks[0]))

static const struct attack *find_attack(const char *name)
{
	for (size_t i = 0; i < ATTACKS; i++)
		if (strcmp(attacks[i].name, name) == 0)
			return &attacks[i];
	fprintf(stderr, "no attack %s\n", name);
	exit(2);
}

/* Their children end with them, and what shares a table with them may not be a child any more. */
static void run_attack(const struct attack *attack, long milliseconds)
{
	int status = 0;
	pid_t pid;

	memset(score, 0, sizeof(*score));
	attack_name = attack->name;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)setpgid(0, 0);
		attack->run();
		_exit(0);
	}
	for (long i = 0; i < milliseconds / 10 && waitpid(pid, &status, WNOHANG) == 0; i++)
		pause_for(10);
	(void)kill(-pid, SIGKILL);
	while (waitpid(-pid, NULL, 0) > 0)
		;
	pause_for(20);
	while (take_one(kept))
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return;
	(void)printf("%s: %lu calls, %lu arrived, %lu on the lost one\n", attack->name,
		(unsigned long)score->calls, (unsigned long)score->kept,
		(unsigned long)score->lost);
	(void)fflush(stdout);
}

/* --- what goes on working ------------------------------------------------------------------ */

static void *note(void *noted)
{
	*(int *)noted = 1;
	return NULL;
}

static bool ends_well(pid_t pid)
{
	int status;

	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static pid_t fork_to_end(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static pid_t vfork_to_end(void)
{
	pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	return pid;
}

static bool thread_works(void)
{
	pthread_t thread;
	int noted = 0;

	return pthread_create(&thread, NULL, note, &noted) == 0 &&
	       pthread_join(thread, NULL) == 0 && noted;
}

static bool spawn_works(void)
{
	char name[] = "true", *const command[] = {name, NULL}, *const none[] = {NULL};
	pid_t pid;

	return posix_spawnp(&pid, name, NULL, NULL, command, none) == 0 && ends_well(pid);
}

static int tell(const char *what, bool holds)
{
	(void)printf("%s: %s\n", what, holds ? "yes" : "no");
	return !holds;
}

/* How many do not. */
static int works(void)
{
	int bad = tell("fork", ends_well(fork_to_end()));

	bad += tell("vfork", ends_well(vfork_to_end()));
	bad += tell("thread", thread_works());
	bad += tell("posix_spawn", spawn_works());
	bad += tell("system", system("true") == 0);
	return bad;
}

/* -errno of who got no child. */
static long tried(long pid)
{
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -errno : pid;
}

static int shares(void)
{
	int bad = tell("clone",
		ends_well((pid_t)tried(syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0))));

	bad += tell("clone3", tried(syscall(SYS_clone3, NULL, 0)) == -ENOSYS);
	return bad > 0;
}

/* Dies where there are no such calls. */
static int shares_32_bit(void)
{
	int bad = 0;

#if defined(__x86_64__)
	bad += tell("32-bit clone3", int_0x80_all(COMPAT_CLONE3, (const long[5]){0}) == -ENOSYS);
#endif
	return bad > 0;
}

/* --- beginning ----------------------------------------------------------------------------- */

static mqd_t open_queue(const char *name)
{
	mqd_t queue = mq_open(name, O_RDWR);
	int inherited = queue < 0 ? -1 : dup(queue);

	if (inherited < 0)
		exit(failed("mq_open", name));
	return inherited;
}

static void map_score(void)
{
	score = mmap(NULL, sizeof(*score), PROT_READ | PROT_WRITE, MAP_SHARED, score_fd, 0);
	if (score == MAP_FAILED)
		exit(failed("mmap", "score"));
	number = dup(kept);
}

/* again ATTACK LOST KEPT SCORE: descriptors */
static int go_on(char *argv[])
{
	attack_name = argv[2];
	lost = atoi(argv[3]);
	kept = atoi(argv[4]);
	score_fd = atoi(argv[5]);
	map_score();
	score->taken = score->turns;
	/* Who was killed here may have left something. */
	while (take_one(kept))
		;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	find_attack(attack_name)->run();
	return 0;
}

static int attack_all(int argc, char *argv[])
{
	unsigned long through = 0;

	lost = open_queue(argv[1]);
	kept = open_queue(argv[2]);
	score_fd = memfd_create("score", 0);
	if (score_fd < 0 || ftruncate(score_fd, 4096) < 0)
		return failed("memfd_create", "score");
	map_score();
	(void)puts("ready");
	(void)fflush(stdout);
	if (getchar() == EOF)
		return 2;
	for (int i = 4; i < argc; i++) {
		run_attack(find_attack(argv[i]), (long)(atof(argv[3]) * 1000));
		through += score->lost;
	}
	return works() + (through > 0);
}

static int list(void)
{
	for (size_t i = 0; i < ATTACKS; i++)
		(void)puts(attacks[i].name);
	return 0;
}

int main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "";

	arguments = argv;
	if (argc > 4 && strcmp(what, "again") != 0)
		return attack_all(argc, argv);
	if (argc == 6)
		return go_on(argv);
	if (strcmp(what, "list") == 0)
		return list();
	if (strcmp(what, "shares") == 0)
		return shares();
	if (strcmp(what, "shares-32-bit") == 0)
		return shares_32_bit();
	return 2;
}
