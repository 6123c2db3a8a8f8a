/* SPDX-License-Identifier: MIT */
/* Calls that the session process carries out itself, and session processes that are killed between
 * the call and its answer: nothing is lost, nothing is done twice. */
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/session/target/notify.h"
#include "daemon/session/target/target.h"
#include "door.h"
#include "support.h"

#define ROUNDS 20

/* --- where a session process is killed --- */

enum place { NOWHERE, BEFORE_WRITING, BEFORE_ANSWERING };

static volatile int *killed_at; /* shared with the session processes; once, then NOWHERE again */

static void killed_here(enum place place)
{
	if (!killed_at || *killed_at != (int)place)
		return;
	*killed_at = NOWHERE;
	(void)kill(getpid(), SIGKILL);
}

/* The linker puts these in the place of the session's own (--wrap). */
int __real_target_write(struct target *target, uint64_t address, const void *data, size_t size);
int __wrap_target_write(struct target *target, uint64_t address, const void *data, size_t size);
int __real_notify_reply(int listener, uint64_t id, const struct answer *answer);
int __wrap_notify_reply(int listener, uint64_t id, const struct answer *answer);

int __wrap_target_write(struct target *target, uint64_t address, const void *data, size_t size)
{
	killed_here(BEFORE_WRITING);
	return __real_target_write(target, address, data, size);
}

int __wrap_notify_reply(int listener, uint64_t id, const struct answer *answer)
{
	killed_here(BEFORE_ANSWERING);
	return __real_notify_reply(listener, id, answer);
}

static void arm(enum place place)
{
	*killed_at = (int)place;
}

static void replace_the_killed(struct door *door)
{
	siginfo_t info;

	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 1000; i++) {
		info.si_pid = 0;
		if (waitid(P_PID, (id_t)door->session, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
			info.si_pid != 0)
			break;
		(void)usleep(1000);
	}
	cr_assert_eq(*killed_at, NOWHERE, "the session process did not come to that place");
	door_replace(door);
}

/* --- the app --- */

static mqd_t queue, other;

static void lose_something(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	app_pause(stage);
}

static void receive_rounds(struct stage *stage)
{
	lose_something(stage);
	for (int i = 0; i < ROUNDS; i++) {
		char buffer[33] = "", expected[33];
		unsigned priority = 0;
		long n;

		app_pause(stage);
		n = result_of(mq_receive(other, buffer, 32, &priority));
		(void)snprintf(expected, sizeof(expected), "message %d", i);
		if (n != (long)strlen(expected) || priority != (unsigned)i + 1 ||
			!streq(buffer, expected))
			stage->results[0]++;
		app_tell(stage);
	}
}

static void send_rounds(struct stage *stage)
{
	lose_something(stage);
	for (int i = 0; i < ROUNDS; i++) {
		char text[33];

		app_pause(stage);
		(void)snprintf(text, sizeof(text), "message %d", i);
		if (mq_send(other, text, strlen(text), (unsigned)i + 1) < 0)
			stage->results[0]++;
		app_tell(stage);
	}
}

/* --- the test's side --- */

