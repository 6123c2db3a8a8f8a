/* SPDX-License-Identifier: MIT */
/* bystander WHAT QUEUE: an honest app beside adversaries.
 *
 *   send      sends a number and the time, two hundred times a second, until the end of its input;
 *             then says "N sent"
 *   receive   receives these; each must come once and in order. When the sender has ended, says how
 *             long they took: "N messages, median M, one in a hundred over H, longest L", in
 *             microseconds, or what went wrong
 *   ask       receives again and again, for 50 ms each; at the end of its input says how often it
 * was "N answered, M refused"; anything else is an error
 *
 * bystander feed DIRECTORY: sends "before" to the queue of each file in it, twenty times a second,
 * as far as there is room.
 *
 * bystander watch COUNT: has nothing to do with queues. So many processes that start another one
 * fifty times a second, and wait for its end; at the end of its input says for how many
 * milliseconds one of them was kept waiting. */
#include <dirent.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "app.h"

#define SAMPLES_MAX   200000
#define SEND_EVERY_MS 5
#define FEED_EVERY_MS 50
#define ASK_MS        50
#define WATCH_MS      20
#define WATCHERS_MAX  16
#define LAST          UINT64_MAX

struct message {
	uint64_t number;
	int64_t sent_us;
};

static uint32_t samples[SAMPLES_MAX];

static int64_t now_us(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static bool input_ends_within(int milliseconds)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};

	return poll(&input, 1, milliseconds) != 0;
}

static int send_message(mqd_t queue, uint64_t number)
{
	struct message message = {number, now_us()};

	return mq_send(queue, (char *)&message, sizeof(message), 0);
}

static int be_sender(const char *name)
{
	mqd_t queue = mq_open(name, O_WRONLY);
	uint64_t count = 0;

	if (queue < 0)
		return failed("mq_open", name);
	while (!input_ends_within(SEND_EVERY_MS))
		if (send_message(queue, count++) < 0)
			return failed("mq_send", name);
	if (send_message(queue, LAST) < 0)
		return failed("mq_send", name);
	printf("%ju sent\n", (uintmax_t)count);
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int report(size_t count)
{
	if (count == 0)
		return 1;
	qsort(samples, count, sizeof(samples[0]), compare);
	printf("%zu messages, median %u, one in a hundred over %u, longest %u\n", count,
		samples[count / 2], samples[count - 1 - count / 100], samples[count - 1]);
	return 0;
}

static int be_receiver(const char *name)
{
	mqd_t queue = mq_open(name, O_RDONLY);
	char buffer[MESSAGE_SIZE];
	struct message message;

	if (queue < 0)
		return failed("mq_open", name);
	for (size_t count = 0;; count++) {
		if (mq_receive(queue, buffer, sizeof(buffer), NULL) != (ssize_t)sizeof(message))
			return failed("mq_receive", name);
		memcpy(&message, buffer, sizeof(message));
		if (message.number == LAST)
			return report(count);
		if (message.number != count || count == SAMPLES_MAX) {
			printf("message %ju came where %zu was due\n", (uintmax_t)message.number,
				count);
			return 1;
		}
		samples[count] = (uint32_t)(now_us() - message.sent_us);
	}
}

static int be_asker(const char *name)
{
	mqd_t queue = mq_open(name, O_RDONLY);
	unsigned answered = 0, refused = 0;
	char buffer[MESSAGE_SIZE];

	if (queue < 0)
		return failed("mq_open", name);
	puts("ready");
	(void)fflush(stdout);
	while (!input_ends_within(1)) {
		struct timespec until = from_now(ASK_MS);
		ssize_t n = mq_timedreceive(queue, buffer, sizeof(buffer), NULL, &until);

		if (n >= 0 || errno == ETIMEDOUT)
			answered++;
		else if (errno == EACCES)
			refused++;
		else
			return failed("mq_timedreceive", name);
	}
	printf("%u answered, %u refused\n", answered, refused);
	return 0;
}

static void feed_one(const char *file)
{
	char name[NAME_MAX + 2];
	mqd_t queue;

	(void)snprintf(name, sizeof(name), "/%s", file);
	queue = mq_open(name, O_WRONLY | O_NONBLOCK);
	if (queue < 0)
		return;
	(void)mq_send(queue, "before", 6, 0);
	(void)mq_close(queue);
}

static int be_feeder(const char *directory)
{
	while (!input_ends_within(FEED_EVERY_MS)) {
		DIR *files = opendir(directory);
		struct dirent *entry;

		while (files && (entry = readdir(files)))
			if (entry->d_name[0] != '.')
				feed_one(entry->d_name);
		if (files)
			(void)closedir(files);
	}
	return 0;
}

struct watcher {
	int64_t since, longest; /* microseconds; since: when it last began to wait */
};

static void watch(volatile struct watcher *watcher)
{
	for (;;) {
		pid_t child;

		watcher->since = now_us();
		pause_for(WATCH_MS);
		child = fork();
		if (child == 0)
			_exit(0);
		(void)waitpid(child, NULL, 0);
		if (now_us() - watcher->since > watcher->longest)
			watcher->longest = now_us() - watcher->since;
	}
}

static int be_watcher(const char *text)
{
	int count = atoi(text);
	int64_t longest = 0, now;
	volatile struct watcher *watchers = mmap(NULL, sizeof(*watchers) * WATCHERS_MAX,
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[WATCHERS_MAX];

	if (watchers == MAP_FAILED || count < 1 || count > WATCHERS_MAX)
		return failed("watch", text);
	now = now_us();
	for (int i = 0; i < count; i++) {
		watchers[i].since = now;
		children[i] = fork();
		if (children[i] == 0)
			watch(&watchers[i]);
	}
	while (!input_ends_within(1000))
		;
	now = now_us();
	for (int i = 0; i < count; i++) {
		int64_t waits = now - watchers[i].since;

		longest = watchers[i].longest > longest ? watchers[i].longest : longest;
		longest = waits > longest ? waits : longest;
		(void)kill(children[i], SIGKILL);
	}
	printf("%jd\n", (intmax_t)longest / 1000);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*be)(const char *name);
	} kinds[] = {{"send", be_sender}, {"receive", be_receiver}, {"ask", be_asker},
		{"feed", be_feeder}, {"watch", be_watcher}};

	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			return kinds[i].be(argv[2]);
	fprintf(stderr, "usage: bystander send|receive|ask QUEUE | feed DIRECTORY | watch COUNT\n");
	return 2;
}
