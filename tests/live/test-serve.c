/* SPDX-License-Identifier: MIT */
/* The way of a request, with a real filter and a real session process. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "door.h"
#include "support.h"
#include "include/verdict.h"

static mqd_t queue;

static mqd_t open_queue(struct stage *stage, int oflag)
{
	struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 32};

	return mq_open(stage->queue, oflag, 0666, &attributes);
}

/* --- deny is the initial state --- */

static void try_everything(struct stage *stage)
{
	char buffer[32];

	stage->results[0] = result_of(open_queue(stage, O_RDWR | O_CREAT));
	stage->results[1] = result_of(open_queue(stage, O_RDONLY));
	stage->results[2] = result_of(mq_unlink(stage->queue));
	stage->results[3] = result_of(mq_receive(0, buffer, sizeof(buffer), NULL));
}

static bool exists(struct stage *stage)
{
	mqd_t fd = mq_open(stage->queue, O_RDONLY);

	if (fd >= 0)
		(void)mq_close(fd);
	return fd >= 0;
}

Test(serve, nothing_granted_nothing_done)
{
	struct door door;

	door_open(&door, 0, NULL, try_everything);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES);
	cr_expect_eq(door.stage->results[1], -EACCES);
	cr_expect_eq(door.stage->results[2], -EACCES);
	cr_expect_eq(door.stage->results[3], -EBADF, "no queue: the kernel's own answer");
	cr_expect_not(exists(door.stage));
}

Test(serve, a_denial_is_recorded)
{
	struct door door;
	struct session_message message;

	door_open(&door, NOBODY, NULL, try_everything);
	message = door_record(&door);
	cr_expect_eq(message.record.call, MQ_CALL_OPEN);
	cr_expect_eq(message.record.reason, REASON_NOT_GRANTED);
	cr_expect_eq(message.record.error, EACCES);
	cr_expect_eq(message.record.missing,
		PERMISSION_OPEN | PERMISSION_READ | PERMISSION_WRITE | PERMISSION_CREATE);
	cr_expect_eq(message.record.tgid, door.app);
	cr_expect_eq(message.record.uid, NOBODY);
	cr_expect_str_eq(message.record.name, door.stage->queue + 1);
	cr_expect_str_not_empty(message.record.command);
	door_close(&door);
}

/* --- granted --- */

static void use_it(struct stage *stage)
{
	char buffer[32];
	unsigned priority;
	struct stat st;

	app_pause(stage);
	(void)umask(027);
	queue = open_queue(stage, O_RDWR | O_CREAT | O_EXCL);
	stage->results[0] = queue < 0 ? -errno : 0;
	stage->results[1] = result_of(fcntl(queue, F_GETFD));
	stage->results[2] = result_of(fstat(queue, &st)) ?: (long)(st.st_mode & 07777);
	stage->results[3] = st.st_uid;
	stage->results[4] = result_of(mq_send(queue, "hello", 6, 7));
	stage->results[5] = result_of(mq_receive(queue, buffer, sizeof(buffer), &priority));
	stage->results[6] = priority;
	stage->results[7] = result_of(open_queue(stage, O_RDWR | O_CREAT | O_EXCL));
	stage->results[8] = result_of(mq_unlink(stage->queue));
	stage->results[9] = result_of(mq_unlink(stage->queue));
}

static void check_used(uid_t uid)
{
	struct door door;

	door_open(&door, uid, NULL, use_it);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], FD_CLOEXEC);
	cr_expect_eq(door.stage->results[2], 0640, "mode %lo: the caller's umask",
		door.stage->results[2]);
	cr_expect_eq(door.stage->results[3], uid, "the caller owns it");
	cr_expect_eq(door.stage->results[4], 0);
	cr_expect_eq(door.stage->results[5], 6);
	cr_expect_eq(door.stage->results[6], 7);
	cr_expect_eq(door.stage->results[7], -EEXIST);
	cr_expect_eq(door.stage->results[8], 0);
	cr_expect_eq(door.stage->results[9], -ENOENT);
}

Test(serve, root_uses_what_is_granted)
{
	check_used(0);
}

Test(serve, a_user_uses_what_is_granted)
{
	check_used(NOBODY);
}

/* --- the very next call --- */

