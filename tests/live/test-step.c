/* SPDX-License-Identifier: MIT */
/* Calls that die, and apps that change, between any two steps of the session process.
 *
 * Each kind of call is made once undisturbed, which tells its steps; then again for each step, and
 * exactly before that step
 *
 *   dies      the caller is killed and reaped;
 *   execs     another thread of it executes a program;
 *   reused    it is killed, and its number is at once that of a victim: a process of root's, which
 *             is not confined, has other things at the same addresses and under the same
 *             descriptor, and hears of it if anything disturbs it;
 *   changes   another thread rewrites the arguments and exchanges the descriptor.
 *
 * Then it is looked at what became of the queues, of the session process and of the victim, and
 * whether the next calls are answered rightly. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "daemon/session/act.h"
#include "daemon/session/inflight.h"
#include "door.h"
#include "step.h"

#define NOBODY        65534
#define QUEUE_FD      100 /* of caller and victim */
#define PATIENCE_USEC (10 * 1000000ULL)
#define TRACED_MS     100 /* more than anybody needs to reap */
#define SESSION_FDS   256 /* of the session process, that are looked at */
#define MESSAGES      4
#define MESSAGE       "own"

enum deed { UNDISTURBED, DIES, EXECS, REUSED, CHANGES };
static const char *const deeds[] = {"undisturbed", "dies", "execs", "is reused", "changes"};

/* The queues. */
enum place {
	OWN,     /* the caller's user's; all is granted */
	ROOTS,   /* root's; all is granted, and the file's mode forbids it */
	DENIED,  /* the caller's user's; nothing is granted */
	FOREIGN, /* of the name of the first, in another IPC namespace */
	PLACES,
	NOWHERE = PLACES /* no descriptor */
};

struct kind {
	const char *name;
	long (*call)(void);
	long expected;         /* of mq_open 0 stands for a descriptor */
	bool on_descriptor;    /* QUEUE_FD is a descriptor of at; else the name is at's */
	enum place at;         /* what it is about */
	enum place after;      /* what another thread puts in its place */
	enum place victims;    /* what the victim has there */
	bool known, tainted;   /* the session knows OWN; has lost something */
	bool no_own, no_root;  /* OWN, ROOTS do not exist */
	bool creates, deletes; /* OWN */
	int messages, delta;   /* in OWN before; how many more there are afterwards */
	int flags;             /* of the caller's descriptor of OWN, afterwards */
	int trigger;           /* it waits until there is a message (1) more, or one less (-1) */
};

/* Shared by all. */
struct play {
	enum command { RUN, ASK, END } command;
	const struct kind *kind;
	pid_t caller;
	atomic_bool answered, victim_ready, victim_disturbed;
	long result;
	bool is_own; /* the descriptor that it got */
	int flags;   /* of the app's descriptor of OWN after a run */
	long asked[2];
};

static struct play *play;
static struct door door;
static struct stepper stepper;
static struct inflight *inflight;
static char names[PLACES][64];
static int descriptors[PLACES]; /* the app's, and the victim's */
static struct queue_key keys[PLACES];
static int foreign_namespace, nudge[2], nudged[2];
static char session_facts[8192];

/* --- arguments: at the same addresses in the caller and in the victim --- */

static char name[64], message[64];
static struct mq_attr attributes;
static unsigned priority;
static struct timespec timeout;
static struct sigevent event;

static void set_arguments(enum place place, bool first)
{
	memset(name, 0, sizeof(name));
	(void)strcpy(name, names[place] + 1);
	memset(message, first ? 'm' : 'x', sizeof(message));
	attributes = (struct mq_attr){.mq_maxmsg = first ? MESSAGES : 1,
		.mq_msgsize = first ? 32 : 16,
		.mq_flags = first ? O_NONBLOCK : 0};
	priority = first ? 1 : 2;
	timeout = (struct timespec){.tv_sec = first ? INT32_MAX : INT32_MAX - 1};
	event = (struct sigevent){.sigev_notify = SIGEV_NONE};
}

static long call_open(void)
{
	return syscall(SYS_mq_open, name, O_RDWR, 0, NULL);
}

static long call_create(void)
{
	return syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, &attributes);
}

