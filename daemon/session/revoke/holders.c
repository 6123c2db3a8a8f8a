/* SPDX-License-Identifier: MIT */
/* The processes of a session that still have descriptors of what was taken from it, or are
 * registered for notification on it, and ending them.
 *
 * Looking at all processes of a machine takes a while, and ending all of a session's takes as long
 * as the slowest of them. A child of the session process does both, and the session process goes on
 * serving. It needs nothing but what it inherits: the session's filter id, and the queues that the
 * session has opened, which lie in shared memory and so are always those in force.
 *
 * A process holds what was taken if one of its descriptor tables has a descriptor of a queue that
 * the session opened, with an access mode that its grants do not give any more; under `call`
 * mediation that counts only if it is to be ended, since such a descriptor is worth nothing there.
 * A descriptor can be hidden, in a socket for example. So what is seen is told, and ends the
 * waiting; but a session is killed by what it opened, not by what is seen, unless it was waited
 * for.
 *
 * Who has registered is noted (registrations.c), and belongs to the session for certain.
 *
 * An error while looking is never "nothing there": it counts as found, and as unknown.
 *
 * Killing: every process that is proved to be of the session, in passes until the listener says
 * that there is none, or one pass finds none. What is killed was proved, and is killed by a pidfd
 * that was opened before the proof; it counts as killed when it is seen to have stopped
 * (common/task.c). What cannot be proved since another of the session's processes traces it can be
 * once that is dead.
 *
 * What looks at processes runs in children of this child (members.c), and may be killed at any
 * time: struct look is shared with them. Who is looked at counts as unknown until more is known. */
#include "holders.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "include/task.h"
#include "members.h"
#include "daemon/session/target/child.h"
#include "daemon/session/target/notify.h"
#include "registrations.h"
#include "daemon/session/target/target.h"

#define WAIT_INTERVAL_MS 100
#define RETRY_USEC       2000
#define TABLES_USEC      20000  /* for a stranger's descriptors */
#define UNKNOWN_USEC     300000 /* for what cannot be told to become clear */
#define STOP_USEC        200000 /* for those that were killed, before the next pass */
#define VICTIMS_AT_ONCE  64
#define KILLED_AT_ONCE   256 /* then they are stopped first: who ends makes room for another */

static_assert(MEMBERS_KNOWN_MAX % VICTIMS_AT_ONCE == 0, "all are waited for");

/* The largest counts. */
enum holding { HOLDS_NOT, HOLDS_UNKNOWN, HOLDS };

/* What is done with a process: the mark of struct known. */
enum fate { SPARED = 0, KILLED, STOPPED };

struct look {
	const struct holder_search *search;
	const struct grants *scope; /* NULL: everything */
	struct members members;

	/* The queues in question, and what the session may do with them now. */
	struct {
		struct queue_key key;
		uint32_t permissions;
	} queues[SESSION_QUEUES_MAX];
	size_t queue_count;
	bool descriptors_count;

	/* The process that is looked at, and until when. */
	enum holding holding;
	uint64_t patience;

	/* In the latest pass: of the session, and that may be. */
	uint32_t proved, unknown;
	uint32_t registrants, holders; /* among those proved; both counts may have one */
	uint32_t left, killed;         /* could not be killed; were, in all passes */
	pid_t left_pids[HOLDERS_PIDS_MAX];
};

/* --- who holds ------------------------------------------------------------------------------- */

static void choose_queues(struct look *look)
{
	const struct queues *queues = &look->search->inflight->queues;
	uint32_t used = MIN(queues->count, (uint32_t)SESSION_QUEUES_MAX);

	look->queue_count = 0;
	for (uint32_t i = 0; i < used; i++) {
		if (queues->keys[i].inode == 0 ||
			(look->scope && !queues_are_in(queues, i, look->scope)))
			continue;
		look->queues[look->queue_count].key = queues->keys[i];
		look->queues[look->queue_count++].permissions = queues->entries[i].permissions;
	}
}

/* What the descriptor's access mode lets one do. 0 or negative errno. */
static int read_access(const struct target *target, int number, uint32_t *ret)
{
	int flags, r = target_descriptor_flags(target, number, &flags);

	*ret = flags & O_PATH                    ? 0
	       : (flags & O_ACCMODE) == O_RDONLY ? PERMISSION_READ
	       : (flags & O_ACCMODE) == O_WRONLY ? PERMISSION_WRITE
						 : PERMISSION_READ | PERMISSION_WRITE;
	return r;
}