static void call_between_grants(struct stage *stage)
{
	char buffer[32];
	struct mq_attr attributes;
	struct sigevent none = {.sigev_notify = SIGEV_NONE};

	app_pause(stage);
	queue = open_queue(stage, O_RDWR | O_CREAT);
	stage->results[0] = queue < 0 ? -errno : 0;
	stage->results[1] = result_of(mq_send(queue, "a", 1, 0));
	app_pause(stage); /* read only */
	stage->results[2] = result_of(mq_send(queue, "b", 1, 0));
	stage->results[3] = result_of(mq_receive(queue, buffer, sizeof(buffer), NULL));
	stage->results[4] = result_of(mq_notify(queue, &none));
	stage->results[5] = result_of(mq_getattr(queue, &attributes));
	app_pause(stage); /* nothing */
	stage->results[6] = result_of(mq_send(queue, "c", 1, 0));
	stage->results[7] = result_of(mq_receive(queue, buffer, sizeof(buffer), NULL));
	stage->results[8] = result_of(mq_getattr(queue, &attributes));
	stage->results[9] = result_of(mq_notify(queue, &none));
	stage->results[10] = result_of(mq_notify(queue, NULL));
	stage->results[11] = result_of(mq_unlink(stage->queue));
}

Test(serve, grants_decide_the_very_next_call)
{
	static const long expected[] = {
		0, 0, -EACCES, 1, 0, 0, -EACCES, -EACCES, -EACCES, -EACCES, 0, -EACCES};
	static const uint32_t grants[] = {PERMISSIONS_ALL, PERMISSION_READ, 0};
	struct door door;

	door_open(&door, NOBODY, NULL, call_between_grants);
	for (size_t i = 0; i < ELEMENTSOF(grants); i++) {
		door_wait(&door);
		door_grant(&door, grants[i]);
		door_go(&door);
	}
	door_close(&door);
	for (size_t i = 0; i < ELEMENTSOF(expected); i++)
		cr_expect_eq(door.stage->results[i], expected[i], "call %zu: %ld", i,
			door.stage->results[i]);
}

/* --- a session process that dies --- */

static void send_and_receive(struct stage *stage)
{
	char buffer[32];

	app_pause(stage);
	queue = open_queue(stage, O_RDWR | O_CREAT);
	(void)mq_unlink(stage->queue);
	app_pause(stage);
	stage->results[0] = result_of(mq_send(queue, "a", 1, 0));
	stage->results[1] = result_of(mq_receive(queue, buffer, sizeof(buffer), NULL));
}

Test(serve, the_next_session_process_knows_the_queues_even_deleted_ones)
{
	struct door door;

	door_open(&door, NOBODY, NULL, send_and_receive);
	door_begin(&door, PERMISSIONS_ALL, 0);
	door_replace(&door);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], 1);
}

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			n++;
	return n;
}

static void create_and_delete(struct stage *stage)
{
	struct mq_attr attributes;
	int before;

	app_pause(stage);
	before = count_descriptors();
	for (int i = 0; i < 2000; i++) {
		queue = open_queue(stage, O_RDWR | O_CREAT | O_EXCL);
		if (queue < 0)
			stage->results[0] = -errno;
		if (mq_getattr(queue, &attributes) < 0 || attributes.mq_msgsize != 32 ||
			lseek(queue, 0, SEEK_CUR) != 0)
			stage->results[3]++;
		if (mq_unlink(stage->queue) < 0)
			stage->results[1] = -errno;
		(void)mq_close(queue);
		stage->results[2] = i + 1;
	}
	stage->results[4] = count_descriptors() - before;
}

