/* SPDX-License-Identifier: MIT */
/* The calling thread. */
#include "target.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "include/compat.h"
#include "include/limits.h"

int target_open(pid_t tid, struct target *ret)
{
	char path[32];
	int fd;

	if (tid <= 0)
		return -ESRCH;
	(void)snprintf(path, sizeof(path), "/proc/%d", tid);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*ret = (struct target){.tid = tid, .proc = fd, .memory = -EBADF};
	return 0;
}

void target_close(struct target *target)
{
	target->proc = safe_close(target->proc);
	target->memory = safe_close(target->memory);
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

/* Before 6.11. */
static int find_mapping_by_line(int maps, uint64_t address, struct mapping *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t allocated = 0;
	int fd = fcntl(maps, F_DUPFD_CLOEXEC, 3);

	if (fd < 0)
		return -errno;
	f = fdopen(fd, "r");
	if (!f) {
		(void)safe_close(fd);
		return -ENOMEM;
	}
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
static int check_protection(const struct target *target, uint64_t address, size_t size, bool write)
{
	_cleanup_close_ int maps = openat(target->proc, "maps", O_RDONLY | O_CLOEXEC);
	uint64_t at = address;

	if (maps < 0)
		return -EPERM;
	while (at < address + size) {
		struct mapping mapping;
		int r = find_mapping_by_query(maps, at, &mapping);

		if (r == -ENOTTY)
			r = find_mapping_by_line(maps, at, &mapping);
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
	if (target->memory < 0)
		target->memory = openat(target->proc, "mem", O_RDWR | O_CLOEXEC);
	if (target->memory < 0)
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
	if (target->memory < 0)
		target->memory = openat(target->proc, "mem", O_RDWR | O_CLOEXEC);
	if (target->memory < 0)
		return -EPERM;
	return pwrite(target->memory, data, size, (off_t)address) == (ssize_t)size ? 0 : -EFAULT;
}

struct app_memory target_memory(struct target *target)
{
	return (struct app_memory){.read = read_memory, .context = target};
}

/* A file of /proc/TID as text, with a NUL at its end. -E2BIG if it is larger than max. */
static int read_text(const struct target *target, const char *name, size_t max, char **ret)
{
	_cleanup_close_ int fd = openat(target->proc, name, O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	size_t have = 0, allocated = 0;

	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		if (have + 1 >= allocated) {
			char *grown;

			if (allocated > max)
				return -E2BIG;
			allocated = allocated ? 2 * allocated : 4096;
			grown = realloc(text, allocated);
			if (!grown)
				return -ENOMEM;
			text = grown;
		}
		n = read(fd, text + have, allocated - have - 1);
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	text[have] = '\0';
	*ret = take_pointer(text);
	return 0;
}

/* The text after "\nKEY:". No value of the app's own can look like a line: the kernel escapes
 * newlines in its name. */
static const char *field(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			return line + length + 1;
	}
	return NULL;
}

static int parse_numbers(const char *text, const char *key, int base, uint64_t *ret, size_t count)
{
	const char *at = field(text, key);

	if (!at)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++) {
		char *end;

		errno = 0;
		ret[i] = strtoull(at, &end, base);
		if (errno != 0 || end == at)
			return -EBADMSG;
		at = end;
	}
	return 0;
}

static int parse_groups(const char *text, struct identity *identity)
{
	const char *at = field(text, "Groups");
	size_t allocated = 0;

	if (!at)
		return -EBADMSG;
	for (;;) {
		unsigned long group;
		char *end;

		at += strspn(at, " \t");
		if (*at == '\n' || *at == '\0')
			return 0;
		group = strtoul(at, &end, 10);
		if (end == at || group > UINT32_MAX || identity->group_count >= TARGET_GROUPS_MAX)
			return -EBADMSG;
		at = end;
		if (identity->group_count == allocated) {
			gid_t *grown;

			allocated = allocated ? 2 * allocated : 32;
			grown = reallocarray(identity->groups, allocated, sizeof(gid_t));
			if (!grown)
				return -ENOMEM;
			identity->groups = grown;
		}
		identity->groups[identity->group_count++] = (gid_t)group;
	}
}

static void parse_command(const char *text, struct identity *identity)
{
	const char *at = field(text, "Name");
	size_t length;

	if (!at)
		return;
	at += strspn(at, "\t ");
	length = MIN(strcspn(at, "\n"), sizeof(identity->command) - 1);
	memcpy(identity->command, at, length);
}

static int parse_status(const char *text, struct identity *identity)
{
	uint64_t uids[4], gids[4], capabilities, mask, tgid;
	int r;

	if ((r = parse_numbers(text, "Uid", 10, uids, 4)) < 0 ||
		(r = parse_numbers(text, "Gid", 10, gids, 4)) < 0 ||
		(r = parse_numbers(text, "CapEff", 16, &capabilities, 1)) < 0 ||
		(r = parse_numbers(text, "Umask", 8, &mask, 1)) < 0 ||
		(r = parse_numbers(text, "Tgid", 10, &tgid, 1)) < 0)
		return r;
	identity->real_uid = (uid_t)uids[0];
	identity->effective_uid = (uid_t)uids[1];
	identity->fs_uid = (uid_t)uids[3];
	identity->real_gid = (gid_t)gids[0];
	identity->effective_gid = (gid_t)gids[1];
	identity->fs_gid = (gid_t)gids[3];
	identity->capabilities = capabilities;
	identity->umask = (mode_t)mask;
	identity->tgid = (pid_t)tgid;
	parse_command(text, identity);
	return parse_groups(text, identity);
}

/* "unlimited" is what strtoull() does not read. */
static int parse_limit(const char *text, const char *name, rlim_t *ret)
{
	const char *at = strstr(text, name);
	unsigned long long value;
	char *end;

	if (!at)
		return -EBADMSG;
	at += strlen(name);
	at += strspn(at, " ");
	if (startswith(at, "unlimited")) {
		*ret = RLIM_INFINITY;
		return 0;
	}
	errno = 0;
	value = strtoull(at, &end, 10);
	if (errno != 0 || end == at)
		return -EBADMSG;
	*ret = value;
	return 0;
}

static int read_limit(const struct target *target, const char *name, rlim_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = read_text(target, "limits", LIMITS_FILE_MAX, &text);

	return r < 0 ? r : parse_limit(text, name, ret);
}

int namespaces_get(int proc, struct namespaces *ret)
{
	struct stat st;

	if (fstatat(proc, "ns/user", &st, 0) < 0)
		return -errno;
	ret->user_device = st.st_dev;
	ret->user_inode = st.st_ino;
	if (fstatat(proc, "ns/ipc", &st, 0) < 0)
		return -errno;
	ret->ipc_device = st.st_dev;
	ret->ipc_inode = st.st_ino;
	return 0;
}

static int identity_namespaces(
	const struct target *target, const struct namespaces *own, struct identity *identity)
{
	struct namespaces its;
	int r = namespaces_get(target->proc, &its);

	if (r < 0)
		return r;
	/* A set of capabilities counts in the user namespace of the thread that has it, and /proc
	 * shows it without saying so: any user has a full one in a namespace of their own. Lent to
	 * us it would be root's. */
	if (its.user_device != own->user_device || its.user_inode != own->user_inode)
		identity->capabilities = 0;
	if (its.ipc_device == own->ipc_device && its.ipc_inode == own->ipc_inode)
		return 0;
	identity->ipc_namespace = openat(target->proc, "ns/ipc", O_RDONLY | O_CLOEXEC);
	return identity->ipc_namespace < 0 ? -errno : 0;
}

void identity_clear(struct identity *identity)
{
	free(identity->groups);
	(void)safe_close(identity->ipc_namespace);
	*identity = IDENTITY_NONE;
}

int target_identity(const struct target *target, const struct namespaces *own, struct identity *ret)
{
	_cleanup_(identity_clear) struct identity identity = IDENTITY_NONE;
	_cleanup_free_ char *status = NULL;
	int r;

	if ((r = read_text(target, "status", STATUS_FILE_MAX, &status)) < 0 ||
		(r = parse_status(status, &identity)) < 0 ||
		(r = identity_namespaces(target, own, &identity)) < 0 ||
		(r = read_limit(target, "Max msgqueue size", &identity.queue_bytes)) < 0)
		return r;
	*ret = identity;
	identity = IDENTITY_NONE;
	return 0;
}

static int open_descriptors(const struct target *target, DIR **ret)
{
	int fd = openat(target->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = fdopendir(fd);
	if (!*ret) {
		(void)safe_close(fd);
		return -ENOMEM;
	}
	return 0;
}

DIR *target_open_table(const struct target *target)
{
	DIR *table = NULL;

	return open_descriptors(target, &table) < 0 ? NULL : table;
}

/* The next number, or -1. */
static int64_t next_descriptor(DIR *dir)
{
	struct dirent *entry;

	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			return strtoll(entry->d_name, NULL, 10);
	return -1;
}

/* How many descriptors below the limit are in use, one by one. */
static int count_descriptors(const struct target *target, rlim_t below, uint64_t *ret)
{
	int64_t fd;
	DIR *dir;
	int r = open_descriptors(target, &dir);

	if (r < 0)
		return r;
	*ret = 0;
	while ((fd = next_descriptor(dir)) >= 0)
		if ((rlim_t)fd < below)
			(*ret)++;
	(void)closedir(dir);
	return 0;
}

int target_table_is_full(const struct target *target)
{
	struct stat st;
	uint64_t used = 0;
	rlim_t limit;
	int r;

	if (fstatat(target->proc, "fd", &st, 0) < 0)
		return -errno;
	r = read_limit(target, "Max open files", &limit);
	if (r < 0)
		return r;
	/* Since 6.2 the size of that directory is the number of open descriptors, at or above the
	 * limit ones included. Before, it is 0: then, and when there may be too many, they are
	 * counted. */
	if (st.st_size > 0 && (rlim_t)st.st_size < limit)
		return 0;
	r = count_descriptors(target, limit, &used);
	return r < 0 ? r : used >= limit;
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
	r = describe(target->proc, path, 0, ret);
	return r == -ENOENT ? -EBADF : r;
}

int own_descriptor(int fd, struct descriptor *ret)
{
	return describe(fd, "", AT_EMPTY_PATH, ret);
}

int target_descriptor_link(const struct target *target, int fd, char *buffer, size_t size)
{
	char path[32];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "fd/%d", fd);
	n = readlinkat(target->proc, path, buffer, size);
	if (n < 0)
		return -errno;
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	buffer[n] = '\0';
	return 0;
}

static bool is_at_position(const struct target *target, int64_t fd, int64_t position)
{
	_cleanup_free_ char *text = NULL;
	char path[64];
	uint64_t at;

	(void)snprintf(path, sizeof(path), "fdinfo/%" PRId64, fd);
	return read_text(target, path, LIMITS_FILE_MAX, &text) == 0 &&
	       parse_numbers(text, "pos", 10, &at, 1) == 0 && at == (uint64_t)position;
}

int target_find_position(const struct target *target, int64_t position)
{
	int64_t fd;
	DIR *dir;
	int r = open_descriptors(target, &dir);

	if (r < 0)
		return r;
	do
		fd = next_descriptor(dir);
	while (fd >= 0 && !is_at_position(target, fd, position));
	(void)closedir(dir);
	return fd < 0 ? -ENOENT : (int)fd;
}

int target_copy_descriptor(const struct target *target, int fd)
{
	_cleanup_close_ int pidfd = -EBADF;
	int copy;

	pidfd = (int)syscall(SYS_pidfd_open, target->tid, PIDFD_THREAD);
	if (pidfd < 0 && errno == EINVAL) /* before 6.9, where only leaders have one */
		pidfd = (int)syscall(SYS_pidfd_open, target->tid, 0);
	if (pidfd < 0)
		return -errno;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	return copy < 0 ? -errno : copy;
}

int target_reset_position(const struct target *target, int fd)
{
	_cleanup_close_ int copy = target_copy_descriptor(target, fd);

	if (copy < 0)
		return copy;
	return lseek(copy, 0, SEEK_SET) < 0 ? -errno : 0;
}

int target_is_queue(const struct target *target, int fd)
{
	_cleanup_close_ int copy = target_copy_descriptor(target, fd);

	if (copy < 0)
		return copy;
	return syscall(SYS_mq_getsetattr, copy, NULL, NULL) == 0;
}

bool target_has_signal(const struct target *target)
{
	_cleanup_free_ char *status = NULL;
	uint64_t own, shared, blocked;

	return read_text(target, "status", STATUS_FILE_MAX, &status) == 0 &&
	       parse_numbers(status, "SigPnd", 16, &own, 1) == 0 &&
	       parse_numbers(status, "ShdPnd", 16, &shared, 1) == 0 &&
	       parse_numbers(status, "SigBlk", 16, &blocked, 1) == 0 &&
	       ((own | shared) & ~blocked) != 0;
}

int target_status_number(const struct target *target, const char *key, uint64_t *ret)
{
	_cleanup_free_ char *status = NULL;
	int r = read_text(target, "status", STATUS_FILE_MAX, &status);

	return r < 0 ? r : parse_numbers(status, key, 10, ret, 1);
}