static void open_tainted(struct door *door, void (*app)(struct stage *))
{
	killed_at = mmap(NULL, sizeof(*killed_at), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(killed_at, MAP_FAILED);
	door_open(door, NOBODY, NULL, app);
	door_begin(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(door, 0, PERMISSIONS_ALL);
	door_go(door);
	other = mq_open(door->stage->other, O_RDWR | O_NONBLOCK);
	cr_assert(other >= 0);
}

static void put(int i)
{
	char text[33];

	(void)snprintf(text, sizeof(text), "message %d", i);
	cr_assert_eq(mq_send(other, text, strlen(text), (unsigned)i + 1), 0);
}

static long messages(void)
{
	struct mq_attr attributes = {0};

	cr_assert_eq(mq_getattr(other, &attributes), 0);
	return attributes.mq_curmsgs;
}

/* Every second one has its message there already, the others wait for it. */
static void receive_while_killed(enum place place)
{
	struct door door;

	open_tainted(&door, receive_rounds);
	for (int i = 0; i < ROUNDS; i++) {
		door_wait(&door);
		arm(place);
		if (i % 2)
			put(i);
		door_go(&door);
		if (i % 2 == 0) {
			(void)usleep(20000);
			put(i);
		}
		replace_the_killed(&door);
		door_wait(&door);
		cr_expect_eq(messages(), 0, "round %d", i);
	}
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "%ld of %d were not as sent",
		door.stage->results[0], ROUNDS);
}

Test(emulate, a_message_taken_is_handed_out_by_the_next_session_process, .timeout = 60)
{
	receive_while_killed(BEFORE_WRITING);
}

Test(emulate, a_message_handed_out_is_not_taken_again, .timeout = 60)
{
	receive_while_killed(BEFORE_ANSWERING);
}

static void expect_message(int i)
{
	char buffer[33] = "", expected[33];
	unsigned priority = 0;

	(void)snprintf(expected, sizeof(expected), "message %d", i);
	cr_expect_eq(mq_receive(other, buffer, 32, &priority), (ssize_t)strlen(expected));
	cr_expect_eq(priority, (unsigned)i + 1);
	cr_expect_str_eq(buffer, expected);
}

static void fill(void)
{
	while (mq_send(other, "full", 4, 100) == 0)
		;
}

static void take_what_filled(void)
{
	char buffer[32];
	unsigned priority;

	for (int i = 0; i < 2; i++) {
		cr_assert_eq(mq_receive(other, buffer, sizeof(buffer), &priority), 4);
		cr_assert_eq(priority, 100);
	}
}

/* Every second one waits for room. */
Test(emulate, a_message_sent_is_not_sent_again, .timeout = 60)
{
	struct door door;

	open_tainted(&door, send_rounds);
	for (int i = 0; i < ROUNDS; i++) {
		door_wait(&door);
		if (i % 2)
			fill();
		arm(BEFORE_ANSWERING);
		door_go(&door);
		if (i % 2) {
			(void)usleep(20000);
			take_what_filled();
		}
		replace_the_killed(&door);
		door_wait(&door);
		expect_message(i);
		cr_expect_eq(messages(), 0, "round %d", i);
	}
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "%ld failed", door.stage->results[0]);
}

/* --- memory --- */

#define LARGE ((size_t)6 * SESSION_MESSAGE_KEPT)

static void receive_large(struct stage *stage)
{
	struct mq_attr attributes = {.mq_maxmsg = 1, .mq_msgsize = (long)LARGE};
	static char buffer[LARGE];

	app_pause(stage);
	queue = open_new(stage->queue);
	other = mq_open(stage->other, O_RDWR | O_CREAT, 0666, &attributes);
	if (other < 0)
		_exit(111);
	app_pause(stage);
	app_pause(stage);
	for (size_t i = 0; i < LARGE; i++)
		buffer[i] = (char)(i % 251);
	stage->results[0] = result_of(mq_send(other, buffer, LARGE, 0));
	memset(buffer, 0, LARGE);
	stage->results[1] = result_of(mq_receive(other, buffer, LARGE, NULL));
	for (size_t i = 0; i < LARGE; i++)
		stage->results[2] += buffer[i] != (char)(i % 251);
	app_pause(stage);
}

static size_t memory_of(const struct door *door)
{
	struct stat st;

	cr_assert_eq(fstat(door->inflight, &st), 0);
	return (size_t)st.st_blocks * 512;
}

Test(emulate, what_a_large_message_took_is_given_back)
{
	struct door door;
	size_t most, after = SIZE_MAX;
	int fd;

	need_root();
	cr_assert_eq(unshare(CLONE_NEWIPC), 0);
	fd = open("/proc/sys/fs/mqueue/msgsize_max", O_WRONLY);
	cr_assert_eq(write(fd, "1048576", 7), 7);
	(void)close(fd);
	open_tainted(&door, receive_large);
	door_wait(&door);
	most = memory_of(&door) + SESSION_MESSAGE_KEPT + 2 * 65536;
	door_go(&door);
	door_wait(&door);
	/* Once the app has its answer, and perhaps a moment later. */
	for (int i = 0; i < 2000 && after > most; i++) {
		(void)usleep(1000);
		after = memory_of(&door);
	}
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0, "%ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], (long)LARGE, "%ld", door.stage->results[1]);
	cr_expect_eq(door.stage->results[2], 0, "%ld bytes differ", door.stage->results[2]);
	cr_expect_leq(after, most, "%zu bytes", after);
}
