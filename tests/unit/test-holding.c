/* SPDX-License-Identifier: MIT */
/* Who is said to hold what was taken, who is killed and who is said to be left. Processes and time
 * are played here; the child that looks is real, and shares them. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/session/revoke/holders.h"
#include "daemon/session/revoke/members.h"
#include "daemon/session/revoke/registrations.h"
#include "daemon/session/target/child.h"
#include "daemon/session/target/notify.h"
#include "daemon/session/target/target.h"
#include "include/task.h"

#define CHANNEL     7
#define LISTENER    8
#define MEMBERS     300
#define DESCRIPTORS 3
#define PID         1000 /* of the first; their handles are after that */
#define PIDFD       2000
#define PROC        3000
#define BEGIN       UINT64_C(100000000) /* of time */
#define KILLED      1                   /* as a mark */
#define NUMBER      99                  /* of the question */

static struct descriptor queue = {.key = {.device = 1, .inode = 10}, .regular = true};
static struct descriptor other = {.key = {.device = 1, .inode = 11}, .regular = true};

static struct world {
	uint64_t now;
	struct played {
		enum membership membership;
		uint64_t identity;
		struct {
			struct descriptor descriptor;
			int error, flags, flags_error;
			unsigned errors; /* so many; 0: always */
		} table[DESCRIPTORS];
		int table_error;
		enum registered registered;
		bool is_forgotten; /* as soon as it was proved */
		bool seems_dead;   /* while its table is looked at */
		bool lingers;      /* when it has stopped */
		bool dies_at_once;
		bool is_dead, survives, is_gone_when_opened, is_another_when_opened,
			cannot_be_opened;
		unsigned killed, stopped;
	} members[MEMBERS];
	size_t count;
	uint64_t look_takes; /* at a descriptor */

	int open; /* members */
	unsigned passes;
	void (*before)(unsigned pass);
	int result; /* of a pass */
	size_t unseen;
	uint64_t deadline;                   /* of it: so long */
	bool only_known, some, waits_inside; /* what was asked of a pass; of thread 42 */
	struct filter_mark filter;
	uint64_t pid_namespace;
	uid_t user;
	const struct grants *scope; /* that registrations were looked at in */

	bool ends_when_empty, manager_is_gone, no_memory, no_child;
	int policy, priority;
	bool is_ordinary;
	unsigned busy; /* so often the channel is full */
	unsigned answers;
	struct session_message answer;
} * world;

/* --- time, and what is waited for ------------------------------------------------------------ */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	world->now++;
	*ret = (struct timespec){
		(time_t)(world->now / 1000000), (long)(world->now % 1000000 * 1000)};
	return 0;
}

int __wrap_usleep(useconds_t usec);
int __wrap_usleep(useconds_t usec)
{
	world->now += usec;
	return 0;
}

static bool all_are_dead(void)
{
	for (size_t i = 0; i < world->count; i++)
		if (!world->members[i].is_dead)
			return false;
	return true;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	cr_assert_eq(count, 1U);
	fds->revents = 0;
	if (fds->fd == LISTENER) {
		cr_assert_eq(timeout, 0);
		fds->revents = world->ends_when_empty && all_are_dead() ? POLLHUP : POLLIN;
		return 1;
	}
	cr_assert_eq(fds->fd, CHANNEL);
	cr_assert_eq(fds->events, POLLRDHUP);
	world->now += (uint64_t)timeout * 1000;
	return world->manager_is_gone;
}

int __wrap_sched_setscheduler(pid_t pid, int policy, const struct sched_param *parameters);
int __wrap_sched_setscheduler(pid_t pid, int policy, const struct sched_param *parameters)
{
	cr_assert_eq(pid, 0);
	world->policy = policy;
	world->priority = parameters->sched_priority;
	return 0;
}

void __wrap_urgency_leave(const struct urgency *urgency);
void __wrap_urgency_leave(const struct urgency *urgency)
{
	cr_assert_not_null(urgency);
	world->is_ordinary = true;
}

int __wrap_message_send(int socket, const void *data, size_t size, const int *fds, size_t count);
int __wrap_message_send(int socket, const void *data, size_t size, const int *fds, size_t count)
{
	cr_assert(socket == CHANNEL && size == sizeof(world->answer) && !fds && count == 0);
	if (world->busy > 0) {
		world->busy--;
		return -EAGAIN;
	}
	memcpy(&world->answer, data, size);
	world->answers++;
	return 0;
}

pid_t __real_task_fork(void);
pid_t __wrap_task_fork(void);
pid_t __wrap_task_fork(void)
{
	errno = ENOMEM;
	return world->no_child ? -1 : __real_task_fork();
}

