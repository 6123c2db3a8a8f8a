/* SPDX-License-Identifier: MIT */
/* adversary MODE QUEUE DIRECTORY: an app that resists having QUEUE taken away, each mode in another
 * way. DIRECTORY is writable, and this mode's own.
 *
 * It says "ready" once it has the queue, and "got TEXT" of each message that it receives, with the
 * time. The test makes files in DIRECTORY to tell it what comes: "hold" when the queue is about to
 * be taken, "go" when it has been, so that what was held can do its worst. It never ends of itself.
 *
 *   execlease    threads in execve() of a script whose interpreter has a write lease
 *   execs        executes itself again and again, while a thread of it receives
 *   recycle      a thread calls and ends; a traced process gets its number ("wanted NUMBER" asks
 * the test to bring it round) and receives spent        threads call and end, and tell their
 * numbers: "spent NUMBER" chain        processes that fork and end at once traced       receivers
 * that are traced by their parent: one stays in its exit stop, one is kept where it enters the call
 *   stopped      receivers that are stopped by SIGSTOP
 *   idle         SCHED_IDLE receivers beside ten busy threads on the same processor
 *   dead-first   a process whose first thread is dead
 *   exchange     exchanges the descriptors of QUEUE and of QUEUE-kept under its calls
 *   register     the same under mq_notify, from "go" on; register-writer: from the beginning, and
 *                QUEUE may only be written; both rest at "end"
 *   flood        calls that are denied, as fast as they come
 *   listener     asks for a seccomp listener of its own: says "listener" if it gets one
 *   filters      as many filters on top as the kernel takes
 *   fuse-…       descriptor 9 is a file of a FUSE file system that does not answer (fuse-file):
 *   fuse-exec    stuck in execve(), which closes it
 *   fuse-exit    a stopped receiver has it open
 *   fuse-send    sends from a mapping of it
 *   fuse-name    has the name of a queue in a mapping of it
 *   fuse-receive receives into a mapping of it
 *
 * Outside of any session, for the test:
 *
 *   adversary decoys COUNT     so many processes with as many filters as the kernel takes
 *   adversary stuck DIRECTORY  one with a filter and no_new_privs, in execve() as above
 *   adversary innocent [NUMBER…]  for each number a process that has it (one without); says
 *                              "disturbed" if it is stopped
 *   adversary end              kills all adversaries, until none is left */
#include <dirent.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "adversary.h"

#define LINE_MAX_BYTES 256
#define STACK_BYTES    65536

const char *queue_name = "", *directory = "";

/* --- saying and being told ----------------------------------------------------------------- */

void say(const char *format, ...)
{
	char line[LINE_MAX_BYTES];
	struct timespec now;
	va_list arguments;
	int n;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	n = snprintf(line, sizeof(line), "%ld ", now.tv_sec * 1000L + now.tv_nsec / 1000000);
	va_start(arguments, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n, format, arguments);
	va_end(arguments);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n] = '\n';
	(void)!write(STDOUT_FILENO, line, (size_t)n + 1);
}

void give_up(const char *what)
{
	say("cannot attack: %s: %s", what, strerror(errno));
	_exit(99);
}

bool is_told(const char *word)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", directory, word);
	return access(path, F_OK) == 0;
}

void wait_until_told(const char *word)
{
	while (!is_told(word))
		pause_for(10);
}

void stay(void)
{
	for (;;)
		(void)pause();
}

/* --- queues -------------------------------------------------------------------------------- */

mqd_t open_queue(const char *suffix, int oflag)
{
	char name[NAME_MAX];
	mqd_t queue;

	(void)snprintf(name, sizeof(name), "%s%s", queue_name, suffix);
	queue = mq_open(name, oflag);
	if (queue < 0)
		give_up(name);
	return queue;
}

static bool tell_what_came(ssize_t n, const char *message)
{
	if (n >= 0)
		say("got %.*s", (int)n, message);
	else
		pause_for(1);
	return n >= 0;
}

bool receive_once(mqd_t queue, long milliseconds)
{
	struct timespec until = from_now(milliseconds);
	char message[MESSAGE_SIZE];

	return tell_what_came(
		mq_timedreceive(queue, message, sizeof(message), NULL, &until), message);
}

void receive_for_ever(mqd_t queue)
{
	char message[MESSAGE_SIZE];

	for (;;)
		(void)tell_what_came(mq_receive(queue, message, sizeof(message), NULL), message);
}

void *receive_in_thread(void *queue)
{
	receive_for_ever((mqd_t)(intptr_t)queue);
}

/* --- threads and processes ----------------------------------------------------------------- */

void start_thread(void *(*run)(void *), void *data)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, run, data);
	if (errno != 0)
		give_up("pthread_create");
}

pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid < 0)
		give_up("fork");
	if (pid == 0)
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

pid_t start_receiver(mqd_t queue)
{
	pid_t pid = start_child();

	if (pid == 0)
		receive_for_ever(queue);
	return pid;
}

