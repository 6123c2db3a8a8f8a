/* SPDX-License-Identifier: MIT */
/* Facts and memory of a thread, read from a real child. */
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/call/on-behalf.h"
#include "daemon/session/target/target.h"
#include "door.h"
#include "include/compat.h"

#define USER 12345

static struct own_identity own;
static struct target target = TARGET_CLOSED;
static pid_t child;

static void setup(void)
{
	need_root();
	cr_assert_eq(own_identity_get(&own), 0);
}

static void teardown(void)
{
	target_close(&target);
	if (child > 0) {
		(void)kill(child, SIGKILL);
		(void)waitpid(child, NULL, 0);
	}
}

TestSuite(target, .init = setup, .fini = teardown);

/* A child that has done this to itself, and waits. */
static void start(void (*prepare)(void))
{
	int status;

	child = fork();
	cr_assert(child >= 0);
	if (child == 0) {
		prepare();
		(void)raise(SIGSTOP);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, WUNTRACED), child);
	cr_assert(WIFSTOPPED(status), "the child could not prepare itself: %#x", (unsigned)status);
	cr_assert_eq(target_open(child, &target), 0);
}

static void become_user(void)
{
	gid_t groups[] = {7, 8, 65533};
	struct rlimit limit = {1234, 5678};

	(void)umask(051);
	/* The test process took on the session process's, in which ids do not change capabilities.
	 */
	if (prctl(PR_SET_SECUREBITS, 0) < 0 || setrlimit(RLIMIT_MSGQUEUE, &limit) < 0 ||
		prctl(PR_SET_NAME, "a\nUid:\t0") < 0 || setgroups(3, groups) < 0 ||
		setresgid(1, 2, 3) < 0 || setresuid(USER, USER + 1, USER + 2) < 0)
		_exit(1);
}

Test(target, identity)
{
	struct credentials identity;

	start(become_user);
	cr_assert_eq(target_credentials(&target, &own.namespaces, &identity), 0);
	cr_expect_eq(identity.real_uid, USER, "a name cannot forge a line");
	cr_expect_eq(identity.effective_uid, USER + 1);
	cr_expect_eq(identity.fs_uid, USER + 1);
	cr_expect_eq(identity.real_gid, 1);
	cr_expect_eq(identity.effective_gid, 2);
	cr_expect_eq(identity.fs_gid, 2);
	cr_expect_eq(identity.group_count, 3);
	cr_expect_eq(identity.groups[2], 65533);
	cr_expect_eq(identity.capabilities, 0);
	cr_expect_eq(identity.umask, 051);
	cr_expect_eq(identity.tgid, child);
	cr_expect_eq(identity.ipc_namespace, -EBADF);
	credentials_clear(&identity);
}

Test(target, limits)
{
	struct target_limits limits;
	struct rlimit descriptors;

	start(become_user);
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
	cr_assert_eq(target_limits(&target, &limits), 0);
	cr_expect_eq(limits.queue_bytes.rlim_cur, 1234);
	cr_expect_eq(limits.descriptors.rlim_cur, descriptors.rlim_cur);
}

static void keep_all(void)
{
}

Test(target, capabilities_of_our_own_user_namespace_count)
{
	struct credentials identity;

	start(keep_all);
	cr_assert_eq(target_credentials(&target, &own.namespaces, &identity), 0);
	cr_expect_eq(identity.capabilities, own.permitted);
	credentials_clear(&identity);
}

static void enter_namespaces(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWIPC) < 0)
		_exit(1);
}

Test(target, capabilities_of_another_user_namespace_do_not)
{
	struct credentials identity;

	start(enter_namespaces);
	cr_assert_eq(target_credentials(&target, &own.namespaces, &identity), 0);
	cr_expect_eq(identity.capabilities, 0);
	cr_expect(identity.ipc_namespace >= 0);
	credentials_clear(&identity);
}

/* As on a kernel in which that call, with that second argument, is an error: for the whole rest of
 * the test. */
