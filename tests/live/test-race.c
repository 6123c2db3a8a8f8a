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
#include "support.h"

#define CALLS     50000
#define CALLS_MAX 1000000 /* with MQGATE_LONG=1 */
#define SENDS     150
#define MESSAGES  4

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
		fd = syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, &attributes);
		if (fd < 0)
			continue;
		stage->results[0]++;
		stage->results[1] += !is_the_granted(stage, (int)fd);
		(void)close((int)fd);
	}
	/* Not before: from then on it is refused that name ever later. */
	for (int i = 0; i < SENDS; i++)
		stage->results[3] +=
			syscall(SYS_mq_timedsend, number, "x", 1, 0, &(struct timespec){0}) == 0;
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

Test(race, names_attributes_and_numbers_that_change)
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

/* --- a descriptor from outside that does more than is granted ------------------------------- */

static int own;

static mqd_t open_full(const char *queue, int flags)
{
	struct mq_attr small = {.mq_maxmsg = MESSAGES, .mq_msgsize = 32};
	mqd_t fd = mq_open(queue, O_RDWR | flags, 0600, &small);

	if (fd < 0)
		abort();
	return fd;
}

/* What somebody outside gives it. */
static void be_given_both_ways(struct stage *stage)
{
	other = open_full(stage->other, O_CREAT);
	for (int i = 0; i < MESSAGES - 1; i++)
		if (mq_send(other, "theirs", 6, 0) < 0)
			abort();
}

static void *exchange(void *unused)
{
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		(void)dup2(other, number);
		(void)dup2(own, number);
	}
	return unused;
}

static long receive_now(int fd)
{
	char buffer[32];

	return result_of(mq_timedreceive(fd, buffer, sizeof(buffer), NULL, &(struct timespec){0}));
}

static void receive_by_exchanging(struct stage *stage)
{
	pthread_t thread;

	app_pause(stage);
	own = open_full(stage->queue, O_CREAT);
	/* One of its own, for which it was granted no more than that. */
	(void)close(mq_open(stage->other, O_WRONLY));
	stage->results[0] = result_of(mq_send(other, "mine", 4, 0));
	stage->results[1] = receive_now(other);
	number = dup(own);
	if (pthread_create(&thread, NULL, exchange, NULL) != 0)
		abort();
	for (long i = 0; i < calls(); i++) {
		(void)alarm(DOOR_DEADLINE_SECONDS);
		stage->results[2] += receive_now(number) >= 0;
	}
	atomic_store(&stop, true);
	(void)pthread_join(thread, NULL);
}

Test(race, what_may_only_be_written_is_not_read_by_a_descriptor_from_outside)
{
	struct mq_attr now = {0};
	struct door door;
	mqd_t fd;

	door_open(&door, NOBODY, be_given_both_ways, receive_by_exchanging);
	door_wait(&door);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSION_WRITE);
	door_go(&door);
	while (waitid(P_PID, (id_t)door.app, &(siginfo_t){0}, WEXITED | WNOWAIT) < 0)
		;
	fd = mq_open(door.stage->other, O_RDWR);
	cr_assert_eq(mq_getattr(fd, &now), 0);
	cr_expect_eq(door.stage->results[0], 0, "writing is granted");
	cr_expect_eq(door.stage->results[1], -EACCES, "reading is not");
	cr_expect_eq(door.stage->results[2], 0, "%ld were received", door.stage->results[2]);
	cr_expect_eq(now.mq_curmsgs, MESSAGES, "%ld are left", now.mq_curmsgs);
	door_close(&door);
}
