/* SPDX-License-Identifier: MIT */
/* Does everything to go on using a queue that it has lost.
 *
 * usage: hostile LOST KEPT SECONDS
 *
 * Opens both, prints "ready" and waits for a line on stdin: by then LOST has been taken from it.
 * Then, for so long, processes of many kinds bring LOST's descriptor back under numbers that are
 * checked as KEPT's, and call with them; see kinds[]. LOST's messages are larger than KEPT's, which
 * tells them apart. At the end it prints how often each kind has called, got through on KEPT, and
 * on LOST; and how many registrants were killed and started again. Exits 1 if anything came
 * through. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 3

struct score {
	atomic_ulong calls, kept, lost, deaths;
};

static mqd_t lost, kept;
static long lost_size;
static int number; /* the one that is called with, now this and now that */
static int hidden; /* a socket in which LOST is under way */
static atomic_bool *done;
static struct score *score; /* of this kind */

/* --- calling --- */

static const struct timespec past = {0};

static void try_send(void)
{
	if (mq_timedsend(number, "stolen", 6, 0, &past) == 0)
		score->kept++;
	else
		(void)mq_timedreceive(kept, (char[8192]){0}, 8192, NULL, &past);
}

static void try_receive(void)
{
	char buffer[8192];
	ssize_t n = mq_timedreceive(number, buffer, sizeof(buffer), NULL, &past);

	if (n < 0)
		(void)mq_timedsend(kept, "stolen", 6, 0, &past);
	else if (n == 6 && memcmp(buffer, "stolen", 6) == 0)
		score->kept++;
	else
		score->lost++;
}

static void try_attributes(void)
{
	struct mq_attr attributes;

	if (mq_getattr(number, &attributes) == 0) {
		if (attributes.mq_msgsize == lost_size)
			score->lost++;
		else
			score->kept++;
	}
}

static void *call(void *unused)
{
	while (!*done) {
		try_send();
		try_receive();
		try_attributes();
		score->calls += 3;
	}
	return unused;
}

static void start(void *(*f)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, f, NULL) != 0)
		_exit(100);
}

static void call_in_threads(void)
{
	for (int i = 1; i < THREADS; i++)
		start(call);
	(void)call(NULL);
}

/* --- ways to exchange --- */

static void *exchange(void *unused)
{
	while (!*done) {
		(void)dup2(lost, number);
		(void)dup2(kept, number);
	}
	return unused;
}

static int take_out_of_the_socket(void)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(hidden, &message, MSG_PEEK | MSG_DONTWAIT) != 1)
		return -1;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static void hide_in_a_socket(void)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(char[]){'x'}, 1};
	struct msghdr message = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int ends[2];

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &lost, sizeof(int));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) < 0 || sendmsg(ends[0], &message, 0) != 1)
		_exit(101);
	hidden = ends[1];
}

/* No table holds it, but for moments. */
static void *exchange_from_the_socket(void *unused)
{
	(void)close(lost);
	while (!*done) {
		int fd = take_out_of_the_socket();

		(void)dup2(fd, number);
		(void)close(fd);
		(void)dup2(kept, number);
	}
	return unused;
}

#ifndef IORING_OP_FIXED_FD_INSTALL
#define IORING_OP_FIXED_FD_INSTALL 54
#endif

/* As little of io_uring as this takes: one entry at a time. */
struct ring {
	int fd;
	struct io_uring_params params;
	char *submissions, *completions;
	struct io_uring_sqe *entries;
};

static bool open_ring(struct ring *ring)
{
	memset(ring, 0, sizeof(*ring));
	ring->fd = (int)syscall(SYS_io_uring_setup, 1, &ring->params);
	if (ring->fd < 0)
		return false;
	ring->submissions =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->completions =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_CQ_RING);
	ring->entries =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQES);
	return ring->submissions != MAP_FAILED && ring->completions != MAP_FAILED &&
	       ring->entries != MAP_FAILED;
}

/* A descriptor of what is registered; negative where the kernel does not know how. */
static int install(struct ring *ring)
{
	unsigned *tail = (unsigned *)(ring->submissions + ring->params.sq_off.tail);
	unsigned *head = (unsigned *)(ring->completions + ring->params.cq_off.head);
	struct io_uring_cqe *results =
		(struct io_uring_cqe *)(ring->completions + ring->params.cq_off.cqes);
	unsigned mask = *(unsigned *)(ring->completions + ring->params.cq_off.ring_mask);
	int result;

	memset(ring->entries, 0, sizeof(*ring->entries));
	ring->entries[0].opcode = IORING_OP_FIXED_FD_INSTALL;
	ring->entries[0].flags = IOSQE_FIXED_FILE;
	((unsigned *)(ring->submissions + ring->params.sq_off.array))[0] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
		return -1;
	result = results[*head & mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

static void *exchange_from_a_ring(void *unused)
{
	struct ring ring;
	bool registered = open_ring(&ring) && syscall(SYS_io_uring_register, ring.fd,
						      IORING_REGISTER_FILES, &lost, 1) == 0;

	if (!registered)
		return exchange(unused);
	while (!*done) {
		int fd = install(&ring);

		(void)dup2(fd >= 0 ? fd : lost, number);
		(void)dup2(kept, number);
		if (fd >= 0)
			(void)close(fd);
	}
	return unused;
}

static char sharer_stack[65536];

static int share_and_exchange(void *unused)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)exchange(unused);
	return 0;
}