static void kill_session_processes(unsigned microseconds)
{
	struct door door;

	door_open(&door, NOBODY, NULL, create_and_delete);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	for (unsigned i = 0; i < 200 && door.stage->results[2] < 2000; i++) {
		(void)usleep(microseconds + i * 37 % 300);
		door_replace(&door);
	}
	door_close(&door);
	cr_expect_eq(door.stage->results[2], 2000);
	cr_expect_eq(door.stage->results[0], 0, "creating: %ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], 0, "deleting: %ld", door.stage->results[1]);
	cr_expect_eq(door.stage->results[3], 0, "%ld descriptors were not the queue, or not as new",
		door.stage->results[3]);
	cr_expect_eq(door.stage->results[4], 0, "%ld descriptors leaked", door.stage->results[4]);
}

Test(serve, calls_in_hand_survive_session_processes)
{
	kill_session_processes(50);
}

Test(serve, calls_in_hand_survive_session_processes_that_die_later)
{
	kill_session_processes(1000);
}

/* --- identity --- */

static void full_table(struct stage *stage)
{
	struct rlimit limit = {.rlim_cur = 32, .rlim_max = 32};

	app_pause(stage);
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	while (dup(0) >= 0)
		;
	stage->results[0] = result_of(open_queue(stage, O_RDWR | O_CREAT));
	stage->results[1] = result_of(mq_open("/mqgate-no-such", O_RDONLY));
	stage->results[2] = result_of(syscall(SYS_mq_open, "", O_RDONLY, 0, NULL));
	(void)close(31);
	stage->results[3] = result_of(open_queue(stage, O_RDWR));
	stage->results[4] = result_of(open_queue(stage, O_RDWR | O_CREAT));
}

Test(serve, a_full_table_comes_before_the_look_up)
{
	struct door door;

	door_open(&door, 0, NULL, full_table);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EMFILE);
	cr_expect_eq(door.stage->results[1], -EACCES, "not granted comes first");
	cr_expect_eq(door.stage->results[2], -ENOENT);
	cr_expect_eq(door.stage->results[3], -ENOENT, "not created by the first");
	cr_expect_eq(door.stage->results[4], 31);
}

/* --- what is created and cannot be given to the app --- */

/* What is done with the queue just then. */
static void (*instead_of_injecting)(int fd);

int __real_notify_inject(int listener, uint64_t id, int fd);
int __wrap_notify_inject(int listener, uint64_t id, int fd);
int __wrap_notify_inject(int listener, uint64_t id, int fd)
{
	if (!instead_of_injecting)
		return __real_notify_inject(listener, id, fd);
	instead_of_injecting(fd);
	return -EMFILE;
}

static void leave(int fd)
{
}

static void exchange_for_a_successor(int fd)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 1};
	char path[64], name[64] = "";

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name) - 1) < 0 || mq_unlink(name) < 0)
		abort();
	(void)mq_close(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes));
}

static void create_then_delete(struct stage *stage)
{
	app_pause(stage);
	stage->results[0] = result_of(open_queue(stage, O_RDWR | O_CREAT | O_EXCL));
	stage->results[1] = result_of(mq_unlink(stage->queue));
}

static void create_in_vain(struct door *door, void (*instead)(int fd))
{
	instead_of_injecting = instead;
	door_open(door, 0, NULL, create_then_delete);
	instead_of_injecting = NULL;
	door_wait(door);
	door_grant(door, PERMISSIONS_ALL);
	door_go(door);
	door_close(door);
	cr_expect_eq(door->stage->results[0], -EMFILE);
}

Test(serve, what_cannot_be_given_is_taken_back)
{
	struct door door;

	create_in_vain(&door, leave);
	cr_expect_eq(door.stage->results[1], -ENOENT, "it has been deleted already");
}

Test(serve, a_successor_is_not_taken_back)
{
	struct door door;

	create_in_vain(&door, exchange_for_a_successor);
	cr_expect_eq(door.stage->results[1], 0, "it is there to be deleted");
}

/* --- user namespaces --- */

/* An ordinary user with all capabilities, in a user namespace of its own. */
static void become_root_of_nothing(struct stage *stage)
{
	if (unshare(CLONE_NEWUSER) < 0)
		_exit(104);
}

static void take_roots_queue(struct stage *stage)
{
	app_pause(stage);
	stage->results[0] = result_of(open_queue(stage, O_RDWR));
	stage->results[1] = result_of(open_queue(stage, O_RDWR | O_CREAT));
	stage->results[2] = result_of(mq_unlink(stage->queue));
}

Test(serve, a_user_namespace_gives_no_capabilities)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
	struct door door;

	door_open(&door, NOBODY, become_root_of_nothing, take_roots_queue);
	door_wait(&door);
	queue = mq_open(door.stage->queue, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
	cr_assert(queue >= 0);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES);
	cr_expect_eq(door.stage->results[1], -EACCES);
	cr_expect(door.stage->results[2] == -EPERM || door.stage->results[2] == -EACCES, "%ld",
		door.stage->results[2]);
}

