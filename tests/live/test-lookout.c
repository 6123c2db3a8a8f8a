/* SPDX-License-Identifier: MIT */
/* Who is registered for notification, and where: asked of children of the test, which nobody
 * confines. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "daemon/session/revoke/registrations.h"
#include "daemon/session/target/credentials.h"
#include "daemon/session/target/own.h"
#include "daemon/session/target/target.h"
#include "daemon/session/target/child.h"
#include "include/task.h"
#include "door.h"
#include "support.h"

/* --- what fails ------------------------------------------------------------------------------ */

static int descriptor_error;                  /* of another's; 0: none */
static unsigned descriptor_errors = UINT_MAX; /* so many, then none */
static int look_up_error, own_error, pread_error, opening_error, credentials_error, process_error;
static int task_error, place_error;
static bool no_table, no_memory, holds_up, ends, irregular;
static struct queue_key pretended; /* what each descriptor is; inode 0: what it is */
static const char *said;           /* by each queue; NULL: what it says */
static unsigned looked_up, pieces; /* of memory */
static volatile bool in_step;

void __real_step_begin(void);
void __wrap_step_begin(void);
void __wrap_step_begin(void)
{
	in_step = true;
	__real_step_begin();
}

void __real_step_end(void);
void __wrap_step_end(void);
void __wrap_step_end(void)
{
	in_step = false;
	__real_step_end();
}

int __real_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret)
{
	int r = __real_target_descriptor(target, fd, ret);

	if (pretended.inode != 0)
		*ret = (struct descriptor){.key = pretended, .regular = true};
	if (irregular)
		ret->regular = false;
	if (descriptor_error == 0 || descriptor_errors == 0)
		return r;
	descriptor_errors--;
	return descriptor_error;
}

int __real_own_descriptor(int fd, struct descriptor *ret);
int __wrap_own_descriptor(int fd, struct descriptor *ret);
int __wrap_own_descriptor(int fd, struct descriptor *ret)
{
	return own_error ?: __real_own_descriptor(fd, ret);
}

static pid_t child;

int __real_own_look_up(const struct own_identity *own, int ipc_namespace, const char *name);
int __wrap_own_look_up(const struct own_identity *own, int ipc_namespace, const char *name);
int __wrap_own_look_up(const struct own_identity *own, int ipc_namespace, const char *name)
{
	cr_expect(in_step, "it may wait");
	looked_up++;
	if (holds_up)
		(void)pause();
	return look_up_error ?: __real_own_look_up(own, ipc_namespace, name);
}

