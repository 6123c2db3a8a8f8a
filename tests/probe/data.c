/* SPDX-License-Identifier: MIT */
/* Sending, receiving, attributes, notification, polling. */
#include "probe.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <time.h>

static char buffer[70000];

void probe_data(void)
{
	static const size_t sizes[] = {0, 1, 31, 32, 33, 100, 1 << 20, (size_t)-1};
	static const unsigned priorities[] = {
		0, 1, 31, 32767, 32768, 65536, 0x7fffffff, 0xffffffff};
	mqd_t queue = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	unsigned priority;

	for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
		(void)report(
			raw_send(queue, buffer, sizes[i], 0, NULL), "send %zu bytes", sizes[i]);
		(void)report(raw_receive(queue, buffer, 32, &priority, NULL), "receive it");
	}
	for (size_t i = 0; i < ELEMENTSOF(priorities); i++)
		(void)report(raw_send(queue, "p", 1, priorities[i], NULL), "send with priority %u",
			priorities[i]);
	for (int i = 0; i < 5; i++) {
		priority = 77;
		(void)report(raw_receive(queue, buffer, 32, &priority, NULL), "receive in order");
		note("  priority %u", priority);
	}
	for (int i = 0; i < 6; i++)
		(void)report(mq_send(queue, "fill", 4, (unsigned)i % 3), "fill %d", i);
	for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
		(void)report(
			raw_receive(queue, buffer,
				sizes[i] > sizeof(buffer) ? sizeof(buffer) : sizes[i], NULL, NULL),
			"receive into %zu bytes", sizes[i]);
	while (mq_receive(queue, buffer, 32, NULL) >= 0)
		;
	TRY(raw_send(queue, NULL, 0, 0, NULL));
	TRY(raw_send(queue, NULL, 1, 0, NULL));
	TRY(raw_send(queue, (void *)1, 8, 0, NULL));
	TRY(raw_send(queue, (void *)-1, 8, 0, NULL));
	TRY(raw_send(queue, page_before_hole(true) + 4090, 16, 0, NULL));
	TRY(raw_send(queue, page_before_hole(false) + 4090, 6, 0, NULL));
	TRY(mq_send(queue, "12345678", 8, 1));
	TRY(raw_receive(queue, NULL, 32, NULL, NULL));
	TRY(mq_send(queue, "12345678", 8, 1));
	TRY(raw_receive(queue, page_before_hole(true) + 4090, 32, NULL, NULL));
	TRY(mq_send(queue, "12345678", 8, 1));
	TRY(raw_receive(queue, buffer, 32, (void *)1, NULL));
	TRY(raw_receive(queue, buffer, 32, NULL, NULL));
}

static void try_descriptor(const char *what, int fd)
{
	struct sigevent none = {.sigev_notify = SIGEV_NONE};
	struct mq_attr attributes;

	errno = 0;
	(void)report(raw_send(fd, "x", 1, 0, NULL), "send on %s", what);
	(void)report(raw_send(fd, "x", 1, 1 << 20, NULL), "send with a bad priority on %s", what);
	(void)report(
		raw_send(fd, "x", 1, 0, (void *)1), "send with a bad timeout pointer on %s", what);
	(void)report(raw_send(fd, "x", 1, 0, &(struct timespec){.tv_nsec = -1}),
		"send with a bad timeout on %s", what);
	(void)report(raw_receive(fd, buffer, 64, NULL, NULL), "receive on %s", what);
	(void)report(raw_receive(fd, buffer, 1, NULL, NULL), "receive too small on %s", what);
	(void)report(raw_receive(fd, buffer, 64, NULL, (void *)1),
		"receive with a bad timeout on %s", what);
	(void)report(raw_notify(fd, &none), "notify on %s", what);
	(void)report(raw_notify(fd, NULL), "notify NULL on %s", what);
	(void)report(raw_notify(fd, (void *)1), "notify with a bad pointer on %s", what);
	(void)report(raw_getsetattr(fd, NULL, &attributes), "getattr on %s", what);
	(void)report(raw_getsetattr(fd, NULL, (void *)1), "getattr to a bad pointer on %s", what);
	(void)report(raw_getsetattr(fd, (void *)1, NULL), "setattr from a bad pointer on %s", what);
	(void)report(raw_getsetattr(fd, NULL, NULL), "getsetattr of nothing on %s", what);
	(void)report(mq_close(fd), "mq_close on %s", what);
}

