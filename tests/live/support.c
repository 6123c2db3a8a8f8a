/* SPDX-License-Identifier: MIT */
/* What tests on both sides of the door need. */
#include "support.h"

#include <criterion/criterion.h>
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "door.h"
#include "include/capabilities.h"
#include "include/task.h"
#include "include/util.h"

mqd_t open_new(const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 32};

	return mq_open(name, O_RDWR | O_CREAT, 0666, &attributes);
}

void send_too_late(const char *name)
{
	mqd_t queue = mq_open(name, O_WRONLY);

	cr_assert_eq(mq_send(queue, "too late", 8, 0), 0);
	(void)mq_close(queue);
}

pid_t owner_by_descriptor(int fd)
{
	char text[256] = "", *at;

	cr_assert_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	at = strstr(text, "NOTIFY_PID:");
	cr_assert_not_null(at);
	return (pid_t)strtol(at + strlen("NOTIFY_PID:"), NULL, 10);
}

pid_t owner_of(const char *name)
{
	_cleanup_close_ int fd = mq_open(name, O_RDONLY);

	cr_assert(fd >= 0);
	return owner_by_descriptor(fd);
}

void in_background(void *(*f)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, f, NULL) != 0)
		_exit(110);
}

void settle(void)
{
	(void)usleep(100000);
}

long register_by_signal(mqd_t queue)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	return result_of(mq_notify(queue, &event));
}

struct timespec in_seconds(int seconds)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += seconds;
	return ts;
}

char state_of(pid_t pid)
{
	struct task task;

	return task_read_by_number(pid, &task) == 0 ? task.state : 0;
}

void end(pid_t pid)
{
	cr_expect_eq(kill(pid, SIGKILL), 0);
	(void)waitpid(pid, NULL, 0);
}

void become_root_with_one(void)
{
	if (capabilities_set(CAPABILITY(FOWNER), CAPABILITY(FOWNER)) < 0)
		_exit(101);
}

void become_root_with_one_for_good(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		_exit(102);
	become_root_with_one();
}
