/* SPDX-License-Identifier: MIT */
/* The program that is measured: an ordinary one that makes message-queue calls and times them.
 *
 * Reads one command a line and answers each with one line: numbers, or "error" and what failed.
 * Times are nanoseconds of CLOCK_MONOTONIC. Commands that are given as arguments come first; after
 * these it waits for ever.
 *
 *	use NAME SIZE            opens it, or creates it for messages of SIZE               0
 *	read-only NAME           opens an existing queue                                    0
 *	pairs COUNT              mq_send and mq_receive of the open queue                   time
 *	latencies COUNT          the same, each call timed by itself                        marks
 *	until START DURATION     the same, from that time on, for that long                 pairs
 *	opens COUNT NAME ERRNO   mq_open, which ends with ERRNO, or mq_close after it       time
 *	sends COUNT ERRNO        mq_send, which fails with ERRNO                            time
 *	attributes COUNT         mq_getattr                                                 time
 *	registrations COUNT      mq_notify, to register and to remove                       time
 *	creations COUNT NAME     mq_open that creates, mq_close, mq_unlink                  time
 *	ping COUNT OUT IN        a message there and one back                               time
 *	pong COUNT IN OUT        the other side                                             time
 *	block PROCESSES          so many wait in mq_receive; "waiting", and when all have   number
 *	                         failed with EACCES                                         of them
 *	thread                   makes a second thread, which does nothing                  0
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_MESSAGES 8
#define MESSAGE_MAX    8192
#define LINE_SIZE      512
#define PROCESSES_MAX  64

/* Of 100,000: the shares of the calls that took at most the time which is answered. */
static const unsigned marks[] = {100, 1000, 5000, 10000, 20000, 30000, 40000, 50000, 60000, 70000,
	80000, 90000, 95000, 98000, 99000, 99500, 99800, 99900, 99950, 100000};

static mqd_t queue = -1;
static size_t message_size;
static char message[MESSAGE_MAX];

static uint64_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static __attribute__((noreturn)) void fail(const char *call)
{
	(void)printf("error %s: %s\n", call, strerror(errno));
	exit(1);
}

static void answer(uint64_t number)
{
	(void)printf("%llu\n", (unsigned long long)number);
}

static void send_one(mqd_t to)
{
	if (mq_send(to, message, message_size, 0) < 0)
		fail("mq_send");
}

static void receive_one(mqd_t from)
{
	if (mq_receive(from, message, sizeof(message), NULL) < 0)
		fail("mq_receive");
}

static void use_queue(const char *name, long size)
{
	struct mq_attr attributes = {.mq_maxmsg = QUEUE_MESSAGES, .mq_msgsize = size};

	if (size < 1 || size > MESSAGE_MAX) {
		errno = EMSGSIZE;
		fail("use");
	}
	message_size = (size_t)size;
	if (queue >= 0)
		(void)mq_close(queue);
	queue = mq_open(name, O_RDWR | O_CREAT, 0600, &attributes);
	if (queue < 0)
		fail("mq_open");
	answer(0);
}

static void open_read_only(const char *name)
{
	queue = mq_open(name, O_RDONLY);
	if (queue < 0)
		fail("mq_open");
	message_size = 1;
	answer(0);
}

static void pairs(long count)
{
	uint64_t begin = now();

	for (long i = 0; i < count; i++) {
		send_one(queue);
		receive_one(queue);
	}
	answer(now() - begin);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void latencies(long count)
{
	size_t calls = 2 * (size_t)count;
	uint64_t *times = calloc(calls + 1, sizeof(*times));

	if (!times)
		fail("latencies");
	for (size_t i = 0; i < calls; i += 2) {
		uint64_t begin = now(), middle;

		send_one(queue);
		middle = now();
		receive_one(queue);
		times[i] = middle - begin;
		times[i + 1] = now() - middle;
	}
	qsort(times, calls, sizeof(*times), compare);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		(void)printf("%llu ", (unsigned long long)times[(calls - 1) * marks[i] / 100000]);
	(void)printf("\n");
	free(times);
}

static void until(uint64_t start, uint64_t duration)
{
	uint64_t done = 0;

	while (now() < start) {
		struct timespec time = {.tv_sec = (time_t)(start / 1000000000),
			.tv_nsec = (long)(start % 1000000000)};

		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
	}
	for (; now() < start + duration; done++) {
		send_one(queue);
		receive_one(queue);
	}
	answer(done);
}

static void opens(long count, const char *name, int expected)
{
	uint64_t begin = now();

	for (long i = 0; i < count; i++) {
		mqd_t opened = mq_open(name, O_RDWR);

		if ((opened < 0 ? errno : 0) != expected)
			fail("mq_open");
		if (opened >= 0 && mq_close(opened) < 0)
			fail("mq_close");
	}
	answer(now() - begin);
}

static void sends(long count, int expected)
{
	uint64_t begin = now();

	for (long i = 0; i < count; i++)
		if (mq_send(queue, message, message_size, 0) == 0 || errno != expected)
			fail("mq_send");
	answer(now() - begin);
}

static void get_attributes(long count)
{
	uint64_t begin = now();
	struct mq_attr attributes;

	for (long i = 0; i < count; i++)
		if (mq_getattr(queue, &attributes) < 0)
			fail("mq_getattr");
	answer(now() - begin);
}

static void registrations(long count)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	uint64_t begin = now();

	for (long i = 0; i < count; i++)
		if (mq_notify(queue, &event) < 0 || mq_notify(queue, NULL) < 0)
			fail("mq_notify");
	answer(now() - begin);
}