static long call_create_exclusively(void)
{
	return syscall(SYS_mq_open, name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
}

static long call_unlink(void)
{
	return syscall(SYS_mq_unlink, name);
}

static long call_send(void)
{
	return syscall(SYS_mq_timedsend, QUEUE_FD, message, 3, 1, &timeout);
}

static long call_receive(void)
{
	return syscall(SYS_mq_timedreceive, QUEUE_FD, message, 32, &priority, &timeout);
}

static long call_get_attributes(void)
{
	return syscall(SYS_mq_getsetattr, QUEUE_FD, NULL, &attributes);
}

static long call_set_attributes(void)
{
	return syscall(SYS_mq_getsetattr, QUEUE_FD, &attributes, NULL);
}

static long call_register(void)
{
	return syscall(SYS_mq_notify, QUEUE_FD, &event);
}

static long call_remove(void)
{
	return syscall(SYS_mq_notify, QUEUE_FD, NULL);
}

/* --- the app --- */

static void *another_thread(void *data)
{
	const struct kind *kind = data;
	char what;

	while (read(nudge[0], &what, 1) == 1) {
		if (what == 'x')
			(void)execl("/bin/sleep", "sleep", "20", (char *)NULL);
		if (kind->after == NOWHERE)
			(void)close(QUEUE_FD);
		else if (kind->on_descriptor)
			(void)dup2(descriptors[kind->after], QUEUE_FD);
		else
			set_arguments(kind->after, false);
		if (write(nudged[1], "d", 1) != 1)
			abort();
	}
	return NULL;
}

static bool is_own(long fd)
{
	char path[64], link[128] = "";

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%ld", fd);
	return readlink(path, link, sizeof(link) - 1) > 0 && streq(link, names[OWN]);
}

static _noreturn_ void be_caller(const struct kind *kind)
{
	pthread_t thread;
	long result;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)umask(077); /* not the session process's */
	set_arguments(kind->at, true);
	if (kind->on_descriptor && dup2(descriptors[kind->at], QUEUE_FD) < 0)
		abort();
	if (pthread_create(&thread, NULL, another_thread, (void *)kind) != 0)
		abort();
	play->caller = getpid();
	result = result_of(kind->call());
	play->is_own = !kind->on_descriptor && result >= 0 && is_own(result);
	play->result = result;
	atomic_store(&play->answered, true);
	for (;;)
		(void)pause();
}

static void run_caller(void)
{
	pid_t pid = fork();

	if (pid == 0)
		be_caller(play->kind);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		abort();
	play->flags = fcntl(descriptors[OWN], F_GETFL);
	(void)fcntl(descriptors[OWN], F_SETFL, 0);
}

static void ask(struct stage *stage)
{
	long fd = result_of(mq_open(stage->queue, O_RDWR));

	play->asked[0] = fd;
	if (fd >= 0)
		(void)mq_close((mqd_t)fd);
	play->asked[1] = result_of(mq_unlink(names[DENIED]));
}

/* Makes the callers, one after the other. */
static void be_app(struct stage *stage)
{
	for (;;) {
		(void)alarm(3 * DOOR_DEADLINE_SECONDS);
		app_pause(stage);
		if (play->command == END)
			return;
		if (play->command == RUN)
			run_caller();
		else
			ask(stage);
	}
}

static int make_queue(enum place place, int flags)
{
	struct mq_attr size = {.mq_maxmsg = MESSAGES, .mq_msgsize = 32};
	mqd_t fd = mq_open(names[place], O_RDWR | O_CREAT | flags, 0600, &size);

	if (fd < 0)
		abort();
	return fd;
}

static void name_queues(const struct stage *stage)
{
	(void)strcpy(names[OWN], stage->queue);
	(void)strcpy(names[FOREIGN], stage->queue);
	(void)strcpy(names[ROOTS], stage->other);
	(void)snprintf(names[DENIED], sizeof(names[DENIED]), "%.50s-denied", stage->queue);
}

/* What outsiders gave it. */
static void be_given_queues(struct stage *stage)
{
	name_queues(stage);
	descriptors[OWN] = make_queue(OWN, 0);
	descriptors[DENIED] = make_queue(DENIED, 0);
}

static void keep_patience(uint64_t deadline)
{
	if (now_usec() > deadline)
		cr_assert_fail("it takes too long");
}

/* --- the victim --- */

