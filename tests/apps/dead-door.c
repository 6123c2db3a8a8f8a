/* SPDX-License-Identifier: MIT */
/* dead-door ABI GRANTED FOREIGN SOCKET: tries to open a dead door, as far as it is told to.
 *
 * ABI is "native", or "int80" for the calls of 32-bit programs made by a 64-bit one. FOREIGN is a
 * queue that is not granted; somebody else gives a descriptor of it at SOCKET. Each line of
 * standard input is one command, each is answered with one line: 0, or the name of an errno, of
 * everything that was tried.
 *
 *   hold       opens GRANTED and takes the descriptor of FOREIGN
 *   wait       until the door is dead: ENOSYS
 *   listeners  a listener of its own, in each way to ask for it; each in a child, and gone again
 *   seccomp    all else that seccomp(2) does
 *   reopen     a listener of its own, to stay, and a child that answers everything with CONTINUE
 *   try        every call on both queues; one that is not answered is given up: EINTR */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "app.h"
#include "tests/machine/int-0x80.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

#define PATIENCE_MSEC 60 /* for a call that nobody answers */

enum call {
	SECCOMP,
	OPEN,
	UNLINK,
	SEND,
	RECEIVE,
	NOTIFY,
	LONG_SEND,
	LONG_RECEIVE,
	CALL_COUNT,
};

static const int native[CALL_COUNT] = {SYS_seccomp, SYS_mq_open, SYS_mq_unlink, SYS_mq_timedsend,
	SYS_mq_timedreceive, SYS_mq_notify,
#ifdef SYS_mq_timedsend_time64
	SYS_mq_timedsend_time64, SYS_mq_timedreceive_time64
#endif
};
static const int compat[CALL_COUNT] = {354, 277, 278, 279, 280, 281, 418, 419};

static const int *numbers = native;
static const char *granted, *foreign, *outsider;
static int granted_fd = -1, foreign_fd = -1;

/* In the lower half of the memory, where 32-bit calls find it. */
static struct low {
	char name[256], message[8192];
	int32_t event[16]; /* struct sigevent */
	struct sock_filter filter[CALL_COUNT + 4];
	union {
		struct sock_fprog native;
		struct {
			uint16_t length;
			uint32_t filter;
		} compat;
	} program;
	uint32_t action;
	uint16_t sizes[8];
} * low;

static long call_with(enum call call, const long arguments[static 5])
{
#if defined(__x86_64__)
	if (numbers == compat) {
		int r = int_0x80_all(compat[call], arguments);

		errno = r < 0 ? -r : errno;
		return r < 0 ? -1 : r;
	}
#endif
	return syscall(numbers[call], arguments[0], arguments[1], arguments[2], arguments[3],
		arguments[4]);
}

#define CALL(call, ...) call_with(call, (const long[5]){__VA_ARGS__})

static void report(const char *what, const char *queue, int error)
{
	printf("%s%s=%s ", what, queue, error ? strerrorname_np(error) : "0");
}

static int error_of(long r)
{
	return r < 0 ? errno : 0;
}

/* --- filters -------------------------------------------------------------------------------- */

/* Hands every mq call to a listener. */
static void write_filter(void)
{
	struct sock_filter *at = low->filter;

	*at++ = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = OPEN; i < CALL_COUNT; i++)
		*at++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
			(uint32_t)(numbers[i] ?: numbers[OPEN]), (uint8_t)(CALL_COUNT - i), 0);
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
	if (numbers == compat) {
		low->program.compat.length = (uint16_t)(at - low->filter);
		low->program.compat.filter = (uint32_t)(uintptr_t)low->filter;
	} else {
		low->program.native.len = (unsigned short)(at - low->filter);
		low->program.native.filter = low->filter;
	}
}

/* errno, or 0, of one call of seccomp(2) in a child, where it leaves nothing. */
static int in_child(long operation, long flags, const void *argument)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(error_of(CALL(SECCOMP, operation, flags, (long)argument)));
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return ECHILD;
	return WEXITSTATUS(status);
}

#define LISTEN SECCOMP_FILTER_FLAG_NEW_LISTENER

