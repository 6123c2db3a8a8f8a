/* SPDX-License-Identifier: MIT */
/* Threads and processes as /proc shows them, and ending them for certain.
 *
 * A signal that was sent proves nothing: a thread may be held in a file system of somebody else's
 * and go on with its call afterwards, or not get to run. So each thread is looked at until it can
 * make no further system call and is in none: it is gone or dead; or its status shows no memory any
 * more, which an exiting thread gives up after it has left its last call; or it is stopped by a
 * tracer, from where with SIGKILL pending there is no way but to its end; or its process writes a
 * core. No thread comes up after SIGKILL: the kernel refuses clone then.
 *
 * Its "stat" would say more, but some kernels (6.18) let who reads that wait for an execve of the
 * process's, which somebody else's file system can hold up.
 */
#include "include/task.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "include/array.h"
#include "include/limits.h"
#include "include/syscalls.h"
#include "include/text.h"
#include "include/util.h"

#define CHECK_USEC    500
#define PATIENCE_USEC 20000 /* for those that get to run by themselves */
#define LISTS_TRIED   10
#define X32_BIT       0x40000000 /* in the numbers of calls of x32 programs */

int task_open(pid_t tid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d", tid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

static uint64_t number_of(const char *status, const char *key)
{
	uint64_t number;

	return text_numbers(status, key, 10, &number, 1) < 0 ? 0 : number;
}

static int read_text(int proc, const char *name, char **ret)
{
	int r = text_read_at(proc, name, STATUS_FILE_MAX, ret);

	return r == -ENOENT ? -ESRCH : r;
}

int task_read(int proc, struct task *ret)
{
	_cleanup_free_ char *status = NULL;
	const char *state;
	int r = read_text(proc, "status", &status);

	*ret = (struct task){0};
	if (r < 0)
		return r;
	state = text_field(status, "State");
	if (!state || state[0] != '\t')
		return -EBADMSG;
	*ret = (struct task){.state = state[1],
		.has_memory = text_field(status, "VmSize"),
		.writes_core = number_of(status, "CoreDumping") != 0,
		.threads = number_of(status, "Threads")};
	return 0;
}

int task_read_by_number(pid_t tid, struct task *ret)
{
	_cleanup_close_ int proc = task_open(tid);

	*ret = (struct task){0};
	return proc < 0 ? proc : task_read(proc, ret);
}

bool task_is_dead(const struct task *task)
{
	return task->state == 'Z' || task->state == 'X';
}

/* Field 22, counted from 1. The name, in parentheses, may hold anything; nothing after it does. */
int task_start(pid_t pid, uint64_t *ret)
{
	_cleanup_close_ int proc = task_open(pid);
	_cleanup_free_ char *stat = NULL;
	const char *after;
	int r = proc < 0 ? proc : read_text(proc, "stat", &stat);

	if (r < 0)
		return r;
	after = strrchr(stat, ')');
	return after && sscanf(after + 1,
				" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
				"%*d %*d %*d %" SCNu64,
				ret) == 1
		       ? 0
		       : -EBADMSG;
}

int task_call(int proc, struct task_call *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(proc, "syscall", &text);

	*ret = (struct task_call){0};
	if (r < 0)
		return r;
	/* "running", or the number with six arguments. */
	return sscanf(text, "%d %*s %*s %*s %*s %*s %*s %" SCNx64 " %" SCNx64, &ret->nr,
		       &ret->stack, &ret->place) >= 1
		       ? 0
		       : -EAGAIN;
}

bool task_has_host_ipc(void)
{
	char own[64], hosts[64];

	return text_link_at(AT_FDCWD, "/proc/self/ns/ipc", own, sizeof(own)) == 0 &&
	       text_link_at(AT_FDCWD, "/proc/1/ns/ipc", hosts, sizeof(hosts)) == 0 &&
	       streq(own, hosts);
}

bool pidfd_is_alive(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return pidfd >= 0 && poll(&p, 1, 0) == 0;
}

pid_t task_fork(void)
{
	const pid_t parent = getpid(), child = fork();

	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_FAILURE);
	}
	return child;
}

static int read_numbers(DIR *directory, pid_t **ret, size_t *ret_count)
{
	_cleanup_free_ pid_t *numbers = NULL;
	struct dirent *entry;
	size_t count = 0;

	while (errno = 0, (entry = readdir(directory))) {
		const pid_t number = atoi(entry->d_name);

		if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' &&
			array_append(&numbers, &count, &number, sizeof(number)) < 0)
			return -ENOMEM;
	}
	if (errno != 0)
		return -errno;
	*ret = take_pointer(numbers);
	*ret_count = count;
	return 0;
}

int task_list(int directory, const char *name, pid_t **ret, size_t *ret_count)
{
	int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *opened = fd < 0 ? NULL : fdopendir(fd);
	int r = -errno;

	if (opened) {
		r = read_numbers(opened, ret, ret_count);
		(void)closedir(opened);
	} else {
		(void)safe_close(fd);
	}
	return r;
}