/* --- kinds of processes --- */

static void by_threads(void)
{
	start(exchange);
	call_in_threads();
}

static void by_a_socket(void)
{
	hide_in_a_socket();
	start(exchange_from_the_socket);
	call_in_threads();
}

static void by_a_ring(void)
{
	start(exchange_from_a_ring);
	call_in_threads();
}

static void start_sharer(void)
{
	if (clone(share_and_exchange, sharer_stack + sizeof(sharer_stack), CLONE_FILES | SIGCHLD,
		    NULL) < 0)
		_exit(102);
}

static void by_a_sharer(void)
{
	start_sharer();
	call_in_threads();
}

/* The one that calls is traced by its parent, which lets it go on from each stop. */
static void by_a_traced_one(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		by_threads();
		_exit(0);
	}
	(void)ptrace(PTRACE_SEIZE, pid, NULL, NULL);
	while (!*done) {
		pid_t stopped = waitpid(pid, &status, WNOHANG | __WALL);

		if (stopped == pid && WIFSTOPPED(status))
			(void)ptrace(PTRACE_CONT, pid, NULL, NULL);
		else if (stopped == pid)
			break;
		(void)usleep(1000);
	}
	(void)kill(pid, SIGKILL);
}

static void call_once(void)
{
	try_send();
	try_receive();
	try_attributes();
	score->calls += 3;
}

/* A child that has the memory and the table of its parent, whose other threads go on. */
static int call_in_a_child(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++)
		call_once();
	return 0;
}

static char vfork_stack[65536];

static void by_vfork(void)
{
	start(exchange);
	while (!*done) {
		pid_t pid = clone(call_in_a_child, vfork_stack + sizeof(vfork_stack),
			CLONE_VM | CLONE_FILES | CLONE_VFORK | SIGCHLD, NULL);

		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			_exit(103);
	}
}

/* Whoever is found registered where it may not be is killed. The sharer's exchange does not remove
 * a registration, as one by a thread would. */
static void by_registering(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};

	(void)signal(SIGUSR1, SIG_IGN);
	start_sharer();
	while (!*done) {
		if (mq_notify(number, &event) == 0) {
			score->kept++;
			(void)mq_notify(kept, NULL);
		}
		score->calls++;
	}
}

/* --- all of them --- */

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {
	{"threads", by_threads},
	{"socket", by_a_socket},
	{"ring", by_a_ring},
	{"sharer", by_a_sharer},
	{"traced", by_a_traced_one},
	{"vfork", by_vfork},
	{"registering", by_registering},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static pid_t start_kind(size_t i, struct score *scores)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_DUMPABLE, 1);
	score = &scores[i];
	number = dup(kept);
	kinds[i].run();
	_exit(0);
}

static void run_kinds(struct score *scores, long seconds)
{
	struct timespec now, end;
	pid_t pids[KINDS];

	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (size_t i = 0; i < KINDS; i++)
		pids[i] = start_kind(i, scores);
	do {
		for (size_t i = 0; i < KINDS; i++)
			if (waitpid(pids[i], NULL, WNOHANG) == pids[i]) {
				scores[i].deaths++;
				pids[i] = start_kind(i, scores);
			}
		(void)usleep(1000);
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec);
	*done = true;
	(void)usleep(100000);
	for (size_t i = 0; i < KINDS; i++)
		(void)kill(pids[i], SIGKILL);
	for (size_t i = 0; i < KINDS; i++)
		(void)waitpid(pids[i], NULL, 0);
}

static mqd_t open_queue(const char *name)
{
	mqd_t queue = mq_open(name, O_RDWR);

	if (queue < 0) {
		perror(name);
		exit(2);
	}
	return queue;
}

int main(int argc, char **argv)
{
	struct score *scores =
		mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long through = 0;
	struct mq_attr attributes;

	if (argc != 4 || scores == MAP_FAILED)
		return 2;
	done = (atomic_bool *)(scores + KINDS);
	lost = open_queue(argv[1]);
	kept = open_queue(argv[2]);
	if (mq_getattr(lost, &attributes) < 0)
		return 2;
	lost_size = attributes.mq_msgsize;
	(void)puts("ready");
	(void)fflush(stdout);
	if (getchar() == EOF)
		return 2;
	run_kinds(scores, atol(argv[3]));
	for (size_t i = 0; i < KINDS; i++) {
		(void)printf("%s: %lu calls, %lu on the one that it has, %lu on the lost one, "
			     "died %lu times\n",
			kinds[i].name, (unsigned long)scores[i].calls,
			(unsigned long)scores[i].kept, (unsigned long)scores[i].lost,
			(unsigned long)scores[i].deaths);
		through += scores[i].lost;
	}
	return through > 0;
}
