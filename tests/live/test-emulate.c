/* SPDX-License-Identifier: MIT */
/* Calls that the session process carries out itself, and session processes that are killed between
 * the call and its answer: nothing is lost, nothing is done twice. */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/target/notify.h"
#include "daemon/session/target/target.h"
#include "door.h"
#include "support.h"

#define ROUNDS 20

/* --- where a session process is killed --- */

enum place {
	NOWHERE,
	BEFORE_CALLING,
	AFTER_CALLING,
	BEFORE_WRITING,
	BEFORE_ANSWERING,
	AFTER_ANSWERING
};

static volatile int *killed_at; /* shared with the session processes; once, then NOWHERE again */

static void killed_here(enum place place)
{
	if (!killed_at || *killed_at != (int)place)
		return;
	*killed_at = NOWHERE;
	(void)kill(getpid(), SIGKILL);
}

/* Once what is behind the app's descriptor has been looked at, and before it is used. */
static volatile int *to_exchange, *exchanged; /* shared with the app */

static void exchange(void)
{
	if (!to_exchange)
		return;
	*to_exchange = 1;
	while (!*exchanged)
		(void)usleep(100);
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
	int r;

	killed_here(BEFORE_ANSWERING);
	if (killed_at && *killed_at == AFTER_ANSWERING)
		exchange();
	r = __real_notify_reply(listener, id, answer);
	/* This is a child of it. */
	if (killed_at && *killed_at == AFTER_ANSWERING) {
		*killed_at = NOWHERE;
		(void)kill(getppid(), SIGKILL);
		(void)pause();
	}
	return r;
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);

static bool is_emulated(long number)
{
	return number == SYS_mq_timedsend || number == SYS_mq_timedreceive ||
	       number == SYS_mq_getsetattr;
}

