/* SPDX-License-Identifier: MIT */
/* mqgate-roads ROAD QUEUE DIRECTORY: tries one road to a queue, past mq_open; for mqctl doctor.
 *
 * Prints "open" (0) if the queue was really used that way, "closed STEP ERRNO" (1), or
 * "untried STEP ERRNO" (2) if what the road needs for a start was not to be had.
 * DIRECTORY is writable; in it "mount" is an empty directory, "victim" says where the unconfined
 * neighbour is: "mqgate-roads victim QUEUE DIRECTORY", which runs until its standard input ends.
 * "bound" another one, where the neighbour whose number is in "bound-pid" has /dev/mqueue.
 * Descriptors 5 to 9 are opened outside: see road.h. */
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "road.h"

const char *queue, *directory;

struct timespec from_now(long milliseconds)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += milliseconds / 1000;
	ts.tv_nsec += milliseconds % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

/* --- outcomes ------------------------------------------------------------------------------ */

static int outcome(const char *word, const char *step, int status)
{
	printf("%s %s %s\n", word, step, strerrorname_np(errno));
	return status;
}

int closed(const char *step)
{
	return outcome("closed", step, 1);
}

int untried(const char *step)
{
	return outcome("untried", step, 2);
}

int is_open(void)
{
	puts("open");
	return 0;
}

/* A descriptor is worth something only if messages go through it. */
int use(int fd)
{
	struct timespec soon = from_now(1000);
	char buffer[8192]; /* of a queue made without attributes */

	if (mq_timedsend(fd, "road", 4, 0, &soon) < 0)
		return closed("mq_send");
	if (mq_timedreceive(fd, buffer, sizeof(buffer), NULL, &soon) != 4)
		return closed("mq_receive");
	return is_open();
}

int use_or_closed(int fd, const char *step)
{
	return fd < 0 ? closed(step) : use(fd);
}

const char *path_in(const char *prefix, const char *suffix)
{
	char *path;

	return asprintf(&path, "%s%s", prefix, suffix) < 0 ? "" : path;
}

const char *queue_file(void)
{
	return path_in("/dev/mqueue", queue);
}

static int reopen(int fd, int oflag)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, oflag);
}

/* --- files --------------------------------------------------------------------------------- */

static int road_open(void)
{
	return use_or_closed(open(queue_file(), O_RDWR), "open");
}

static int road_create(void)
{
	const char *path = path_in(queue_file(), "-created");
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	int r = fd < 0 ? closed("open") : is_open();

	(void)unlink(path);
	return r;
}

static int road_relative(void)
{
	if (chdir("/dev/mqueue") < 0)
		return untried("chdir");
	return use_or_closed(open(queue + 1, O_RDWR), "open");
}

static int road_path_descriptor(void)
{
	int fd = open(queue_file(), O_PATH);

	if (fd < 0)
		return untried("O_PATH");
	return use_or_closed(reopen(fd, O_RDWR), "reopen");
}

/* From read-only to read and write. */
static int road_reopen(void)
{
	int fd = mq_open(queue, O_RDONLY);

	if (fd < 0)
		return untried("mq_open");
	return use_or_closed(reopen(fd, O_RDWR), "reopen");
}

static int road_thread_reopen(void)
{
	char path[64];
	int fd = mq_open(queue, O_RDONLY);

	if (fd < 0)
		return untried("mq_open");
	(void)snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	return use_or_closed(open(path, O_RDWR), "reopen");
}

static int road_dev_fd(void)
{
	char path[64];
	int fd = mq_open(queue, O_RDONLY);

	if (fd < 0)
		return untried("mq_open");
	(void)snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	return use_or_closed(open(path, O_RDWR), "reopen");
}

static int openat2_from(int directory_fd, const char *path, __u64 resolve)
{
	struct open_how how = {.flags = O_RDWR, .resolve = resolve};

	return (int)syscall(SYS_openat2, directory_fd, path, &how, sizeof(how));
}

static int road_openat2(void)
{
	return use_or_closed(openat2_from(AT_FDCWD, queue_file(), RESOLVE_NO_SYMLINKS), "open");
}

static int road_openat2_in_root(void)
{
	return use_or_closed(
		openat2_from(INHERITED_DEV, path_in("/mqueue", queue), RESOLVE_IN_ROOT), "open");
}

