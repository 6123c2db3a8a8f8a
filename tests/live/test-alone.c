/* SPDX-License-Identifier: MIT */
/* After a loss: whose calls go back to the kernel, and what is kept for those that do not. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/session/target/cache.h"
#include "daemon/session/target/inflight.h"
#include "include/text.h"
#include "door.h"
#include "support.h"

static mqd_t queue, other;

static void lose_something(struct stage *stage)
{
	app_pause(stage);
	queue = open_new(stage->queue);
	other = open_new(stage->other);
	app_pause(stage);
}

static void send_text(struct stage *stage, const char *text)
{
	app_pause(stage);
	stage->results[0] = result_of(mq_send(other, text, strlen(text), 0));
}

/* --- the test's side --- */

static void open_tainted(struct door *door, bool tells_tables, void (*app)(struct stage *))
{
	door_tells_tables = tells_tables;
	door_open(door, NOBODY, NULL, app);
	door_begin(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	door_grant_both(door, 0, PERMISSIONS_ALL);
	door_go(door);
	other = mq_open(door->stage->other, O_RDWR | O_NONBLOCK);
	cr_assert(other >= 0);
}

static void expect_text(const char *expected)
{
	struct pollfd p = {.fd = other, .events = POLLIN};
	char text[33] = "";

	cr_assert_eq(poll(&p, 1, DOOR_DEADLINE_SECONDS * 1000), 1);
	cr_assert_eq(mq_receive(other, text, 32, NULL), (ssize_t)strlen(expected));
	cr_expect_str_eq(text, expected);
}

/* The app sends when it is told to. */
static void let_send(struct door *door, const char *expected)
{
	door_wait(door);
	door_go(door);
	expect_text(expected);
}

/* Who sends the app's next message, as the kernel tells it. */
static pid_t sender(struct door *door)
{
	const struct timespec deadline = {.tv_sec = DOOR_DEADLINE_SECONDS};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	siginfo_t info = {0};
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGUSR1);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	door_wait(door);
	cr_assert_eq(mq_notify(other, &event), 0);
	door_go(door);
	cr_assert_eq(sigtimedwait(&set, &info, &deadline), SIGUSR1);
	expect_text("text");
	return info.si_pid;
}

/* --- who is alone --- */

static void *wait_for_end(void *context)
{
	(void)sem_wait(context);
	return NULL;
}

static pid_t share_table(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	while (pid == 0)
		(void)pause();
	return pid;
}

/* Of a thread that has been joined. */
static void wait_for_last_steps(void)
{
	struct stat st;

	while (stat("/proc/self/task", &st) < 0 || st.st_nlink > 3)
		(void)usleep(1000);
}

static void in_company(struct stage *stage)
{
	pthread_t thread;
	sem_t end;
	pid_t pid;

	lose_something(stage);
	send_text(stage, "text");
	(void)sem_init(&end, 0, 0);
	(void)pthread_create(&thread, NULL, wait_for_end, &end);
	send_text(stage, "text");
	(void)sem_post(&end);
	(void)pthread_join(thread, NULL);
	wait_for_last_steps();
	send_text(stage, "text");
	pid = share_table();
	stage->results[1] = pid > 0 ? 0 : pid;
	send_text(stage, "text");
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	send_text(stage, "text");
	send_text(stage, "text");
	app_tell(stage);
}

Test(alone, calls_of_one_thread_go_back_until_a_table_is_shared)
{
	struct door door;

	open_tainted(&door, true, in_company);
	cr_expect_eq(sender(&door), door.app, "one thread");
	cr_expect_eq(sender(&door), door.session, "two threads");
	cr_expect_eq(sender(&door), door.app, "one again");
	cr_expect_eq(sender(&door), door.session, "one that shares its table");
	cr_expect_eq(sender(&door), door.session, "one that has shared it");
	door_replace(&door);
	let_send(&door, "text");
	door_wait(&door);
	cr_expect_eq(door_notes(&door)->shares_tables, 1U, "the next session process knows");
	door_close(&door);
	cr_expect_eq(door.stage->results[1], 0);
}

static void alone_all_the_time(struct stage *stage)
{
	lose_something(stage);
	send_text(stage, "text");
	app_tell(stage);
}

Test(alone, under_a_filter_that_does_not_tell_nobody_is)
{
	struct door door;

	open_tainted(&door, false, alone_all_the_time);
	cr_expect_eq(sender(&door), door.session);
	door_wait(&door);
	door_close(&door);
}

/* --- queues that are held --- */