ssize_t __real_pread64(int fd, void *buffer, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *buffer, size_t size, off_t offset);
ssize_t __wrap_pread64(int fd, void *buffer, size_t size, off_t offset)
{
	if ((!pread_error && !said) || size > 300)
		return __real_pread64(fd, buffer, size, offset);
	cr_assert(offset == 0 && size < 256);
	errno = pread_error;
	if (pread_error)
		return -1;
	/* What comes after it does not count. */
	(void)snprintf(buffer, size, "%s0", said);
	return (ssize_t)strlen(said);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	if (!startswith(path, "/proc/self/fd/"))
		return __real_open64(path, flags, 0);
	cr_expect(in_step, "it may wait");
	cr_expect_eq(flags, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	errno = opening_error;
	return opening_error ? -1 : __real_open64(path, flags);
}

int __real_openat64(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...);
int __wrap_openat64(int directory, const char *path, int flags, ...)
{
	if (place_error && flags & O_PATH && startswith(path, "fd/")) {
		errno = place_error;
		return -1;
	}
	return __real_openat64(directory, path, flags, 0);
}

int __real_target_credentials(
	struct target *target, const struct namespaces *own, struct credentials *ret);
int __wrap_target_credentials(
	struct target *target, const struct namespaces *own, struct credentials *ret);
int __wrap_target_credentials(
	struct target *target, const struct namespaces *own, struct credentials *ret)
{
	if (ends)
		end(child);
	ends = false;
	return credentials_error ?: __real_target_credentials(target, own, ret);
}

int __real_process_open(pid_t pid, uint64_t *ret_identity);
int __wrap_process_open(pid_t pid, uint64_t *ret_identity);
int __wrap_process_open(pid_t pid, uint64_t *ret_identity)
{
	return process_error ?: __real_process_open(pid, ret_identity);
}

int __real_task_open(pid_t tid);
int __wrap_task_open(pid_t tid);
int __wrap_task_open(pid_t tid)
{
	return task_error ?: __real_task_open(tid);
}

DIR *__real_target_open_table(const struct target *target);
DIR *__wrap_target_open_table(const struct target *target);
DIR *__wrap_target_open_table(const struct target *target)
{
	return no_table ? NULL : __real_target_open_table(target);
}

void *__real_child_memory(size_t size);
void *__wrap_child_memory(size_t size);
void *__wrap_child_memory(size_t size)
{
	pieces += !no_memory;
	return no_memory ? NULL : __real_child_memory(size);
}

void __real_child_memory_free(void *memory, size_t size);
void __wrap_child_memory_free(void *memory, size_t size);
void __wrap_child_memory_free(void *memory, size_t size)
{
	pieces--;
	__real_child_memory_free(memory, size);
}

/* --- what is asked --------------------------------------------------------------------------- */

static char names[2][48];
static struct own_identity own;
static struct queues queues;
static struct lookout lookout;

static struct shared {
	int go[2], ready[2];
	struct queue_key key;
} * shared;

static void setup(void)
{
	need_root();
	for (int i = 0; i < 2; i++)
		(void)snprintf(names[i], sizeof(names[i]), "/mqgate-lookout-%d-%d", i, getpid());
	cr_assert_eq(own_identity_get(&own), 0);
	shared = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(shared, MAP_FAILED);
	cr_assert_eq(pipe2(shared->go, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(shared->ready, O_CLOEXEC), 0);
}

static void remove_queues(void)
{
	for (int i = 0; i < 2; i++)
		(void)mq_unlink(names[i]);
}

TestSuite(registered, .init = setup, .fini = remove_queues);
TestSuite(lookout, .init = setup, .fini = remove_queues);

static struct queue_key key_of(int queue)
{
	struct descriptor descriptor;

	if (own_descriptor(queue, &descriptor) < 0)
		abort();
	return descriptor.key;
}

/* The session knows it. */
static void remember_key(struct queue_key key, int i, uint32_t permissions)
{
	struct queue_entry *entry = &queues.entries[queues.count];

	(void)strcpy(entry->name, names[i] + 1);
	entry->permissions = permissions;
	entry->spaces = SPACE_CALLER;
	entry->subject = SUBJECT_NOBODY;
	queues.keys[queues.count++] = key;
}

static void remember(int i, uint32_t permissions)
{
	mqd_t queue = open_new(names[i]);

	cr_assert_geq(queue, 0);
	remember_key(key_of(queue), i, permissions);
	(void)mq_close(queue);
}

static void wait_for_child(void)
{
	struct pollfd p = {.fd = shared->ready[0], .events = POLLIN};

	cr_assert_eq(poll(&p, 1, DOOR_DEADLINE_SECONDS * 1000), 1);
	cr_assert_eq(read(shared->ready[0], &(char){0}, 1), 1);
}

/* A child that does the one, and the other when it is told to. */
static pid_t start(void (*first)(void), void (*then)(void))
{
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		first();
		if (write(shared->ready[1], "r", 1) != 1 || read(shared->go[0], &(char){0}, 1) != 1)
			_exit(111);
		then();
		if (write(shared->ready[1], "r", 1) != 1)
			_exit(112);
		for (;;)
			(void)pause();
	}
	wait_for_child();
	return pid;
}

static void go_on(void)
{
	cr_assert_eq(write(shared->go[1], "g", 1), 1);
	wait_for_child();
}

static struct process process_of(pid_t pid)
{
	struct process process = {.pid = pid};
	_cleanup_close_ int pidfd = process_open(pid, &process.identity);

	cr_assert_geq(pidfd, 0);
	return process;
}

static void expect_sound(void)
{
	cr_expect_geq(fcntl(0, F_GETFD), 0, "what is no queue is not closed");
	cr_expect_not(in_step);
}

static enum registered look_at(const struct process *process, const struct grants *scope)
{
	enum registered found = registrations_look(process, &queues, scope, &own);

	expect_sound();
	return found;
}

static enum registered look_in(pid_t pid, const struct grants *scope)
{
	const struct process process = process_of(pid);

	return look_at(&process, scope);
}

static enum registered look(pid_t pid)
{
	return look_in(pid, NULL);
}

/* --- children -------------------------------------------------------------------------------- */

static mqd_t queue;

static void nothing(void)
{
}

static void register_silently(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};

	if (mq_notify(queue, &event) < 0)
		abort();
}