static int road_openat2_beneath(void)
{
	return use_or_closed(
		openat2_from(INHERITED_DEV, path_in("mqueue", queue), RESOLVE_BENEATH), "open");
}

/* Taken outside, the handle names the file without any way to it. */
static int road_handle(void)
{
	union {
		struct file_handle handle;
		char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} file = {.handle.handle_bytes = MAX_HANDLE_SZ};
	int mount_id, at;

	if (name_to_handle_at(AT_FDCWD, queue_file(), &file.handle, &mount_id, 0) < 0)
		return closed("name_to_handle_at");
	at = open("/dev/mqueue", O_RDONLY | O_DIRECTORY);
	if (at < 0)
		return closed("open");
	return use_or_closed(open_by_handle_at(at, &file.handle, O_RDWR), "open_by_handle_at");
}

/* A filter of one's own that answers every call with an error, or allows it, is asked as well as
 * the one that is there, and the stricter answer counts. */
static int road_second_filter(void)
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = 1, .filter = program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		return untried("seccomp");
	return use_or_closed(mq_open(queue, O_RDWR), "mq_open");
}

/* With a listener, whose owner could have every call carried out. */
static int road_second_listener(void)
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = 1, .filter = program};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return untried("no_new_privs");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		    &fprog) < 0)
		return closed("seccomp");
	return is_open();
}

/* Whose parent is gone, and who belongs to init then. */
static int road_orphan(void)
{
	int answer[2], status = 3;
	pid_t pid;

	if (pipe(answer) < 0)
		return untried("pipe");
	pid = fork();
	if (pid == 0) {
		pid_t parent = getpid();

		if (fork() != 0)
			_exit(0);
		while (getppid() == parent)
			(void)usleep(1000);
		status = use_or_closed(mq_open(queue, O_RDWR), "mq_open");
		(void)fflush(stdout);
		(void)!write(answer[1], &status, sizeof(status));
		_exit(0);
	}
	(void)close(answer[1]);
	(void)!read(answer[0], &status, sizeof(status));
	return status;
}

static int road_unlink(void)
{
	return unlink(queue_file()) < 0 ? closed("unlink") : is_open();
}

static int road_rename(void)
{
	return rename(queue_file(), path_in(queue_file(), "-renamed")) < 0 ? closed("rename")
									   : is_open();
}

/* --- mounts -------------------------------------------------------------------------------- */

static int mount_and_use(int oflag)
{
	const char *at = path_in(directory, "/mount");

	if (mount("mqueue", at, "mqueue", 0, NULL) < 0)
		return closed("mount");
	return use_or_closed(open(path_in(at, queue), oflag, 0600), "open");
}

static int road_mount(void)
{
	return mount_and_use(O_RDWR);
}

/* The queues are those of a new IPC namespace: out of everybody's sight, the daemon's too. */
static int write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = write(fd, text, strlen(text));

	(void)close(fd);
	return n < 0 ? -1 : 0;
}

int enter_namespaces(void)
{
	char uid_map[64], gid_map[64];

	(void)snprintf(uid_map, sizeof(uid_map), "0 %u 1", geteuid());
	(void)snprintf(gid_map, sizeof(gid_map), "0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWIPC | CLONE_NEWNS) < 0 ||
		write_map("/proc/self/setgroups", "deny") < 0 ||
		write_map("/proc/self/uid_map", uid_map) < 0)
		return -1;
	return write_map("/proc/self/gid_map", gid_map);
}

static int road_user_mount(void)
{
	return enter_namespaces() < 0 ? untried("unshare") : mount_and_use(O_RDWR | O_CREAT);
}

/* Without a new IPC namespace. */
static int road_user_mount_host(void)
{
	return unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? untried("unshare")
							: mount_and_use(O_RDWR);
}

int mount_detached(unsigned flags, const char **ret_step)
{
	int context = (int)syscall(SYS_fsopen, "mqueue", 0);

	*ret_step = "fsopen";
	if (context < 0)
		return -1;
	*ret_step = "fsconfig";
	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	*ret_step = "fsmount";
	return (int)syscall(SYS_fsmount, context, flags, 0);
}