#define MANY (SESSION_HELD_MAX + 4)

static void make_thread(void)
{
	static sem_t end;
	pthread_t thread;

	(void)sem_init(&end, 0, 0);
	if (pthread_create(&thread, NULL, wait_for_end, &end) != 0)
		_exit(111);
}

static void send_through_many(struct stage *stage)
{
	mqd_t queues[MANY];

	lose_something(stage);
	make_thread();
	for (int i = 0; i < MANY; i++)
		queues[i] = mq_open(stage->other, O_WRONLY);
	for (int i = 0; i < 2 * MANY; i++) {
		app_pause(stage);
		stage->results[0] += result_of(mq_send(queues[i % MANY], "text", 4, 0));
	}
	app_pause(stage);
	(void)mq_close(open_new(stage->other));
	app_pause(stage);
	stage->results[0] += result_of(mq_send(queues[0], "text", 4, 0));
	app_pause(stage);
}

static void call_in_every_way(struct stage *stage)
{
	lose_something(stage);
	for (int i = 0; i < 200; i++) {
		char text[32];

		if (i % 100 == 0)
			app_pause(stage);
		if (i == 100)
			make_thread();
		stage->results[0] += result_of(mq_send(other, "text", 4, 0));
		stage->results[0] -= mq_receive(other, text, sizeof(text), NULL) != 4;
		stage->results[1] += mq_open(stage->queue, O_RDWR) >= 0;
		stage->results[1] += mq_send(queue, "text", 4, 0) >= 0;
	}
	app_pause(stage);
}

Test(alone, what_is_kept_of_a_caller_is_kept_once)
{
	struct door door;
	unsigned before;

	open_tainted(&door, true, call_in_every_way);
	door_wait(&door);
	/* The next one knows no caller by an mq_open. */
	door_replace(&door);
	door_go(&door);
	door_wait(&door);
	before = door_count_links(&door, "");
	door_go(&door);
	door_wait(&door);
	cr_expect_leq(door_count_links(&door, ""), before + 5, "%u after %u",
		door_count_links(&door, ""), before);
	cr_expect_leq(before, 40U, "%u", before);
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
	cr_expect_eq(door.stage->results[1], 0);
}

static bool none_held(const struct door *door, uint64_t within_usec)
{
	uint64_t deadline = now_usec() + within_usec;

	while (door_count_links(door, door->stage->other) > 0 && now_usec() < deadline)
		(void)usleep(10000);
	return door_count_links(door, door->stage->other) == 0;
}

