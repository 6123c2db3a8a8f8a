/* SPDX-License-Identifier: MIT */
/* Limits, identity, namespaces. */
#include "probe.h"

#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char buffer[8192];
static mqd_t queue;

/* --- limits --- */

static void set_nofile(rlim_t limit)
{
	struct rlimit l = {limit, limit};

	(void)setrlimit(RLIMIT_NOFILE, &l);
}

static void table_full(void)
{
	set_nofile(40);
	while (dup(0) >= 0)
		;
	TRY(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, NULL));
	TRY(mq_open("/mqgate-probe-no-such", O_RDONLY));
	TRY(raw_open("a/b", O_RDONLY, 0, NULL));
	TRY(raw_open("", O_RDONLY, 0, NULL));
	TRY(raw_open(NULL, O_RDONLY, 0, NULL));
	TRY(raw_open("x", O_RDONLY, 0, (void *)1));
	TRY(mq_unlink(QUEUE));
	(void)close(20);
	TRY(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, NULL));
	TRY(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, NULL));
	(void)close(10);
	(void)close(30);
	TRY(mq_open(QUEUE, O_RDONLY));
	TRY(mq_open(QUEUE, O_RDONLY));
}

static void table_of_none(void)
{
	set_nofile(0);
	TRY(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, NULL));
}

static void table_with_high_descriptors(void)
{
	(void)dup2(0, 100);
	set_nofile(5);
	TRY(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, NULL));
	TRY(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, NULL));
	TRY(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, NULL));
	TRY(mq_unlink(QUEUE));
}

static void try_bytes(rlim_t limit)
{
	struct rlimit l = {limit, limit};

	(void)setrlimit(RLIMIT_MSGQUEUE, &l);
	(void)mq_unlink(QUEUE);
	errno = 0;
	(void)report(mq_open(QUEUE, O_RDWR | O_CREAT, 0600,
			     &(struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 64}),
		"create within %lu bytes", (unsigned long)limit);
}

static void bytes_limited(void)
{
	static const rlim_t limits[] = {600, 500, 400, 300, 200, 176, 175, 100, 1, 0};

	for (size_t i = 0; i < ELEMENTSOF(limits); i++)
		try_bytes(limits[i]);
}

static void until_refused(const char *what, long maxmsg, long msgsize)
{
	struct mq_attr attributes = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
	char name[64];
	int n, error = 0;

	for (n = 0; n < 400; n++) {
		(void)snprintf(name, sizeof(name), QUEUE "-%d", n);
		(void)mq_unlink(name);
		if (mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes) < 0) {
			error = errno;
			break;
		}
	}
	note("%s: %d queues, then %s", what, n, strerrorname_np(error));
	for (int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), QUEUE "-%d", i);
		if (mq_unlink(name) < 0)
			note("unlink %d: %s", i, strerrorname_np(errno));
	}
}

static void many_small(void)
{
	until_refused("small ones", 1, 8);
}

static void many_large(void)
{
	until_refused("large ones", 10, 8192);
}

static void default_attributes(void)
{
	struct mq_attr got;

	queue = mq_open(QUEUE, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	TRY(mq_getattr(queue, &got));
	note("  %ld %ld", got.mq_maxmsg, got.mq_msgsize);
}

void probe_limits(void)
{
	in_child("table full", table_full);
	in_child("table of none", table_of_none);
	in_child("high descriptors", table_with_high_descriptors);
	in_child("bytes", bytes_limited);
	in_child("many small", many_small);
	in_child("many large", many_large);
	(void)mq_unlink(QUEUE);
	in_child("defaults", default_attributes);
}

/* --- identity --- */

/* What new queues are made with; none for the kernel's defaults. */
static struct mq_attr *new_attributes;

static void show_new(const char *what)
{
	struct stat st;
	mqd_t fd;

	(void)mq_unlink(OTHER);
	errno = 0;
	fd = mq_open(OTHER, O_RDWR | O_CREAT | O_EXCL, 0666, new_attributes);
	(void)report(fd < 0 ? fd : 0, "%s: create", what);
	if (fd >= 0 && fstat(fd, &st) == 0)
		note("  owner %u group %u mode %#o", st.st_uid, st.st_gid, (unsigned)st.st_mode);
	(void)close(fd);
	(void)report(mq_open(QUEUE, O_RDONLY) < 0 ? -1 : 0, "%s: open the 0600 one", what);
	(void)report(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, new_attributes) < 0 ? -1 : 0,
		"%s: open or create it", what);
	(void)report(mq_unlink(OTHER), "%s: delete the new one", what);
}

