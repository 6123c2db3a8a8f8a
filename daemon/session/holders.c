/* SPDX-License-Identifier: MIT */
/* The processes of a session that still have descriptors of what was taken from it, or are
 * registered for notification on it, and ending them.
 *
 * Looking at all processes of a machine takes a while, and ending all of a session's takes as long
 * as the slowest of them. A child of the session process does both, and the session process goes on
 * serving. It needs nothing but what it inherits: the session's constant, and the queues that the
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
 * Killing: every process that is proved to be of the session, the newest first, in passes until the
 * listener says that there is none, or one pass finds none and none has vanished before it could be
 * looked at: a process may fork between two looks at it. What is killed was proved, and is killed
 * by a pidfd that was opened before the proof. What cannot be proved since another of the session's
 * processes traces it can be once that is dead.
 */
#include "holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "member.h"
#include "notify.h"
#include "registrations.h"
#include "session.h"
#include "target.h"
#include "threads.h"

#define WAIT_INTERVAL_MS  100
#define RETRY_USEC        2000
#define CHASE_USEC        50000   /* between two passes */
#define UNKNOWN_USEC      300000  /* for what cannot be told to become clear */
#define VANISHED_USEC     2000000 /* for a pass in which none vanishes */
#define PROCESS_SLACK_SEC 3       /* the child's own deadline, beyond all others */

struct killed {
	pid_t pid;
	uint64_t start;
};

/* The largest counts. */
enum holding { HOLDS_NOT, HOLDS_UNKNOWN, HOLDS };

struct look {
	struct session *session;
	const struct grants *scope;
	struct members members;

	/* The queues in question, and what the session may do with them now. */
	struct {
		struct queue_key key;
		uint32_t permissions;
	} queues[SESSION_QUEUES_MAX];
	size_t queue_count;

	bool descriptors_count;
	enum registered registered[SESSION_PROCESSES_MAX]; /* in the latest pass */
	enum holding holding;                              /* the process that is looked at */

	/* In the latest pass: of the session, and that may be. */
	uint32_t proved, unknown;
	uint32_t registrants, holders; /* among those proved; both counts may have one */
	uint32_t unknown_holding;
	struct killed *killed;
	size_t killed_count;
};

/* --- who holds ------------------------------------------------------------------------------- */

static void choose_queues(struct look *look)
{
	const struct queues *queues = &look->session->inflight->queues;
	uint32_t used = MIN(queues->count, (uint32_t)SESSION_QUEUES_MAX);

	look->queue_count = 0;
	for (uint32_t i = 0; i < used; i++) {
		if (queues->keys[i].inode == 0 || grants_lookup(look->scope, queues->names[i]) == 0)
			continue;
		look->queues[look->queue_count].key = queues->keys[i];
		look->queues[look->queue_count++].permissions = queues->permissions[i];
	}
}

/* What the descriptor's access mode lets one do. 0 or negative errno. */
static int read_access(const struct target *target, int number, uint32_t *ret)
{
	char path[32], text[128];
	_cleanup_close_ int fd = -EBADF;
	unsigned flags;
	const char *at;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "fdinfo/%d", number);
	fd = openat(target->proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	at = strstr(text, "flags:");
	if (!at || sscanf(at, "flags: %o", &flags) != 1)
		return -EBADMSG;
	*ret = flags & O_PATH                    ? 0
	       : (flags & O_ACCMODE) == O_RDONLY ? PERMISSION_READ
	       : (flags & O_ACCMODE) == O_WRONLY ? PERMISSION_WRITE
						 : PERMISSION_READ | PERMISSION_WRITE;
	return 0;
}

/* It was closed, or its thread has ended. */
static enum holding on_error(int error)
{
	return error == -EBADF || error == -ENOENT || error == -ESRCH ? HOLDS_NOT : HOLDS_UNKNOWN;
}

static enum holding look_at_number(const struct look *look, const struct target *target, int number)
{
	struct descriptor descriptor;
	uint32_t access = 0;
	int r = target_descriptor(target, number, &descriptor);