void probe_descriptors(void)
{
	int pipes[2], sockets[2];
	char path[] = "/tmp/mqgate-probe-XXXXXX";

	(void)alarm(20 * (unsigned)patience());
	(void)close(fresh(QUEUE, O_RDWR));
	try_descriptor("a read-only queue", mq_open(QUEUE, O_RDONLY | O_NONBLOCK));
	try_descriptor("a write-only queue", mq_open(QUEUE, O_WRONLY | O_NONBLOCK));
	try_descriptor("a read-write queue", mq_open(QUEUE, O_RDWR | O_NONBLOCK));
	try_descriptor("a closed descriptor", 77);
	try_descriptor("-1", -1);
	try_descriptor("a large number", 1 << 20);
	try_descriptor("the largest number", 0x7fffffff);
	if (pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0) {
		try_descriptor("a pipe", pipes[1]);
		try_descriptor("a socket", sockets[0]);
	}
	try_descriptor("a file", mkstemp(path));
	try_descriptor("a directory", open("/", O_RDONLY));
	try_descriptor("an O_PATH descriptor", open("/", O_PATH));
	try_descriptor("a device", open("/dev/null", O_RDWR));
	try_descriptor("an eventfd", eventfd(0, 0));
	try_descriptor("an epoll", epoll_create1(0));
	try_descriptor("a memfd", memfd_create("x", 0));
	try_descriptor("a file of proc", open("/proc/self/status", O_RDONLY));
	(void)unlink(path);
}

static void try_timeout(const char *what, const struct timespec *timeout)
{
	mqd_t queue = fresh(QUEUE, O_RDWR);

	clock_start();
	errno = 0;
	(void)report(raw_receive(queue, buffer, 32, NULL, timeout), "receive from empty, %s", what);
	note("  %s", clock_class());
	for (int i = 0; i < 4; i++)
		(void)report(raw_send(queue, "x", 1, 0, timeout), "send into room, %s", what);
	clock_start();
	(void)report(raw_send(queue, "x", 1, 0, timeout), "send into full, %s", what);
	note("  %s", clock_class());
	(void)report(raw_receive(queue, buffer, 32, NULL, timeout), "receive from full, %s", what);
	(void)mq_close(queue);
}

void probe_timeouts(void)
{
	static const struct {
		const char *what;
		struct timespec timeout;
	} fixed[] = {
		{"zero", {0, 0}},
		{"long past", {1, 0}},
		{"negative seconds", {-1, 0}},
		{"negative nanoseconds", {0, -1}},
		{"too many nanoseconds", {1, 1000000000}},
		{"future seconds and bad nanoseconds", {0x7fffffff, 1000000000}},
		{"most negative", {LONG_MIN, 0}},
	};
	struct timespec soon;

	(void)alarm(20 * (unsigned)patience());
	for (size_t i = 0; i < ELEMENTSOF(fixed); i++)
		try_timeout(fixed[i].what, &fixed[i].timeout);
	soon = in_ms(-10);
	try_timeout("10 ms ago", &soon);
	soon = in_ms(500);
	try_timeout("in 500 ms", &soon);
	try_timeout("a bad pointer", (void *)1);
	try_timeout("a pointer into a hole", (void *)(page_before_hole(true) + 4096 - 8));
}

void probe_setattr(void)
{
	static const long flags[] = {
		0, O_NONBLOCK, O_NONBLOCK | O_APPEND, O_APPEND, -1, 1, O_SYNC, O_RDWR};
	mqd_t queue = fresh(QUEUE, O_RDWR), copy = dup(queue), other = mq_open(QUEUE, O_RDONLY);
	struct mq_attr old;

	(void)alarm(20 * (unsigned)patience());
	for (size_t i = 0; i < ELEMENTSOF(flags); i++) {
		struct mq_attr attributes = {
			.mq_flags = flags[i], .mq_maxmsg = 99, .mq_msgsize = 99, .mq_curmsgs = 99};

		memset(&old, 0, sizeof(old));
		(void)report(mq_setattr(queue, &attributes, &old), "set flags %#lx",
			(unsigned long)flags[i]);
		note("  old: %ld %ld %ld %ld; F_GETFL %#o, of the copy %#o, of another %#o",
			old.mq_flags, old.mq_maxmsg, old.mq_msgsize, old.mq_curmsgs,
			(unsigned)fcntl(queue, F_GETFL), (unsigned)fcntl(copy, F_GETFL),
			(unsigned)fcntl(other, F_GETFL));
	}
	TRY(mq_setattr(other, &(struct mq_attr){.mq_flags = O_NONBLOCK}, NULL));
	TRY(mq_receive(other, buffer, 32, NULL));
	TRY(fcntl(copy, F_SETFL, O_NONBLOCK));
	TRY(mq_receive(queue, buffer, 32, NULL));
	TRY(mq_getattr(queue, &old));
	note("  flags %ld", old.mq_flags);
	TRY(mq_setattr(queue, &(struct mq_attr){0}, NULL));
	TRY(mq_getattr(copy, &old));
	note("  flags of the copy %ld", old.mq_flags);
}

static volatile sig_atomic_t signals;
static siginfo_t last;

static void on_signal(int number, siginfo_t *info, void *context)
{
	(void)context;
	signals += number ? 1 : 0;
	last = *info;
}

static void say_signal(void)
{
	note("  %d signals, code %s, from %s, value %d", (int)signals,
		last.si_code == SI_MESGQ ? "SI_MESGQ" : "other",
		last.si_pid == getpid() ? "me" : "another", last.si_value.sival_int);
	signals = 0;
}

static mqd_t notified;

static void register_in_child(void)
{
	struct sigevent none = {.sigev_notify = SIGEV_NONE};

	TRY(mq_notify(notified, &none));
	TRY(mq_notify(notified, NULL));
	TRY(mq_notify(notified, &none));
}