/* What lies behind it is not touched. */
void *__wrap_child_memory(size_t size);
void *__wrap_child_memory(size_t size)
{
	size_t used = (size + 4095) / 4096 * 4096;
	char *memory;

	if (world->no_memory)
		return NULL;
	memory = mmap(NULL, used + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(memory, MAP_FAILED);
	cr_assert_eq(mprotect(memory + used, 4096, PROT_NONE), 0);
	return memory + used - size;
}

/* --- processes ------------------------------------------------------------------------------- */

int __wrap_target_for_each_table(
	int proc, int (*visit)(void *context, struct target *thread), void *context);
int __wrap_target_for_each_table(
	int proc, int (*visit)(void *context, struct target *thread), void *context)
{
	struct played *played = &world->members[proc - PROC];
	struct target target = {.proc = proc};
	int r = -EAGAIN;

	for (int i = 0; i < 3 && r == -EAGAIN; i++)
		r = played->table_error ?: visit(context, &target);
	return r;
}

/* As the real one does. */
int __wrap_target_for_each_descriptor(const struct target *target,
	int (*visit)(void *context, const struct target *target, int number), void *context);
int __wrap_target_for_each_descriptor(const struct target *target,
	int (*visit)(void *context, const struct target *target, int number), void *context)
{
	bool moves = false;
	int r = 0;

	for (int i = 0; i < DESCRIPTORS && (r == 0 || r == -EBADF); i++) {
		r = visit(context, target, i);
		moves = moves || r == -EBADF;
	}
	return r == 0 || r == -EBADF ? (moves ? -EAGAIN : 0) : r;
}

int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret)
{
	struct played *played = &world->members[target->proc - PROC];
	int error = played->table[fd].error;

	world->now += world->look_takes;
	*ret = played->table[fd].descriptor;
	if (played->table[fd].errors > 0 && --played->table[fd].errors == 0)
		played->table[fd].error = 0;
	return error;
}

int __wrap_target_descriptor_flags(const struct target *target, int fd, int *ret);
int __wrap_target_descriptor_flags(const struct target *target, int fd, int *ret)
{
	const struct played *played = &world->members[target->proc - PROC];

	*ret = played->table[fd].flags;
	return played->table[fd].flags_error;
}

bool __wrap_member_lives(const struct member *member);
bool __wrap_member_lives(const struct member *member)
{
	const struct played *played = &world->members[member->pidfd - PIDFD];

	return !played->is_dead && !played->seems_dead;
}

int __wrap_member_open(pid_t pid, struct member *ret);
int __wrap_member_open(pid_t pid, struct member *ret)
{
	const struct played *played = &world->members[pid - PID];

	cr_assert(pid >= PID && pid < PID + MEMBERS);
	*ret = (struct member){.pid = pid, .proc = -EBADF, .pidfd = -EBADF};
	if (played->cannot_be_opened)
		return -EMFILE;
	if (played->is_gone_when_opened)
		return -ESRCH;
	world->open++;
	ret->identity = played->identity + played->is_another_when_opened;
	ret->pidfd = PIDFD + pid - PID;
	return 0;
}

void __wrap_member_close(struct member *member);
void __wrap_member_close(struct member *member)
{
	world->open -= member->pidfd >= 0;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (fd < PIDFD || fd >= PIDFD + MEMBERS)
		return __real_close(fd);
	world->open--;
	return 0;
}

enum registered __wrap_registrations_look(const struct process *process,
	const struct queues *queues, const struct grants *scope, const struct own_identity *own);
enum registered __wrap_registrations_look(const struct process *process,
	const struct queues *queues, const struct grants *scope, const struct own_identity *own)
{
	cr_assert(queues && own);
	world->scope = scope;
	return world->members[process->pid - PID].registered;
}

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	struct played *played;
	va_list arguments;
	int signal;

	cr_assert_eq(number, SYS_pidfd_send_signal);
	va_start(arguments, number);
	played = &world->members[va_arg(arguments, int) - PIDFD];
	signal = va_arg(arguments, int);
	cr_assert_null(va_arg(arguments, void *));
	cr_assert_eq(va_arg(arguments, int), 0);
	va_end(arguments);
	*(signal == SIGKILL ? &played->killed : &played->stopped) += 1;
	played->is_dead = played->dies_at_once;
	return 0;
}

size_t __wrap_victims_kill(struct victim *victims, size_t count, uint64_t deadline);
size_t __wrap_victims_kill(struct victim *victims, size_t count, uint64_t deadline)
{
	cr_assert(deadline <= world->now + 200000);
	for (size_t i = 0; i < count; i++) {
		if (victims[i].has_stopped)
			continue;
		cr_assert_eq(victims[i].pid - PID, victims[i].pidfd - PIDFD);
		cr_assert_not(world->members[victims[i].pid - PID].is_another_when_opened);
		victims[i].has_stopped = !world->members[victims[i].pid - PID].survives;
		world->members[victims[i].pid - PID].is_dead =
			victims[i].has_stopped && !world->members[victims[i].pid - PID].lingers;
	}
	return 0;
}

bool __wrap_notify_is_valid(int listener, uint64_t id);
bool __wrap_notify_is_valid(int listener, uint64_t id)
{
	return listener == LISTENER && id == 5;
}

static void note_question(struct members *members, const struct member_visitor *visitor)
{
	/* What lies behind those that are known. */
	for (size_t i = 0; i < MEMBERS_UNPROVED_MAX; i++) {
		members->unproved[i].pid = KILLED;
		members->unproved[i].identity = KILLED;
	}
	world->deadline = members->deadline - world->now;
	world->only_known = visitor->only_known;
	world->some = visitor->some;
	world->waits_inside = visitor->notifies && visitor->notifies(visitor->context, 42);
	world->filter = members->filter;
	world->pid_namespace = members->pid_namespace;
	world->user = members->user;
}