static void drop_and_regain(void)
{
	gid_t groups[] = {1234, 0};

	TRY(setegid(1234));
	TRY(seteuid(65534));
	show_new("seteuid");
	TRY(seteuid(0));
	show_new("seteuid back");
	TRY(setegid(0));
	TRY(setfsuid(4321));
	TRY(setfsgid(4322));
	show_new("setfsuid");
	TRY(setfsuid(0));
	TRY(setfsgid(0));
	TRY(setgroups(2, groups));
	TRY(setresuid(0, 65534, 0));
	show_new("effective only, with group root");
	TRY(setresuid(0, 0, 0));
	TRY(setresuid(65534, 0, 0));
	show_new("real only");
	TRY(setresgid(5, 6, 7));
	TRY(setresuid(8, 9, 10));
	show_new("all different");
	TRY(seteuid(10));
	show_new("saved taken back");
	TRY(seteuid(0));
}

static void delete_others(void)
{
	TRY(mq_open(OTHER, O_RDWR | O_CREAT, 0666, NULL) >= 0);
	TRY(setresgid(65534, 65534, 65534));
	TRY(setresuid(65534, 65534, 65534));
	TRY(mq_unlink(OTHER));
	TRY(mq_unlink(QUEUE));
	TRY(mq_open(OTHER, O_RDWR) >= 0);
}

static void mode_for_groups(void)
{
	gid_t group = 4567;

	(void)umask(0);
	(void)mq_unlink(OTHER);
	queue = mq_open(OTHER, O_RDWR | O_CREAT, 0620, NULL);
	TRY(fchown(queue, 1111, 4567));
	TRY(setgroups(1, &group));
	TRY(setresgid(65534, 65534, 65534));
	TRY(setresuid(65534, 65534, 65534));
	TRY(mq_open(OTHER, O_WRONLY) >= 0);
	TRY(mq_open(OTHER, O_RDONLY) >= 0);
	TRY(mq_open(OTHER, O_RDWR | O_CREAT, 0600, NULL) >= 0);
}

static void drop_capabilities(void)
{
	TRY(prctl(PR_SET_KEEPCAPS, 1));
	TRY(setresuid(65534, 65534, 65534));
	show_new("permitted but not effective");
}

static void not_dumpable(void)
{
	TRY(prctl(PR_SET_DUMPABLE, 0));
	show_new("not dumpable");
}

static void *thread_alone(void *unused)
{
	(void)unused;
	/* The system call, for this thread only. */
	(void)report(syscall(SYS_setresuid, 777, 777, 777), "one thread: setresuid");
	show_new("one thread");
	return NULL;
}

static void one_thread(void)
{
	pthread_t thread;

	(void)pthread_create(&thread, NULL, thread_alone, NULL);
	(void)pthread_join(thread, NULL);
	show_new("the others");
}

static void *thread_mask(void *unused)
{
	(void)unused;
	TRY(unshare(CLONE_FS));
	(void)umask(0137);
	show_new("a thread's own umask");
	return NULL;
}

static void one_umask(void)
{
	pthread_t thread;

	(void)umask(022);
	(void)pthread_create(&thread, NULL, thread_mask, NULL);
	(void)pthread_join(thread, NULL);
	show_new("the others' umask");
}

/* Bytes count against the real user: with little room, the second of one user does not fit. */
static void accounting(void)
{
	struct rlimit limit = {450, 450};
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 64};

	(void)setrlimit(RLIMIT_MSGQUEUE, &limit);
	TRY(setresuid(5551, 5552, 0));
	TRY(mq_open(QUEUE "-a", O_RDWR | O_CREAT, 0600, &attributes) >= 0);
	TRY(mq_open(QUEUE "-b", O_RDWR | O_CREAT, 0600, &attributes) >= 0);
	TRY(mq_open(QUEUE "-c", O_RDWR | O_CREAT, 0600, &attributes) >= 0);
	TRY(setresuid(5553, 5552, 0));
	TRY(mq_open(QUEUE "-d", O_RDWR | O_CREAT, 0600, &attributes) >= 0);
	TRY(mq_unlink(QUEUE "-a"));
	TRY(mq_unlink(QUEUE "-b"));
	TRY(mq_unlink(QUEUE "-c"));
	TRY(mq_unlink(QUEUE "-d"));
}