/* 1: the process holds. */
static int look_at_key(struct look *look, const struct target *target, int number, size_t queue)
{
	uint32_t access = 0;
	int r = read_access(target, number, &access);

	if (r < 0 || !(access & ~look->queues[queue].permissions))
		return r;
	look->holding = HOLDS;
	return 1;
}

static int look_at_number(void *context, const struct target *target, int number)
{
	struct look *look = context;
	struct descriptor descriptor;
	int r = target_descriptor(target, number, &descriptor);

	if (r == 0 && now_usec() > look->patience)
		r = -ETIME;
	for (size_t i = 0; r == 0 && descriptor.regular && i < look->queue_count; i++)
		if (queue_key_same(look->queues[i].key, descriptor.key))
			r = look_at_key(look, target, number, i);
	/* It was closed, or its thread has ended. */
	if (r == -EBADF || r == -ENOENT || r == -ESRCH)
		return -EBADF;
	if (r < 0 && r != -ETIME)
		look->holding = HOLDS_UNKNOWN;
	return r < 0 && r != -ETIME ? 0 : r;
}

static int look_at_table(void *context, struct target *thread)
{
	return target_for_each_descriptor(thread, look_at_number, context);
}

static enum holding look_at_process(
	struct look *look, const struct member *member, uint64_t patience)
{
	int r;

	look->holding = HOLDS_NOT;
	look->patience = patience;
	r = target_for_each_table(member->proc, look_at_table, look);
	if (r < 0 && member_lives(member))
		look->holding = MAX(look->holding, (enum holding)HOLDS_UNKNOWN);
	return look->holding;
}

/* --- counting --------------------------------------------------------------------------------- */

/* Who is noted is of the session for certain. */
static void know_noted(struct look *look)
{
	const struct processes *processes = &look->search->inflight->processes;
	const struct process *entries = processes->entries;

	for (size_t i = 0; i < processes->count; i++)
		if (entries[i].pid != 0)
			members_know(&look->members, entries[i].pid, entries[i].identity);
}

static const struct process *find_registered(const struct look *look, const struct member *member)
{
	const struct processes *processes = &look->search->inflight->processes;
	const struct process *entries = processes->entries;

	for (size_t i = 0; i < processes->count; i++)
		if (entries[i].pid == member->pid && entries[i].identity == member->identity &&
			entries[i].registered)
			return &entries[i];
	return NULL;
}

static bool may_count(void *context, const struct member *member)
{
	struct look *look = context;

	if (look->descriptors_count)
		(void)look_at_process(look, member, now_usec() + TABLES_USEC);
	return look->holding != HOLDS_NOT || find_registered(look, member);
}

static void count(void *context, const struct member *member, enum membership membership)
{
	struct look *look = context;
	const struct process *process = find_registered(look, member);
	enum registered registered = REGISTERED_NOT;

	look->unknown++;
	if (membership != MEMBERSHIP_PROVED)
		return;
	if (look->holding == HOLDS_UNKNOWN)
		(void)look_at_process(look, member, look->members.deadline);
	if (process)
		registered = registrations_look(
			process, &look->search->inflight->queues, look->scope, look->search->own);
	look->holders += look->holding == HOLDS;
	look->registrants += registered == REGISTERED;
	if (look->holding == HOLDS || registered == REGISTERED)
		look->proved++;
	else if (look->holding == HOLDS_UNKNOWN || registered == REGISTERED_UNKNOWN)
		return;
	look->unknown--;
}

/* The kernel says when nobody is under the filter any more; dead ones that nobody reaps may count.
 */
static bool is_over(void *context)
{
	const struct look *look = context;
	struct pollfd listener = {.fd = look->search->listener};

	return poll(&listener, 1, 0) > 0 && (listener.revents & (POLLHUP | POLLERR)) != 0;
}

/* A thread whose call waits in the session process, or is in its hand. */
static bool waits_inside(void *context, pid_t tid)
{
	const struct holder_search *search = ((const struct look *)context)->search;
	const struct seccomp_notif *noted;

	for (uint32_t i = 0; (noted = inflight_noted(search->inflight, i)); i++)
		if (noted->id != 0 && (pid_t)noted->pid == tid &&
			notify_is_valid(search->listener, noted->id))
			return true;
	return false;
}

static int count_pass(struct look *look)
{
	struct member_visitor visitor = {.context = look,
		.notifies = waits_inside,
		.wants = may_count,
		.visit = count,
		.is_over = is_over,
		.some = true};

	know_noted(look);
	choose_queues(look);
	look->proved = look->unknown = look->registrants = look->holders = 0;
	visitor.only_known = look->queue_count == 0 || !look->descriptors_count;
	return members_for_each(&look->members, &visitor);
}