Test(alone, no_more_queues_are_held_than_may_be_and_not_for_long)
{
	unsigned most = 0;
	struct door door;

	open_tainted(&door, true, send_through_many);
	for (int i = 0; i < 2 * MANY; i++) {
		let_send(&door, "text");
		most = MAX(most, door_count_links(&door, door.stage->other));
	}
	cr_expect_eq(most, (unsigned)SESSION_HELD_MAX);
	door_wait(&door);
	door_go(&door);
	door_wait(&door);
	cr_expect(none_held(&door, HELD_USEC / 2), "the session has made a queue");
	door_go(&door);
	expect_text("text");
	door_wait(&door);
	cr_expect_eq(door_count_links(&door, door.stage->other), 1U);
	cr_expect(none_held(&door, DOOR_DEADLINE_SECONDS * 1000000ULL), "after HELD_USEC");
	door_go(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
}

/* --- memory that is kept --- */

#define PLACE ((char *)0x20000000)

/* Always in the same place, whatever the program. */
static const char *text_in_place(const char *text)
{
	if (mmap(PLACE, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != PLACE)
		_exit(112);
	return strcpy(PLACE, text);
}

/* This very program, executed by the app. */
__attribute__((constructor)) static void executed(void)
{
	const char *number = getenv("ALONE_QUEUE"), *ready = getenv("ALONE_READY");

	if (!number)
		return;
	make_thread();
	if (ready && write(atoi(ready), "r", 1) != 1)
		_exit(115);
	_exit(mq_send(atoi(number), text_in_place("the new program"), 15, 0) < 0);
}

static int wait_in_memory(void *context)
{
	for (;;)
		(void)pause();
	return context == NULL;
}

static _noreturn_ void execute(void)
{
	static char stack[16384];
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", other);
	(void)fcntl(other, F_SETFD, 0);
	(void)setenv("ALONE_QUEUE", number, 1);
	if (clone(wait_in_memory, stack + sizeof(stack), CLONE_VM, NULL) < 0)
		_exit(113);
	(void)execl("/proc/self/exe", "executed", NULL);
	_exit(114);
}

/* The old program's memory lives on in another process. */
static void send_and_execute(struct stage *stage)
{

	lose_something(stage);
	make_thread();
	(void)text_in_place("the old program");
	for (int i = 0; i < 2; i++) {
		app_pause(stage);
		(void)mq_send(other, PLACE, 15, 0);
	}
	app_pause(stage);
	execute();
}

Test(alone, memory_is_the_running_programs)
{
	struct door door;

	open_tainted(&door, true, send_and_execute);
	let_send(&door, "the old program");
	let_send(&door, "the old program");
	let_send(&door, "the new program");
	door_close(&door);
}

/* Pipes: a thread of the app's is to execute the program; that is there. */
static int to_execute[2], executes[2];

/* The linker puts this in the place of the session's own (--wrap). */
bool __real_callers_keep_memory(struct callers *callers, struct target *target);
bool __wrap_callers_keep_memory(struct callers *callers, struct target *target);
bool __wrap_callers_keep_memory(struct callers *callers, struct target *target)
{
	char byte;

	if (to_execute[1] != 0 && target->memory >= 0 &&
		(write(to_execute[1], "x", 1) != 1 || read(executes[0], &byte, 1) != 1))
		abort();
	to_execute[1] = 0;
	return __real_callers_keep_memory(callers, target);
}

static void *execute_when_told(void *unused)
{
	char number[16], byte;

	(void)unused;
	(void)snprintf(number, sizeof(number), "%d", executes[1]);
	(void)setenv("ALONE_READY", number, 1);
	if (read(to_execute[0], &byte, 1) == 1)
		execute();
	return NULL;
}

static void send_while_it_is_executed(struct stage *stage)
{
	pthread_t thread;

	lose_something(stage);
	(void)text_in_place("the old program");
	(void)pthread_create(&thread, NULL, execute_when_told, NULL);
	app_pause(stage);
	(void)mq_send(other, PLACE, 15, 0);
	_exit(116);
}

/* What was opened of one is not kept with a thread of the other as its witness. */
Test(alone, memory_is_of_one_program)
{
	struct door door;

	cr_assert(pipe(to_execute) == 0 && pipe(executes) == 0);
	open_tainted(&door, true, send_while_it_is_executed);
	let_send(&door, "the old program");
	expect_text("the new program");
	door_close(&door);
}

/* The witness ends, and a thread comes in its place. */
static void send_beside_threads(struct stage *stage)
{
	pthread_t thread;
	sem_t end;
	char text[2] = "a";

	lose_something(stage);
	(void)sem_init(&end, 0, 0);
	for (; text[0] <= 'f'; text[0]++) {
		(void)pthread_create(&thread, NULL, wait_for_end, &end);
		send_text(stage, text);
		send_text(stage, text);
		(void)sem_post(&end);
		(void)pthread_join(thread, NULL);
	}
	app_tell(stage);
}

Test(alone, a_witness_may_end)
{
	struct door door;

	open_tainted(&door, true, send_beside_threads);
	for (char text[2] = "a"; text[0] <= 'f'; text[0]++) {
		let_send(&door, text);
		let_send(&door, text);
	}
	door_wait(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 0);
}

/* --- waiting --- */

static void wait_for_message(struct stage *stage)
{
	char text[32];

	lose_something(stage);
	make_thread();
	app_pause(stage);
	stage->results[0] = result_of(mq_receive(other, text, sizeof(text), NULL));
	app_tell(stage);
}

static uint64_t wake_ups(const struct door *door)
{
	char path[32];
	_cleanup_close_ int proc = -EBADF;
	uint64_t count = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d", door->session);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_eq(text_status_at(proc, "voluntary_ctxt_switches", &count), 0);
	return count;
}

Test(alone, a_call_that_waits_for_long_wakes_the_session_process_twenty_times_a_second)
{
	struct door door;
	uint64_t before;

	open_tainted(&door, true, wait_for_message);
	door_wait(&door);
	door_go(&door);
	(void)usleep(700000);
	before = wake_ups(&door);
	(void)sleep(2);
	cr_expect_leq(wake_ups(&door) - before, 2U * 20 + 4, "%lu",
		(unsigned long)(wake_ups(&door) - before));
	cr_assert_eq(mq_send(other, "text", 4, 0), 0);
	door_wait(&door);
	door_close(&door);
	cr_expect_eq(door.stage->results[0], 4);
}