static void be_on_an_older_kernel(int call, uint32_t argument, int error)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ELEMENTSOF(filter), filter};

	cr_assert_eq(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program), 0);
}

static char *page;

static void map_a_page_before_nothing(void)
{
	page = mmap(page, 8192, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (page == MAP_FAILED || munmap(page + 4096, 4096) < 0 ||
		mmap(page + 8192, 4096, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		_exit(1);
	(void)strcpy(page, "hello");
}

static void expect_the_apps_view_of_memory(void)
{
	struct app_memory memory;
	char buffer[32];

	page = (char *)0x200000000000;
	start(map_a_page_before_nothing);
	memory = target_memory(&target);
	cr_expect_eq(memory.read(memory.context, (uint64_t)page, buffer, 6), 0);
	cr_expect_str_eq(buffer, "hello");
	cr_expect_eq(memory.read(memory.context, (uint64_t)page + 4090, buffer, 6), 0);
	cr_expect_eq(memory.read(memory.context, (uint64_t)page + 4090, buffer, 7), -EFAULT);
	cr_expect_eq(memory.read(memory.context, (uint64_t)page + 4096, buffer, 1), -EFAULT);
	cr_expect_eq(memory.read(memory.context, (uint64_t)page + 8192, buffer, 1), -EFAULT,
		"the app cannot read it either");
	cr_expect_eq(memory.read(memory.context, 0, buffer, 1), -EFAULT);
	cr_expect_eq(memory.read(memory.context, UINT64_MAX, buffer, 1), -EFAULT);
	cr_expect_eq(memory.read(memory.context, INT64_MAX, buffer, 1), -EFAULT);
}

Test(target, memory)
{
	expect_the_apps_view_of_memory();
}

Test(target, memory_before_mappings_could_be_asked_for)
{
	be_on_an_older_kernel(SYS_ioctl, (uint32_t)PROCMAP_QUERY, ENOTTY);
	expect_the_apps_view_of_memory();
}

static void limit_descriptors(void)
{
	struct rlimit limit = {64, 64};
	int high = fcntl(0, F_DUPFD, 100);

	if (high < 0 || setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(1);
}

static void fill_all_but_one(void)
{
	int last = -1, fd;

	limit_descriptors();
	while ((fd = dup(0)) >= 0)
		last = fd;
	(void)close(last);
}

static void fill(void)
{
	limit_descriptors();
	while (dup(0) >= 0)
		;
}

Test(target, a_table_with_one_place_left_is_not_full)
{
	start(fill_all_but_one);
	cr_expect_eq(
		target_table_is_full(&target, 64), 0, "descriptors above the limit do not count");
}

Test(target, a_full_table)
{
	start(fill);
	cr_expect_eq(target_table_is_full(&target, 64), 1);
}

static void open_descriptors(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
	int queue = mq_open("/mqgate-live-target", O_RDWR | O_CREAT, 0600, &attributes);

	if (queue < 0 || dup2(queue, 50) != 50)
		_exit(1);
}

Test(target, descriptors)
{
	struct descriptor descriptor, again;
	char link[64];
	int fd;

	start(open_descriptors);
	cr_expect_eq(target_descriptor(&target, 50, &descriptor), 0);
	cr_expect(descriptor.regular);
	cr_expect_eq(target_descriptor(&target, 51, &again), -EBADF);
	cr_expect_eq(target_descriptor(&target, -1, &again), -EBADF);
	fd = mq_open("/mqgate-live-target", O_RDONLY);
	cr_assert(fd >= 0);
	cr_expect_eq(own_descriptor(fd, &again), 0);
	cr_expect_eq(again.key.inode, descriptor.key.inode);
	cr_expect_eq(again.key.device, descriptor.key.device);
	cr_expect_eq(again.mount, descriptor.mount);
	cr_expect_neq(again.mount, 0);
	cr_expect_eq(target_descriptor_link(&target, 50, link, sizeof(link)), 0);
	cr_expect_str_eq(link, "/mqgate-live-target");
	cr_expect_eq(target_descriptor_link(&target, 50, link, 19), -ENAMETOOLONG);
	cr_expect(target_may_be_queue(&target, 50, descriptor.mount));
	(void)mq_unlink("/mqgate-live-target");
}

/* A process with queues at 50 and 51, and a thread that has exchanged them, in the table of the
 * process or in one of its own. */
static struct {
	bool own_table;
	atomic_int tid;
} * thread;

static void *exchange(void *unused)
{
	(void)unused;
	if (thread->own_table && unshare(CLONE_FILES) < 0)
		_exit(1);
	(void)dup2(50, 52);
	(void)dup2(51, 50);
	(void)dup2(52, 51);
	thread->tid = gettid();
	(void)pause();
	return NULL;
}

static void start_thread(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
	pthread_t its;
	int queue;

	open_descriptors();
	queue = mq_open("/mqgate-live-target-2", O_WRONLY | O_CREAT, 0600, &attributes);
	if (dup2(queue, 51) != 51 || pthread_create(&its, NULL, exchange, NULL) != 0)
		_exit(1);
	while (thread->tid == 0)
		(void)usleep(1000);
}

static bool copy_is_what_the_thread_has(int fd)
{
	_cleanup_close_ int copy = target_copy_descriptor(&target, fd);
	struct descriptor descriptor, its;

	return copy >= 0 && own_descriptor(copy, &descriptor) == 0 &&
	       target_descriptor(&target, fd, &its) == 0 && descriptor.key.inode == its.key.inode;
}

static void start_thread_with(bool own_table)
{
	thread = mmap(
		NULL, sizeof(*thread), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(thread, MAP_FAILED);
	thread->own_table = own_table;
	start(start_thread);
	target_close(&target);
	cr_assert_eq(target_open(thread->tid, &target), 0);
	(void)mq_unlink("/mqgate-live-target");
	(void)mq_unlink("/mqgate-live-target-2");
}

Test(target, descriptors_of_a_thread_before_threads_had_pidfds)
{
	be_on_an_older_kernel(SYS_pidfd_open, PIDFD_THREAD, EINVAL);
	start_thread_with(false);
	cr_expect(copy_is_what_the_thread_has(50));
	cr_expect(copy_is_what_the_thread_has(51));
	cr_expect_eq(target_copy_descriptor(&target, 53), -EBADF);
}

Test(target, a_table_of_its_own_is_not_taken_for_the_processs)
{
	be_on_an_older_kernel(SYS_pidfd_open, PIDFD_THREAD, EINVAL);
	start_thread_with(true);
	cr_expect_eq(target_copy_descriptor(&target, 50), -EBADF);
	cr_expect_eq(target_copy_descriptor(&target, 51), -EBADF);
	cr_expect(copy_is_what_the_thread_has(0), "the same file in both tables");
}

/* At 52 one with a handle, at 53 one without. */
static void open_files(void)
{
	int file = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	int of_proc = open("/proc/self/comm", O_RDONLY);

	if (file < 0 || of_proc < 0 || dup2(file, 52) != 52 || dup2(of_proc, 53) != 53)
		_exit(1);
}

Test(target, what_is_certainly_no_queue)
{
	struct descriptor descriptor;

	start(open_files);
	for (int fd = 52; fd <= 53; fd++) {
		cr_assert_eq(target_descriptor(&target, fd, &descriptor), 0);
		cr_expect(descriptor.regular);
		cr_expect_not(target_may_be_queue(&target, fd, descriptor.mount), "%d", fd);
	}
	cr_expect(target_may_be_queue(&target, 53, 0), "on no mount that it sees");
}

Test(target, no_such_thread)
{
	struct target none;

	start(keep_all);
	(void)kill(child, SIGKILL);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_expect_eq(target_open(child, &none), -ESRCH);
	child = 0;
	cr_expect_eq(target_open(0, &none), -ESRCH, "of another PID namespace");
	cr_expect_eq(target_open(-1, &none), -ESRCH);
}