static _noreturn_ void be_victim(const struct kind *kind)
{
	struct epoll_event nothing;
	int set = epoll_create1(EPOLL_CLOEXEC);

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	set_arguments(ROOTS, false);
	if (kind->victims == FOREIGN && setns(foreign_namespace, CLONE_NEWIPC) < 0)
		_exit(1);
	if (kind->on_descriptor && dup2(descriptors[kind->victims], QUEUE_FD) < 0)
		_exit(1);
	atomic_store(&play->victim_ready, true);
	/* Being stopped ends this call. */
	(void)epoll_wait(set, &nothing, 1, -1);
	atomic_store(&play->victim_disturbed, true);
	for (;;)
		(void)pause();
}

static pid_t start_victim(const struct kind *kind, pid_t number)
{
	struct clone_args arguments = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
	uint64_t deadline = now_usec() + PATIENCE_USEC;
	pid_t pid;

	play->victim_ready = false;
	play->victim_disturbed = false;
	pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (pid == 0)
		be_victim(kind);
	cr_assert_eq(pid, number, "the number is taken by somebody else: %s", strerror(errno));
	while (!atomic_load(&play->victim_ready)) {
		keep_patience(deadline);
		(void)usleep(20);
	}
	return pid;
}

/* --- one run --- */

struct facts {
	struct queue_key key[FOREIGN];
	uid_t owner[FOREIGN];
	long messages[FOREIGN];
	struct mq_attr size; /* of OWN */
};

struct run {
	const struct kind *kind;
	enum deed deed;
	unsigned at; /* the step before which it is done; 0: not at all */
	bool done, reaped;
	bool replied_before, noted_before; /* the deed */
	char step[STEP_NAME_MAX];
	pid_t caller, victim;
	unsigned victims_descriptors;
	struct facts before, after;
};

static char complaint[512];

static _printf_(2, 3) void complain(const struct run *run, const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (complaint[0] == '\0')
		(void)snprintf(complaint, sizeof(complaint), "%s, %s before step %u (%s): %s",
			run->kind->name, deeds[run->deed], run->at, run->step, text);
}

static struct facts look(void)
{
	struct facts facts = {0};

	for (int i = 0; i < FOREIGN; i++) {
		mqd_t fd = mq_open(names[i], O_RDONLY);
		struct descriptor descriptor;
		struct mq_attr now;
		struct stat st;

		if (fd < 0)
			continue;
		cr_assert_eq(own_descriptor(fd, &descriptor), 0);
		cr_assert_eq(mq_getattr(fd, &now), 0);
		cr_assert_eq(fstat(fd, &st), 0);
		facts.key[i] = descriptor.key;
		facts.owner[i] = st.st_uid;
		facts.messages[i] = now.mq_curmsgs;
		if (i == OWN)
			facts.size = now;
		(void)mq_close(fd);
	}
	return facts;
}

static bool same_key(struct queue_key a, struct queue_key b)
{
	return a.device == b.device && a.inode == b.inode;
}

static void arrange_messages(enum place place, int count)
{
	mqd_t fd = mq_open(names[place], O_RDWR | O_NONBLOCK);
	char buffer[32];

	while (mq_receive(fd, buffer, sizeof(buffer), NULL) >= 0)
		;
	for (int i = 0; i < count; i++)
		cr_assert_eq(mq_send(fd, MESSAGE, 3, 0), 0);
	(void)mq_close(fd);
}

static void arrange_existence(enum place place, bool exists, uid_t owner)
{
	mqd_t fd;

	if (!exists) {
		(void)mq_unlink(names[place]);
		return;
	}
	fd = make_queue(place, 0);
	cr_assert_eq(fchown(fd, owner, (gid_t)owner), 0);
	(void)mq_close(fd);
}

static void arrange(const struct kind *kind)
{
	arrange_existence(OWN, !kind->no_own, NOBODY);
	arrange_existence(ROOTS, !kind->no_root, 0);
	if (!kind->no_own)
		arrange_messages(OWN, kind->messages);
	inflight->queues.count = 0;
	if (kind->known)
		queues_remember(
			&inflight->queues, look().key[OWN], names[OWN] + 1, PERMISSIONS_ALL);
	inflight->tainted = kind->tainted;
	inflight->threads.count = 0;
	inflight->registrations.entries[0].tgid = 0;
	play->kind = kind;
	play->answered = false;
	play->result = 0;
	play->caller = 0;
}