pid_t start_sharer(int (*run)(void *))
{
	char *stack = malloc(STACK_BYTES);
	pid_t pid = stack ? clone(run, stack + STACK_BYTES, CLONE_VM | CLONE_FILES | SIGCHLD, NULL)
			  : -1;

	if (pid < 0)
		give_up("clone");
	return pid;
}

/* --- outside of any session ---------------------------------------------------------------- */

__attribute__((noreturn)) static void be_decoys(long count)
{
	pile_up_filters();
	say("ready");
	for (long i = 1; i < count; i++)
		if (start_child() == 0)
			break;
	stay();
}

__attribute__((noreturn)) static void be_stuck(const char *where)
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = 1, .filter = program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		give_up("seccomp");
	directory = where;
	get_stuck_in_execve(1);
	say("ready");
	stay();
}

/* Being stopped, or traced, ends epoll_wait(). */
__attribute__((noreturn)) static void notice(void)
{
	struct epoll_event event;
	int set = epoll_create1(EPOLL_CLOEXEC);

	for (;;) {
		(void)epoll_wait(set, &event, 1, -1);
		say("disturbed");
	}
}

static void be_numbered(pid_t number)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));

	if (pid == 0)
		notice();
	/* Or somebody else is innocent and has it. */
	if (pid < 0 && errno != EEXIST)
		give_up("clone3");
}

static int be_innocent(int count, char **numbers)
{
	for (int i = 0; i < count; i++)
		be_numbered((pid_t)atol(numbers[i]));
	say("ready");
	if (count == 0)
		notice();
	for (int status; wait(&status) > 0;)
		say("an innocent process has ended: wait status %#x", (unsigned)status);
	return 1;
}

/* Of a thread that is dead nothing is said: another one tells. */
static bool runs(const char *pid, const struct stat *program)
{
	char path[64];
	struct dirent *entry;
	struct stat st;
	DIR *threads;
	bool found = false;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/task", pid);
	threads = opendir(path);
	while (threads && !found && (entry = readdir(threads))) {
		(void)snprintf(path, sizeof(path), "/proc/%.20s/exe", entry->d_name);
		found = stat(path, &st) == 0 && st.st_dev == program->st_dev &&
			st.st_ino == program->st_ino;
	}
	if (threads)
		(void)closedir(threads);
	return found;
}

static bool is_adversary(const char *pid, const struct stat *program)
{
	return atol(pid) > 0 && atol(pid) != getpid() && runs(pid, program);
}

static unsigned kill_adversaries(const struct stat *program, int signal)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;
	unsigned count = 0;

	while (processes && (entry = readdir(processes)))
		if (is_adversary(entry->d_name, program)) {
			(void)kill((pid_t)atol(entry->d_name), signal);
			count++;
		}
	(void)closedir(processes);
	return count;
}

/* Those that fork all the time are stopped first. */
static int end_all(void)
{
	struct stat program;

	if (stat("/proc/self/exe", &program) < 0)
		return 1;
	for (int i = 0; i < 1000; i++) {
		for (int again = 0; again < 3; again++)
			(void)kill_adversaries(&program, SIGSTOP);
		if (kill_adversaries(&program, SIGKILL) == 0)
			return 0;
		pause_for(5);
	}
	return 1;
}

/* --- which one ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*attack)(void);
} modes[] = {
	{"execlease", attack_execlease},
	{"execs", attack_execs},
	{"recycle", attack_recycle},
	{"spent", attack_spent},
	{"chain", attack_chain},
	{"traced", attack_traced},
	{"stopped", attack_stopped},
	{"idle", attack_idle},
	{"dead-first", attack_dead_first},
	{"exchange", attack_exchange},
	{"register", attack_register},
	{"register-writer", attack_register_writer},
	{"flood", attack_flood},
	{"listener", attack_listener},
	{"filters", attack_filters},
	{"fuse-exec", attack_fuse_exec},
	{"fuse-exit", attack_fuse_exit},
	{"fuse-send", attack_fuse_send},
	{"fuse-name", attack_fuse_name},
	{"fuse-receive", attack_fuse_receive},
};

static int attack(const char *mode)
{
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, mode) == 0) {
			modes[i].attack();
			stay();
		}
	fprintf(stderr, "adversary %s: unknown\n", mode);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "end") == 0)
		return end_all();
	if (argc >= 2 && strcmp(argv[1], "innocent") == 0)
		return be_innocent(argc - 2, argv + 2);
	if (argc == 3 && strcmp(argv[1], "decoys") == 0)
		be_decoys(atol(argv[2]));
	if (argc == 3 && strcmp(argv[1], "stuck") == 0)
		be_stuck(argv[2]);
	if (argc != 4) {
		fprintf(stderr, "usage: adversary MODE QUEUE DIRECTORY\n");
		return 2;
	}
	queue_name = argv[2];
	directory = argv[3];
	return attack(argv[1]);
}