static int list_threads_once(int proc, pid_t **ret, size_t *ret_count)
{
	_cleanup_free_ pid_t *threads = NULL;
	struct task before, after;
	int r = task_read(proc, &before);

	if (r == 0)
		r = task_list(proc, "task", &threads, ret_count);
	if (r == 0)
		r = task_read(proc, &after);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	if (*ret_count != before.threads || *ret_count != after.threads)
		return -EAGAIN;
	*ret = take_pointer(threads);
	return 0;
}

/* The kernel's list ends early if the thread that it stands at ends meanwhile. */
int task_list_threads(int proc, pid_t **ret, size_t *ret_count)
{
	int r = -EAGAIN;

	for (int i = 0; i < LISTS_TRIED && r == -EAGAIN; i++)
		r = list_threads_once(proc, ret, ret_count);
	return r;
}

static bool has_stopped(const struct task *task)
{
	return task_is_dead(task) || task->state == 't' || !task->has_memory || task->writes_core;
}

void task_make_ordinary(pid_t tid)
{
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	(void)sched_setaffinity(tid, sizeof(all), &all);
	(void)sched_setscheduler(tid, SCHED_OTHER, &(struct sched_param){0});
}

/* The kernel does nothing before it lets a thread of the highest class run. One that is in that
 * class and waits behind another is taken to a free processor only when it comes into it anew. */
static void lift(pid_t tid)
{
	const struct sched_param first = {.sched_priority = 1};

	task_make_ordinary(tid);
	/* Some control groups have no time for real-time threads. */
	if (sched_setscheduler(tid, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) < 0)
		(void)setpriority(PRIO_PROCESS, (id_t)tid, -20);
}

/* The number was somebody else's by then. */
static void take_back_lift(pid_t tid)
{
	task_make_ordinary(tid);
	(void)setpriority(PRIO_PROCESS, (id_t)tid, 0);
}

/* Held by the kernel in a call that is on no queue, by whatever table its number is. It was killed,
 * and makes no other. */
static bool is_in_other_call(int proc, const struct task *task)
{
	struct task_call call;

	if (task->state != 'D' || task_call(proc, &call) < 0)
		return false;
	for (size_t i = 0; intercepted_call_at(i); i++)
		if (((intercepted_call_at(i)->nr ^ call.nr) & ~X32_BIT) == 0)
			return false;
	return true;
}

/* How to look at those that were killed. */
enum manner { PATIENTLY, HURRYING, BY_THEIR_CALLS };

static bool thread_has_stopped(int process, pid_t tid, enum manner manner)
{
	_cleanup_close_ int proc = -EBADF;
	char path[32];
	struct task task = {0};
	int r;

	(void)snprintf(path, sizeof(path), "task/%d", tid);
	proc = openat(process, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = proc >= 0 ? task_read(proc, &task) : errno == ENOENT ? -ESRCH : -errno;
	if (r == -ESRCH || (r == 0 && has_stopped(&task)))
		return true;
	if (r == 0 && manner == BY_THEIR_CALLS)
		return is_in_other_call(proc, &task);
	if (manner == HURRYING) {
		lift(tid);
		if (task_read(proc, &task) == -ESRCH)
			take_back_lift(tid);
	}
	return false;
}

/* From a process that was killed threads only go: if there are as many as before, none did. */
static bool process_has_stopped(int proc, enum manner manner)
{
	_cleanup_free_ pid_t *threads = NULL;
	bool stopped = true;
	size_t count;

	if (task_list_threads(proc, &threads, &count) < 0)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!thread_has_stopped(proc, threads[i], manner))
			stopped = false;
	return stopped;
}

static bool is_gone(const struct victim *victim)
{
	return syscall(SYS_pidfd_send_signal, victim->pidfd, 0, NULL, 0) < 0 && errno == ESRCH;
}

/* The directory is opened by number: it is the victim's if that is not gone afterwards. */
static bool victim_has_stopped(const struct victim *victim, enum manner manner)
{
	_cleanup_close_ int proc = task_open(victim->pid);

	return is_gone(victim) || (proc >= 0 && process_has_stopped(proc, manner)) ||
	       is_gone(victim);
}

static size_t count_running(struct victim *victims, size_t count, enum manner manner)
{
	size_t running = 0;

	for (size_t i = 0; i < count; i++) {
		if (!victims[i].has_stopped)
			victims[i].has_stopped = victim_has_stopped(&victims[i], manner);
		running += !victims[i].has_stopped;
	}
	return running;
}

size_t victims_kill(struct victim *victims, size_t count, uint64_t deadline)
{
	uint64_t patience = now_usec() + PATIENCE_USEC;
	size_t running;

	for (size_t i = 0; i < count; i++)
		if (!victims[i].has_stopped)
			(void)syscall(SYS_pidfd_send_signal, victims[i].pidfd, SIGKILL, NULL, 0);
	for (;;) {
		/* It may be us who did not get to run: a last look comes after the deadline. */
		uint64_t now = now_usec();

		running = count_running(victims, count, now > patience ? HURRYING : PATIENTLY);
		if (running == 0 || now > deadline)
			return running;
		(void)usleep(CHECK_USEC);
	}
}

size_t victims_look_at_calls(struct victim *victims, size_t count)
{
	return count_running(victims, count, BY_THEIR_CALLS);
}