static void tell(enum command command)
{
	play->command = command;
	door_go(&door);
}

static bool wait_for_event(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1 && p.revents & POLLIN;
}

/* Its loop comes round by itself, since it traces somebody. */
static bool is_to_let_go(void)
{
	return stepper.timeout_ms >= 0;
}

/* Serves what the app asks, until it has nothing to do. */
static void serve_app(void)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;

	for (;;) {
		keep_patience(deadline);
		if (wait_for_event(door.stage->ready[0], 0)) {
			door_wait(&door);
			return;
		}
		if (wait_for_event(door.listener, 0) || is_to_let_go())
			do
				step_next(&stepper);
			while (!stepper.idle);
	}
}

static bool is_dead(pid_t pid)
{
	struct target target;
	bool dead = target_open(pid, &target) < 0;

	if (dead)
		return true;
	dead = thread_start(target.proc) == 0;
	target_close(&target);
	return dead;
}

/* One that the session process traces is reaped by it, in its own time: until then nobody gets its
 * number. */
static void kill_caller(struct run *run)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;

	cr_assert_eq(kill(run->caller, SIGKILL), 0);
	while (!is_dead(run->caller)) {
		keep_patience(deadline);
		(void)usleep(20);
	}
	run->reaped = wait_for_event(door.stage->ready[0], TRACED_MS);
	if (run->reaped)
		door_wait(&door);
}

static unsigned count_entries(pid_t pid)
{
	char path[64];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	return stat(path, &st) < 0 ? 0 : (unsigned)st.st_size;
}

static void wait_for_exec(pid_t pid)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;
	char path[64], text[16] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	while (!startswith(text, "sleep")) {
		_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

		keep_patience(deadline);
		/* On the way it may be neither the one nor the other. */
		if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
			text[0] = '\0';
		(void)usleep(50);
	}
}

static void nudge_thread(char what)
{
	cr_assert_eq(write(nudge[1], &what, 1), 1);
}

static void do_deed(struct run *run)
{
	char byte;

	run->done = true;
	run->replied_before = stepper.replied;
	run->noted_before = inflight->registrations.entries[0].tgid != 0;
	(void)strcpy(run->step, stepper.name);
	switch (run->deed) {
	case UNDISTURBED:
		break;
	case DIES:
		kill_caller(run);
		break;
	case EXECS:
		nudge_thread('x');
		wait_for_exec(run->caller);
		break;
	case REUSED:
		kill_caller(run);
		if (!run->reaped)
			break;
		run->victim = start_victim(run->kind, run->caller);
		run->victims_descriptors = count_entries(run->victim);
		break;
	case CHANGES:
		nudge_thread('c');
		cr_assert(wait_for_event(nudged[0], DOOR_DEADLINE_SECONDS * 1000));
		cr_assert_eq(read(nudged[0], &byte, 1), 1);
		break;
	}
}

/* What the caller waits for. */
static void trigger(const struct kind *kind)
{
	mqd_t fd = mq_open(names[OWN], O_RDWR | O_NONBLOCK);
	char buffer[32];

	if (kind->trigger > 0)
		cr_assert_eq(mq_send(fd, MESSAGE, 3, 0), 0);
	else
		cr_assert_eq(mq_receive(fd, buffer, sizeof(buffer), NULL), 3);
	(void)mq_close(fd);
}

static void step_through(struct run *run)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;
	bool triggered = false;

	step_restart(&stepper);
	do {
		keep_patience(deadline);
		step_next(&stepper);
		if (!stepper.idle && stepper.count == run->at)
			do_deed(run);
		if (stepper.waits && !triggered) {
			trigger(run->kind);
			triggered = true;
		}
	} while (!stepper.idle);
	if (run->kind->trigger != 0 && !triggered)
		trigger(run->kind);
}

static void wait_for_answer(struct run *run)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;

	while (!atomic_load(&play->answered)) {
		if (now_usec() > deadline) {
			complain(run, "it was not answered");
			return;
		}
		(void)usleep(20);
	}
}

/* --- what became of it --- */