static void visit(struct members *members, const struct member_visitor *visitor, int i)
{
	const struct played *played = &world->members[i];
	const struct member member = {
		.pid = PID + i, .proc = PROC + i, .pidfd = PIDFD + i, .identity = played->identity};
	const struct known *known = members_find(members, member.pid, member.identity);
	enum membership membership = known ? known->membership : played->membership;

	if (membership == MEMBERSHIP_NONE && !known)
		members->known[members->known_count++] = (struct known){
			.pid = member.pid, .identity = member.identity, .membership = membership};
	if ((visitor->only_known && !known) || membership == MEMBERSHIP_NONE ||
		(visitor->wants && !visitor->wants(visitor->context, &member)))
		return;
	if (membership == MEMBERSHIP_PROVED && !played->is_forgotten)
		members_know(members, member.pid, member.identity);
	visitor->visit(visitor->context, &member, membership);
}

int __wrap_members_for_each(struct members *members, const struct member_visitor *visitor);
int __wrap_members_for_each(struct members *members, const struct member_visitor *visitor)
{
	world->passes++;
	if (world->before)
		world->before(world->passes);
	note_question(members, visitor);
	for (size_t i = 0; i < world->count && !visitor->is_over(visitor->context); i++)
		if (!world->members[i].is_dead)
			visit(members, visitor, (int)i);
	members->unseen = world->unseen;
	return world->now > members->deadline ? -ETIME : world->result;
}

/* --- a session ------------------------------------------------------------------------------- */

static struct inflight *inflight;
static struct own_identity own;
static struct urgency urgency;
static struct {
	struct holder_search search;
	pid_t behind;
} asked = {{.channel = CHANNEL,
	.listener = LISTENER,
	.own = &own,
	.urgency = &urgency,
	.filter = {.id = 77},
	.user = 88,
	.mediation = MEDIATION_OPEN}};
static struct holder_search *const search = &asked.search;

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(memory, MAP_FAILED);
	return memory;
}

static void know(struct descriptor descriptor, const char *name, uint32_t permissions)
{
	struct queues *queues = &inflight->queues;

	queues->keys[queues->count] = descriptor.key;
	queues->entries[queues->count] = (struct queue_entry){.permissions = permissions,
		.opened = PERMISSIONS_ALL,
		.spaces = SPACE_CALLER,
		.subject = SUBJECT_NOBODY};
	(void)strcpy(queues->entries[queues->count++].name, name);
}

static void setup(void)
{
	world = share(sizeof(*world));
	world->now = BEGIN;
	inflight = share(sizeof(*inflight));
	inflight->pid_namespace = 66;
	search->inflight = inflight;
	know(queue, "queue", 0);
}

TestSuite(holding, .init = setup);
TestSuite(ending, .init = setup);

/* A process of the session, with a descriptor of the queue. */
static struct played *member(void)
{
	struct played *played = &world->members[world->count++];

	*played = (struct played){.membership = MEMBERSHIP_PROVED, .identity = world->count};
	played->table[1].descriptor = queue;
	played->table[1].flags = O_RDWR;
	return played;
}

static struct played *member_without(void)
{
	struct played *played = member();

	played->table[1].descriptor = (struct descriptor){.regular = true};
	return played;
}

static void note_registered(const struct played *played, uint16_t registered)
{
	struct processes *processes = &inflight->processes;

	processes->entries[processes->count++] =
		(struct process){.pid = (int32_t)(PID + (played - world->members)),
			.identity = played->identity,
			.registered = registered};
}

static void ask(uint64_t wait_usec, bool kill, const char *name)
{
	const struct session_message query = {.type = SESSION_HOLDERS,
		.holders = {.number = NUMBER, .wait_usec = wait_usec, .kill = kill}};
	_cleanup_(grants_freep) struct grants *scope = NULL;

	cr_assert_eq(grants_new(0, &scope), 0);
	cr_assert_eq(
		grants_add(scope, &(struct grant){.name = name, .permissions = PERMISSION_READ}),
		0);
	grants_seal(scope);
	world->answers = 0;
	holders_look(search, &query, scope);
	holders_finish(search);
	cr_assert_eq(world->answers, 1U);
	cr_assert_eq(world->answer.type, SESSION_HOLDERS_FOUND);
	cr_assert_eq(world->answer.found.number, NUMBER);
	cr_expect_eq(world->open, 0);
}

static void expect_found(uint32_t processes, uint32_t unknown)
{
	ask(0, false, "queue");
	cr_expect_eq(world->answer.found.processes, processes, "%u processes",
		world->answer.found.processes);
	cr_expect_eq(
		world->answer.found.unknown, unknown, "%u unknown", world->answer.found.unknown);
	cr_expect_eq(world->answer.found.error, 0);
	cr_expect_eq(world->answer.found.killed, 0U);
	cr_expect_eq(world->answer.found.left, 0U);
}

static void expect_holding(int flags, uint32_t permissions, bool holds)
{
	world->members[0].table[1].flags = flags;
	inflight->queues.entries[0].permissions = permissions;
	expect_found(holds, 0);
	cr_expect_eq(world->answer.found.holders, (uint32_t)holds, "%#o with %#x", (unsigned)flags,
		permissions);
}

/* --- who holds ------------------------------------------------------------------------------- */

