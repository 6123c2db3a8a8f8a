/* SPDX-License-Identifier: MIT */
/* The calling thread. */
#include "target.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "child.h"
#include "include/compat.h"
#include "include/limits.h"
#include "include/mountinfo.h"
#include "include/task.h"
#include "include/text.h"
#include "threads.h"

#define LOOKS_TRIED 3 /* at a process whose threads come and go */

static int open_at(int directory, const char *below, pid_t tid, struct target *ret)
{
	char path[32];
	int fd;

	if (tid <= 0)
		return -ESRCH;
	(void)snprintf(path, sizeof(path), "%s/%d", below, tid);
	fd = openat(directory, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*ret = TARGET_CLOSED;
	ret->tid = tid;
	ret->proc = fd;
	return 0;
}

int target_open(pid_t tid, struct target *ret)
{
	return open_at(AT_FDCWD, "/proc", tid, ret);
}

int target_open_thread(int proc, pid_t tid, struct target *ret)
{
	return open_at(proc, "task", tid, ret);
}

void target_close(struct target *target)
{
	if (!target->lent)
		(void)safe_close(target->proc);
	if (!target->status_lent)
		(void)safe_close(target->status);
	if (!target->memory_lent) {
		(void)safe_close(target->memory);
		(void)safe_close(target->maps);
	}
	*target = TARGET_CLOSED;
}

/* Opens a file of /proc/TID unless it is open. */
static int need(const struct target *target, int *fd, const char *name, int flags)
{
	if (*fd < 0)
		*fd = openat(target->proc, name, flags | O_CLOEXEC);
	return *fd < 0 ? -errno : 0;
}

int target_status(struct target *target, char **ret)
{
	int r = need(target, &target->status, "status", O_RDONLY);

	return r < 0 ? r : text_read(target->status, STATUS_FILE_MAX, ret);
}

/* One mapping of the app. */
struct mapping {
	uint64_t start, end;
	bool accessible; /* in any way: then the processor can also read it */
	bool writable;
};

static int find_mapping_by_query(int maps, uint64_t address, struct mapping *ret)
{
	struct procmap_query query = {.size = sizeof(query), .query_addr = address};

	if (ioctl(maps, PROCMAP_QUERY, &query) < 0)
		return errno == ENOENT ? -EFAULT : -errno;
	*ret = (struct mapping){.start = query.vma_start,
		.end = query.vma_end,
		.accessible = query.vma_flags & PROCMAP_QUERY_VMA_ACCESSIBLE,
		.writable = query.vma_flags & PROCMAP_QUERY_VMA_WRITABLE};
	return 0;
}

/* Takes the descriptor. NULL if there is none, or no memory. */
static FILE *open_stream(int fd)
{
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

	if (!f)
		(void)safe_close(fd);
	return f;
}

/* Before 6.11. */
static int find_mapping_by_line(int maps, uint64_t address, struct mapping *ret)
{
	_cleanup_fclose_ FILE *f = open_stream(fcntl(maps, F_DUPFD_CLOEXEC, 3));
	_cleanup_free_ char *line = NULL;
	size_t allocated = 0;

	if (!f)
		return -ENOMEM;
	/* The position is shared with the descriptor that was read before. */
	rewind(f);
	while (getline(&line, &allocated, f) > 0) {
		char r, w, x;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %c%c%c", &ret->start, &ret->end, &r, &w,
			    &x) != 5)
			return -EBADMSG;
		if (address >= ret->start && address < ret->end) {
			ret->accessible = r == 'r' || w == 'w' || x == 'x';
			ret->writable = w == 'w';
			return 0;
		}
	}
	return -EFAULT;
}

/* Reading through /proc goes past the protection of pages; the app's own call would not. */
static int check_protection(struct target *target, uint64_t address, size_t size, bool write)
{
	uint64_t at = address;

	if (need(target, &target->maps, "maps", O_RDONLY) < 0)
		return -EPERM;
	while (at < address + size) {
		struct mapping mapping;
		int r = find_mapping_by_query(target->maps, at, &mapping);

		if (r == -ENOTTY)
			r = find_mapping_by_line(target->maps, at, &mapping);
		if (r < 0)
			return r == -EFAULT ? r : -EPERM;
		if (write ? !mapping.writable : !mapping.accessible)
			return -EFAULT;
		at = mapping.end;
	}
	return 0;
}

