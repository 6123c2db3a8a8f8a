/* SPDX-License-Identifier: MIT */
/* What could hold up a session process in mq_open. A lease: whoever owns a queue can make everybody
 * who opens it wait (fcntl(2), F_SETLEASE); the caller waits as it would unconfined, its session
 * process, and everybody else, does not. And a descriptor that the app uses before it has it. */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "door.h"
#include "include/util.h"
#include "step.h"
#include "support.h"
#include "tests/patience.h"

#define SETTLES_USEC 100000 /* long enough to see that a call waits */

enum handler { HANDLER_NONE, HANDLER_INTERRUPTS, HANDLER_RESTARTS };

/* One mq_open, of a process of its own. */
struct attempt {
	const char *queue;
	int oflag;
	enum handler handler;
	atomic_int pid;
	atomic_bool over;
	long result;
	int flags; /* as fcntl() tells them */
	long mq_flags;
};

/* Shared by all. */
static struct attempts {
	int count;
	struct attempt items[256];
} * attempts;
static struct attempt *attempt; /* the latest */

static void nothing(int signal)
{
	(void)signal;
}

static _noreturn_ void be_opener(void)
{
	struct sigaction action = {.sa_handler = nothing,
		.sa_flags = attempt->handler == HANDLER_RESTARTS ? SA_RESTART : 0};
	struct mq_attr attributes = {0};
	long fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigaction(SIGUSR1, &action, NULL);
	atomic_store(&attempt->pid, getpid());
	fd = result_of(syscall(SYS_mq_open, attempt->queue + 1, attempt->oflag, 0600, NULL));
	attempt->result = MIN(fd, 0L);
	attempt->flags = fd < 0 ? 0 : fcntl((int)fd, F_GETFL);
	if (fd >= 0 && mq_getattr((mqd_t)fd, &attributes) == 0)
		attempt->mq_flags = attributes.mq_flags;
	atomic_store(&attempt->over, true);
	_exit(0);
}

static void start_opener(void)
{
	pid_t pid = fork();

	if (pid == 0)
		be_opener();
	if (pid < 0)
		abort();
}

/* Starts one whenever it is told to. */
static void open_when_told(struct stage *stage)
{
	(void)signal(SIGCHLD, SIG_IGN);
	for (;;) {
		app_pause(stage);
		attempt = &attempts->items[attempts->count - 1];
		if (attempt->oflag < 0)
			return;
		start_opener();
	}
}

static bool is_over_within(uint64_t usec)
{
	uint64_t deadline = now_usec() + usec;

	while (!atomic_load(&attempt->over)) {
		if (now_usec() > deadline)
			return false;
		(void)usleep(500);
	}
	return true;
}

static void expect_over(const char *what)
{
	cr_assert(is_over_within((uint64_t)DOOR_DEADLINE_SECONDS * 1000000), "%s: it waits", what);
}

static void prepare(const char *queue, int oflag, enum handler handler)
{
	attempt = &attempts->items[attempts->count++];
	*attempt = (struct attempt){.queue = queue, .oflag = oflag, .handler = handler};
}

/* What an outsider has. Only who alone has a queue open gets a lease that nobody may open: not
 * while another process has not yet closed what it looked at last. */
static int take_lease(int fd, int type)
{
	int r = -1;

	for (int i = 0; i < 100 * door_deadline_seconds(); i++) {
		r = fcntl(fd, F_SETLEASE, type);
		if (r == 0 || errno != EAGAIN)
			break;
		(void)usleep(10000);
	}
	return r;
}

static int hold(const char *queue, int type)
{
	struct mq_attr size = {.mq_maxmsg = 2, .mq_msgsize = 32};
	int fd = mq_open(queue, O_RDWR | O_CREAT, 0666, &size);

	(void)signal(SIGIO, SIG_IGN);
	cr_assert(fd >= 0 && fchmod(fd, 0666) == 0 && close(fd) == 0);
	fd = mq_open(queue, type == F_RDLCK ? O_RDONLY : O_RDWR);
	cr_assert(fd >= 0);
	cr_assert_eq(take_lease(fd, type), 0, "no lease: %s", strerror(errno));
	return fd;
}

