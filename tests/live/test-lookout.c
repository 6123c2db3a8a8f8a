/* SPDX-License-Identifier: MIT */
/* Who is registered for notification, and where: asked of children of the test, which nobody
 * confines. */
#include <fcntl.h>
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
#include "door.h"
#include "support.h"

/* --- what fails ------------------------------------------------------------------------------ */

static int descriptor_error, look_up_error; /* 0: none */
static struct queue_key pretended;          /* what each descriptor is; inode 0: what it is */
static bool holds_up;

int __real_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret)
{
	int r = __real_target_descriptor(target, fd, ret);

	if (pretended.inode != 0)
		*ret = (struct descriptor){.key = pretended, .regular = true};
	return descriptor_error ?: r;
}

int __real_own_look_up(const struct own_identity *own, int ipc_namespace, const char *name);
int __wrap_own_look_up(const struct own_identity *own, int ipc_namespace, const char *name);
int __wrap_own_look_up(const struct own_identity *own, int ipc_namespace, const char *name)
{
	if (holds_up)
		(void)pause();
	return look_up_error ?: __real_own_look_up(own, ipc_namespace, name);
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

static enum registered look_in(pid_t pid, const struct grants *scope)
{
	const struct process process = process_of(pid);

	return registrations_look(&process, &queues, scope, &own);
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
	queues.keys[1].inode = 0;
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
	cr_expect_eq(registrations_look(&other, &queues, NULL, &own), REGISTERED_NOT,
		"another had that number");
	other.pid = pid;
	end(pid);
	cr_expect_eq(registrations_look(&other, &queues, NULL, &own), REGISTERED_NOT);
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

Test(registered, is_unknown_if_a_descriptor_cannot_be_looked_at)
{
	pid_t pid = start(nothing, nothing);

	descriptor_error = -EIO;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
	descriptor_error = -EACCES;
	cr_expect_eq(look(pid), REGISTERED_UNKNOWN);
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

	cr_assert_eq(target_open(pid, &target), 0);
	return lookout_begin(&lookout, &queues, &own, &identity, &target);
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

	remember(1, PERMISSION_READ);
	remember(0, PERMISSION_WRITE);
	before = count_descriptors();
	cr_assert_eq(begin(pid), 0);
	cr_expect_eq(lookout.count, 1U);
	cr_expect_not(lookout_sees(&lookout, pid));
	go_on();
	cr_expect(lookout_sees(&lookout, pid));
	cr_expect_not(lookout_sees(&lookout, pid + 1));
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

static void open_first_twice(void)
{
	open_first();
	(void)dup(queue);
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
	descriptor_error = -EIO;
	cr_expect_eq(begin(pid), -EIO);
	lookout_end(&lookout);
	descriptor_error = -EBADF;
	cr_expect_eq(begin_and_end(pid), 1U, "it was closed meanwhile");
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