void probe_identity(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};

	(void)mq_unlink(QUEUE);
	(void)close(mq_open(QUEUE, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes));
	in_child("not dumpable", not_dumpable);
	in_child("one umask", one_umask);
	in_child("drop and regain", drop_and_regain);
	in_child("delete others", delete_others);
	(void)close(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, &attributes));
	in_child("groups", mode_for_groups);
	in_child("capabilities", drop_capabilities);
	in_child("one thread", one_thread);
	in_child("accounting", accounting);
	in_child("delete", remove_all);
}

/* --- namespaces --- */

static void own_user_namespace(void)
{
	TRY(unshare(CLONE_NEWUSER));
	show_new("own user namespace");
}

static void own_ipc_namespace(void)
{
	if (TRY(unshare(CLONE_NEWIPC)) < 0)
		return;
	show_new("own IPC namespace");
	queue = fresh(OTHER, O_RDWR | O_NONBLOCK);
	TRY(mq_send(queue, "x", 1, 0));
	TRY(mq_receive(queue, buffer, 32, NULL));
}

static void own_user_and_ipc_namespace(void)
{
	if (TRY(unshare(CLONE_NEWUSER | CLONE_NEWIPC)) < 0)
		return;
	show_new("own user and IPC namespace");
	many_small();
}

static void *thread_namespace(void *unused)
{
	(void)unused;
	if (TRY(unshare(CLONE_NEWIPC)) == 0)
		show_new("one thread's IPC namespace");
	return NULL;
}

static void one_thread_namespace(void)
{
	pthread_t thread;

	(void)pthread_create(&thread, NULL, thread_namespace, NULL);
	(void)pthread_join(thread, NULL);
	show_new("the others' IPC namespace");
}

static int its_namespace;

static void *thread_enters(void *unused)
{
	(void)unused;
	if (TRY(setns(its_namespace, CLONE_NEWIPC)) < 0)
		return NULL;
	TRY(mq_open(QUEUE "-inside", O_RDONLY) >= 0);
	show_new("entered by one thread");
	TRY(mq_unlink(QUEUE "-inside"));
	return NULL;
}

static void one_thread_enters(void)
{
	char path[64], byte;
	pthread_t thread;
	int ends[2], done[2];
	pid_t pid;

	if (pipe(ends) < 0 || pipe(done) < 0)
		exit(6);
	pid = fork();
	if (pid == 0) {
		(void)close(done[1]);
		if (unshare(CLONE_NEWIPC) == 0)
			(void)mq_open(QUEUE "-inside", O_RDWR | O_CREAT, 0600, new_attributes);
		(void)!write(ends[1], "r", 1);
		(void)!read(done[0], &byte, 1);
		exit(0);
	}
	(void)!read(ends[0], &byte, 1);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/ipc", pid);
	its_namespace = open(path, O_RDONLY);
	(void)pthread_create(&thread, NULL, thread_enters, NULL);
	(void)pthread_join(thread, NULL);
	TRY(mq_open(QUEUE "-inside", O_RDONLY));
	show_new("the others, not entered");
	(void)close(done[1]);
	wait_for(pid, "whose namespace it is");
}

static void in_pid_namespace(void)
{
	show_new("in a PID namespace");
}

static void own_pid_namespace(void)
{
	if (TRY(unshare(CLONE_NEWUSER | CLONE_NEWPID)) == 0)
		in_child("first process", in_pid_namespace);
}

void probe_namespaces(void)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = 8};

	/* Small ones: the kernel frees those of a namespace some time after its last process. */
	new_attributes = &attributes;
	(void)close(mq_open(QUEUE, O_RDWR | O_CREAT, 0600, &attributes));
	in_child("user", own_user_namespace);
	in_child("ipc", own_ipc_namespace);
	in_child("user and ipc", own_user_and_ipc_namespace);
	in_child("one thread", one_thread_namespace);
	in_child("entered", one_thread_enters);
	in_child("pid", own_pid_namespace);
	(void)mq_unlink(OTHER);
	new_attributes = NULL;
}