	if (r < 0)
		return on_error(r);
	for (size_t i = 0; descriptor.regular && i < look->queue_count; i++)
		if (look->queues[i].key.inode == descriptor.key.inode &&
			look->queues[i].key.device == descriptor.key.device) {
			r = read_access(target, number, &access);
			if (r < 0)
				return on_error(r);
			return access & ~look->queues[i].permissions ? HOLDS : HOLDS_NOT;
		}
	return HOLDS_NOT;
}

static enum holding look_at_table(const struct look *look, const struct target *target)
{
	DIR *table = target_open_table(target);
	enum holding most = HOLDS_NOT;
	struct dirent *entry;

	if (!table)
		return thread_is_dead(target->proc) ? HOLDS_NOT : HOLDS_UNKNOWN;
	while (most != HOLDS && (entry = readdir(table)))
		if (entry->d_name[0] != '.')
			most = MAX(most, look_at_number(look, target, atoi(entry->d_name)));
	(void)closedir(table);
	return most;
}

static bool shares_table(pid_t a, pid_t b)
{
	return a != 0 && syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

/* Threads share one table as a rule, but need not. */
static enum holding look_at_threads(const struct look *look, DIR *tasks)
{
	enum holding most = HOLDS_NOT;
	struct dirent *entry;
	pid_t looked_at = 0;

	while (most != HOLDS && (entry = readdir(tasks))) {
		struct target target;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		r = target_open(atoi(entry->d_name), &target);
		if (r < 0) {
			most = MAX(most, on_error(r));
			continue;
		}
		if (!thread_is_dead(target.proc) && !shares_table(looked_at, target.tid)) {
			most = MAX(most, look_at_table(look, &target));
			looked_at = target.tid;
		}
		target_close(&target);
	}
	return most;
}

static enum holding look_at_process(const struct look *look, const struct member *member)
{
	int fd = openat(member->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
	enum holding holding;

	if (!tasks) {
		(void)safe_close(fd);
		return member_lives(member) ? HOLDS_UNKNOWN : HOLDS_NOT;
	}
	holding = look_at_threads(look, tasks);
	(void)closedir(tasks);
	return holding;
}

static bool process_holds(void *context, const struct member *member)
{
	struct look *look = context;

	look->holding = look_at_process(look, member);
	return look->holding != HOLDS_NOT;
}

/* One that is counted already. */
static bool is_registered(const struct look *look, const struct member *member)
{
	const struct processes *processes = &look->session->inflight->processes;

	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++)
		if (look->registered[i] == REGISTERED && processes->entries[i].pid == member->pid &&
			processes->entries[i].start == thread_birth(member->proc))
			return true;
	return false;
}

static void count(void *context, const struct member *member, enum membership membership)
{
	struct look *look = context;

	if (membership == MEMBERSHIP_PROVED && look->holding == HOLDS) {
		look->holders++;
		look->proved += !is_registered(look, member);
	} else {
		look->unknown++;
	}
}

static void count_registrants(struct look *look, uint64_t deadline)
{
	const struct inflight *inflight = look->session->inflight;

	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++) {
		const struct process *process = &inflight->processes.entries[i];

		look->registered[i] = process->pid == 0 || !process->registered ? REGISTERED_NOT
				      : now_usec() > deadline
					      ? REGISTERED_UNKNOWN
					      : registrations_look(process, &inflight->queues,
							look->scope, &look->session->own);
		look->registrants += look->registered[i] == REGISTERED;
		look->unknown += look->registered[i] == REGISTERED_UNKNOWN;
	}
	look->proved += look->registrants;
}

static int count_pass(struct look *look)
{
	const struct member_visitor visitor = {
		.context = look, .wants = process_holds, .visit = count};

	choose_queues(look);
	look->proved = look->unknown = look->registrants = look->holders = 0;
	count_registrants(look, look->members.deadline);
	if (look->queue_count == 0 || !look->descriptors_count)
		return 0;
	return members_for_each(&look->members, &visitor);
}

/* -ETIME, or another negative errno: those that were not looked at may do either, too. */
static int count_holders(struct look *look, uint64_t deadline)
{
	uint64_t patience = now_usec() + UNKNOWN_USEC;
	int r;

	look->members.deadline = deadline;
	for (;;) {
		r = count_pass(look);
		if (r < 0 || look->unknown == 0 || now_usec() > patience)
			return r;
		(void)usleep(RETRY_USEC);
	}
}