static void open_first(void)
{
	queue = open_new(names[0]);
}

static void register_on_first(void)
{
	open_first();
	register_silently();
}

static void open_second(void)
{
	queue = open_new(names[1]);
}

static void open_both(void)
{
	open_second();
	open_first();
}

/* --- one process ----------------------------------------------------------------------------- */

static enum registered look_in_scope(pid_t pid, const char *name)
{
	_cleanup_(grants_freep) struct grants *scope = NULL;
	const struct grant rule = {.name = name, .permissions = PERMISSION_READ};

	cr_assert_eq(grants_new(0, &scope), 0);
	cr_assert_eq(grants_add(scope, &rule), 0);
	grants_seal(scope);
	return look_in(pid, scope);
}

Test(registered, counts_where_the_session_may_not_read)
{
	pid_t pid = start(register_on_first, nothing);

	remember(1, 0);
	remember(0, PERMISSION_WRITE);
	cr_expect_eq(look(pid), REGISTERED);
	cr_expect_eq(look_in_scope(pid, names[0] + 1), REGISTERED);
	cr_expect_eq(look_in_scope(pid, names[1] + 1), REGISTERED_NOT);
	queues.entries[1].permissions = PERMISSION_READ;
	cr_expect_eq(look(pid), REGISTERED_NOT);
	queues.entries[1].permissions = 0;
	queues.count = 1;
	cr_expect_eq(look(pid), REGISTERED_NOT, "what lies behind is not in use");
	queues.count = 2;
	queues.keys[1].inode = 0;
	queues.entries[0].permissions = PERMISSION_READ;
	look_up_error = -EAGAIN;
	cr_expect_eq(look(pid), REGISTERED_NOT, "that one is not in use");
	end(pid);
}

Test(registered, is_the_process_alone)
{
	pid_t pid = start(open_first, nothing), owner = start(register_on_first, nothing);
	struct process other = process_of(pid);

	remember(0, 0);
	cr_expect_eq(look(owner), REGISTERED);
	cr_expect_eq(look(pid), REGISTERED_NOT);
	other.pid = owner;
	cr_expect_eq(look_at(&other, NULL), REGISTERED_NOT, "another had that number");
	other.pid = pid;
	end(pid);
	cr_expect_eq(look_at(&other, NULL), REGISTERED_NOT);
	end(owner);
}

/* The name is another queue's by now. */
Test(registered, is_seen_by_a_descriptor)
{
	pid_t pid = start(open_both, register_silently);

	remember(1, 0);
	remember(0, 0);
	cr_assert_eq(mq_unlink(names[0]), 0);
	(void)open_new(names[0]);
	cr_expect_eq(look(pid), REGISTERED_NOT);
	go_on();
	cr_expect_eq(look(pid), REGISTERED);
	irregular = true;
	cr_expect_eq(look(pid), REGISTERED_NOT);
	irregular = false;
	queues.count = 1;
	cr_expect_eq(look(pid), REGISTERED_NOT, "what lies behind is not in use");
	queues.count = 2;
	queues.entries[1].permissions = PERMISSION_READ;
	cr_expect_eq(look(pid), REGISTERED_NOT);
	end(pid);
}

static int close_it(void *unused)
{
	(void)unused;
	return close(queue);
}

/* By another process, from its own descriptor table: so it stays registered. */
static void have_it_closed(void)
{
	static char stack[65536];
	pid_t pid = clone(close_it, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD, NULL);

	if (waitpid(pid, NULL, 0) != pid || fcntl(queue, F_GETFD) >= 0)
		abort();
}

static void register_without_descriptor(void)
{
	register_on_first();
	have_it_closed();
}

Test(registered, is_seen_by_the_name)
{
	pid_t pid = start(register_without_descriptor, nothing);

	remember(1, PERMISSION_READ);
	remember(0, 0);
	cr_assert_eq(owner_of(names[0]), pid);
	cr_expect_eq(look(pid), REGISTERED);
	queues.entries[1].spaces = SPACE_HOST;
	cr_expect_eq(look(pid), REGISTERED);
	queues.keys[1].inode++;
	cr_expect_eq(look(pid), REGISTERED_NOT, "the name is another's");
	end(pid);
}

static void register_in_another_namespace(void)
{
	if (unshare(CLONE_NEWIPC) < 0)
		abort();
	register_on_first();
	shared->key = key_of(queue);
	have_it_closed();
}