static bool has_died(const struct run *run)
{
	return run->done && run->deed >= DIES && run->deed <= REUSED;
}

static void check_result(struct run *run)
{
	const struct kind *kind = run->kind;
	long result = play->result;
	bool as_expected = kind->expected == 0 ? result >= 0 : result == kind->expected;

	if (has_died(run)) {
		if (atomic_load(&play->answered) && !run->replied_before)
			complain(run, "it was answered: %ld", result);
		return;
	}
	/* What is refused in the first place may be granted after the change. */
	if (!as_expected &&
		!(run->deed == CHANGES && (result == -EACCES || result == -EBADF || result >= 0)))
		complain(run, "result %ld", result);
	if (!kind->on_descriptor && result >= 0 && kind->call != call_unlink && !play->is_own)
		complain(run, "it got another queue");
}

static void check_others(struct run *run)
{
	const struct facts *before = &run->before, *after = &run->after;

	for (int i = ROOTS; i <= DENIED; i++) {
		if (!same_key(before->key[i], after->key[i]))
			complain(run, "%s was created or deleted", names[i]);
		if (before->messages[i] != after->messages[i])
			complain(run, "%s has %ld messages", names[i], after->messages[i]);
	}
}

static void check_existence(struct run *run)
{
	bool existed = run->before.key[OWN].inode != 0, exists = run->after.key[OWN].inode != 0;
	const struct mq_attr *size = &run->after.size;
	bool dead = has_died(run), deleted = existed && !exists;

	if (deleted && !(run->kind->deletes || (run->deed == CHANGES && run->kind->at == DENIED &&
						       run->kind->call == call_unlink)))
		complain(run, "the queue was deleted");
	if (!dead && run->kind->call == call_unlink && deleted != (play->result == 0))
		complain(run, "deleted: %d, result %ld", deleted, play->result);
	if (!existed && exists && !run->kind->creates)
		complain(run, "the queue was created");
	if (!existed && exists && run->after.owner[OWN] != NOBODY)
		complain(run, "user %u owns it", run->after.owner[OWN]);
	if (!existed && exists && !(size->mq_maxmsg == MESSAGES && size->mq_msgsize == 32) &&
		!(run->deed == CHANGES && size->mq_maxmsg == 1 && size->mq_msgsize == 16))
		complain(run, "it is of %ld × %ld", size->mq_maxmsg, size->mq_msgsize);
}

/* One step, and no more, lies between the last look at whether the caller is there and the act. */
static void check_contents(struct run *run)
{
	const struct kind *kind = run->kind;
	long due = kind->messages + kind->trigger;
	long now = run->after.messages[OWN];
	bool moved = now != due, set = (play->flags & O_NONBLOCK) != 0;

	if (kind->no_own || run->after.key[OWN].inode == 0)
		return;
	if (moved && now != due + kind->delta)
		complain(run, "%ld messages instead of %ld", now, due);
	if (has_died(run)) {
		if ((moved || set) && !run->replied_before &&
			!(stepper.acted != 0 && run->at >= stepper.acted))
			complain(run, "it took effect: %ld messages, flags %#x", now,
				(unsigned)play->flags);
		return;
	}
	if (kind->delta != 0 && moved != (play->result >= 0))
		complain(run, "result %ld, and %ld messages", play->result, now);
	if (run->deed != CHANGES && set != (kind->flags != 0))
		complain(run, "flags %#x", (unsigned)play->flags);
}

static bool remembers(struct queue_key key)
{
	for (uint32_t i = 0; i < inflight->queues.count; i++)
		if (same_key(inflight->queues.keys[i], key))
			return true;
	return false;
}

static void check_notes(struct run *run)
{
	if (inflight->notification.id != 0)
		complain(run, "a notification is in hand");
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id != 0)
			complain(run, "a caller waits still");
	if (remembers(keys[FOREIGN]))
		complain(run, "the victim's queue is remembered as one of the app's");
	if (inflight->tainted && !run->kind->tainted && run->kind->at != DENIED &&
		run->deed != CHANGES)
		complain(run, "the session counts as one that has lost something");
}

static bool is_unchanged(pid_t victim, void *address, size_t size)
{
	char copy[sizeof(name)];
	struct iovec ours = {copy, size}, its = {address, size};

	return process_vm_readv(victim, &ours, 1, &its, 1, 0) == (ssize_t)size &&
	       memcmp(copy, address, size) == 0;
}