static int fsmount_and_use(int oflag)
{
	const char *step;
	int root = mount_detached(0, &step);

	return root < 0 ? closed(step)
			: use_or_closed(openat(root, queue + 1, oflag, 0600), "open");
}

static int road_fsmount(void)
{
	return fsmount_and_use(O_RDWR);
}

static int road_user_fsmount(void)
{
	return enter_namespaces() < 0 ? untried("unshare") : fsmount_and_use(O_RDWR | O_CREAT);
}

/* A detached copy of the mounted file system. */
static int road_open_tree(void)
{
	int root = (int)syscall(SYS_open_tree, AT_FDCWD, "/dev/mqueue", OPEN_TREE_CLONE);

	if (root < 0)
		return closed("open_tree");
	return use_or_closed(openat(root, queue + 1, O_RDWR), "open");
}

static int road_bind(void)
{
	const char *at = path_in(directory, "/mount");

	if (mount("/dev/mqueue", at, NULL, MS_BIND, NULL) < 0)
		return closed("mount");
	return use_or_closed(open(path_in(at, queue), O_RDWR), "open");
}

/* --- io_uring ------------------------------------------------------------------------------ */

struct ring {
	int fd;
	char *rings;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
};

static int ring_open(struct ring *ring)
{
	size_t size;

	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, 4, &ring->params);
	if (ring->fd < 0)
		return -1;
	size = ring->params.sq_off.array + ring->params.sq_entries * sizeof(__u32);
	if (size < ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe))
		size = ring->params.cq_off.cqes +
		       ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->rings =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->entries = mmap(NULL, ring->params.sq_entries * sizeof(struct io_uring_sqe),
		PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->rings == MAP_FAILED || ring->entries == MAP_FAILED ? -1 : 0;
}

/* Returns what the operation did, errno set. */
static int ring_run(struct ring *ring, const struct io_uring_sqe *entry)
{
	__u32 *tail = (__u32 *)(ring->rings + ring->params.sq_off.tail);
	const struct io_uring_cqe *completions =
		(const struct io_uring_cqe *)(ring->rings + ring->params.cq_off.cqes);

	ring->entries[0] = *entry;
	((__u32 *)(ring->rings + ring->params.sq_off.array))[0] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -1;
	if (completions[0].res >= 0)
		return completions[0].res;
	errno = -completions[0].res;
	return -1;
}

static int road_io_uring_open(void)
{
	struct io_uring_sqe entry = {.opcode = IORING_OP_OPENAT,
		.fd = AT_FDCWD,
		.addr = (unsigned long)queue_file(),
		.open_flags = O_RDWR};
	struct ring ring;

	if (ring_open(&ring) < 0)
		return untried("io_uring_setup");
	return use_or_closed(ring_run(&ring, &entry), "OPENAT");
}

static int road_io_uring_unlink(void)
{
	struct io_uring_sqe entry = {
		.opcode = IORING_OP_UNLINKAT, .fd = AT_FDCWD, .addr = (unsigned long)queue_file()};
	struct ring ring;

	if (ring_open(&ring) < 0)
		return untried("io_uring_setup");
	return ring_run(&ring, &entry) < 0 ? closed("UNLINKAT") : is_open();
}

static int road_io_uring_rename(void)
{
	struct io_uring_sqe entry = {.opcode = IORING_OP_RENAMEAT,
		.fd = AT_FDCWD,
		.addr = (unsigned long)queue_file(),
		.len = (__u32)AT_FDCWD,
		.addr2 = (unsigned long)path_in(queue_file(), "-renamed")};
	struct ring ring;

	if (ring_open(&ring) < 0)
		return untried("io_uring_setup");
	return ring_run(&ring, &entry) < 0 ? closed("RENAMEAT") : is_open();
}

