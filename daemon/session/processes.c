/* SPDX-License-Identifier: MIT */
/* The processes of a session whose calls were given back to the kernel.
 *
 * The pidfd is opened while the process is blocked in a notification of ours, so it is a process of
 * the session, and stays that process whatever becomes of the number. The manager has a copy before
 * the process is first given a call back: so it can be killed without this session process.
 *
 * A pidfd does not outlive its holders. So the next session process, also one of the next manager,
 * finds the process by what is noted: its number, when it began, and from Linux 6.9 on the kernel's
 * own number of it, which is never given to another. Before, another process could pass for it only
 * if it had got the same number within the same hundredth of a second. */
#include "processes.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "include/compat.h"
#include "include/task.h"
#include "include/util.h"

/* A pidfd, or a negative errno. */
static int open_pidfd(pid_t pid, uint64_t *ret_number)
{
	_cleanup_close_ int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -EBADF;
	struct statfs fs;
	struct stat st;

	/* What the kernel says of one that is just being reaped. */
	if (pidfd < 0)
		return pid <= 0 || errno == EINVAL ? -ESRCH : -errno;
	if (fstat(pidfd, &st) < 0 || fstatfs(pidfd, &fs) < 0)
		return -errno;
	*ret_number = fs.f_type == PID_FS_MAGIC ? st.st_ino : 0;
	return take_fd(&pidfd);
}

static int read_start(pid_t pid, uint64_t *ret)
{
	_cleanup_close_ int proc = task_open(pid);

	return proc < 0 ? proc : task_start(proc, ret);
}

int process_open(pid_t pid, struct process *ret, int *ret_pidfd)
{
	struct process process = {.pid = pid};
	_cleanup_close_ int pidfd = open_pidfd(pid, &process.number);
	int r = pidfd < 0 ? pidfd : read_start(pid, &process.start);

	if (r < 0)
		return r;
	*ret = process;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

static bool is_gone(int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	return pidfd < 0 || poll(&p, 1, 0) != 0;
}

/* When it began is asked only where the kernel gives no numbers: it may have to be waited for. 0,
 * -ESRCH if it is gone, or another negative errno. */
static int open_again(const struct process *noted, int *ret_pidfd)
{
	struct process found = {0};
	_cleanup_close_ int pidfd = open_pidfd(noted->pid, &found.number);
	int r = pidfd < 0 ? pidfd : noted->number != 0 ? 0 : read_start(noted->pid, &found.start);

	if (r < 0)
		return r;
	if (found.number != noted->number || (found.number == 0 && found.start != noted->start) ||
		is_gone(pidfd))
		return -ESRCH;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

int processes_open(struct processes *processes, struct process_handles *ret)
{
	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++) {
		struct process *noted = &processes->entries[i];
		int r = 0;

		ret->pidfds[i] = -EBADF;
		ret->told[i] = false;
		if (noted->pid != 0)
			r = open_again(noted, &ret->pidfds[i]);
		if (r == -ESRCH)
			__atomic_store_n(&noted->pid, 0, __ATOMIC_SEQ_CST);
		else if (r < 0)
			return r;
	}
	return 0;
}

int processes_find(
	const struct processes *processes, const struct process_handles *handles, pid_t pid)
{
	for (int i = 0; i < SESSION_PROCESSES_MAX; i++)
		if (processes->entries[i].pid == pid && !is_gone(handles->pidfds[i]))
			return i;
	return -1;
}

static int find_room(const struct processes *processes, const struct process_handles *handles)
{
	for (int i = 0; i < SESSION_PROCESSES_MAX; i++)
		if (processes->entries[i].pid == 0 && !handles->doomed[i])
			return i;
	for (int i = 0; i < SESSION_PROCESSES_MAX; i++)
		if (is_gone(handles->pidfds[i]) && !handles->doomed[i])
			return i;
	return -ENOSPC;
}

int processes_add(struct processes *processes, struct process_handles *handles,
	const struct process *process, int *pidfd)
{
	int place = find_room(processes, handles);
	struct process *entry;

	if (place < 0)
		return place;
	entry = &processes->entries[place];
	/* The number last: then all of it is there. */
	__atomic_store_n(&entry->pid, 0, __ATOMIC_SEQ_CST);
	entry->registered = 0;
	entry->start = process->start;
	entry->number = process->number;
	__atomic_store_n(&entry->pid, process->pid, __ATOMIC_SEQ_CST);
	(void)safe_close(handles->pidfds[place]);
	handles->pidfds[place] = take_fd(pidfd);
	handles->told[place] = false;
	return place;
}

/* The thread is asked for first: if the process has its number still afterwards, it had it then. */
bool processes_have_thread(const struct processes *processes, const struct process_handles *handles,
	uint32_t place, pid_t tid)
{
	pid_t pid = place < SESSION_PROCESSES_MAX ? processes->entries[place].pid : 0;

	if (pid <= 0 || tid <= 0 || handles->pidfds[place] < 0)
		return false;
	if (syscall(SYS_tgkill, pid, tid, 0) < 0 && errno != EPERM)
		return false;
	return syscall(SYS_pidfd_send_signal, handles->pidfds[place], 0, NULL, 0) == 0 ||
	       errno == EPERM;
}