Test(registered, is_seen_by_the_name_in_its_ipc_namespace)
{
	pid_t pid = start(register_in_another_namespace, nothing);

	remember_key(shared->key, 0, 0);
	cr_expect_eq(look(pid), REGISTERED);
	queues.entries[0].spaces = SPACE_HOST;
	cr_expect_eq(look(pid), REGISTERED_NOT);
	end(pid);
}

static void *register_apart(void *unused)
{
	if (unshare(CLONE_FILES) < 0)
		abort();
	register_on_first();
	shared->key = key_of(queue);
	if (mq_unlink(names[0]) < 0 || write(shared->ready[1], "r", 1) != 1)
		abort();
	for (;;)
		(void)pause();
	return unused;
}

static void start_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, register_apart, NULL) != 0)
		abort();
}

Test(registered, is_seen_in_each_table)
{
	pid_t pid = start(start_thread, nothing);

	wait_for_child();
	remember_key(shared->key, 0, 0);
	cr_expect_eq(look(pid), REGISTERED);
	cr_expect_eq(looked_up, 1U, "names are looked up %u times", looked_up);
	end(pid);
}

/* --- what cannot be looked at ---------------------------------------------------------------- */

Test(registered, is_unknown_if_the_name_cannot_be_looked_up)
{
	pid_t pid = start(nothing, nothing);

	remember(0, 0);
	look_up_error = -EAGAIN;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	look_up_error = -ENOENT;
	cr_expect_eq(look(pid), REGISTERED_NOT);
	end(pid);
}

static void register_on_what_is_deleted(void)
{
	register_on_first();
	shared->key = key_of(queue);
	if (mq_unlink(names[0]) < 0)
		abort();
}

static pid_t start_with_deleted(void)
{
	pid_t pid = start(register_on_what_is_deleted, nothing);

	remember_key(shared->key, 0, 0);
	cr_expect_eq(look(pid), REGISTERED);
	return pid;
}

Test(registered, is_unknown_if_a_descriptor_cannot_be_looked_at)
{
	pid_t pid = start_with_deleted();

	descriptor_error = -EIO;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	descriptor_error = -EACCES;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	end(pid);
}

Test(registered, is_looked_for_again_if_descriptors_move)
{
	static const int errors[] = {-EBADF, -ENOENT, -ESRCH};
	pid_t pid = start(nothing, nothing);

	for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
		descriptor_error = errors[i];
		descriptor_errors = 1;
		cr_expect_eq(look(pid), REGISTERED_NOT);
		descriptor_errors = UINT_MAX;
		cr_expect_eq(look(pid), REGISTERED_UNKNOWN, "they do so all the time");
	}
	descriptor_error = -EIO;
	descriptor_errors = 1;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	end(pid);
}

Test(registered, is_unknown_if_the_queue_cannot_be_opened)
{
	pid_t pid = start_with_deleted();

	place_error = EMFILE;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	place_error = ENOENT;
	cr_expect_eq(look(pid), REGISTERED_NOT, "it was closed");
	place_error = 0;
	opening_error = EAGAIN;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	opening_error = ENOENT;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN, "we have it");
	opening_error = 0;
	own_error = -EIO;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	end(pid);
}

Test(registered, is_unknown_if_what_the_name_means_cannot_be_told)
{
	pid_t pid = start(nothing, nothing);

	remember(0, 0);
	own_error = -EIO;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	end(pid);
}

Test(registered, is_unknown_if_the_queue_does_not_say)
{
	pid_t pid = start(nothing, nothing);
	char text[64];

	remember(0, 0);
	pread_error = EIO;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	pread_error = 0;
	said = "";
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	said = "QSIZE:0 NOTIFY:0";
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	(void)snprintf(text, sizeof(text), "NOTIFY_PID:%d", pid);
	said = text;
	cr_expect_eq(look(pid), REGISTERED);
	end(pid);
}

Test(registered, is_unknown_if_it_cannot_be_told_who_it_is)
{
	pid_t pid = start(nothing, nothing);

	credentials_error = -EIO;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	end(pid);
}

Test(registered, is_nobody_who_has_ended_meanwhile)
{
	child = start(nothing, nothing);
	remember(0, 0);
	ends = true;
	credentials_error = -EIO;
	cr_expect_eq(look(child), REGISTERED_NOT);
}