Test(holding, is_a_descriptor_that_does_more_than_is_granted)
{
	(void)member();
	expect_holding(O_RDWR, 0, true);
	expect_holding(O_RDWR, PERMISSION_READ, true);
	expect_holding(O_RDWR, PERMISSION_WRITE, true);
	expect_holding(O_RDWR, PERMISSION_READ | PERMISSION_WRITE, false);
	expect_holding(O_RDONLY | O_NONBLOCK, PERMISSION_WRITE, true);
	expect_holding(O_RDONLY | O_NONBLOCK, PERMISSION_READ, false);
	expect_holding(O_WRONLY, PERMISSION_READ, true);
	expect_holding(O_WRONLY, PERMISSION_WRITE, false);
	expect_holding(O_RDWR | O_PATH, 0, false);
}

Test(holding, is_of_a_queue_of_the_scope)
{
	(void)member();
	know(other, "other", 0);
	world->members[0].table[1].descriptor = other;
	expect_found(0, 0);
	world->members[0].table[2] = world->members[0].table[1];
	world->members[0].table[2].descriptor = queue;
	expect_found(1, 0);
	world->members[0].table[2].descriptor.regular = false;
	expect_found(0, 0);
	world->members[0].table[2].descriptor.regular = true;
	inflight->queues.keys[0].inode = 0;
	expect_found(0, 0);
	world->members[0].table[2].descriptor.key.inode = 0;
	expect_found(0, 0);
}

Test(holding, is_of_any_of_several_queues)
{
	know(other, "other", 0);
	member()->table[1].descriptor = other;
	ask(0, false, "other");
	cr_expect_eq(world->answer.found.processes, 1U);
}

static void give_or_forget(unsigned pass)
{
	if (pass == 2 && inflight->queues.count == 1)
		inflight->queues.entries[0].permissions = PERMISSIONS_ALL;
	else if (pass == 2)
		inflight->queues.keys[1].inode = 0;
}

/* By the grants that are in force then. */
Test(holding, is_judged_anew_in_each_pass)
{
	(void)member();
	world->before = give_or_forget;
	ask(1000000, false, "queue");
	cr_expect_eq(world->answer.found.processes, 0U);
	cr_expect_eq(world->passes, 3U);
	inflight->queues.entries[0].permissions = 0;
	know(other, "queue", 0);
	world->members[0].table[1].descriptor = other;
	world->passes = 0;
	ask(1000000, false, "queue");
	cr_expect_eq(world->answer.found.processes, 0U);
	cr_expect_eq(world->passes, 3U);
}

Test(holding, is_counted_once_for_each_process)
{
	(void)member();
	(void)member_without();
	(void)member();
	world->members[0].table[2] = world->members[0].table[1];
	expect_found(2, 0);
	cr_expect_eq(world->answer.found.holders, 2U);
	cr_expect_eq(world->answer.found.registrants, 0U);
	cr_expect_eq(world->passes, 1U);
}

Test(holding, is_asked_of_the_sessions_own)
{
	inflight->notification = (struct seccomp_notif){.id = 5, .pid = 42};
	(void)member();
	expect_found(1, 0);
	cr_expect_eq(world->filter.id, 77U);
	cr_expect_eq(world->pid_namespace, 66U);
	cr_expect_eq(world->user, 88U);
	cr_expect(world->some);
	cr_expect(world->deadline > 2999000 && world->deadline <= HOLDERS_DEADLINE_USEC);
	cr_expect_not(world->only_known);
	cr_expect(world->waits_inside);
	cr_expect(world->is_ordinary);
	cr_expect_eq(world->policy, 0, "it does not hurry");
	inflight->notification.id = 6;
	expect_found(1, 0);
	cr_expect_not(world->waits_inside, "that call is over");
	inflight->notification.id = 0;
	inflight->waiting_used = 2;
	inflight->waiting[1] = (struct seccomp_notif){.id = 5, .pid = 43};
	expect_found(1, 0);
	cr_expect_not(world->waits_inside, "it is another thread's");
	inflight->waiting[1].pid = 42;
	expect_found(1, 0);
	cr_expect(world->waits_inside);
}

Test(holding, is_nobodys_if_nobody_is_left)
{
	world->ends_when_empty = true;
	expect_found(0, 0);
	member()->is_dead = true;
	expect_found(0, 0);
}

/* --- registered ------------------------------------------------------------------------------ */

Test(holding, may_be_a_registration)
{
	struct played *played = member_without();

	played->registered = REGISTERED;
	expect_found(0, 0);
	note_registered(played, 0);
	expect_found(0, 0);
	inflight->processes.entries[0].registered = 1;
	expect_found(1, 0);
	cr_expect_eq(world->answer.found.holders, 0U);
	cr_expect_eq(world->answer.found.registrants, 1U);
	cr_expect_not_null(world->scope);
	inflight->processes.entries[0].identity++;
	expect_found(0, 0);
	inflight->processes.entries[0].identity--;
	played->registered = REGISTERED_NOT;
	expect_found(0, 0);
	played->registered = REGISTERED_UNKNOWN;
	expect_found(0, 1);
}

Test(holding, may_be_any_of_several_registrations)
{
	struct processes *processes = &inflight->processes;

	search->mediation = MEDIATION_CALL;
	note_registered(member_without(), 1);
	note_registered(member_without(), 1);
	world->members[1].registered = REGISTERED;
	expect_found(1, 0);
	processes->entries[1].pid = PID + 7;
	world->members[7].registered = REGISTERED;
	expect_found(0, 0);
	processes->entries[1].pid = PID + 1;
	processes->count = 1;
	expect_found(0, 0);
	search->mediation = MEDIATION_OPEN;
	expect_found(0, 0);
	processes->count = 2;
	processes->entries[1].pid = PID + 7;
	world->members[7].registered = REGISTERED;
	expect_found(0, 0);
	processes->entries[1].pid = PID + 1;
	processes->count = 1;
	world->members[1].membership = MEMBERSHIP_NONE;
	world->members[1].table[1].descriptor = queue;
	world->members[1].table[1].flags = O_RDWR;
	expect_found(0, 0);
}

