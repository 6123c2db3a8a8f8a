/* SPDX-License-Identifier: MIT */
/* Threads and processes as /proc shows them, and ending them for certain.
 *
 * A signal that was sent proves nothing: a thread may be held in a file system of somebody else's
 * and go on with its call afterwards, or not get to run. So each thread is looked at until it can
 * make no further system call and is in none: it is gone or dead, or the kernel has set a flag that
 * only an exiting thread has, which has left its last call (PF_POSTCOREDUMP comes first, before a
 * tracer can hold it, then PF_EXITING), or writes a core. No thread comes up after SIGKILL: the
 * kernel refuses clone then.
 */
#include "include/task.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "include/util.h"

#define PF_EXITING      0x4
#define PF_POSTCOREDUMP 0x8
#define PF_DUMPCORE     0x200

#define CHECK_USEC    500
#define PATIENCE_USEC 20000 /* for those that get to run by themselves */

/* Fields 3, 9, 20 and 22, counted from 1. The name, in parentheses, may hold anything; nothing
 * after it does. */
static int parse(const char *line, struct task *ret)
{
	const char *after = strrchr(line, ')');

	if (!after || sscanf(after + 1,
			      " %c %*d %*d %*d %*d %*d %" SCNu64
			      " %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %" SCNu64 " %*d %" SCNu64,
			      &ret->state, &ret->flags, &ret->threads, &ret->start) != 4)
		return -EBADMSG;
	return 0;
}

int task_read(int proc, struct task *ret)
{
	_cleanup_close_ int fd = openat(proc, "stat", O_RDONLY | O_CLOEXEC);
	char line[1024];
	ssize_t n;

	*ret = (struct task){0};
	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (n < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	line[n] = '\0';
	return parse(line, ret);
}

int task_open(pid_t tid)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d", tid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : errno == ENOENT ? -ESRCH : -errno;
}

int task_read_by_number(pid_t tid, struct task *ret)
{
	_cleanup_close_ int proc = task_open(tid);

	*ret = (struct task){0};
	return proc < 0 ? proc : task_read(proc, ret);
}

static bool has_stopped(const struct task *task)
{
	return task->state == 'Z' || task->state == 'X' ||
	       (task->flags & (PF_EXITING | PF_POSTCOREDUMP | PF_DUMPCORE)) != 0;
}

/* The kernel does nothing before it lets a thread of the highest class run. */
static void lift(pid_t tid)
{
	const struct sched_param first = {.sched_priority = 1};
	cpu_set_t all;

	memset(&all, 0xff, sizeof(all));
	(void)sched_setaffinity(tid, sizeof(all), &all);
	/* Some control groups have no time for real-time threads. */
	if (sched_setscheduler(tid, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) < 0)
		(void)setpriority(PRIO_PROCESS, (id_t)tid, -20);
}

/* The number was somebody else's by then. */
static void take_back_lift(pid_t tid)
{
	(void)sched_setscheduler(tid, SCHED_OTHER, &(struct sched_param){0});
	(void)setpriority(PRIO_PROCESS, (id_t)tid, 0);
}

static bool thread_has_stopped(int threads, const char *number, bool hurry)
{
	_cleanup_close_ int proc = openat(threads, number, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct task task;
	int r = proc >= 0 ? task_read(proc, &task) : errno == ENOENT ? -ESRCH : -errno;

	if (r == -ESRCH || (r == 0 && has_stopped(&task)))
		return true;
	if (hurry) {
		lift(atoi(number));
		if (task_read(proc, &task) == -ESRCH)
			take_back_lift(atoi(number));
	}
	return false;
}

/* False also if one could not be looked at. */
static bool threads_have_stopped(DIR *threads, bool hurry, uint64_t *ret_count)
{
	bool stopped = true;
	struct dirent *entry;

	*ret_count = 0;
	while (errno = 0, (entry = readdir(threads))) {
		if (entry->d_name[0] == '.')
			continue;
		(*ret_count)++;
		if (!thread_has_stopped(dirfd(threads), entry->d_name, hurry))
			stopped = false;
	}
	return stopped && errno == 0;
}

/* The list ends early if a thread in it ends meanwhile. From a process that was killed threads only
 * go: the list was whole if there are as many as before. */
static bool process_has_stopped(int proc, bool hurry)
{
	int fd = openat(proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *threads = fd < 0 ? NULL : fdopendir(fd);
	struct task before, after;
	uint64_t count;
	bool stopped;

	if (!threads) {
		(void)safe_close(fd);
		return false;
	}
	stopped = task_read(proc, &before) == 0 && threads_have_stopped(threads, hurry, &count) &&
		  task_read(proc, &after) == 0 && count == before.threads && count == after.threads;
	(void)closedir(threads);
	return stopped;
}

static bool is_gone(const struct victim *victim)
{
	return syscall(SYS_pidfd_send_signal, victim->pidfd, 0, NULL, 0) < 0 && errno == ESRCH;
}

/* The directory is opened by number: it is the victim's if that is not gone afterwards. */
static bool victim_has_stopped(const struct victim *victim, bool hurry)
{
	_cleanup_close_ int proc = task_open(victim->pid);

	return is_gone(victim) || (proc >= 0 && process_has_stopped(proc, hurry)) ||
	       is_gone(victim);
}

static size_t count_running(struct victim *victims, size_t count, bool hurry)
{
	size_t running = 0;

	for (size_t i = 0; i < count; i++) {
		if (!victims[i].has_stopped)
			victims[i].has_stopped = victim_has_stopped(&victims[i], hurry);
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

		running = count_running(victims, count, now > patience);
		if (running == 0 || now > deadline)
			return running;
		(void)usleep(CHECK_USEC);
	}
}