/* A thread whose call waits in the session process, or is in its hand. */
static bool waits_inside(void *context, pid_t tid)
{
	const struct look *look = context;
	const struct inflight *inflight = look->session->inflight;
	int listener = look->session->listener;

	if (inflight->notification.id != 0 && (pid_t)inflight->notification.pid == tid &&
		notify_is_valid(listener, inflight->notification.id))
		return true;
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id != 0 && (pid_t)inflight->waiting[i].pid == tid &&
			notify_is_valid(listener, inflight->waiting[i].id))
			return true;
	return false;
}

/* Until none holds any more, or the time is over, or nobody wants to know. */
static int wait_for_holders(struct look *look, uint64_t wait_usec)
{
	uint64_t end = now_usec() + wait_usec;

	for (;;) {
		struct pollfd channel = {.fd = look->session->channel, .events = POLLRDHUP};
		int r = count_holders(look, now_usec() + HOLDERS_DEADLINE_USEC);

		if ((r == 0 && look->proved + look->unknown == 0) || now_usec() >= end ||
			poll(&channel, 1, WAIT_INTERVAL_MS) != 0)
			return r;
	}
}

/* --- ending them ------------------------------------------------------------------------------ */

static void note_killed(struct look *look, const struct member *member)
{
	struct killed killed = {.pid = member->pid, .start = thread_birth(member->proc)};
	struct killed *grown;

	for (size_t i = 0; i < look->killed_count; i++)
		if (look->killed[i].pid == killed.pid && look->killed[i].start == killed.start)
			return;
	grown = reallocarray(look->killed, look->killed_count + 1, sizeof(*grown));
	if (!grown)
		return;
	look->killed = grown;
	look->killed[look->killed_count++] = killed;
}

static void kill_member(void *context, const struct member *member, enum membership membership)
{
	struct look *look = context;

	if (membership == MEMBERSHIP_UNKNOWN) {
		look->unknown++;
		look->unknown_holding += process_holds(look, member);
		return;
	}
	if (!member_lives(member))
		return;
	look->proved++;
	note_killed(look, member);
	(void)syscall(SYS_pidfd_send_signal, member->pidfd, SIGKILL, NULL, 0);
}

/* One that was seen in the list and is gone may have left a child. */
static void chase(struct look *look, const struct member_visitor *visitor)
{
	uint64_t end = MIN(now_usec() + CHASE_USEC, look->members.deadline);
	uint32_t proved = look->proved;

	while (now_usec() < end && look->proved == proved)
		members_chase(&look->members, visitor);
}

/* The kernel says when nobody is under the filter any more; dead ones that nobody reaps may count.
 */
static bool is_over(const struct look *look)
{
	struct pollfd listener = {.fd = look->session->listener};

	return poll(&listener, 1, 0) > 0 && (listener.revents & (POLLHUP | POLLERR)) != 0;
}

static int kill_all_seen(struct look *look)
{
	const struct member_visitor visitor = {.context = look, .visit = kill_member};
	int r;

	choose_queues(look);
	look->proved = look->unknown = look->unknown_holding = 0;
	r = members_for_each(&look->members, &visitor);
	if (r == 0 && look->members.vanished > 0)
		chase(look, &visitor);
	return r;
}

/* The number of processes left. */
static int end_session(struct look *look, uint32_t *ret_left)
{
	uint64_t clear = now_usec();
	int r;

	look->members.deadline = clear + ENDING_DEADLINE_USEC;
	look->members.follows = true;
	for (;;) {
		r = kill_all_seen(look);
		(void)usleep(RETRY_USEC);
		*ret_left = 0;
		if (is_over(look))
			return 0;
		*ret_left = look->proved + look->unknown_holding;
		if (r < 0)
			break;
		if (look->proved > 0)
			clear = now_usec();
		if (look->proved == 0 &&
			(look->unknown == 0 || now_usec() > clear + UNKNOWN_USEC) &&
			(look->members.vanished == 0 || now_usec() > clear + VANISHED_USEC))
			break;
	}
	/* There is somebody who was not found in time, or whom nothing proves: its launcher may
	 * have taken another constant. */
	if (r < 0 || look->killed_count == 0)
		*ret_left = MAX(*ret_left, 1U);
	return r == -ETIME ? 0 : r;
}