Test(holding, may_be_both)
{
	struct played *played = member();

	played->registered = REGISTERED;
	note_registered(played, 1);
	expect_found(1, 0);
	cr_expect_eq(world->answer.found.holders, 1U);
	cr_expect_eq(world->answer.found.registrants, 1U);
	played->registered = REGISTERED_UNKNOWN;
	expect_found(1, 0);
}

/* A descriptor is worth nothing there. */
Test(holding, under_call_mediation_is_a_registration)
{
	struct played *played = member();

	search->mediation = MEDIATION_CALL;
	expect_found(0, 0);
	cr_expect_eq(world->passes, 0U, "nobody is looked at");
	note_registered(member_without(), 1);
	played->registered = REGISTERED;
	expect_found(0, 0);
	cr_expect_eq(world->passes, 1U);
	cr_expect(world->only_known);
	world->members[1].registered = REGISTERED;
	expect_found(1, 0);
	cr_expect_eq(world->answer.found.registrants, 1U);
	cr_expect_eq(world->answer.found.holders, 0U);
}

Test(holding, of_no_queue_is_asked_of_those_that_are_noted)
{
	(void)member();
	inflight->queues.count = 0;
	expect_found(0, 0);
	cr_expect(world->only_known);
}

/* --- what cannot be told --------------------------------------------------------------------- */

Test(holding, is_unknown_if_a_descriptor_cannot_be_looked_at)
{
	struct played *played = member_without();

	played->table[0].error = -EIO;
	played->table[0].descriptor = queue;
	played->table[0].flags = O_RDWR;
	expect_found(0, 1);
	cr_expect_geq(world->now, BEGIN + 300000, "it was looked at again");
	cr_expect_lt(world->now, BEGIN + 310000);
	cr_expect_lt(world->passes, 200U, "others get to run, too");
	played->table[0].error = 0;
	played->table[0].descriptor = other;
	played->table[1].descriptor = queue;
	played->table[1].flags_error = -EIO;
	expect_found(0, 1);
	played->table[2] = played->table[1];
	played->table[2].flags_error = 0;
	expect_found(1, 0);
	played->table[1].flags_error = 0;
	played->table[2].error = -EIO;
	expect_found(1, 0);
}

Test(holding, is_unknown_if_descriptors_move)
{
	static const int errors[] = {-EBADF, -ENOENT, -ESRCH};
	struct played *played = member_without();

	for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
		played->table[0].error = errors[i];
		expect_found(0, 1);
	}
	played->membership = MEMBERSHIP_UNKNOWN;
	for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
		played->table[0].error = errors[i];
		played->table[0].errors = 1;
		world->passes = 0;
		expect_found(0, 0);
		cr_expect_eq(world->passes, 1U, "it is looked at again at once");
	}
	played->membership = MEMBERSHIP_PROVED;
	played->table[1].descriptor = queue;
	expect_found(1, 0);
}

Test(holding, is_unknown_if_a_table_cannot_be_listed)
{
	member_without()->table_error = -EIO;
	expect_found(0, 1);
}

static void die(unsigned pass)
{
	world->members[0].is_dead = pass > 1;
}

Test(holding, is_no_longer_unknown_of_who_is_dead)
{
	member_without()->table_error = -EIO;
	world->before = die;
	expect_found(0, 0);
	cr_expect_eq(world->passes, 2U);
}

Test(holding, is_not_unknown_of_who_dies_meanwhile)
{
	struct played *played = member_without();

	played->membership = MEMBERSHIP_UNKNOWN;
	played->seems_dead = true;
	played->table_error = -EIO;
	expect_found(0, 0);
	played->table_error = 0;
	world->look_takes = 15000;
	expect_found(0, 0);
	cr_expect_eq(world->passes, 2U);
}

Test(holding, is_unknown_of_who_cannot_be_proved)
{
	member()->membership = MEMBERSHIP_UNKNOWN;
	member_without()->membership = MEMBERSHIP_UNKNOWN;
	expect_found(0, 1);
	world->members[0].membership = MEMBERSHIP_NONE;
	expect_found(0, 0);
}

static void prove(unsigned pass)
{
	world->members[0].membership = pass > 3 ? MEMBERSHIP_PROVED : MEMBERSHIP_UNKNOWN;
}

Test(holding, becomes_clear)
{
	(void)member();
	world->before = prove;
	expect_found(1, 0);
	cr_expect_eq(world->passes, 4U);
}

Test(holding, is_unknown_of_who_was_not_seen)
{
	(void)member();
	world->unseen = 3;
	expect_found(1, 3);
}

/* A stranger's would take too long; who is proved is looked at to the end. */
Test(holding, of_many_descriptors_is_looked_at_later)
{
	struct played *played = member_without();

	played->table[2].descriptor = queue;
	world->look_takes = 15000;
	expect_found(1, 0);
	played->membership = MEMBERSHIP_UNKNOWN;
	played->table[2].descriptor = played->table[0].descriptor;
	expect_found(0, 1);
	world->look_takes = 5000;
	expect_found(0, 0);
}