/* -ETIME, or another negative errno: those that were not looked at may do either, too. */
static int count_holders(struct look *look, uint64_t deadline)
{
	uint64_t patience = now_usec() + UNKNOWN_USEC;

	look->members.deadline = deadline;
	for (;;) {
		int r = count_pass(look);

		look->unknown += (uint32_t)look->members.unseen;
		if (r < 0 || look->unknown == 0 || now_usec() > patience)
			return r;
		(void)usleep(RETRY_USEC);
	}
}

/* Until none holds any more, or the time is over, or nobody wants to know. */
static int wait_for_holders(struct look *look, uint64_t wait_usec)
{
	uint64_t end = now_usec() + wait_usec;

	for (;;) {
		struct pollfd channel = {.fd = look->search->channel, .events = POLLRDHUP};
		int r = count_holders(look, now_usec() + HOLDERS_DEADLINE_USEC);

		if ((r == 0 && look->proved + look->unknown == 0) || now_usec() >= end ||
			poll(&channel, 1, WAIT_INTERVAL_MS) != 0)
			return r;
	}
}

/* --- ending them ------------------------------------------------------------------------------ */

static void leave(struct look *look, pid_t pid)
{
	if (look->left < HOLDERS_PIDS_MAX)
		look->left_pids[look->left] = pid;
	look->left++;
}

/* Who is not proved is left if it may hold what was taken. */
static void spare(struct look *look, const struct member *member)
{
	uint32_t left = look->left;

	look->unknown++;
	leave(look, member->pid);
	if (look_at_process(look, member, now_usec() + TABLES_USEC) == HOLDS_NOT)
		look->left = left;
}

static void kill_member(void *context, const struct member *member, enum membership membership)
{
	struct look *look = context;
	struct known *known = members_find(&look->members, member->pid, member->identity);

	if (membership == MEMBERSHIP_UNKNOWN) {
		spare(look, member);
		return;
	}
	if (!member_lives(member) || (known && known->mark == STOPPED))
		return;
	(void)syscall(SYS_pidfd_send_signal, member->pidfd,
		look->killed > KILLED_AT_ONCE ? SIGSTOP : SIGKILL, NULL, 0);
	look->proved++;
	if (known && known->mark == SPARED) {
		known->mark = KILLED;
		look->killed++;
	}
}

/* False if it is gone, or cannot be waited for. */
static bool open_victim(struct look *look, struct known *known, int *ret_pidfd)
{
	struct member member;
	int r = member_open(known->pid, &member);

	if (r < 0 && r != -ESRCH)
		leave(look, known->pid);
	else if (r < 0 || member.identity != known->identity)
		known->mark = STOPPED;
	else
		*ret_pidfd = take_fd(&member.pidfd);
	member_close(&member);
	return *ret_pidfd >= 0;
}

static void wait_for_some(struct look *look, struct known *known)
{
	struct victim victims[VICTIMS_AT_ONCE] = {0};

	for (size_t i = 0; i < VICTIMS_AT_ONCE; i++) {
		victims[i] = (struct victim){.pid = known[i].pid, .pidfd = -EBADF};
		victims[i].has_stopped =
			known[i].mark != KILLED || !open_victim(look, &known[i], &victims[i].pidfd);
	}
	(void)victims_kill(
		victims, VICTIMS_AT_ONCE, MIN(now_usec() + STOP_USEC, look->members.deadline));
	for (size_t i = 0; i < VICTIMS_AT_ONCE; i++) {
		if (victims[i].pidfd < 0)
			continue;
		if (victims[i].has_stopped)
			known[i].mark = STOPPED;
		else
			leave(look, known[i].pid);
		(void)close(victims[i].pidfd);
	}
}

static int kill_all_seen(struct look *look)
{
	const struct member_visitor visitor = {.context = look,
		.notifies = waits_inside,
		.visit = kill_member,
		.is_over = is_over};
	int r;

	know_noted(look);
	choose_queues(look);
	look->proved = look->unknown = look->left = 0;
	memset(look->left_pids, 0, sizeof(look->left_pids));
	r = members_for_each(&look->members, &visitor);
	for (size_t i = 0; i < MEMBERS_KNOWN_MAX; i += VICTIMS_AT_ONCE)
		wait_for_some(look, &look->members.known[i]);
	return r;
}

/* Who forks as fast as it can does not keep us from running. */
static void hurry(void)
{
	(void)sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 2});
}