/* Without a descriptor for it, it is there all the same. */
Test(registered, is_unknown_if_the_process_cannot_be_opened)
{
	pid_t pid = start(register_on_first, nothing);
	const struct process process = process_of(pid);

	remember(0, 0);
	process_error = -EMFILE;
	cr_expect_eq(look_at(&process, NULL), REGISTERED);
	task_error = -EMFILE;
	cr_expect_eq(look_at(&process, NULL), REGISTERED_UNKNOWN);
	task_error = -ESRCH;
	cr_expect_eq(look_at(&process, NULL), REGISTERED_NOT);
	end(pid);
}

/* Whatever is unknown besides. */
Test(registered, is_certain_where_it_was_seen)
{
	pid_t pid = start(register_without_descriptor, nothing);

	remember(0, 0);
	descriptor_error = -EIO;
	cr_expect_eq(look(pid), REGISTERED);
	end(pid);
}

/* What is behind the number by now is not opened. */
Test(registered, is_not_asked_of_what_was_exchanged)
{
	pid_t pid = start(register_on_first, nothing);

	remember(1, 0);
	pretended = queues.keys[0];
	cr_expect_eq(look(pid), REGISTERED_NOT);
	end(pid);
}

static enum registered look_quickly(pid_t pid)
{
	const struct process process = process_of(pid);

	return registrations_look_quickly(&process, &queues, &own);
}

Test(registered, is_looked_at_with_a_bound)
{
	pid_t pid = start(register_on_first, nothing), other = start(nothing, nothing);

	remember(0, 0);
	cr_expect_eq(look_quickly(pid), REGISTERED);
	cr_expect_eq(look_quickly(other), REGISTERED_NOT);
	cr_expect_eq(pieces, 0U);
	no_memory = true;
	cr_expect_eq(look_quickly(pid), REGISTERED_UNKNOWN);
	cr_expect_eq(pieces, 0U);
	no_memory = false;
	holds_up = true;
	cr_expect_eq(look_quickly(other), REGISTERED_UNKNOWN);
	end(pid);
	end(other);
}

/* --- one call -------------------------------------------------------------------------------- */

static int begin(pid_t pid)
{
	const struct credentials identity = {.ipc_namespace = -EBADF, .tgid = pid};
	_cleanup_(target_close) struct target target = TARGET_CLOSED;

	int r;

	cr_assert_eq(target_open(pid, &target), 0);
	r = lookout_begin(&lookout, &queues, &own, &identity, &target);
	expect_sound();
	return r;
}

static size_t begin_and_end(pid_t pid)
{
	size_t count;

	cr_expect_eq(begin(pid), 0);
	count = lookout.count;
	lookout_end(&lookout);
	cr_expect_eq(lookout.count, 0U);
	return count;
}

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(lookout, sees_who_registers_on_what_the_session_may_not_read)
{
	pid_t pid = start(open_first, register_silently);
	int before;

	remember(1, 0);
	remember(0, PERMISSION_WRITE);
	before = count_descriptors();
	lookout.count = 7;
	cr_assert_eq(begin(pid), 0);
	cr_expect_eq(lookout.count, 2U);
	cr_expect_not(lookout_sees(&lookout, pid));
	go_on();
	cr_expect(lookout_sees(&lookout, pid));
	cr_expect_not(lookout_sees(&lookout, pid + 1));
	lookout.count = 1;
	cr_expect_not(lookout_sees(&lookout, pid), "what lies behind does not count");
	lookout.count = 2;
	lookout_end(&lookout);
	cr_expect_eq(count_descriptors(), before);
	end(pid);
}

/* It may be long ago, and is no reason to kill it. */
Test(lookout, does_not_mind_who_was_registered_before)
{
	pid_t pid = start(register_on_first, nothing);

	remember(1, 0);
	remember(0, 0);
	cr_assert_eq(begin(pid), 0);
	cr_expect_eq(lookout.count, 2U);
	cr_expect_not(lookout_sees(&lookout, pid));
	lookout_end(&lookout);
	end(pid);
}

Test(lookout, sees_it_on_a_queue_that_nobody_knows)
{
	pid_t pid = start(open_first, register_silently);

	remember(1, PERMISSION_READ);
	cr_assert_eq(begin(pid), 0);
	cr_expect_eq(lookout.count, 1U);
	cr_expect_not(lookout_sees(&lookout, pid));
	go_on();
	cr_expect(lookout_sees(&lookout, pid));
	lookout_end(&lookout);
	end(pid);
}