/* Not process_vm_readv(): a page served by userfaultfd could hold that for ever; here it is an
 * error at once. */
static int read_memory(void *context, uint64_t address, void *buffer, size_t size)
{
	struct target *target = context;
	ssize_t n;
	int r;

	if (address > INT64_MAX - size)
		return -EFAULT;
	r = check_protection(target, address, size, false);
	if (r < 0)
		return r;
	if (need(target, &target->memory, "mem", O_RDWR) < 0)
		return -EPERM;
	n = pread(target->memory, buffer, size, (off_t)address);
	if (n == (ssize_t)size)
		return 0;
	return n >= 0 || errno == EIO || errno == EFAULT ? -EFAULT : -EPERM;
}

int target_write(struct target *target, uint64_t address, const void *data, size_t size)
{
	int r;

	if (size == 0)
		return 0;
	if (address > INT64_MAX - size)
		return -EFAULT;
	r = check_protection(target, address, size, true);
	if (r < 0)
		return r;
	if (need(target, &target->memory, "mem", O_RDWR) < 0)
		return -EPERM;
	return pwrite(target->memory, data, size, (off_t)address) == (ssize_t)size ? 0 : -EFAULT;
}

struct app_memory target_memory(struct target *target)
{
	return (struct app_memory){.read = read_memory, .context = target};
}

DIR *target_open_table(const struct target *target)
{
	int fd = openat(target->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *table = fd < 0 ? NULL : fdopendir(fd);

	if (!table)
		(void)safe_close(fd);
	return table;
}

int table_next(DIR *table, int *ret)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(table);
	} while (entry && entry->d_name[0] == '.');
	if (!entry)
		return -errno;
	*ret = atoi(entry->d_name);
	return 1;
}

/* What moves about in the table may be behind a number that was passed, or in front of the next. */
int target_for_each_descriptor(const struct target *target,
	int (*visit)(void *context, const struct target *target, int number), void *context)
{
	DIR *table = target_open_table(target);
	struct stat st = {0};
	bool moves = false;
	off_t seen = 0;
	int number = -1, r;

	if (!table)
		return -EIO;
	(void)fstat(dirfd(table), &st);
	while ((r = table_next(table, &number)) > 0) {
		seen++;
		r = visit(context, target, number);
		moves = moves || r == -EBADF;
		if (r != 0 && r != -EBADF)
			break;
	}
	(void)closedir(table);
	/* Before Linux 6.2 it has no size. */
	return r == 0 && (moves || (st.st_size > 0 && st.st_size != seen)) ? -EAGAIN : r;
}

static bool share_table(pid_t a, pid_t b)
{
	bool shared;

	step_begin();
	shared = a != 0 && syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
	step_end();
	return shared;
}

/* -EAGAIN: it has ended, and may have handed on what it had. The first one may have ended long ago.
 */
static int visit_table(int proc, pid_t tid, pid_t *visited,
	int (*visit)(void *context, struct target *thread), void *context)
{
	struct target thread;
	int r = target_open_thread(proc, tid, &thread);

	if (r < 0)
		return r == -ESRCH ? -EAGAIN : r;
	if (thread_is_dead(thread.proc)) {
		uint64_t first = 0;

		(void)text_status_at(proc, "Pid", &first);
		r = tid == (pid_t)first ? 0 : -EAGAIN;
	} else if (!share_table(*visited, tid)) {
		r = visit(context, &thread);
		*visited = tid;
	}
	target_close(&thread);
	return r;
}

static int visit_tables(int proc, int (*visit)(void *context, struct target *thread), void *context)
{
	_cleanup_free_ pid_t *threads = NULL;
	size_t count;
	pid_t visited = 0;
	struct task task = {0};
	int r = task_list_threads(proc, &threads, &count);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = visit_table(proc, threads[i], &visited, visit, context);
	if (r == 0)
		r = task_read(proc, &task);
	return r == 0 && task.threads != count ? -EAGAIN : r;
}

int target_for_each_table(
	int proc, int (*visit)(void *context, struct target *thread), void *context)
{
	int r = -EAGAIN;

	for (int i = 0; i < LOOKS_TRIED && r == -EAGAIN; i++)
		r = visit_tables(proc, visit, context);
	return r;
}

