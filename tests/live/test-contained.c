/* SPDX-License-Identifier: MIT */
/* What is asked of a process in a container, of real ones in namespaces of their own. */
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/target/contained.h"
#include "door.h"

static struct contained contained;
static pid_t children[8];
static size_t child_count;

static void setup(void)
{
	need_root();
}

static void teardown(void)
{
	for (size_t i = 0; i < child_count; i++) {
		(void)kill(children[i], SIGKILL);
		(void)waitpid(children[i], NULL, 0);
	}
}

TestSuite(contained, .init = setup, .fini = teardown);

/* What a runtime does, but for those. */
enum omitted {
	NOTHING,
	PID_NAMESPACE,
	NO_NEW_PRIVS,
	NO_ADMIN,
	NO_ADMIN_BOUND,
	OTHER_DIRECTORY,
	OTHER_ROOT
};

/* What else is done to the mounts. */
static void (*mount_more)(void);

static void drop_admin(bool bound_too)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];

	if (bound_too && prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN, 0, 0, 0) < 0)
		_exit(1);
	if (syscall(SYS_capget, &header, sets) < 0)
		_exit(1);
	for (int i = 0; i < 2; i++)
		sets[i] = (struct __user_cap_data_struct){
			.effective = i == 0 ? 1U << CAP_DAC_OVERRIDE : 0,
			.permitted = i == 0 ? 1U << CAP_DAC_OVERRIDE : 0};
	if (syscall(SYS_capset, &header, sets) < 0)
		_exit(1);
}

static void become_contained(enum omitted omitted)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		_exit(1);
	while (umount2("/dev/mqueue", MNT_DETACH) == 0)
		;
	if (omitted == OTHER_DIRECTORY && mount("none", "/dev/mqueue", "mqueue", 0, NULL) < 0)
		_exit(1);
	if (mount_more)
		mount_more();
	if (omitted != NO_NEW_PRIVS && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(1);
	if (omitted != NO_ADMIN)
		drop_admin(omitted != NO_ADMIN_BOUND);
}

/* A child that has become one, opened. */
static struct target start(enum omitted omitted)
{
	struct target target = TARGET_CLOSED;
	int ready[2];
	pid_t child;
	char byte;