Test(holding, is_not_told_after_an_error)
{
	(void)member();
	world->result = -EIO;
	ask(0, false, "queue");
	cr_expect_eq(world->answer.found.error, -EIO);
	cr_expect_eq(world->answer.found.processes, 1U);
	world->members[0].membership = MEMBERSHIP_UNKNOWN;
	world->passes = 0;
	ask(0, false, "queue");
	cr_expect_eq(world->answer.found.error, -EIO);
	cr_expect_eq(world->answer.found.unknown, 1U);
	cr_expect_eq(world->passes, 1U);
}

/* --- waiting --------------------------------------------------------------------------------- */

static void close_it(unsigned pass)
{
	if (pass > 3)
		world->members[0].table[1].descriptor.key.inode = 0;
}

static void expect_wait(uint32_t processes, unsigned passes, uint64_t usec)
{
	uint64_t begun = world->now;

	world->passes = 0;
	ask(1000000, false, "queue");
	cr_expect_eq(world->answer.found.processes, processes);
	cr_expect_eq(world->passes, passes, "%u passes", world->passes);
	cr_expect_geq(world->now - begun, usec);
	cr_expect_lt(world->now - begun, usec + 1000);
}

Test(holding, is_waited_for)
{
	(void)member();
	expect_wait(1, 11, 1000000);
	world->before = close_it;
	expect_wait(0, 4, 300000);
}

Test(holding, is_waited_for_as_long_as_it_is_held_or_may_be)
{
	uint64_t begun = world->now;

	(void)member();
	member()->membership = MEMBERSHIP_UNKNOWN;
	ask(1000000, false, "queue");
	cr_expect_eq(world->answer.found.processes, 1U);
	cr_expect_eq(world->answer.found.unknown, 1U);
	cr_expect_geq(world->now - begun, 1000000U);
}

Test(holding, is_not_over_after_an_error)
{
	(void)member_without();
	world->result = -ETIME;
	expect_wait(0, 11, 1000000);
	world->result = 0;
	expect_wait(0, 1, 0);
	world->unseen = 1;
	ask(1000000, false, "queue");
	cr_expect_geq(world->passes, 4U);
}

Test(holding, is_waited_for_as_long_as_somebody_wants_to_know)
{
	(void)member();
	world->manager_is_gone = true;
	expect_wait(1, 1, 100000);
}

/* --- ending ---------------------------------------------------------------------------------- */

static void expect_ended(uint64_t wait_usec, uint32_t killed, uint32_t left)
{
	ask(wait_usec, true, "queue");
	cr_expect_eq(world->answer.found.error, 0);
	cr_expect_eq(world->answer.found.killed, killed, "%u killed", world->answer.found.killed);
	cr_expect_eq(world->answer.found.left, left, "%u left", world->answer.found.left);
	for (uint32_t i = left; i < HOLDERS_PIDS_MAX; i++)
		cr_expect_eq(world->answer.found.left_pids[i], 0);
}

Test(ending, all_of_the_session_whether_they_hold_or_not)
{
	(void)member();
	(void)member_without();
	member_without()->membership = MEMBERSHIP_NONE;
	inflight->notification = (struct seccomp_notif){.id = 5, .pid = 42};
	expect_ended(0, 2, 0);
	cr_expect_eq(world->answer.found.processes, 0U, "nobody was looked at before");
	cr_expect(world->members[0].is_dead && world->members[1].is_dead);
	cr_expect_eq(world->members[0].killed, 1U);
	cr_expect_eq(world->members[2].killed, 0U);
	cr_expect_not(world->members[2].is_dead);
	cr_expect_eq(world->passes, 2U, "the second finds nobody");
	cr_expect(world->waits_inside);
	cr_expect_not(world->some || world->only_known);
	cr_expect_eq(world->policy, SCHED_FIFO);
	cr_expect_eq(world->priority, 2);
}

Test(ending, under_call_mediation_too)
{
	(void)member();
	search->mediation = MEDIATION_CALL;
	expect_ended(0, 1, 0);
}

/* What is worth nothing now is a reason then. */
Test(ending, under_call_mediation_if_it_is_still_held)
{
	(void)member();
	search->mediation = MEDIATION_CALL;
	expect_ended(1000000, 1, 0);
	cr_expect_eq(world->answer.found.processes, 1U);
}

Test(ending, is_over_when_the_listener_says_so)
{
	(void)member();
	world->ends_when_empty = true;
	world->unseen = 1;
	expect_ended(0, 1, 0);
	cr_expect_eq(world->passes, 1U);
}

/* What may be held is not seen: it can be hidden. */
Test(ending, only_if_something_may_be_held)
{
	(void)member_without();
	inflight->queues.entries[0].opened = 0;
	expect_ended(0, 0, 0);
	cr_expect_eq(world->members[0].killed, 0U);
	world->members[0].registered = REGISTERED;
	note_registered(&world->members[0], 1);
	expect_ended(0, 1, 0);
	cr_expect_eq(world->answer.found.registrants, 1U);
}

Test(ending, not_if_it_was_given_up_in_time)
{
	(void)member();
	world->before = close_it;
	expect_ended(1000000, 0, 0);
	cr_expect_eq(world->members[0].killed, 0U);
}