static bool is_stopped(pid_t pid)
{
	char path[64], line[256] = "", *after;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	(void)!fgets(line, sizeof(line), f);
	(void)fclose(f);
	after = strrchr(line, ')');
	return after && after[2] == 't';
}

static void check_victim(struct run *run)
{
	int status;

	if (run->victim == 0)
		return;
	/* For comparison. */
	set_arguments(ROOTS, false);
	if (!is_unchanged(run->victim, name, sizeof(name)) ||
		!is_unchanged(run->victim, message, sizeof(message)) ||
		!is_unchanged(run->victim, &attributes, sizeof(attributes)) ||
		!is_unchanged(run->victim, &priority, sizeof(priority)))
		complain(run, "the victim's memory was written");
	if (count_entries(run->victim) != run->victims_descriptors)
		complain(run, "the victim has got a descriptor");
	if (atomic_load(&play->victim_disturbed) || is_stopped(run->victim))
		complain(run, "the victim was stopped");
	if (waitpid(run->victim, &status, WNOHANG) != 0)
		complain(run, "the victim has died");
	if (inflight->registrations.entries[0].tgid != 0 && !run->noted_before)
		complain(run, "the victim is noted as registered");
}

static void reap_victim(pid_t pid)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;

	while (waitpid(pid, NULL, WNOHANG) == 0) {
		keep_patience(deadline);
		if (is_to_let_go())
			step_next(&stepper);
		else
			(void)usleep(20);
	}
}

static void end_run(struct run *run)
{
	if (!run->reaped && !is_dead(run->caller))
		kill_caller(run);
	if (!run->reaped)
		serve_app();
	if (run->victim != 0) {
		(void)kill(run->victim, SIGKILL);
		reap_victim(run->victim);
	}
}

/* --- the session process --- */

static void append(char *text, const char *format, ...)
{
	size_t length = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text + length, sizeof(session_facts) - length, format, arguments);
	va_end(arguments);
}

static void append_identity(char *text)
{
	static const char *const keep[] = {"Uid:", "Gid:", "Groups:", "Cap", "Umask:", "SigBlk:"};
	char path[64], line[1024];
	struct rlimit limit;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", door.session);
	f = fopen(path, "re");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; i < ELEMENTSOF(keep); i++)
			if (startswith(line, keep[i]))
				append(text, "%s", line);
	(void)fclose(f);
	cr_assert_eq(prlimit(door.session, RLIMIT_MSGQUEUE, NULL, &limit), 0);
	append(text, "bytes %lu %lu\n", (unsigned long)limit.rlim_cur,
		(unsigned long)limit.rlim_max);
}

static void append_link(char *text, const char *what)
{
	char path[64], link[128] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", door.session, what);
	/* Queues are watched by some, up to SESSION_WATCHED_MAX. */
	if (readlink(path, link, sizeof(link) - 1) > 0 && !streq(link, "anon_inode:[eventpoll]"))
		append(text, "%s: %s\n", what, link);
}

/* All that must be as it was. */
static void describe_session(char text[static sizeof(session_facts)])
{
	text[0] = '\0';
	append_identity(text);
	append_link(text, "ns/ipc");
	for (int fd = 0; fd < SESSION_FDS; fd++) {
		char what[16];

		(void)snprintf(what, sizeof(what), "fd/%d", fd);
		append_link(text, what);
	}
}

static void check_records(struct run *run)
{
	struct worker_message record;

	while (wait_for_event(door.channel, 0)) {
		cr_assert_eq(message_receive(door.channel, &record, sizeof(record), NULL, 0), 1);
		if (has_died(run) && !run->replied_before && record.record.tid == run->caller)
			complain(run, "a record of %s", record.record.name);
	}
}

static void check_next_calls(struct run *run)
{
	static char now[sizeof(session_facts)];

	tell(ASK);
	serve_app();
	if (run->after.key[OWN].inode != 0 ? play->asked[0] < 0 : play->asked[0] != -ENOENT)
		complain(run, "the next mq_open gives %ld", play->asked[0]);
	if (play->asked[1] != -EACCES)
		complain(run, "the next denied call gives %ld", play->asked[1]);
	describe_session(now);
	if (session_facts[0] == '\0')
		(void)strcpy(session_facts, now);
	if (!streq(now, session_facts))
		complain(run, "the session process is not as it was:\n%s", now);
}