	cr_assert_eq(pipe(ready), 0);
	child = (pid_t)syscall(
		SYS_clone, SIGCHLD | (omitted == PID_NAMESPACE ? 0 : CLONE_NEWPID), 0, 0, 0, 0);
	cr_assert(child >= 0);
	if (child == 0) {
		become_contained(omitted);
		if (write(ready[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	children[child_count++] = child;
	(void)close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the child could not prepare itself");
	(void)close(ready[0]);
	cr_assert_eq(target_open(child, &target), 0);
	return target;
}

/* Everybody who is looked at is in a container of its own. */
static enum reason look_at(enum omitted omitted)
{
	struct target target = start(omitted);
	enum reason reason;
	struct stat st;

	contained = (struct contained){.is = true};
	cr_assert_eq(fstatat(target.proc, "ns/pid", &st, 0), 0);
	contained.pid_namespace = omitted == PID_NAMESPACE ? st.st_ino + 1 : st.st_ino;
	reason = contained_look(&contained, &target);
	target_close(&target);
	return reason;
}

Test(contained, each_thing_that_is_asked)
{
	cr_expect_eq(look_at(NO_NEW_PRIVS), REASON_CONTAINER_PRIVILEGES);
	cr_expect_eq(look_at(NO_ADMIN), REASON_CONTAINER_ADMIN);
	cr_expect_eq(look_at(NO_ADMIN_BOUND), REASON_CONTAINER_ADMIN);
	cr_expect_eq(look_at(OTHER_DIRECTORY), REASON_CONTAINER_MQUEUE);
	cr_expect_eq(look_at(PID_NAMESPACE), REASON_CONTAINER_ELSEWHERE);
	cr_expect_not(contained.watched);
	cr_expect_eq(look_at(NOTHING), REASON_GRANTED);
	cr_expect(contained.watched);
}

Test(contained, who_is_refused)
{
	struct target target;

	cr_assert_eq(look_at(NOTHING), REASON_GRANTED);
	cr_assert_eq(target_open(children[0], &target), 0);
	contained_refuse(&contained, REASON_CONTAINER_ADMIN);
	cr_expect_not(contained.watched);
	cr_expect_eq(contained_look(&contained, &target), REASON_CONTAINER_ADMIN);
	contained = (struct contained){.is = true};
	cr_expect_eq(
		contained_look(&contained, &target), REASON_CONTAINER_REFUSED, "as a successor");
	target_close(&target);
}

Test(contained, who_is_elsewhere)
{
	struct target target;
	uint64_t own;

	cr_assert_eq(look_at(NOTHING), REASON_GRANTED);
	target = start(NOTHING);
	cr_expect_eq(contained_look(&contained, &target), REASON_CONTAINER_ELSEWHERE);
	own = contained.pid_namespace;
	/* In the same PID namespace, but not among the mounts that are watched. */
	cr_assert_eq(target_open(children[0], &target), 0);
	cr_expect_eq(contained_look(&contained, &target), REASON_GRANTED);
	contained.mount_namespace++;
	cr_expect_eq(contained_look(&contained, &target), REASON_CONTAINER_ELSEWHERE);
	contained.mount_namespace--;
	contained.pid_namespace = own + 1;
	cr_expect_eq(contained_look(&contained, &target), REASON_CONTAINER_ELSEWHERE);
	target_close(&target);
}

/* So many mounts that their table comes in pieces, on directories with long names. */
static char long_name[NAME_MAX - 20 + 1];

static void mount_long(size_t bytes)
{
	char path[PATH_MAX];

	memset(long_name, 'a', sizeof(long_name) - 1);
	if (mount("none", "/mnt", "tmpfs", 0, NULL) < 0)
		_exit(1);
	for (size_t i = 0; i * sizeof(long_name) < bytes; i++) {
		(void)snprintf(path, sizeof(path), "/mnt/%zu-%s", i, long_name);
		if (mkdir(path, 0700) < 0 || mount("none", path, "tmpfs", 0, NULL) < 0)
			_exit(1);
	}
}

static void mount_queues_last(void)
{
	mount_long(16384);
	if (mkdir("/mnt/last", 0700) < 0 || mount("none", "/mnt/last", "mqueue", 0, NULL) < 0)
		_exit(1);
}

Test(contained, the_whole_table_is_looked_at)
{
	mount_more = mount_queues_last;
	cr_expect_eq(look_at(NOTHING), REASON_CONTAINER_MQUEUE);
}

static void mount_few(void)
{
	mount_long(16384);
}

static void mount_too_many(void)
{
	mount_long(CONTAINER_MOUNTS_MAX);
}

Test(contained, a_table_beyond_the_bound_is_not_served)
{
	mount_more = mount_few;
	cr_expect_eq(look_at(NOTHING), REASON_GRANTED);
	mount_more = mount_too_many;
	cr_expect_eq(look_at(NOTHING), REASON_FAILED);
}

/* From outside. */
static void mount_into(pid_t pid, const char *type, const char *where)
{
	pid_t helper = fork();
	int status;

	if (helper == 0) {
		int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

		_exit(setns(pidfd, CLONE_NEWNS) < 0 || mount("none", where, type, 0, NULL) < 0);
	}
	cr_assert_eq(waitpid(helper, &status, 0), helper);
	cr_assert_eq(status, 0);
}

static bool is_broken(int *ret_events)
{
	struct pollfd fd = contained_poll(&contained);

	*ret_events = poll(&fd, 1, 0);
	return contained_is_broken(&contained, &fd);
}

Test(contained, what_is_mounted_later_is_told)
{
	int events;

	cr_assert_eq(look_at(NOTHING), REASON_GRANTED);
	cr_expect_not(is_broken(&events));
	cr_expect_eq(events, 0);
	mount_into(children[0], "tmpfs", "/mnt");
	cr_expect_not(is_broken(&events));
	cr_expect_eq(events, 1);
	cr_expect_not(is_broken(&events));
	cr_expect_eq(events, 0, "what has been looked at is not told again");
	mount_into(children[0], "mqueue", "/mnt");
	cr_expect(is_broken(&events));
	cr_expect_eq(events, 1);
}

Test(contained, also_when_the_process_is_gone)
{
	int events;

	cr_assert_eq(look_at(NOTHING), REASON_GRANTED);
	mount_into(children[0], "mqueue", "/mnt");
	(void)kill(children[0], SIGKILL);
	(void)waitpid(children[0], NULL, 0);
	child_count = 0;
	cr_expect(is_broken(&events));
}
