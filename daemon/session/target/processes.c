/* SPDX-License-Identifier: MIT */
/* The processes of a session whose calls were given back to the kernel.
 *
 * The pidfd is opened while the process is blocked in a notification of ours, so it is a process of
 * the session, and stays that process whatever becomes of the number. The manager has a copy before
 * the process is first given a call back: so it can be killed without this session process.
 *
 * A pidfd does not outlive its holders. So the next session process, also one of the next manager,
 * finds the process by what is noted: its pid, and from Linux 6.9 on the kernel's own number of it,
 * which is never given to another; before, when it began: another process could pass for it only if
 * it had got the same pid within the same hundredth of a second. */
#include "processes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "include/compat.h"
#include "include/task.h"
#include "include/util.h"

int process_open(pid_t pid, uint64_t *ret_identity)
{
	_cleanup_close_ int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -EBADF;
	struct statfs fs;
	struct stat st;
	int r = 0;

	/* EINVAL: it is being reaped, or no process but a thread. */
	if (pidfd < 0)
		return pid <= 0 || errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	if (fstat(pidfd, &st) < 0 || fstatfs(pidfd, &fs) < 0)
		return -errno;
	*ret_identity = st.st_ino;
	if (fs.f_type != PID_FS_MAGIC)
		/* Before 6.9. These kernels do not let us wait (common/task.c). */
		r = task_start(pid, ret_identity);
	return r < 0 ? r : take_fd(&pidfd);
}

/* A pidfd, -ESRCH if it is gone, or another negative errno. */
static int open_again(const struct process *noted)
{
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(noted->pid, &identity);

	if (pidfd < 0)
		return pidfd;
	return identity == noted->identity && pidfd_is_alive(pidfd) ? take_fd(&pidfd) : -ESRCH;
}

int processes_open(struct processes *processes, struct process_handles *ret)
{
	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++) {
		struct process *noted = &processes->entries[i];
		int r;

		ret->pidfds[i] = -EBADF;
		ret->told[i] = false;
		if (i >= processes->count)
			continue;
		r = noted->pid != 0 ? open_again(noted) : -EBADF;
		ret->pidfds[i] = r < 0 ? -EBADF : r;
		if (r == -ESRCH)
			__atomic_store_n(&noted->pid, 0, __ATOMIC_SEQ_CST);
		else if (r < 0 && noted->pid != 0)
			return r;
	}
	return 0;
}

int processes_find(
	const struct processes *processes, const struct process_handles *handles, pid_t pid)
{
	for (int i = 0; i < (int)processes->count; i++)
		if (processes->entries[i].pid == pid && pidfd_is_alive(handles->pidfds[i]))
			return i;
	return -1;
}

static int find_room(const struct processes *processes, const struct process_handles *handles)
{
	for (int i = 0; i < (int)processes->count; i++)
		if (processes->entries[i].pid == 0 && !handles->doomed[i])
			return i;
	if (processes->count < SESSION_PROCESSES_MAX)
		return (int)processes->count;
	for (int i = 0; i < SESSION_PROCESSES_MAX; i++)
		if (!pidfd_is_alive(handles->pidfds[i]) && !handles->doomed[i])
			return i;
	return -ENOSPC;
}

int processes_add(struct processes *processes, struct process_handles *handles, pid_t pid,
	uint64_t identity, int *pidfd)
{
	int place = find_room(processes, handles);
	struct process *entry;

	if (place < 0)
		return place;
	entry = &processes->entries[place];
	/* The number after the rest, and the count last: then all of it is there. */
	__atomic_store_n(&entry->pid, 0, __ATOMIC_SEQ_CST);
	entry->registered = 0;
	entry->identity = identity;
	__atomic_store_n(&entry->pid, pid, __ATOMIC_SEQ_CST);
	if (place == (int)processes->count)
		__atomic_store_n(&processes->count, (uint32_t)place + 1, __ATOMIC_SEQ_CST);
	(void)safe_close(handles->pidfds[place]);
	handles->pidfds[place] = take_fd(pidfd);
	handles->told[place] = false;
	return place;
}

bool processes_have_registered(const struct processes *processes)
{
	for (size_t i = 0; i < processes->count; i++)
		if (processes->entries[i].pid != 0 && processes->entries[i].registered)
			return true;
	return false;
}

/* The thread is asked for first: if the process has its number still afterwards, it had it then.
 * The first thread has the number of its process, and no other one can have it as long as that
 * lives. */
bool processes_have_thread(const struct processes *processes, const struct process_handles *handles,
	uint32_t place, pid_t tid)
{
	pid_t pid = place < SESSION_PROCESSES_MAX ? processes->entries[place].pid : 0;

	if (pid <= 0 || tid <= 0 || handles->pidfds[place] < 0)
		return false;
	if (tid != pid && syscall(SYS_tgkill, pid, tid, 0) < 0 && errno != EPERM)
		return false;
	return syscall(SYS_pidfd_send_signal, handles->pidfds[place], 0, NULL, 0) == 0 ||
	       errno == EPERM;
}
