/* SPDX-License-Identifier: MIT */
/* What an app changes while it is being looked at: no wrong verdict takes effect. */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "door.h"

#define NOBODY    65534
#define CALLS     50000
#define CALLS_MAX 1000000 /* with MQGATE_LONG=1 */

static atomic_bool stop;
static char name[64];
static struct mq_attr attributes;
static volatile int number;
static int other;

static long calls(void)
{
	const char *text = getenv("MQGATE_LONG");

	return text && streq(text, "1") ? CALLS_MAX : CALLS;
}

/* The denied name is of the same length, so that also a half-written one is one or the other or
 * neither. */
static void denied_name(const struct stage *stage, char ret[static 64])
{
	(void)snprintf(ret, 64, "%s", stage->queue + 1);
	ret[0] = 'M';
}

/* As fast as can be. */
static void *rewrite(void *data)
{
	const struct stage *stage = data;
	char denied[64];

	denied_name(stage, denied);
	for (unsigned i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
		memcpy(name, i % 2 ? denied : stage->queue + 1, sizeof(denied));
		attributes.mq_maxmsg = i % 3 ? 4 : -1;
		attributes.mq_msgsize = i % 5 ? 32 : 1L << 40;
		number = i % 2 ? other : -1;
	}
	return NULL;
}

static bool is_the_granted(const struct stage *stage, int fd)
{
	char path[64], link[128] = "";

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, link, sizeof(link) - 1) > 0 && streq(link, stage->queue);
}

static void race(struct stage *stage)
{
	pthread_t threads[2];

	app_pause(stage);
	(void)snprintf(name, sizeof(name), "%s", stage->queue + 1);
	for (size_t i = 0; i < ELEMENTSOF(threads); i++)
		if (pthread_create(&threads[i], NULL, rewrite, stage) != 0)
			abort();
	for (long i = 0; i < calls(); i++) {
		long fd;

		(void)alarm(DOOR_DEADLINE_SECONDS);
		if (i % 8 == 7) {
			stage->results[2] += syscall(SYS_mq_unlink, name) == 0;
			continue;
		}
		if (i % 8 == 6) {
			stage->results[3] += syscall(SYS_mq_timedsend, number, "x", 1, 0,
						     &(struct timespec){0}) == 0;
			continue;
		}
		fd = syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, &attributes);
		if (fd < 0)
			continue;
		stage->results[0]++;
		stage->results[1] += !is_the_granted(stage, (int)fd);
		(void)close((int)fd);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < ELEMENTSOF(threads); i++)
		(void)pthread_join(threads[i], NULL);
}

/* A queue of the denied name that the app could use, if it were let. */
static void open_denied(struct stage *stage)
{
	struct mq_attr small = {.mq_maxmsg = 4, .mq_msgsize = 32};
	char denied[64];

	denied_name(stage, denied);
	other = (int)syscall(SYS_mq_open, denied, O_RDWR | O_CREAT, 0600, &small);
	if (other < 0)
		abort();
}

Test(race, names_attributes_and_numbers_that_change, .timeout = 600)
{
	struct mq_attr now = {0};
	struct door door;
	char denied[64];
	long fd;

	door_open(&door, NOBODY, open_denied, race);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	door_go(&door);
	for (int status = 0; status == 0 && kill(door.app, 0) == 0;) {
		siginfo_t information = {0};

		(void)waitid(P_PID, (id_t)door.app, &information, WEXITED | WNOHANG | WNOWAIT);
		status = information.si_pid;
		(void)usleep(20000);
	}
	door_close(&door);
	cr_expect_gt(door.stage->results[0], 100, "the granted one was opened");
	cr_expect_gt(door.stage->results[2], 10, "the granted one was deleted");
	cr_expect_eq(door.stage->results[1], 0, "another was opened");
	cr_expect_eq(door.stage->results[3], 0, "a message was sent to another");
	denied_name(door.stage, denied);
	fd = syscall(SYS_mq_open, denied, O_RDWR, 0, NULL);
	cr_expect_geq(fd, 0, "the denied one was deleted");
	cr_expect_eq(mq_getattr((mqd_t)fd, &now), 0);
	cr_expect_eq(now.mq_curmsgs, 0, "a message reached the denied one");
	(void)close((int)fd);
	(void)syscall(SYS_mq_unlink, denied);
}