Test(ending, if_it_is_still_held)
{
	(void)member();
	expect_ended(1000000, 1, 0);
	cr_expect_eq(world->answer.found.processes, 1U);
	cr_expect_eq(world->answer.found.holders, 1U);
}

Test(ending, if_it_cannot_be_told)
{
	member_without()->table_error = -EIO;
	expect_ended(1000000, 1, 0);
	cr_expect_eq(world->answer.found.unknown, 1U);
}

static void fail_until_ended(unsigned pass)
{
	world->result = pass < 12 ? -ETIME : 0;
}

Test(ending, if_looking_fails)
{
	(void)member_without();
	world->before = fail_until_ended;
	expect_ended(1000000, 1, 0);
}

Test(ending, nobody_who_is_dead)
{
	(void)member();
	member()->seems_dead = true;
	expect_ended(0, 1, 0);
	cr_expect_eq(world->members[1].killed, 0U);
}

static void die_later(unsigned pass)
{
	world->members[0].is_dead = pass > 2;
}

/* There are too many to remember. */
Test(ending, who_is_not_remembered_too)
{
	member()->is_forgotten = true;
	world->before = die_later;
	expect_ended(0, 0, 1);
	cr_expect_eq(world->members[0].killed, 2U);
}

/* --- who is left ----------------------------------------------------------------------------- */

Test(ending, who_does_not_stop_is_left_and_named)
{
	(void)member();
	member()->survives = true;
	expect_ended(0, 2, 1);
	cr_expect_eq(world->answer.found.left_pids[0], PID + 1);
	cr_expect_geq(world->now, BEGIN + ENDING_DEADLINE_USEC);
	cr_expect_lt(world->now, BEGIN + ENDING_DEADLINE_USEC + 10000);
}

Test(ending, more_than_can_be_named_are_counted)
{
	for (int i = 0; i < HOLDERS_PIDS_MAX + 2; i++)
		member()->survives = true;
	world->before = fail_until_ended;
	ask(0, true, "queue");
	cr_expect_eq(world->answer.found.left, HOLDERS_PIDS_MAX + 2U);
	for (int i = 0; i < HOLDERS_PIDS_MAX; i++)
		cr_expect_eq(world->answer.found.left_pids[i], PID + i);
}

Test(ending, who_is_not_proved_is_left_if_it_may_hold)
{
	(void)member();
	member()->membership = MEMBERSHIP_UNKNOWN;
	member_without()->membership = MEMBERSHIP_UNKNOWN;
	member_without()->membership = MEMBERSHIP_UNKNOWN;
	world->members[3].table_error = -EIO;
	expect_ended(0, 1, 2);
	cr_expect_eq(world->answer.found.left_pids[0], PID + 1);
	cr_expect_eq(world->answer.found.left_pids[1], PID + 3);
	for (int i = 1; i < 4; i++)
		cr_expect_eq(world->members[i].killed, 0U);
	cr_expect_geq(world->now, BEGIN + 300000, "it was looked at again");
	cr_expect_lt(world->now, BEGIN + 310000);
}

Test(ending, somebody_is_left_if_not_all_can_be_told)
{
	(void)member();
	member_without()->membership = MEMBERSHIP_UNKNOWN;
	expect_ended(0, 1, 1);
}

Test(ending, somebody_is_left_if_not_all_are_seen)
{
	(void)member();
	world->unseen = 1;
	expect_ended(0, 1, 1);
}

Test(ending, somebody_is_left_if_not_all_can_be_told_or_seen)
{
	(void)member();
	member_without()->membership = MEMBERSHIP_UNKNOWN;
	world->unseen = 1;
	expect_ended(0, 1, 1);
}

static void begin_another(unsigned pass)
{
	world->members[2].membership = pass > 100 ? MEMBERSHIP_PROVED : MEMBERSHIP_NONE;
	world->members[2].identity = pass;
}

/* Each that is proved may have been what kept others from being told. */
Test(ending, others_have_as_long_again_after_each_that_was_proved)
{
	(void)member();
	member()->membership = MEMBERSHIP_UNKNOWN;
	(void)member();
	world->before = begin_another;
	expect_ended(0, 2, 1);
	cr_expect_geq(world->now, BEGIN + 500000);
}

Test(ending, nobody_is_left_if_the_listener_says_so)
{
	member()->cannot_be_opened = true;
	world->members[0].dies_at_once = true;
	world->ends_when_empty = true;
	expect_ended(0, 1, 0);
}

Test(ending, somebody_is_left_if_nobody_is_found)
{
	member()->membership = MEMBERSHIP_NONE;
	expect_ended(0, 0, 1);
}

Test(ending, once_its_tracer_is_dead_it_can_be_proved)
{
	(void)member();
	world->before = prove;
	expect_ended(0, 1, 0);
	cr_expect_eq(world->members[0].killed, 1U);
}

Test(ending, at_the_deadline_somebody_is_left)
{
	(void)member();
	world->result = -ETIME;
	expect_ended(0, 1, 1);
	cr_expect_eq(world->passes, 1U);
}

Test(ending, an_error_is_told)
{
	(void)member();
	world->result = -EIO;
	ask(0, true, "queue");
	cr_expect_eq(world->answer.found.error, -EIO);
	cr_expect_eq(world->answer.found.killed, 1U);
	cr_expect_eq(world->answer.found.left, 1U);
}

/* --- who was killed and is opened to be waited for ------------------------------------------- */

