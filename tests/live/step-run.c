/* SPDX-License-Identifier: MIT */
/* One call, and what is done before one of its steps. */
#include "step-scene.h"

struct play *play;
struct door door;
struct stepper stepper;
struct inflight *inflight;
char names[PLACES][64];
int descriptors[PLACES]; /* the app's, and the victim's */
struct queue_key keys[PLACES];
int foreign_namespace, nudge[2], nudged[2];
char session_facts[8192];
char complaint[512];
char name[64], message[64];
struct mq_attr attributes;
unsigned priority;
struct timespec timeout;
struct sigevent event;

static const char *const deeds[] = {
	"undisturbed", "dies", "execs", "is reused", "changes", "changes and is alone"};

/* --- one run --- */

void complain(const struct run *run, const char *format, ...)
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

struct facts look(void)
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

bool same_key(struct queue_key a, struct queue_key b)
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

static uint32_t permissions_on_own(const struct kind *kind)
{
	return PERMISSION_OPEN | (kind->partly ? PERMISSION_WRITE : PERMISSIONS_ALL);
}

static void remember_own(const struct kind *kind)
{
	const struct grant rule = {.name = names[OWN] + 1, .permissions = permissions_on_own(kind)};
	const struct queue_facts facts = {.name = rule.name,
		.alias = rule.name,
		.spaces = SPACE_CALLER,
		.subject = SUBJECT_NOBODY};
	_cleanup_(grants_freep) struct grants *grants = NULL;

	if (grants_new(1, &grants) < 0 || grants_add(grants, &rule) < 0)
		abort();
	grants_seal(grants);
	queues_remember(&inflight->queues, look().key[OWN], &facts, grants);
}

void arrange(const struct kind *kind)
{
	if (kind->leased)
		(void)mq_unlink(names[OWN]);
	arrange_existence(OWN, !kind->no_own, NOBODY);
	arrange_existence(ROOTS, !kind->no_root, 0);
	if (!kind->no_own)
		arrange_messages(OWN, kind->messages);
	inflight->queues.count = 0;
	if (kind->known)
		remember_own(kind);
	inflight->tainted = kind->tainted;
	inflight->threads.count = 0;
	memset(&inflight->processes, 0, sizeof(inflight->processes));
	play->kind = kind;
	play->answered = false;
	play->result = 0;
	play->caller = 0;
}

static int lease = -1;

static void take_lease(void)
{
	lease = mq_open(names[OWN], O_RDWR);
	(void)signal(SIGIO, SIG_IGN);
	cr_assert_eq(fcntl(lease, F_SETLEASE, F_WRLCK), 0);
}

pid_t registered_on(enum place place)
{
	_cleanup_close_ int fd = mq_open(names[place], O_RDONLY);
	char text[256] = "";

	cr_assert_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	return (pid_t)strtol(strstr(text, "NOTIFY_PID:") + strlen("NOTIFY_PID:"), NULL, 10);
}

void tell(enum command command)
{
	if (command == RUN && play->kind->leased)
		take_lease();
	play->command = command;
	door_go(&door);
}

bool wait_for_event(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_ms) == 1 && p.revents & POLLIN;
}

/* Its loop comes round soon by itself, since it traces somebody, and not only to let go of a queue.
 */
bool is_to_let_go(void)
{
	return stepper.timeout_ms >= 0 && stepper.timeout_ms < (int)(HELD_USEC / 1000 / 2);
}

/* Serves what the app asks, until it has nothing to do. */
void serve_app(void)
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

bool is_dead(pid_t pid)
{
	struct target target;
	bool dead = target_open(pid, &target) < 0;

	if (dead)
		return true;
	dead = thread_is_dead(target.proc);
	target_close(&target);
	return dead;
}

/* One that the session process traces is reaped by it, in its own time: until then nobody gets its
 * number. */
void kill_caller(struct run *run)
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

unsigned count_entries(pid_t pid)
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

static void have_it_changed(char what)
{
	char byte;

	nudge_thread(what);
	cr_assert(wait_for_event(nudged[0], DOOR_DEADLINE_SECONDS * 1000));
	cr_assert_eq(read(nudged[0], &byte, 1), 1);
}

/* The directory has a link for each thread. */
static void wait_until_alone(pid_t pid)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;
	char path[64];
	struct stat st = {0};

	(void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
	while (stat(path, &st) == 0 && st.st_nlink > 3) {
		keep_patience(deadline);
		(void)usleep(20);
	}
}

static void do_deed(struct run *run)
{
	run->done = true;
	run->replied_before = stepper.replied;
	run->noted_before = inflight->processes.entries[0].pid != 0;
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
		have_it_changed('c');
		break;
	case LEAVES:
		have_it_changed('l');
		wait_until_alone(run->caller);
		break;
	}
}

/* What the caller waits for. */
void trigger(const struct kind *kind)
{
	char buffer[32];
	mqd_t fd;

	if (kind->leased) {
		/* The victim has the descriptor, too. */
		cr_assert_eq(fcntl(lease, F_SETLEASE, F_UNLCK), 0);
		(void)close(lease);
		return;
	}
	fd = mq_open(names[OWN], O_RDWR | O_NONBLOCK);
	if (kind->trigger > 0)
		cr_assert_eq(mq_send(fd, MESSAGE, 3, 0), 0);
	else
		cr_assert_eq(mq_receive(fd, buffer, sizeof(buffer), NULL), 3);
	(void)mq_close(fd);
}

static bool is_to_wait(const struct kind *kind)
{
	return kind->leased || kind->trigger != 0;
}

void step_through(struct run *run)
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
	if (is_to_wait(run->kind) && !triggered)
		trigger(run->kind);
}

void wait_for_answer(struct run *run)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;

	while (!atomic_load(&play->answered)) {
		if (run->kind->call == call_register && is_dead(run->caller)) {
			run->killed = true;
			return;
		}
		if (now_usec() > deadline) {
			complain(run, "it was not answered");
			return;
		}
		(void)usleep(20);
	}
}