/* Each IPC namespace has a device of its own. */
Test(lookout, knows_queues_by_all_their_devices)
{
	pid_t pid = start(open_first, nothing);

	remember(1, PERMISSION_READ);
	remember_key((struct queue_key){.device = 99, .inode = 1}, 1, PERMISSION_READ);
	cr_expect_eq(begin_and_end(pid), 1U);
	queues.keys[0].device = 98;
	cr_expect_eq(begin_and_end(pid), 0U, "it is no queue");
	end(pid);
}

Test(lookout, goes_on_after_a_name_that_leads_nowhere)
{
	pid_t pid = start(nothing, nothing);

	remember(0, 0);
	remember(1, 0);
	cr_assert_eq(mq_unlink(names[0]), 0);
	cr_expect_eq(begin_and_end(pid), 1U);
	end(pid);
}

Test(lookout, has_nothing_that_lies_behind_the_last)
{
	pid_t pid = start(nothing, nothing), other = start(open_first, nothing);

	remember(1, PERMISSION_READ);
	remember(0, 0);
	queues.count = 1;
	cr_expect_eq(begin_and_end(pid), 0U);
	queues.entries[1].permissions = PERMISSION_READ;
	cr_expect_eq(begin_and_end(other), 1U);
	end(pid);
	end(other);
}

static void open_first_twice(void)
{
	open_first();
	(void)!dup(queue);
}

Test(lookout, has_each_queue_once_and_only_those_that_may_not_be_read)
{
	pid_t pid = start(open_first_twice, nothing);

	remember(1, PERMISSION_READ);
	cr_expect_eq(begin_and_end(pid), 1U, "not known, and open twice");
	remember(0, 0);
	cr_expect_eq(begin_and_end(pid), 1U, "by its name, and open twice");
	queues.entries[1].permissions = PERMISSION_READ;
	cr_expect_eq(begin_and_end(pid), 0U);
	queues.entries[1].permissions = 0;
	cr_assert_eq(mq_unlink(names[0]), 0);
	irregular = true;
	cr_expect_eq(begin_and_end(pid), 0U);
	irregular = false;
	cr_expect_eq(begin_and_end(pid), 1U, "by its descriptor");
	pretended = queues.keys[0];
	queues.entries[0].permissions = 0;
	cr_assert_eq(mq_unlink(names[1]), 0);
	cr_expect_eq(begin_and_end(pid), 0U, "what was exchanged is not opened");
	end(pid);
}

Test(lookout, what_cannot_be_asked_refuses_the_call)
{
	pid_t pid = start(open_first, nothing);

	remember(0, 0);
	queues.hidden = 1;
	cr_expect_eq(begin(pid), -ENOSPC);
	cr_expect_eq(lookout.count, 0U);
	queues.hidden = 0;
	look_up_error = -EAGAIN;
	cr_expect_eq(begin(pid), -EAGAIN);
	look_up_error = 0;
	own_error = -EIO;
	cr_expect_eq(begin(pid), -EIO);
	own_error = 0;
	pread_error = EIO;
	cr_expect_eq(begin(pid), -EIO);
	pread_error = 0;
	descriptor_error = -EIO;
	cr_expect_eq(begin(pid), -EIO);
	lookout_end(&lookout);
	descriptor_error = 0;
	no_table = true;
	cr_expect_eq(begin(pid), -EIO);
	lookout_end(&lookout);
	end(pid);
}

Test(lookout, what_is_closed_meanwhile_does_not_matter)
{
	static const int errors[] = {-EBADF, -ENOENT, -ESRCH};
	pid_t pid = start(open_first, nothing);

	remember(1, 0);
	for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
		descriptor_error = errors[i];
		cr_expect_eq(begin_and_end(pid), 1U);
	}
	end(pid);
}

Test(lookout, past_its_bound_refuses_the_call)
{
	pid_t pid = start(open_first, nothing);
	const struct rlimit enough = {2 * SESSION_QUEUES_MAX, 2 * SESSION_QUEUES_MAX};

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &enough), 0);
	for (int i = 0; i < SESSION_QUEUES_MAX; i++)
		remember(1, 0);
	cr_expect_eq(begin(pid), -ENOSPC);
	cr_expect_eq(lookout.count, (size_t)SESSION_QUEUES_MAX);
	lookout_end(&lookout);
	end(pid);
}