long __wrap_syscall(long number, ...)
{
	long a[6], r;
	va_list arguments;

	va_start(arguments, number);
	for (size_t i = 0; i < ELEMENTSOF(a); i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	/* The first mq_getsetattr asks for the size of a message. */
	if (number == SYS_mq_getsetattr && a[1] == 0)
		return __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (is_emulated(number))
		killed_here(BEFORE_CALLING);
	r = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
	if (is_emulated(number))
		killed_here(AFTER_CALLING);
	return r;
}

static void arm(enum place place)
{
	*killed_at = (int)place;
}

static void replace_the_killed(struct door *door)
{
	door_wait_for_death(door);
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

Test(emulate, a_message_taken_is_handed_out_by_the_next_session_process)
{
	receive_while_killed(BEFORE_WRITING);
}

Test(emulate, a_message_handed_out_is_not_taken_again)
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
Test(emulate, a_message_sent_is_not_sent_again)
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

/* --- killed while the kernel is asked --- */

static const char whole[33] = "a message as long as it may be..", brief[33] = "a brief one";

Test(emulate, what_was_not_taken_is_taken_by_the_next_session_process)
{
	receive_while_killed(BEFORE_CALLING);
}

static void receive_once(struct stage *stage)
{
	char buffer[32];
	unsigned priority = 0;

	lose_something(stage);
	app_pause(stage);
	stage->results[0] = result_of(mq_receive(other, buffer, sizeof(buffer), &priority));
	stage->results[1] = priority;
	stage->results[2] = memcmp(buffer, whole, sizeof(buffer)) == 0;
	app_tell(stage);
}

static void send_once(struct stage *stage)
{
	lose_something(stage);
	app_pause(stage);
	stage->results[0] = result_of(mq_send(other, brief, strlen(brief), 7));
	app_tell(stage);
}

static void set_once(struct stage *stage)
{
	struct mq_attr nonblocking = {.mq_flags = O_NONBLOCK}, before = {.mq_flags = -1};

	lose_something(stage);
	app_pause(stage);
	stage->results[0] = result_of(mq_setattr(other, &nonblocking, &before));
	stage->results[1] = before.mq_flags;
	stage->results[2] = mq_getattr(other, &before) == 0 ? before.mq_flags : -1;
	app_tell(stage);
}

/* Leaves how many messages there are afterwards. */
static long once(void (*app)(struct stage *), const char *message, size_t size, enum place place,
	long results[static 3])
{
	struct door door;
	long left;

	open_tainted(&door, app);
	door_wait(&door);
	if (message)
		cr_assert_eq(mq_send(other, message, size, 5), 0);
	arm(place);
	door_go(&door);
	replace_the_killed(&door);
	door_wait(&door);
	left = messages();
	door_close(&door);
	memcpy(results, door.stage->results, 3 * sizeof(long));
	return left;
}

Test(emulate, a_message_that_was_taken_whole_is_certain)
{
	long results[3];

	cr_expect_eq(once(receive_once, whole, 32, AFTER_CALLING, results), 0);
	cr_expect_eq(results[0], 32, "%ld", results[0]);
	cr_expect_eq(results[1], 5);
	cr_expect(results[2]);
}

/* How long it was nobody knows. */
Test(emulate, a_brief_message_that_was_taken_is_an_error)
{
	long results[3];

	cr_expect_eq(once(receive_once, brief, strlen(brief), AFTER_CALLING, results), 0);
	cr_expect_eq(results[0], -EIO, "%ld", results[0]);
}

Test(emulate, a_message_that_was_perhaps_sent_is_an_error_and_not_sent_again)
{
	long results[3];

	cr_expect_eq(once(send_once, NULL, 0, AFTER_CALLING, results), 1);
	cr_expect_eq(results[0], -EIO, "%ld", results[0]);
	cr_expect_eq(once(send_once, NULL, 0, BEFORE_CALLING, results), 0);
	cr_expect_eq(results[0], -EIO, "%ld", results[0]);
}

Test(emulate, attributes_that_were_set_are_told_as_they_were_before)
{
	long results[3];

	for (enum place place = BEFORE_CALLING; place <= AFTER_CALLING; place++) {
		(void)once(set_once, NULL, 0, place, results);
		cr_expect_eq(results[0], 0, "%ld", results[0]);
		cr_expect_eq(results[1], 0, "%ld", results[1]);
		cr_expect_eq(results[2], O_NONBLOCK, "%ld", results[2]);
	}
}

/* --- killed while an mq_notify is watched --- */

static void *share(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(memory, MAP_FAILED);
	return memory;
}

static void *exchange_when_told(void *context)
{
	while (!*to_exchange)
		(void)usleep(100);
	if (context)
		(void)dup2(queue, other);
	*exchanged = 1;
	return NULL;
}

static void register_beside(struct stage *stage, bool cheat)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	pthread_t thread;

	lose_something(stage);
	(void)pthread_create(&thread, NULL, exchange_when_told, cheat ? stage : NULL);
	app_pause(stage);
	stage->results[0] = result_of(mq_notify(other, &event));
	app_tell(stage);
	(void)pause();
}

static void cheat(struct stage *stage)
{
	register_beside(stage, true);
}

static void register_honestly(struct stage *stage)
{
	register_beside(stage, false);
}

static bool is_dead_within(pid_t pid, unsigned milliseconds)
{
	siginfo_t info = {0};

	while (milliseconds-- > 0) {
		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | WNOHANG) == 0 &&
			info.si_pid == pid)
			return true;
		(void)usleep(1000);
	}
	return false;
}

static void die_watching(struct door *door, void (*app)(struct stage *))
{
	to_exchange = share();
	exchanged = share();
	open_tainted(door, app);
	door_wait(door);
	arm(AFTER_ANSWERING);
	door_go(door);
	replace_the_killed(door);
}

Test(emulate, who_has_registered_unseen_where_it_may_not_is_killed)
{
	struct door door;

	die_watching(&door, cheat);
	cr_expect(is_dead_within(door.app, 5000));
	door_close_killed(&door);
}

Test(emulate, who_has_registered_unseen_where_it_may_is_spared)
{
	struct door door;

	die_watching(&door, register_honestly);
	door_wait(&door);
	cr_expect_not(is_dead_within(door.app, 300));
	cr_expect_eq(door.stage->results[0], 0);
	cr_assert_eq(kill(door.app, SIGKILL), 0);
	door_close_killed(&door);
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