static void send_from_child(void)
{
	mqd_t queue = mq_open(QUEUE, O_WRONLY);

	TRY(mq_send(queue, "from the child", 14, 3));
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static int told_value;

static void on_thread(union sigval value)
{
	(void)pthread_mutex_lock(&lock);
	told_value = value.sival_int;
	(void)pthread_cond_signal(&told);
	(void)pthread_mutex_unlock(&lock);
}

static void notify_by_thread(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD,
		.sigev_notify_function = on_thread,
		.sigev_value.sival_int = 41};
	struct timespec deadline = in_ms(5000);

	for (int round = 0; round < 3; round++) {
		event.sigev_value.sival_int++;
		(void)report(mq_notify(notified, &event), "notify by thread, round %d", round);
		(void)report(mq_send(notified, "wake", 4, 0), "send");
		(void)pthread_mutex_lock(&lock);
		while (told_value != event.sigev_value.sival_int)
			if (pthread_cond_timedwait(&told, &lock, &deadline) != 0)
				break;
		(void)pthread_mutex_unlock(&lock);
		note("  told %d", told_value);
		(void)report(mq_receive(notified, buffer, 32, NULL), "receive");
	}
}

static void try_event(const char *what, int kind, int number)
{
	struct sigevent event = {.sigev_notify = kind, .sigev_signo = number};

	errno = 0;
	(void)report(raw_notify(notified, &event), "notify %s", what);
	(void)raw_notify(notified, NULL);
}

void probe_notify(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 17};

	(void)alarm(25 * (unsigned)patience());
	(void)sigaction(SIGUSR1, &action, NULL);
	notified = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	try_event("none", SIGEV_NONE, 0);
	try_event("signal 0", SIGEV_SIGNAL, 0);
	try_event("signal 64", SIGEV_SIGNAL, 64);
	try_event("signal 65", SIGEV_SIGNAL, 65);
	try_event("signal -1", SIGEV_SIGNAL, -1);
	try_event("kind 5", 5, 0);
	try_event("kind -1", -1, 0);
	try_event("thread id", SIGEV_THREAD_ID, SIGUSR1);
	TRY(raw_notify(notified, (void *)1));
	TRY(raw_notify(notified, NULL));

	TRY(mq_notify(notified, &event));
	TRY(mq_notify(notified, &event));
	in_child("child", register_in_child);
	TRY(mq_send(notified, "x", 1, 0));
	say_signal();
	TRY(mq_notify(notified, &event));
	TRY(mq_send(notified, "x", 1, 0));
	note("not empty before:");
	say_signal();
	while (mq_receive(notified, buffer, 32, NULL) >= 0)
		;
	in_child("child", send_from_child);
	say_signal();
	TRY(mq_notify(notified, &event));
	TRY(mq_receive(notified, buffer, 32, NULL));
	TRY(mq_notify(notified, NULL));
	TRY(mq_send(notified, "x", 1, 0));
	note("removed:");
	say_signal();
	TRY(mq_receive(notified, buffer, 32, NULL));

	TRY(mq_notify(notified, &event));
	TRY(mq_close(dup(notified)));
	note("after closing a copy:");
	TRY(mq_notify(notified, &event));
	(void)mq_close(notified);
	notified = mq_open(QUEUE, O_RDWR | O_NONBLOCK);
	TRY(mq_notify(notified, &event));
	TRY(mq_notify(notified, NULL));
	notify_by_thread();
	notified = mq_open(QUEUE, O_WRONLY);
	TRY(mq_notify(notified, &event));
	TRY(mq_notify(notified, NULL));
}

static int poll_for(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	(void)poll(&p, 1, 0);
	return p.revents;
}

void probe_poll(void)
{
	mqd_t queue = fresh(QUEUE, O_RDWR | O_NONBLOCK);
	struct epoll_event event = {.events = EPOLLIN | EPOLLET};
	struct timeval none = {0};
	int epoll = epoll_create1(0), n;
	fd_set set;

	note("empty: %d", poll_for(queue, POLLIN | POLLOUT));
	TRY(epoll_ctl(epoll, EPOLL_CTL_ADD, queue, &event));
	TRY(epoll_wait(epoll, &event, 1, 0));
	TRY(mq_send(queue, "hello", 5, 0));
	TRY(epoll_wait(epoll, &event, 1, 0));
	TRY(epoll_wait(epoll, &event, 1, 0));
	note("one: %d", poll_for(queue, POLLIN | POLLOUT));
	for (int i = 0; i < 3; i++)
		(void)mq_send(queue, "hello", 5, 0);
	note("full: %d", poll_for(queue, POLLIN | POLLOUT));
	FD_ZERO(&set);
	FD_SET(queue, &set);
	TRY(select(queue + 1, &set, NULL, NULL, &none));
	n = (int)read(queue, buffer, 200);
	note("read: %.*s", n > 0 ? n - 1 : 0, buffer);
	TRY(write(queue, "x", 1));
	TRY(lseek(queue, 0, SEEK_SET));
	TRY(ftruncate(queue, 0));
	TRY(fchmod(queue, 0600));
	TRY(fsync(queue));
}