/* --- which one ----------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int (*alone)(void);
	int (*with_victim)(const struct victim *victim);
} roads[] = {
	{"open", road_open},
	{"create", road_create},
	{"relative", road_relative},
	{"path-descriptor", road_path_descriptor},
	{"reopen", road_reopen},
	{"thread-reopen", road_thread_reopen},
	{"dev-fd", road_dev_fd},
	{"openat2", road_openat2},
	{"openat2-in-root", road_openat2_in_root},
	{"openat2-beneath", road_openat2_beneath},
	{"handle", road_handle},
	{"second-filter", road_second_filter},
	{"second-listener", road_second_listener},
	{"orphan", road_orphan},
	{"unlink", road_unlink},
	{"rename", road_rename},
	{"mount", road_mount},
	{"bind", road_bind},
	{"fsmount", road_fsmount},
	{"open-tree", road_open_tree},
	{"user-mount", road_user_mount},
	{"user-mount-host", road_user_mount_host},
	{"user-fsmount", road_user_fsmount},
	{"open-tree-namespace", road_open_tree_namespace},
	{"fsmount-namespace", road_fsmount_namespace},
	{"empty-namespace", road_empty_namespace},
	{"user-open-tree-namespace", road_user_open_tree_namespace},
	{"user-fsmount-namespace", road_user_fsmount_namespace},
	{"user-empty-namespace", road_user_empty_namespace},
	{"io_uring-open", road_io_uring_open},
	{"io_uring-rename", road_io_uring_rename},
	{"io_uring-unlink", road_io_uring_unlink},
	{"ptrace", NULL, road_ptrace},
	{"proc-mem", NULL, road_proc_mem},
	{"process_vm_writev", NULL, road_process_vm_writev},
	{"pidfd_getfd", NULL, road_pidfd_getfd},
	{"proc-fd", NULL, road_proc_fd},
	{"proc-root", NULL, road_proc_root},
	{"proc-cwd", NULL, road_proc_cwd},
	{"sent-descriptor", NULL, road_sent_descriptor},
	{"sent-directory", NULL, road_sent_directory},
	{"inherited-directory", road_inherited_directory},
	{"inherited-root", road_inherited_root},
	{"inherited-link", road_inherited_link},
	{"inherited-namespace", road_inherited_namespace},
	{"inherited-user-namespace", road_inherited_user_namespace},
	{"parent", road_parent},
	{"escaped-root", road_escaped_root},
	{"other-namespaces", road_other_namespaces},
	{"user-other-namespaces", road_user_other_namespaces},
	{"bound-namespace", road_bound_namespace},
	{"bound-namespace-any-type", road_bound_namespace_any_type},
	{"bound-namespace-pidfd", road_bound_namespace_pidfd},
	{"bound-namespace-proc", road_bound_namespace_proc},
	{"bound-namespace-unlink", road_bound_namespace_unlink},
	{"listed-namespace", road_listed_namespace},
	{"listed-namespace-any-type", road_listed_namespace_any_type},
	{"listed-namespace-unlink", road_listed_namespace_unlink},
	{"truncate", road_truncate},
	{"inherited-truncate", road_inherited_truncate},
	{"chmod", road_chmod},
	{"inherited-chmod", road_inherited_chmod},
	{"chown", road_chown},
	{"utimes", road_utimes},
	{"setxattr", road_setxattr},
	{"mq_open", road_mq_open},
	{"mq_unlink", road_mq_unlink},
	{"mq_create", road_mq_create},
#if defined(__x86_64__)
	{"i386-open", road_i386_open},
	{"i386-mq_open", road_i386_mq_open},
	{"i386-mq_unlink", road_i386_mq_unlink},
	{"x32-mq_open", road_x32_mq_open},
	{"x32-mq_unlink", road_x32_mq_unlink},
#endif
};

static int go(size_t i)
{
	struct victim victim;

	if (roads[i].alone)
		return roads[i].alone();
	return find_victim(&victim) < 0 ? untried("victim") : roads[i].with_victim(&victim);
}

int main(int argc, char *argv[])
{
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; i < sizeof(roads) / sizeof(roads[0]); i++)
			puts(roads[i].name);
		return 0;
	}
	if (argc != 4) {
		fprintf(stderr, "usage: mqgate-roads --list | ROAD QUEUE DIRECTORY\n");
		return 3;
	}
	queue = argv[2];
	directory = argv[3];
	if (strcmp(argv[1], "victim") == 0)
		return be_victim();
	for (size_t i = 0; i < sizeof(roads) / sizeof(roads[0]); i++)
		if (strcmp(roads[i].name, argv[1]) == 0)
			return go(i);
	fprintf(stderr, "mqgate-roads: %s: unknown\n", argv[1]);
	return 3;
}