static int look_and_end(
	struct look *look, const struct worker_message *question, struct worker_message *answer)
{
	const struct queues *queues = &look->session->inflight->queues;
	bool waits = question->holders.wait_usec > 0;
	int r;

	look->descriptors_count =
		question->holders.kill || look->session->mediation == MEDIATION_OPEN;
	r = wait_for_holders(look, question->holders.wait_usec);
	answer->held.processes = look->proved;
	answer->held.holders = look->holders;
	answer->held.registrants = look->registrants;
	answer->held.unknown = look->unknown;
	if (!question->holders.kill ||
		!(look->proved > 0 || ((r < 0 || look->unknown > 0 || !waits) &&
					      queues_may_be_held(queues, look->scope))))
		return r;
	r = end_session(look, &answer->held.left);
	answer->held.killed = (uint32_t)look->killed_count;
	return r;
}

/* --- the child -------------------------------------------------------------------------------- */

static void answer_manager(int channel, const struct worker_message *answer)
{
	uint64_t deadline = now_usec() + GRANTS_DEADLINE_USEC;

	while (message_send(channel, answer, sizeof(*answer), NULL, 0) == -EAGAIN &&
		now_usec() < deadline)
		(void)usleep(RETRY_USEC);
}

static void set_own_deadline(uint64_t wait_usec)
{
	uint64_t usec = wait_usec + HOLDERS_DEADLINE_USEC + ENDING_DEADLINE_USEC;
	struct itimerval timer = {.it_value.tv_sec = (time_t)(usec / 1000000) + PROCESS_SLACK_SEC};
	sigset_t alarm_signal;

	(void)sigemptyset(&alarm_signal);
	(void)sigaddset(&alarm_signal, SIGALRM);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
	(void)sigprocmask(SIG_UNBLOCK, &alarm_signal, NULL);
}

static void run_child(struct session *session, const struct worker_message *question,
	const struct grants *scope, struct worker_message *answer)
{
	static struct look look;
	pid_t parent = getppid();

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		return;
	set_own_deadline(question->holders.wait_usec);
	look.session = session;
	look.scope = scope;
	look.members.constant = session->constant;
	look.members.notifies = waits_inside;
	look.members.context = &look;
	answer->held.error = look_and_end(&look, question, answer);
	answer_manager(session->channel, answer);
}

/* A place for another; -1: none. */
static int find_place(struct holder_looks *looks)
{
	int place = -1;

	for (int i = 0; i < HOLDER_LOOKS_MAX; i++) {
		if (looks->children[i] > 0 && waitpid(looks->children[i], NULL, WNOHANG) != 0)
			looks->children[i] = 0;
		if (looks->children[i] == 0)
			place = i;
	}
	return place;
}

static bool nobody_has_registered(const struct session *session)
{
	for (size_t i = 0; i < SESSION_PROCESSES_MAX; i++)
		if (session->inflight->processes.entries[i].pid != 0 &&
			session->inflight->processes.entries[i].registered)
			return false;
	return true;
}

void holders_look(
	struct session *session, const struct worker_message *question, const struct grants *scope)
{
	struct worker_message answer = {
		.type = WORKER_HELD, .held = {.number = question->holders.number}};
	int place = find_place(&session->looks);
	pid_t child;

	if (session->mediation != MEDIATION_OPEN && !question->holders.kill &&
		nobody_has_registered(session)) {
		answer_manager(session->channel, &answer);
		return;
	}
	child = place < 0 ? -1 : fork();
	if (child == 0) {
		run_child(session, question, scope, &answer);
		_exit(EXIT_SUCCESS);
	}
	if (child > 0) {
		session->looks.children[place] = child;
		return;
	}
	answer.held.error = place < 0 ? -EAGAIN : -errno;
	answer_manager(session->channel, &answer);
}

void holders_finish(struct session *session)
{
	for (int i = 0; i < HOLDER_LOOKS_MAX; i++)
		if (session->looks.children[i] > 0)
			(void)waitpid(session->looks.children[i], NULL, 0);
}