static void check(struct run *run)
{
	check_result(run);
	check_others(run);
	check_existence(run);
	check_notes(run);
	check_victim(run);
}

/* Returns how many steps it took. */
static unsigned run_once(const struct kind *kind, enum deed deed, unsigned at)
{
	struct run run = {.kind = kind, .deed = deed, .at = at};
	unsigned steps;

	arrange(kind);
	run.before = look();
	tell(RUN);
	cr_assert(wait_for_event(door.listener, DOOR_DEADLINE_SECONDS * 1000));
	run.caller = play->caller;
	step_through(&run);
	steps = stepper.count;
	if (!has_died(&run))
		wait_for_answer(&run);
	run.after = look();
	check(&run);
	end_run(&run);
	check_contents(&run);
	check_records(&run);
	check_next_calls(&run);
	return steps;
}

/* --- kinds --- */

static void set_scene(void)
{
	play = mmap(NULL, sizeof(*play), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(play, MAP_FAILED);
	cr_assert_eq(pipe(nudge), 0);
	cr_assert_eq(pipe(nudged), 0);
	door_open(&door, NOBODY, be_given_queues, be_app);
	name_queues(door.stage);
	door_grant_both(&door, PERMISSIONS_ALL, PERMISSIONS_ALL);
	cr_assert_eq(inflight_map(door.inflight, &inflight), 0);
	door_wait(&door);
}

static void make_foreign_queue(void)
{
	_cleanup_close_ int home = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	struct descriptor descriptor;

	cr_assert_eq(unshare(CLONE_NEWIPC), 0);
	foreign_namespace = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	descriptors[FOREIGN] = make_queue(FOREIGN, 0);
	cr_assert_eq(own_descriptor(descriptors[FOREIGN], &descriptor), 0);
	keys[FOREIGN] = descriptor.key;
	cr_assert_eq(setns(home, CLONE_NEWIPC), 0);
}

static void set_victims_queues(void)
{
	for (int i = 0; i < FOREIGN; i++) {
		struct descriptor descriptor;

		descriptors[i] = make_queue((enum place)i, 0);
		cr_assert_eq(own_descriptor(descriptors[i], &descriptor), 0);
		keys[i] = descriptor.key;
	}
	make_foreign_queue();
}

static void run_kinds(const struct kind *kinds, size_t count, enum deed deed)
{
	set_scene();
	set_victims_queues();
	step_attach(&stepper, door.session);
	for (size_t i = 0; i < count && complaint[0] == '\0'; i++) {
		unsigned steps = run_once(&kinds[i], UNDISTURBED, 0);

		cr_expect_gt(steps, 4);
		for (unsigned at = 1; at <= steps && complaint[0] == '\0'; at++)
			(void)run_once(&kinds[i], deed, at);
	}
	cr_expect_eq(complaint[0], '\0', "%s", complaint);
	tell(END);
	(void)mq_unlink(names[DENIED]);
	door_close(&door);
}

static const struct kind on_names[] = {
	{.name = "mq_open", .call = call_open, .at = OWN, .after = DENIED},
	{.name = "mq_open of root's",
		.call = call_open,
		.at = ROOTS,
		.after = DENIED,
		.expected = -EACCES},
	{.name = "mq_open of a denied one",
		.call = call_open,
		.at = DENIED,
		.after = OWN,
		.expected = -EACCES},
	{.name = "mq_open with O_CREAT",
		.call = call_create,
		.at = OWN,
		.after = DENIED,
		.no_own = true,
		.no_root = true,
		.creates = true},
	{.name = "mq_open with O_CREAT and O_EXCL",
		.call = call_create_exclusively,
		.at = OWN,
		.after = DENIED,
		.no_own = true,
		.no_root = true,
		.creates = true},
	{.name = "mq_open with O_CREAT of a denied one",
		.call = call_create,
		.at = DENIED,
		.after = OWN,
		.no_root = true,
		.expected = -EACCES},
	{.name = "mq_unlink", .call = call_unlink, .at = OWN, .after = DENIED, .deletes = true},
	{.name = "mq_unlink of root's",
		.call = call_unlink,
		.at = ROOTS,
		.after = DENIED,
		.expected = -EPERM},
	{.name = "mq_unlink of a denied one",
		.call = call_unlink,
		.at = DENIED,
		.after = OWN,
		.expected = -EACCES},
};

#define DATA_CALLS 6

static const struct kind on_descriptors[DATA_CALLS] = {
	{.name = "mq_timedsend", .call = call_send, .messages = 1, .delta = 1},
	{.name = "mq_timedreceive",
		.call = call_receive,
		.expected = 3,
		.messages = 1,
		.delta = -1},
	{.name = "mq_getattr", .call = call_get_attributes},
	{.name = "mq_setattr", .call = call_set_attributes, .flags = O_NONBLOCK},
	{.name = "mq_notify", .call = call_register},
	{.name = "mq_notify(NULL)", .call = call_remove},
};

static const struct kind that_wait[] = {
	{.name = "mq_timedreceive that waits",
		.call = call_receive,
		.expected = 3,
		.delta = -1,
		.trigger = 1,
		.on_descriptor = true,
		.tainted = true,
		.known = true,
		.at = OWN,
		.after = DENIED,
		.victims = OWN},
	{.name = "mq_timedsend that waits",
		.call = call_send,
		.delta = 1,
		.messages = MESSAGES,
		.trigger = -1,
		.on_descriptor = true,
		.tainted = true,
		.known = true,
		.at = OWN,
		.after = DENIED,
		.victims = OWN},
};

/* The calls on a descriptor of such a queue, in such a session. */
static void run_data_calls(const struct kind *setting, enum deed deed)
{
	static struct kind kinds[DATA_CALLS];

	for (size_t i = 0; i < DATA_CALLS; i++) {
		const struct kind *call = &on_descriptors[i];

		kinds[i] = *setting;
		kinds[i].on_descriptor = true;
		kinds[i].name = call->name;
		kinds[i].call = call->call;
		kinds[i].messages = 1;
		kinds[i].expected = -EACCES;
		if (setting->at == OWN) {
			kinds[i].expected = call->expected;
			kinds[i].delta = call->delta;
			kinds[i].flags = call->flags;
		} else if (call->call == call_remove) {
			kinds[i].expected = 0;
		}
		/* Nobody can make mq_notify for it. */
		if (call->call == call_register || call->call == call_remove)
			kinds[i].after = NOWHERE;
	}
	run_kinds(kinds, DATA_CALLS, deed);
}

/* clang-format off */
static const struct kind
	known = {.at = OWN, .after = NOWHERE, .victims = OWN, .known = true},
	against_denied = {.at = OWN, .after = NOWHERE, .victims = DENIED, .known = true},
	stranger = {.at = OWN, .after = NOWHERE, .victims = FOREIGN},
	refused = {.at = DENIED, .after = NOWHERE, .victims = OWN},
	tainted_known = {.at = OWN, .after = DENIED, .victims = OWN, .known = true, .tainted = true},
	tainted_stranger = {.at = OWN, .after = DENIED, .victims = FOREIGN, .tainted = true};

#define STEP_TESTS(deed, DEED) \
	Test(deed, names, .timeout = 120) { run_kinds(on_names, ELEMENTSOF(on_names), DEED); } \
	Test(deed, known_queues, .timeout = 120) { run_data_calls(&known, DEED); } \
	Test(deed, strange_queues, .timeout = 120) { run_data_calls(&stranger, DEED); } \
	Test(deed, refused_queues, .timeout = 120) { run_data_calls(&refused, DEED); } \
	Test(deed, carried_known, .timeout = 120) { run_data_calls(&tainted_known, DEED); } \
	Test(deed, carried_strange, .timeout = 120) { run_data_calls(&tainted_stranger, DEED); } \
	Test(deed, waiting, .timeout = 120) { run_kinds(that_wait, ELEMENTSOF(that_wait), DEED); }

STEP_TESTS(dies, DIES)
STEP_TESTS(execs, EXECS)
STEP_TESTS(reused, REUSED)
STEP_TESTS(changes, CHANGES)
/* clang-format on */

Test(reused, known_queues_against_denied_ones, .timeout = 120)
{
	run_data_calls(&against_denied, REUSED);
}