/* How many descriptors below the limit are in use, one by one. */
static int count_descriptors(const struct target *target, rlim_t below, uint64_t *ret)
{
	DIR *table = target_open_table(target);
	int fd = -1, r;

	if (!table)
		return -EIO;
	*ret = 0;
	while ((r = table_next(table, &fd)) > 0)
		*ret += (rlim_t)fd < below;
	(void)closedir(table);
	return r;
}

int target_count_threads(const struct target *target, uint64_t *ret)
{
	struct stat st;

	if (fstatat(target->proc, "task", &st, 0) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	/* Each thread is a link, as a directory's "." and its name are. */
	if (st.st_nlink <= 2)
		return -ESRCH;
	*ret = st.st_nlink - 2;
	return 0;
}

static pid_t other_thread(const pid_t *threads, size_t count, pid_t first)
{
	for (size_t i = 0; i < count; i++)
		if (threads[i] != first)
			return threads[i];
	return 0;
}

static bool has_thread(const struct target *target, pid_t tid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", tid);
	return faccessat(target->proc, path, F_OK, 0) == 0;
}

int target_open_witness(const struct target *target)
{
	_cleanup_free_ pid_t *threads = NULL;
	struct target witness = TARGET_CLOSED;
	uint64_t first;
	size_t count;
	int r = text_status_at(target->proc, "Tgid", &first);

	if (r < 0)
		return r;
	/* Another one's witness would say nothing of the number of this one. */
	if (target->tid != (pid_t)first)
		return target_open(target->tid, &witness) < 0 ? -ESRCH : witness.proc;
	r = task_list_threads(target->proc, &threads, &count);
	r = r < 0 ? r : target_open(other_thread(threads, count, target->tid), &witness);
	if (r == 0 && !has_thread(&witness, target->tid)) {
		target_close(&witness);
		r = -ESRCH;
	}
	return r < 0 ? r : witness.proc;
}

int target_limits(const struct target *target, struct target_limits *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = text_read_at(target->proc, "limits", LIMITS_FILE_MAX, &text);

	if (r < 0)
		return r;
	r = text_limit(text, "Max msgqueue size", &ret->queue_bytes);
	return r < 0 ? r : text_limit(text, "Max open files", &ret->descriptors);
}

int target_table_is_full(const struct target *target, rlim_t below)
{
	struct stat st;
	uint64_t used = 0;
	int r;

	if (fstatat(target->proc, "fd", &st, 0) < 0)
		return -errno;
	/* Since 6.2 the size of that directory is the number of open descriptors, at or above the
	 * limit ones included. Before, it is 0: then, and when there may be too many, they are
	 * counted. */
	if (st.st_size > 0 && (rlim_t)st.st_size < below)
		return 0;
	r = count_descriptors(target, below, &used);
	return r < 0 ? r : used >= below;
}

/* With DONT_SYNC and no field asked for, no file system asks a server; type, device and inode are
 * always there. */
static int describe(int directory, const char *path, int flags, struct descriptor *ret)
{
	struct statx sx = {0};

	if (statx(directory, path, flags | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_MNT_ID,
		    &sx) < 0)
		return -errno;
	*ret = (struct descriptor){
		.key = {.device = makedev(sx.stx_dev_major, sx.stx_dev_minor), .inode = sx.stx_ino},
		.mount = sx.stx_mask & STATX_MNT_ID ? sx.stx_mnt_id : 0,
		.regular = S_ISREG(sx.stx_mode)};
	return 0;
}

int target_descriptor(const struct target *target, int fd, struct descriptor *ret)
{
	char path[32];
	int r;

	if (fd < 0)
		return -EBADF;
	(void)snprintf(path, sizeof(path), "fd/%d", fd);
	step_begin();
	r = describe(target->proc, path, 0, ret);
	step_end();
	return r == -ENOENT ? -EBADF : r;
}

int target_descriptor_access(const struct target *target, int fd, uint32_t *ret)
{
	struct stat st;
	char path[32];

	if (fd < 0)
		return -EBADF;
	(void)snprintf(path, sizeof(path), "fd/%d", fd);
	/* The link has the mode of the open file. */
	if (fstatat(target->proc, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? -EBADF : -errno;
	*ret = (st.st_mode & S_IRUSR ? PERMISSION_READ : 0U) |
	       (st.st_mode & S_IWUSR ? PERMISSION_WRITE : 0U);
	return 0;
}

int own_descriptor(int fd, struct descriptor *ret)
{
	return describe(fd, "", AT_EMPTY_PATH, ret);
}

int target_descriptor_link(const struct target *target, int fd, char *buffer, size_t size)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "fd/%d", fd);
	return text_link_at(target->proc, path, buffer, size);
}

int target_descriptor_flags(const struct target *target, int fd, int *ret)
{
	_cleanup_free_ char *text = NULL;
	char path[32];
	uint64_t flags;
	int r;

	(void)snprintf(path, sizeof(path), "fdinfo/%d", fd);
	r = text_read_at(target->proc, path, LIMITS_FILE_MAX, &text);
	r = r < 0 ? r : text_numbers(text, "flags", 8, &flags, 1);
	*ret = r < 0 ? 0 : (int)flags;
	return r;
}

/* The descriptor came from the table of the process's first thread. The calling thread may have
 * another table, so that the same number is another file there. */
static bool is_file_of(const struct target *target, int fd, int copy)
{
	return syscall(SYS_kcmp, getpid(), target->tid, KCMP_FILE, copy, fd) == 0;
}

int target_copy_descriptor(const struct target *target, int fd)
{
	_cleanup_close_ int pidfd = -EBADF, copy = -EBADF;
	bool of_process;

	pidfd = thread_open_pidfd(target->proc, target->tid, &of_process);
	if (pidfd < 0)
		return pidfd;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (copy < 0)
		return -errno;
	return of_process && !is_file_of(target, fd, copy) ? -EBADF : take_fd(&copy);
}

/* mqueue gives its files none. FUSE answers this without its server. */
static bool has_handle(const struct target *target, int fd)
{
	struct file_handle handle = {.handle_bytes = 0};
	char path[32];
	int mount;

	(void)snprintf(path, sizeof(path), "fd/%d", fd);
	return name_to_handle_at(target->proc, path, &handle, &mount, AT_SYMLINK_FOLLOW) == 0 ||
	       errno == EOVERFLOW;
}

/* True if the mount is among those that the thread sees, and of another file system. As long as the
 * descriptor is open nothing else gets the mount's number. */
static bool is_elsewhere(const struct target *target, uint64_t mount)
{
	_cleanup_fclose_ FILE *f =
		open_stream(openat(target->proc, "mountinfo", O_RDONLY | O_CLOEXEC));
	_cleanup_free_ char *line = NULL;
	struct mount_entry entry;
	size_t allocated = 0;

	/* Line by line: the app can make it as long as it likes. */
	while (f && getline(&line, &allocated, f) > 0)
		if (mountinfo_parse(line, &entry) == 0 && entry.id == mount)
			return !streq(entry.type, "mqueue");
	return false;
}

bool target_may_be_queue(const struct target *target, int fd, uint64_t mount)
{
	return !has_handle(target, fd) && !is_elsewhere(target, mount);
}

#define BIT_OF(signal)     (UINT64_C(1) << ((signal)-1))
#define IGNORED_BY_DEFAULT (BIT_OF(SIGCHLD) | BIT_OF(SIGCONT) | BIT_OF(SIGURG) | BIT_OF(SIGWINCH))

/* Those of a set that it neither blocks nor ignores. */
static uint64_t heeded(const char *status, uint64_t signals)
{
	uint64_t blocked, ignored, caught;

	if (text_numbers(status, "SigBlk", 16, &blocked, 1) < 0 ||
		text_numbers(status, "SigIgn", 16, &ignored, 1) < 0 ||
		text_numbers(status, "SigCgt", 16, &caught, 1) < 0)
		return 0;
	return signals & ~blocked & ~ignored & ~(IGNORED_BY_DEFAULT & ~caught);
}

bool target_has_signal(struct target *target)
{
	_cleanup_free_ char *status = NULL;
	uint64_t own, shared;

	return target_status(target, &status) == 0 &&
	       text_numbers(status, "SigPnd", 16, &own, 1) == 0 &&
	       text_numbers(status, "ShdPnd", 16, &shared, 1) == 0 &&
	       heeded(status, own | shared) != 0;
}