Test(ending, who_is_gone_by_then_has_stopped)
{
	struct played *gone = member(), *another = member();

	gone->is_gone_when_opened = another->is_another_when_opened = true;
	expect_ended(0, 2, 0);
	cr_expect_eq(gone->killed, 1U);
	cr_expect_eq(another->killed, 1U);
}

static void let_be_opened(unsigned pass)
{
	world->members[0].cannot_be_opened = pass == 1;
}

Test(ending, who_cannot_be_opened_is_left_and_killed_again)
{
	(void)member();
	world->members[0].cannot_be_opened = true;
	world->result = -ETIME;
	expect_ended(0, 1, 1);
	cr_expect_eq(world->answer.found.left_pids[0], PID);
	world->result = 0;
	world->passes = 0;
	world->unseen = 1;
	world->before = let_be_opened;
	expect_ended(0, 1, 1);
	cr_expect(world->members[0].is_dead);
	cr_expect_eq(world->answer.found.left_pids[0], 0, "it is not who is left");
}

/* As one does that somebody holds at its exit. */
Test(ending, who_has_stopped_is_not_killed_again)
{
	member()->lingers = true;
	expect_ended(0, 1, 0);
	cr_expect_eq(world->members[0].killed, 1U);
	cr_expect_eq(world->passes, 2U);
}

Test(ending, who_was_noted_needs_no_proof)
{
	struct played *noted = member_without();

	noted->membership = MEMBERSHIP_UNKNOWN;
	note_registered(noted, 0);
	expect_ended(0, 1, 0);
}

/* Who ends makes room for another. */
Test(ending, of_very_many_the_later_ones_are_stopped_first)
{
	unsigned stopped = 0;

	for (int i = 0; i < MEMBERS; i++)
		(void)member_without();
	expect_ended(0, MEMBERS, 0);
	for (int i = 0; i < MEMBERS; i++) {
		cr_assert_eq(world->members[i].killed + world->members[i].stopped, 1U);
		cr_assert(world->members[i].is_dead);
		stopped += world->members[i].stopped;
	}
	cr_expect_eq(stopped, MEMBERS - 257U);
}

/* --- answering ------------------------------------------------------------------------------- */

Test(ending, all_of_a_broken_session)
{
	inflight->queues.entries[0].opened = 0;
	(void)member_without();
	search->mediation = MEDIATION_CALL;
	holders_end_all(search);
	holders_finish(search);
	cr_expect_eq(world->answers, 1U);
	cr_expect_eq(world->answer.found.number, 0U);
	cr_expect_eq(world->answer.found.killed, 1U);
}

Test(holding, is_answered_when_the_channel_has_room)
{
	(void)member();
	world->busy = 3;
	expect_found(1, 0);
	cr_expect_eq(world->busy, 0U);
}

Test(holding, is_answered_in_time_or_not_at_all)
{
	const struct session_message query = {.type = SESSION_HOLDERS};
	uint64_t begun = world->now;

	world->busy = UINT32_MAX;
	holders_look(search, &query, NULL);
	holders_finish(search);
	cr_expect_eq(world->answers, 0U);
	cr_expect_geq(world->now - begun, GRANTS_DEADLINE_USEC);
	cr_expect_lt(world->now - begun, GRANTS_DEADLINE_USEC + 10000);
	cr_expect_lt(UINT32_MAX - world->busy, 2000U, "others get to run, too");
}

Test(holding, cannot_be_asked_without_memory_or_a_child)
{
	(void)member();
	world->no_memory = true;
	ask(0, false, "queue");
	cr_expect_eq(world->answer.found.error, -ENOMEM);
	world->no_child = true;
	ask(0, false, "queue");
	cr_expect_eq(world->answer.found.error, -ENOMEM);
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++)
		cr_expect_eq(search->children[i] > 0 && kill(search->children[i], 0) == 0, false);
}

/* The session process has other children, too. */
Test(holding, leaves_other_children_alone)
{
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	(void)waitid(P_PID, (id_t)child, &(siginfo_t){0}, WEXITED | WNOWAIT);
	asked.behind = child;
	expect_found(0, 0);
	cr_expect_eq(waitpid(child, NULL, WNOHANG), child);
}

static void wait_to_be_killed(unsigned pass)
{
	(void)pass;
	(void)pause();
}

Test(holding, is_asked_so_often_at_once_and_no_more)
{
	const struct session_message query = {.type = SESSION_HOLDERS};
	pid_t first;

	world->before = wait_to_be_killed;
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++)
		holders_look(search, &query, NULL);
	cr_expect_eq(world->answers, 0U);
	holders_look(search, &query, NULL);
	cr_expect_eq(world->answers, 1U);
	cr_expect_eq(world->answer.found.error, -EAGAIN);
	first = search->children[0];
	(void)kill(first, SIGKILL);
	(void)waitid(P_PID, (id_t)first, &(siginfo_t){0}, WEXITED | WNOWAIT);
	world->no_child = true;
	holders_look(search, &query, NULL);
	cr_expect_eq(world->answer.found.error, -ENOMEM, "there is room again");
	world->no_child = false;
	holders_look(search, &query, NULL);
	cr_expect_eq(world->answers, 2U);
	cr_expect(search->children[0] > 0 && search->children[0] != first);
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++)
		(void)kill(search->children[i], SIGKILL);
	holders_finish(search);
	cr_expect_eq(waitpid(-1, NULL, WNOHANG), -1, "they are waited for");
}