static void creations(long count, const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = QUEUE_MESSAGES, .mq_msgsize = 64};
	uint64_t begin = now();

	for (long i = 0; i < count; i++) {
		mqd_t created = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);

		if (created < 0)
			fail("mq_open");
		if (mq_close(created) < 0 || mq_unlink(name) < 0)
			fail("mq_unlink");
	}
	answer(now() - begin);
}

static mqd_t open_existing(const char *name)
{
	mqd_t opened = mq_open(name, O_RDWR);

	if (opened < 0)
		fail("mq_open");
	return opened;
}

static void ping(long count, const char *out_name, const char *in_name)
{
	mqd_t out = open_existing(out_name), in = open_existing(in_name);
	uint64_t begin = now();

	for (long i = 0; i < count; i++) {
		send_one(out);
		receive_one(in);
	}
	answer(now() - begin);
	(void)mq_close(out);
	(void)mq_close(in);
}

static void pong(long count, const char *in_name, const char *out_name)
{
	mqd_t in = open_existing(in_name), out = open_existing(out_name);
	uint64_t begin = now();

	for (long i = 0; i < count; i++) {
		receive_one(in);
		send_one(out);
	}
	answer(now() - begin);
	(void)mq_close(in);
	(void)mq_close(out);
}

static __attribute__((noreturn)) void wait_for_refusal(void)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (mq_receive(queue, message, sizeof(message), NULL) >= 0)
		;
	_exit(errno == EACCES ? 0 : 1);
}

static void block(long processes)
{
	pid_t pids[PROCESSES_MAX];
	uint64_t refused = 0;
	int status;

	if (processes < 1 || processes > PROCESSES_MAX) {
		errno = EINVAL;
		fail("block");
	}
	for (long i = 0; i < processes; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			fail("fork");
		if (pids[i] == 0)
			wait_for_refusal();
	}
	(void)printf("waiting\n");
	(void)fflush(stdout);
	for (long i = 0; i < processes; i++)
		if (waitpid(pids[i], &status, 0) == pids[i] && status == 0)
			refused++;
	answer(refused);
}

static void *do_nothing(void *context)
{
	for (;;)
		(void)pause();
	return context;
}

static void make_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, do_nothing, NULL) != 0)
		fail("pthread_create");
	answer(0);
}

static void obey(const char *line)
{
	char a[LINE_SIZE] = "", b[LINE_SIZE] = "";
	unsigned long long start, duration;
	long count;
	int error;

	if (sscanf(line, "use %511s %ld", a, &count) == 2)
		use_queue(a, count);
	else if (sscanf(line, "read-only %511s", a) == 1)
		open_read_only(a);
	else if (sscanf(line, "pairs %ld", &count) == 1)
		pairs(count);
	else if (sscanf(line, "latencies %ld", &count) == 1)
		latencies(count);
	else if (sscanf(line, "until %llu %llu", &start, &duration) == 2)
		until(start, duration);
	else if (sscanf(line, "opens %ld %511s %d", &count, a, &error) == 3)
		opens(count, a, error);
	else if (sscanf(line, "sends %ld %d", &count, &error) == 2)
		sends(count, error);
	else if (sscanf(line, "attributes %ld", &count) == 1)
		get_attributes(count);
	else if (sscanf(line, "registrations %ld", &count) == 1)
		registrations(count);
	else if (sscanf(line, "creations %ld %511s", &count, a) == 2)
		creations(count, a);
	else if (sscanf(line, "ping %ld %511s %511s", &count, a, b) == 3)
		ping(count, a, b);
	else if (sscanf(line, "pong %ld %511s %511s", &count, a, b) == 3)
		pong(count, a, b);
	else if (sscanf(line, "block %ld", &count) == 1)
		block(count);
	else if (strcmp(line, "thread\n") == 0)
		make_thread();
	else
		(void)printf("error unknown command\n");
}

int main(int argc, char **argv)
{
	char line[LINE_SIZE];

	for (int i = 1; i < argc; i++)
		obey(argv[i]);
	if (argc > 1)
		for (;;)
			(void)pause();
	while (fgets(line, sizeof(line), stdin)) {
		obey(line);
		(void)fflush(stdout);
	}
	return 0;
}