/* Those that are left are counted, and by how many cannot be told if there is at least one. */
static int end_session(struct look *look)
{
	const struct members *members = &look->members;
	uint64_t clear = now_usec();
	bool settled;
	int r;

	hurry();
	look->members.deadline = clear + ENDING_DEADLINE_USEC;
	do {
		r = kill_all_seen(look);
		(void)usleep(RETRY_USEC);
		if (is_over(look)) {
			look->left = 0;
			return 0;
		}
		settled = look->unknown + members->unseen == 0;
		if (look->proved > 0)
			clear = now_usec();
	} while (r == 0 && (look->proved > 0 || (!settled && now_usec() < clear + UNKNOWN_USEC)));
	/* There is somebody who was not found, or whom nothing proves: its launcher may have taken
	 * another filter id. */
	if (r < 0 || !settled || look->killed == 0)
		look->left = MAX(look->left, 1U);
	return r == -ETIME ? 0 : r;
}

static int look_and_end(
	struct look *look, const struct session_message *query, struct session_message *answer)
{
	bool waits = query->holders.wait_usec > 0;
	bool kill = query->holders.kill;
	bool opened =
		!look->scope || queues_may_be_held(&look->search->inflight->queues, look->scope);
	int r = 0;

	look->descriptors_count = kill || look->search->mediation == MEDIATION_OPEN;
	if (!kill || waits || !opened)
		r = wait_for_holders(look, query->holders.wait_usec);
	answer->found.processes = look->proved;
	answer->found.holders = look->holders;
	answer->found.registrants = look->registrants;
	answer->found.unknown = look->unknown;
	if (!kill || !(look->proved > 0 || (opened && (!waits || r < 0 || look->unknown > 0))))
		return r;
	r = end_session(look);
	answer->found.killed = look->killed;
	answer->found.left = look->left;
	memcpy(answer->found.left_pids, look->left_pids,
		MIN(look->left, (uint32_t)HOLDERS_PIDS_MAX) * sizeof(pid_t));
	return r;
}

/* --- the child -------------------------------------------------------------------------------- */

static void answer_manager(int channel, const struct session_message *answer)
{
	uint64_t deadline = now_usec() + GRANTS_DEADLINE_USEC;

	while (message_send(channel, answer, sizeof(*answer), NULL, 0) == -EAGAIN &&
		now_usec() < deadline)
		(void)usleep(RETRY_USEC);
}

static int run_look(const struct holder_search *search, const struct session_message *query,
	const struct grants *scope, struct session_message *answer)
{
	struct look *look = child_memory(sizeof(*look));

	if (!look)
		return -ENOMEM;
	look->search = search;
	look->scope = scope;
	look->members.filter = search->filter;
	look->members.pid_namespace = search->inflight->pid_namespace;
	look->members.user = search->user;
	return look_and_end(look, query, answer);
}

static void run_child(const struct holder_search *search, const struct session_message *query,
	const struct grants *scope, struct session_message *answer)
{
	urgency_leave(search->urgency);
	answer->found.error = run_look(search, query, scope, answer);
	answer_manager(search->channel, answer);
}

/* A place for another; -1: none. */
static int find_place(struct holder_search *search)
{
	int place = -1;

	for (int i = 0; i < HOLDER_LOOKS_MAX; i++) {
		if (search->children[i] > 0 && waitpid(search->children[i], NULL, WNOHANG) != 0)
			search->children[i] = 0;
		if (search->children[i] == 0)
			place = i;
	}
	return place;
}

void holders_look(struct holder_search *search, const struct session_message *query,
	const struct grants *scope)
{
	struct session_message answer = {
		.type = SESSION_HOLDERS_FOUND, .found = {.number = query->holders.number}};
	int place = find_place(search);
	pid_t child;

	if (search->mediation != MEDIATION_OPEN && !query->holders.kill &&
		!processes_have_registered(&search->inflight->processes)) {
		answer_manager(search->channel, &answer);
		return;
	}
	child = place < 0 ? -1 : task_fork();
	if (child == 0) {
		run_child(search, query, scope, &answer);
		_exit(EXIT_SUCCESS);
	}
	if (child > 0) {
		search->children[place] = child;
		return;
	}
	answer.found.error = place < 0 ? -EAGAIN : -errno;
	answer_manager(search->channel, &answer);
}

void holders_end_all(struct holder_search *search)
{
	const struct session_message all = {.type = SESSION_HOLDERS, .holders = {.kill = true}};

	holders_look(search, &all, NULL);
}

void holders_finish(struct holder_search *search)
{
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++)
		if (search->children[i] > 0)
			(void)waitpid(search->children[i], NULL, 0);
}