static void try_listeners(void)
{
	static const struct {
		const char *what;
		long operation, flags;
	} ways[] = {
		{"plain", SECCOMP_SET_MODE_FILTER, LISTEN},
		{"log", SECCOMP_SET_MODE_FILTER, LISTEN | SECCOMP_FILTER_FLAG_LOG},
		{"spec", SECCOMP_SET_MODE_FILTER, LISTEN | SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{"killable", SECCOMP_SET_MODE_FILTER,
			LISTEN | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
		{"tsync", SECCOMP_SET_MODE_FILTER,
			LISTEN | SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH},
#if __SIZEOF_LONG__ == 8
		{"upper-operation", SECCOMP_SET_MODE_FILTER | 1L << 32, LISTEN},
		{"upper-flags", SECCOMP_SET_MODE_FILTER, LISTEN | (long)UINT32_MAX << 32},
		{"upper-both", SECCOMP_SET_MODE_FILTER | 1L << 63, LISTEN | 8L << 32},
#endif
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		report(ways[i].what, "", in_child(ways[i].operation, ways[i].flags, &low->program));
}

static void try_seccomp(void)
{
	static const struct {
		long operation, flags;
		size_t argument; /* in *low; 0: NULL */
	} calls[] = {
		{SECCOMP_SET_MODE_FILTER, 0, offsetof(struct low, program)},
		{SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, offsetof(struct low, program)},
		{SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_LOG, offsetof(struct low, program)},
		{SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
			offsetof(struct low, program)},
		{SECCOMP_SET_MODE_FILTER, 1 << 30, offsetof(struct low, program)},
		{SECCOMP_SET_MODE_FILTER, 0, 0},
		{SECCOMP_GET_ACTION_AVAIL, 0, offsetof(struct low, action)},
		{SECCOMP_GET_ACTION_AVAIL, 0, 0},
		{SECCOMP_GET_ACTION_AVAIL, LISTEN, offsetof(struct low, action)},
		{SECCOMP_GET_NOTIF_SIZES, 0, offsetof(struct low, sizes)},
		{SECCOMP_GET_NOTIF_SIZES, LISTEN, offsetof(struct low, sizes)},
		{SECCOMP_SET_MODE_STRICT, LISTEN, 0},
		{99, 0, 0},
		{99, LISTEN, 0},
#if __SIZEOF_LONG__ == 8
		{SECCOMP_SET_MODE_FILTER, (long)LISTEN << 32, offsetof(struct low, program)},
		{SECCOMP_GET_ACTION_AVAIL | 1L << 32, 0, offsetof(struct low, action)},
#endif
	};

	low->action = SECCOMP_RET_ALLOW;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		report("", "call",
			in_child(calls[i].operation, calls[i].flags,
				calls[i].argument ? (char *)low + calls[i].argument : NULL));
}

/* --- reopening ------------------------------------------------------------------------------ */

static volatile int listener;

/* In a thread that was there before the listener's filter, and is not under it. */
static void *answer_everything(void *context)
{
	sigset_t all;

	/* They are meant for who calls. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (listener == 0)
		pause_for(1);
	while (listener > 0) {
		struct seccomp_notif notification = {0};
		struct seccomp_notif_resp response = {.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0)
			continue;
		response.id = notification.id;
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
	return context;
}

static void reopen(void)
{
	pthread_t thread;
	long r;

	listener = 0;
	if (pthread_create(&thread, NULL, answer_everything, NULL) != 0)
		_exit(1);
	r = CALL(SECCOMP, SECCOMP_SET_MODE_FILTER, LISTEN, (long)&low->program);
	report("listener", "", error_of(r));
	listener = (int)r;
	if (r < 0)
		(void)pthread_join(thread, NULL);
}

/* --- the calls ------------------------------------------------------------------------------ */

static const char *low_name(const char *name, const char *suffix)
{
	(void)snprintf(low->name, sizeof(low->name), "%s%s", name + 1, suffix);
	return low->name;
}

static void on_alarm(int signal)
{
}

static void be_impatient(bool impatient)
{
	const struct itimerval timer = {{0, impatient ? PATIENCE_MSEC * 1000 : 0},
		{0, impatient ? PATIENCE_MSEC * 1000 : 0}};

	(void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void try_data(enum call send, enum call receive, const char *which, int fd)
{
	strcpy(low->message, "dead");
	report(send == SEND ? "send" : "long-send", which,
		error_of(CALL(send, fd, (long)low->message, 4, 0, 0)));
	report(receive == RECEIVE ? "receive" : "long-receive", which,
		error_of(CALL(receive, fd, (long)low->message, sizeof(low->message), 0, 0)));
}

static void try_queue(const char *which, const char *name, int fd)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};

	memcpy(low->event, &event, sizeof(event));
	if (numbers == compat)
		low->event[2] = SIGEV_NONE;
	report("create", which,
		error_of(CALL(OPEN, (long)low_name(name, "-made"), O_RDWR | O_CREAT, 0600, 0)));
	report("open", which, error_of(CALL(OPEN, (long)low_name(name, ""), O_RDWR, 0, 0)));
	try_data(SEND, RECEIVE, which, fd);
	if (numbers[LONG_SEND])
		try_data(LONG_SEND, LONG_RECEIVE, which, fd);
	report("notify", which, error_of(CALL(NOTIFY, fd, (long)low->event)));
	report("unlink", which, error_of(CALL(UNLINK, (long)low_name(name, ""))));
}

static void try_all(void)
{
	be_impatient(true);
	try_queue("-granted", granted, granted_fd);
	try_queue("-foreign", foreign, foreign_fd);
	be_impatient(false);
}

/* --- while the door lives ------------------------------------------------------------------- */

static int take_descriptor(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", outsider);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		recvmsg(fd, &message, 0) != 1 || control.header.cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

static void hold(void)
{
	granted_fd = mq_open(granted, O_RDWR);
	report("granted", "", error_of(granted_fd));
	foreign_fd = take_descriptor();
	report("foreign", "", error_of(foreign_fd));
}

static void wait_for_death(void)
{
	for (int i = 0; i < 1000; i++) {
		if (mq_unlink("/no-such-queue") < 0 && errno == ENOSYS)
			break;
		pause_for(10);
	}
	report("door", "", errno);
}

static const struct {
	const char *name;
	void (*obey)(void);
} commands[] = {
	{"hold", hold},
	{"wait", wait_for_death},
	{"listeners", try_listeners},
	{"seccomp", try_seccomp},
	{"reopen", reopen},
	{"try", try_all},
};

int main(int argc, char *argv[])
{
	char line[64];

	if (argc != 5) {
		fprintf(stderr, "usage: dead-door native|int80 GRANTED FOREIGN SOCKET\n");
		return 2;
	}
	numbers = strcmp(argv[1], "int80") == 0 ? compat : native;
	granted = argv[2];
	foreign = argv[3];
	outsider = argv[4];
	low = mmap(NULL, sizeof(*low), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed("mmap", "");
	write_filter();
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
			if (strcmp(commands[i].name, line) == 0)
				commands[i].obey();
		(void)putchar('\n');
		(void)fflush(stdout);
	}
	return 0;
}
