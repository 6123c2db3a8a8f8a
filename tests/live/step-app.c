/* SPDX-License-Identifier: MIT */
/* The app that is stepped through, and the victim. */
#include "step-scene.h"

/* --- arguments: at the same addresses in the caller and in the victim --- */

void set_arguments(enum place place, bool first)
{
	memset(name, 0, sizeof(name));
	(void)strcpy(name, names[place] + 1);
	memset(message, first ? 'm' : 'x', sizeof(message));
	attributes = (struct mq_attr){.mq_maxmsg = first ? MESSAGES : 1,
		.mq_msgsize = first ? 32 : 16,
		.mq_flags = first ? O_NONBLOCK : 0};
	priority = first ? 1 : 2;
	timeout = (struct timespec){.tv_sec = first ? INT32_MAX : INT32_MAX - 1};
	event = (struct sigevent){.sigev_notify = SIGEV_NONE};
}

long call_open(void)
{
	return syscall(SYS_mq_open, name, O_RDWR, 0, NULL);
}

long call_create(void)
{
	return syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, &attributes);
}

long call_create_exclusively(void)
{
	return syscall(SYS_mq_open, name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
}

long call_unlink(void)
{
	return syscall(SYS_mq_unlink, name);
}

long call_send(void)
{
	return syscall(SYS_mq_timedsend, QUEUE_FD, message, 3, 1, &timeout);
}

long call_receive(void)
{
	return syscall(SYS_mq_timedreceive, QUEUE_FD, message, 32, &priority, &timeout);
}

long call_get_attributes(void)
{
	return syscall(SYS_mq_getsetattr, QUEUE_FD, NULL, &attributes);
}

long call_set_attributes(void)
{
	return syscall(SYS_mq_getsetattr, QUEUE_FD, &attributes, NULL);
}

long call_register(void)
{
	return syscall(SYS_mq_notify, QUEUE_FD, &event);
}

long call_remove(void)
{
	return syscall(SYS_mq_notify, QUEUE_FD, NULL);
}

/* --- the app --- */

static void *another_thread(void *data)
{
	const struct kind *kind = data;
	char what;

	while (read(nudge[0], &what, 1) == 1) {
		if (what == 'x')
			(void)execl("/bin/sleep", "sleep", "20", (char *)NULL);
		if (kind->after == NOWHERE)
			(void)close(QUEUE_FD);
		else if (kind->on_descriptor)
			(void)dup2(descriptors[kind->after], QUEUE_FD);
		else
			set_arguments(kind->after, false);
		if (write(nudged[1], "d", 1) != 1)
			abort();
		if (what == 'l')
			break;
	}
	return NULL;
}

bool is_own(long fd)
{
	char path[64], link[128] = "";

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	return readlink(path, link, sizeof(link) - 1) > 0 && streq(link, names[OWN]);
}

static _noreturn_ void be_caller(const struct kind *kind)
{
	pthread_t thread;
	long result;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)umask(077); /* not the session process's */
	set_arguments(kind->at, true);
	if (kind->on_descriptor && dup2(descriptors[kind->at], QUEUE_FD) < 0)
		abort();
	if (pthread_create(&thread, NULL, another_thread, (void *)kind) != 0)
		abort();
	play->caller = getpid();
	result = result_of(kind->call());
	play->is_own = !kind->on_descriptor && result >= 0 && is_own(result);
	play->result = result;
	atomic_store(&play->answered, true);
	for (;;)
		(void)pause();
}

static void run_caller(void)
{
	pid_t pid;

	/* What was done for an earlier caller, perhaps after it had died. */
	(void)fcntl(descriptors[OWN], F_SETFL, 0);
	pid = fork();
	if (pid == 0)
		be_caller(play->kind);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		abort();
	play->flags = fcntl(descriptors[OWN], F_GETFL);
}

static void ask(struct stage *stage)
{
	long fd = result_of(mq_open(stage->queue, O_WRONLY));

	play->asked[0] = fd;
	if (fd >= 0)
		(void)mq_close((mqd_t)fd);
	play->asked[1] = result_of(mq_unlink(names[DENIED]));
}

/* Makes the callers, one after the other. */
void be_app(struct stage *stage)
{
	for (;;) {
		(void)alarm(3 * DOOR_DEADLINE_SECONDS);
		app_pause(stage);
		if (play->command == END)
			return;
		if (play->command == RUN)
			run_caller();
		else
			ask(stage);
	}
}

int make_queue(enum place place, int flags)
{
	struct mq_attr size = {.mq_maxmsg = MESSAGES, .mq_msgsize = 32};
	mqd_t fd = mq_open(names[place], O_RDWR | O_CREAT | flags, 0600, &size);

	if (fd < 0)
		abort();
	return fd;
}

void name_queues(const struct stage *stage)
{
	(void)strcpy(names[OWN], stage->queue);
	(void)strcpy(names[FOREIGN], stage->queue);
	(void)strcpy(names[ROOTS], stage->other);
	(void)snprintf(names[DENIED], sizeof(names[DENIED]), "%.50s-denied", stage->queue);
}

/* What outsiders gave it. */
void be_given_queues(struct stage *stage)
{
	name_queues(stage);
	descriptors[OWN] = make_queue(OWN, 0);
	descriptors[DENIED] = make_queue(DENIED, 0);
}

void keep_patience(uint64_t deadline)
{
	if (now_usec() > deadline)
		cr_assert_fail("it takes too long");
}

/* --- the victim --- */

static _noreturn_ void be_victim(const struct kind *kind)
{
	struct epoll_event nothing;
	int set = epoll_create1(EPOLL_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_arguments(ROOTS, false);
	if (kind->victims == FOREIGN && setns(foreign_namespace, CLONE_NEWIPC) < 0)
		_exit(1);
	if (kind->on_descriptor && dup2(descriptors[kind->victims], QUEUE_FD) < 0)
		_exit(1);
	atomic_store(&play->victim_ready, true);
	/* Being stopped ends this call. */
	(void)epoll_wait(set, &nothing, 1, -1);
	atomic_store(&play->victim_disturbed, true);
	for (;;)
		(void)pause();
}

pid_t start_victim(const struct kind *kind, pid_t number)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
	uint64_t deadline = now_usec() + PATIENCE_USEC;
	pid_t pid;

	play->victim_ready = false;
	play->victim_disturbed = false;
	pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (pid == 0)
		be_victim(kind);
	cr_assert_eq(pid, number, "the number is taken by somebody else: %s", strerror(errno));
	while (!atomic_load(&play->victim_ready)) {
		keep_patience(deadline);
		(void)usleep(20);
	}
	return pid;
}