/* Bare, the same is possible for root: what it may is not less. */
Test(serve, root_opens_what_root_may)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};
	struct door door;

	door_open(&door, 0, NULL, take_roots_queue);
	door_wait(&door);
	queue = mq_open(door.stage->queue, O_RDWR | O_CREAT | O_EXCL, 0, &attributes);
	cr_assert(queue >= 0);
	cr_assert_eq(fchown(queue, NOBODY, NOBODY), 0);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_gt(door.stage->results[0], 0);
	cr_expect_gt(door.stage->results[1], 0);
	cr_expect_eq(door.stage->results[2], 0);
}

static void own_namespace(struct stage *stage)
{
	app_pause(stage);
	if (unshare(CLONE_NEWIPC) < 0)
		_exit(105);
	queue = open_queue(stage, O_RDWR | O_CREAT | O_EXCL);
	stage->results[0] = queue < 0 ? -errno : 0;
	app_pause(stage);
	stage->results[1] = result_of(mq_send(queue, "a", 1, 0));
	stage->results[2] = result_of(mq_unlink(stage->queue));
}

Test(serve, a_name_means_the_callers_ipc_namespace)
{
	struct door door;

	door_open(&door, 0, NULL, own_namespace);
	door_begin(&door, PERMISSIONS_ALL, 0);
	cr_expect_not(exists(door.stage), "the host has no such queue");
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], 0);
	cr_expect_eq(door.stage->results[2], 0);
}

/* --- descriptors from elsewhere --- */

static void open_before(struct stage *stage)
{
	queue = open_queue(stage, O_RDWR | O_CREAT);
	if (queue < 0)
		_exit(106);
}

static void use_descriptor_of_before(struct stage *stage)
{
	stage->results[0] = result_of(mq_send(queue, "a", 1, 0));
	app_pause(stage);
	stage->results[1] = result_of(mq_send(queue, "a", 1, 0));
}

Test(serve, a_descriptor_from_outside_is_named_and_decided)
{
	struct door door;

	door_open(&door, NOBODY, open_before, use_descriptor_of_before);
	door_wait(&door);
	door_grant(&door, PERMISSION_WRITE);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], -EACCES);
	cr_expect_eq(door.stage->results[1], 0);
}

static void open_and_delete_before(struct stage *stage)
{
	open_before(stage);
	(void)mq_unlink(stage->queue);
}

Test(serve, a_deleted_queue_from_outside_has_no_name_and_is_denied)
{
	struct door door;

	door_open(&door, NOBODY, open_and_delete_before, use_descriptor_of_before);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[1], -EACCES);
}

static void use_other_descriptors(struct stage *stage)
{
	char path[] = "/tmp/mqgate-live-XXXXXX";
	int file = mkstemp(path), ends[2];

	(void)unlink(path);
	if (pipe(ends) < 0)
		_exit(107);
	stage->results[0] = result_of(mq_send(file, "a", 1, 0));
	stage->results[1] = result_of(mq_send(ends[1], "a", 1, 0));
	stage->results[2] = result_of(mq_send(-1, "a", 1, 0));
	stage->results[3] = result_of(mq_send(999, "a", 1, 0));
	stage->results[4] = result_of(mq_send(file, "a", 1, 1U << 20));
}

Test(serve, what_is_no_queue_gets_the_kernels_answer)
{
	struct door door;

	door_open(&door, NOBODY, NULL, use_other_descriptors);
	door_close(&door);
	for (int i = 0; i < 4; i++)
		cr_expect_eq(door.stage->results[i], -EBADF, "%d: %ld", i, door.stage->results[i]);
	cr_expect_eq(door.stage->results[4], -EINVAL, "the priority is looked at before");
}

/* --- gone --- */

static void call_until_killed(struct stage *stage)
{
	app_pause(stage);
	for (;;) {
		queue = open_queue(stage, O_RDWR | O_CREAT);
		(void)mq_close(queue);
	}
}

Test(serve, an_app_killed_in_a_call_is_gone_quietly)
{
	struct door door;
	int status;

	door_open(&door, NOBODY, NULL, call_until_killed);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	(void)usleep(20000);
	cr_assert_eq(kill(door.app, SIGKILL), 0);
	cr_assert_eq(waitpid(door.app, &status, 0), door.app);
	/* The session process ends by itself when its last process is gone. */
	for (int i = 0; i < 500; i++) {
		if (waitpid(door.session, &status, WNOHANG) == door.session) {
			cr_expect_eq(status, 0);
			(void)mq_unlink(door.stage->queue);
			return;
		}
		(void)usleep(10000);
	}
	cr_assert_fail("the session process is still there");
}