static void let_go(int fd)
{
	cr_assert_eq(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
	(void)close(fd);
}

static void share(void)
{
	attempts = mmap(
		NULL, sizeof(*attempts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(attempts, MAP_FAILED);
}

static void open_door(struct door *door)
{
	if (!attempts)
		share();
	door_open(door, NOBODY, NULL, open_when_told);
	door_wait(door);
	door_grant_both(door, PERMISSIONS_ALL, PERMISSIONS_ALL);
}

static void close_door(struct door *door)
{
	prepare(NULL, -1, HANDLER_NONE);
	door_go(door);
	door_close(door);
}

static void start_confined(struct door *door)
{
	door_go(door);
	door_wait(door);
}

static void expect_waiting(void)
{
	cr_expect_not(is_over_within(SETTLES_USEC), "it does not wait: %ld", attempt->result);
}

/* --- bare and confined ----------------------------------------------------------------------- */

struct outcome {
	bool waits;
	long result;
	int flags;
	long mq_flags;
};

static struct outcome outcome(bool waits)
{
	return (struct outcome){waits, attempt->result, attempt->flags, attempt->mq_flags};
}

/* Unconfined nothing but a lease makes it sleep. */
static bool sleeps_or_ends(void)
{
	while (!atomic_load(&attempt->over)) {
		pid_t pid = atomic_load(&attempt->pid);

		if (pid != 0 && state_of(pid) == 'S')
			return true;
		(void)usleep(500);
	}
	return false;
}

static struct outcome open_bare(const char *queue, int type, int oflag)
{
	int lease = hold(queue, type);
	bool waits;

	prepare(queue, oflag, HANDLER_NONE);
	start_opener();
	waits = sleeps_or_ends();
	let_go(lease);
	expect_over("unconfined");
	(void)wait(NULL);
	return outcome(waits);
}

static struct outcome open_confined(struct door *door, int type, int oflag, bool is_to_wait)
{
	int lease = hold(door->stage->queue, type);

	prepare(door->stage->queue, oflag, HANDLER_NONE);
	start_confined(door);
	if (is_to_wait)
		expect_waiting();
	else
		expect_over("confined");
	let_go(lease);
	expect_over("without the lease");
	return outcome(is_to_wait);
}

/* The waiting of one who is not confined holds up everybody in its IPC namespace: so it has one of
 * its own. */
static struct outcome open_bare_elsewhere(const char *queue, int type, int oflag)
{
	struct outcome *ret =
		mmap(NULL, sizeof(*ret), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (unshare(CLONE_NEWIPC) < 0)
			_exit(1);
		*ret = open_bare(queue, type, oflag);
		_exit(0);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
	return *ret;
}

static void compare(struct door *door, int type, int oflag)
{
	struct outcome bare = open_bare_elsewhere(door->stage->queue, type, oflag);
	struct outcome confined = open_confined(door, type, oflag, bare.waits);

	cr_expect(bare.result == confined.result && bare.flags == confined.flags &&
			  bare.mq_flags == confined.mq_flags,
		"lease %d, flags %#o: bare %ld, %#x, %#lx, confined %ld, %#x, %#lx", type,
		(unsigned)oflag, bare.result, (unsigned)bare.flags, (unsigned long)bare.mq_flags,
		confined.result, (unsigned)confined.flags, (unsigned long)confined.mq_flags);
}

Test(lease, gives_what_it_gives_unconfined)
{
	static const int types[] = {F_RDLCK, F_WRLCK};
	static const int others[] = {0, O_NONBLOCK, O_CREAT, O_CREAT | O_EXCL, O_CREAT | O_NONBLOCK,
		O_APPEND | O_SYNC, O_NONBLOCK | O_APPEND};
	struct door door;

	open_door(&door);
	for (size_t i = 0; i < ELEMENTSOF(types); i++)
		for (int mode = O_RDONLY; mode <= O_ACCMODE; mode++)
			for (size_t k = 0; k < ELEMENTSOF(others); k++)
				compare(&door, types[i], mode | others[k]);
	close_door(&door);
}

/* --- what ends the waiting ------------------------------------------------------------------ */

static void be_signalled(enum handler handler)
{
	struct door door;
	int lease;

	open_door(&door);
	lease = hold(door.stage->queue, F_WRLCK);
	prepare(door.stage->queue, O_RDWR, handler);
	start_confined(&door);
	expect_waiting();
	cr_assert_eq(kill(atomic_load(&attempt->pid), SIGUSR1), 0);
	if (handler == HANDLER_RESTARTS) {
		expect_waiting();
		let_go(lease);
		expect_over("restarted");
		cr_expect_eq(attempt->result, 0, "%ld", attempt->result);
	} else {
		expect_over("interrupted");
		cr_expect_eq(attempt->result, -EINTR, "%ld", attempt->result);
		let_go(lease);
	}
	close_door(&door);
}

Test(lease, a_signal_interrupts_it)
{
	be_signalled(HANDLER_INTERRUPTS);
}

Test(lease, a_signal_restarts_it)
{
	be_signalled(HANDLER_RESTARTS);
}

Test(lease, a_disconnect_ends_it)
{
	struct door door;
	int lease;

	open_door(&door);
	lease = hold(door.stage->queue, F_WRLCK);
	prepare(door.stage->queue, O_RDWR, HANDLER_NONE);
	start_confined(&door);
	expect_waiting();
	door_grant_both(&door, PERMISSION_READ, PERMISSIONS_ALL);
	expect_over("disconnected");
	cr_expect_eq(attempt->result, -EACCES, "%ld", attempt->result);
	let_go(lease);
	close_door(&door);
}

Test(lease, death_ends_it)
{
	struct door door;
	int lease;

	open_door(&door);
	lease = hold(door.stage->queue, F_WRLCK);
	prepare(door.stage->queue, O_RDWR, HANDLER_NONE);
	start_confined(&door);
	expect_waiting();
	cr_assert_eq(kill(atomic_load(&attempt->pid), SIGKILL), 0);
	(void)usleep(SETTLES_USEC);
	let_go(lease);
	prepare(door.stage->queue, O_RDWR, HANDLER_NONE);
	start_confined(&door);
	expect_over("the next one");
	cr_expect_eq(attempt->result, 0, "%ld", attempt->result);
	close_door(&door);
}

/* A session process that takes over goes on waiting. */
Test(lease, another_session_process_goes_on)
{
	struct door door;
	int lease;

	open_door(&door);
	lease = hold(door.stage->queue, F_WRLCK);
	prepare(door.stage->queue, O_RDWR | O_CREAT, HANDLER_NONE);
	start_confined(&door);
	expect_waiting();
	door_replace(&door);
	expect_waiting();
	let_go(lease);
	expect_over("without the lease");
	cr_expect_eq(attempt->result, 0, "%ld", attempt->result);
	close_door(&door);
}

/* --- who is not held up --------------------------------------------------------------------- */

static void expect_opened_at_once(struct door *door, const char *queue)
{
	prepare(queue, O_RDWR | O_CREAT, HANDLER_NONE);
	start_confined(door);
	expect_over(queue);
	cr_expect_eq(attempt->result, 0, "%ld", attempt->result);
}

static struct attempt *wait_for(struct door *door, const char *queue)
{
	prepare(queue, O_RDWR, HANDLER_NONE);
	start_confined(door);
	expect_waiting();
	return attempt;
}

Test(lease, nobody_else_waits)
{
	struct attempt *first, *second;
	struct door door, another;
	int lease;

	open_door(&door);
	open_door(&another);
	lease = hold(door.stage->queue, F_WRLCK);
	first = wait_for(&door, door.stage->queue);
	expect_opened_at_once(&door, door.stage->other);
	expect_opened_at_once(&another, another.stage->other);
	second = wait_for(&another, door.stage->queue);
	expect_opened_at_once(&another, another.stage->other);
	door_grant_both(&another, PERMISSIONS_ALL, 0);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSION_WRITE);
	cr_expect_not(first->over || second->over);
	let_go(lease);
	attempt = first;
	expect_over("the first");
	attempt = second;
	expect_over("the second");
	cr_expect_eq(first->result, 0);
	cr_expect_eq(second->result, 0);
	close_door(&another);
	close_door(&door);
}

/* --- a descriptor that is used as soon as it is there --------------------------------------- */

#define EXPECTED 200 /* the number that it will have */

static char *slow_page;
static struct stage *the_stage;

static bool is_told(long *flag)
{
	return __atomic_load_n(flag, __ATOMIC_SEQ_CST);
}

/* From its beginning, whatever its position is. */
static void *read_when_told(void *unused)
{
	while (!is_told(&the_stage->results[2]))
		;
	(void)lseek(EXPECTED, 0, SEEK_SET);
	(void)!read(EXPECTED, slow_page, 100);
	return unused;
}

static void *tell_when_it_waits(void *data)
{
	struct uffd_msg message;

	if (read(*(int *)data, &message, sizeof(message)) > 0)
		__atomic_store_n(&the_stage->results[3], 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* As root, who may let the kernel wait for a page of its own: it never comes. */
static void read_while_it_is_opened(struct stage *stage)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register page = {.range.len = 4096, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	pthread_t threads[2];

	the_stage = stage;
	slow_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page.range.start = (uintptr_t)slow_page;
	if (ioctl(faults, UFFDIO_API, &api) < 0 || ioctl(faults, UFFDIO_REGISTER, &page) < 0)
		_exit(111);
	while (dup(faults) < EXPECTED - 1)
		;
	if (pthread_create(&threads[0], NULL, read_when_told, NULL) != 0 ||
		pthread_create(&threads[1], NULL, tell_when_it_waits, &faults) != 0)
		_exit(112);
	app_pause(stage);
	stage->results[0] = result_of(mq_open(stage->queue, O_RDWR | O_CREAT, 0600, NULL));
	stage->results[1] = fcntl(EXPECTED, F_GETFL);
	app_pause(stage);
	_exit(0);
}

/* Between the injection of the descriptor and what the session process does next. */
static void let_read(struct stage *stage)
{
	uint64_t deadline = now_usec() + (uint64_t)DOOR_DEADLINE_SECONDS * 1000000;

	__atomic_store_n(&stage->results[2], 1, __ATOMIC_SEQ_CST);
	while (!is_told(&stage->results[3])) {
		cr_assert_lt(now_usec(), deadline, "nobody reads");
		(void)usleep(100);
	}
}

static void step_through_opening(struct door *door)
{
	struct pollfd listener = {.fd = door->listener, .events = POLLIN};
	static struct stepper stepper;

	step_attach(&stepper, door->session);
	door_go(door);
	cr_assert_eq(poll(&listener, 1, DOOR_DEADLINE_SECONDS * 1000), 1);
	step_restart(&stepper);
	do {
		bool injects = streq(stepper.name, "ADDFD");

		step_next(&stepper);
		if (injects)
			let_read(door->stage);
	} while (!stepper.idle);
	step_detach(&stepper);
}

Test(held_up, not_by_who_uses_the_descriptor_at_once)
{
	struct door door;

	door_open(&door, 0, NULL, read_while_it_is_opened);
	door_wait(&door);
	door_grant(&door, PERMISSIONS_ALL);
	step_through_opening(&door);
	door_wait(&door);
	cr_expect_eq(door.stage->results[0], EXPECTED, "%ld", door.stage->results[0]);
	cr_expect_eq(door.stage->results[1], O_RDWR, "%#lx", door.stage->results[1]);
	cr_expect(is_told(&door.stage->results[3]), "nobody has read");
	door_grant(&door, 0);
	door_go(&door);
	door_close(&door);
}
