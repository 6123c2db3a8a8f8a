/* SPDX-License-Identifier: MIT */
/* The processes that belong to a session.
 *
 * The kernel lists no members of a filter, and no pid is believed that was said or remembered. What
 * cannot be forged is the filter itself: it is inherited by every child, never taken off, and
 * begins with a number that only this session's does (include/filter-id.h). So every process that
 * is under some filter and no_new_privs, as mq-run sets it, is examined. Descent proves nothing: a
 * process may have had children before it became confined, and adopts strangers where it is the
 * first of a PID namespace.
 *
 * A child does it (child.h), since a process that executes a program can hold up whoever looks at
 * it, as long as its owner likes. When the child is killed the next one goes on behind that
 * process, which counts as unknown. The child also ends by itself if a thread was asked to stop and
 * does not. When those that were not proved have cost STRANGERS_PATIENCE_USEC, the others are
 * examined in a hurry.
 *
 * Nobody escapes by forking and ending all the time. Whoever was there before the list was made and
 * is there at the end is in the list. Whoever has started since has a number that was given out
 * since, and these are looked at one by one, in their order: if one is gone before it could be told
 * whose it was, its children have later numbers, which were given out before it ended. So it is
 * enough to go on up to the number that was the latest when that was seen. (A number is given out a
 * little before its process can be found: so the list is not believed that just the last ones
 * before it are nobody's.) */
#include "members.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/session/target/child.h"
#include "include/filter-id.h"
#include "include/task.h"
#include "include/text.h"
#include "include/util.h"

#define HURRIED_STEP_USEC     2000
#define RUNNING_PATIENCE_USEC 500000 /* on a machine that is busy */
#define NEWCOMERS_BEFORE      256    /* whose number was given out just before the list was made */

/* Where a child that was killed has left off. */
enum progress { BEGINNING = 0, EXAMINING, VISITING };

struct candidate {
	pid_t pid, parent;
	uid_t user;
	enum rank { PROVED, DESCENDANT, OF_USER, STRANGER } rank; /* when it is its turn */
};

struct pass {
	struct members *members;
	const struct member_visitor *visitor;
	struct candidate *candidates;
	size_t count;
	pid_t newest;                  /* that was there before the list */
	bool listed[NEWCOMERS_BEFORE]; /* of the numbers before that, backwards */
};

/* --- what is known --------------------------------------------------------------------------- */

static size_t known_count(const struct members *members)
{
	return MIN(members->known_count, (size_t)MEMBERS_KNOWN_MAX);
}

struct known *members_find(struct members *members, pid_t pid, uint64_t identity)
{
	for (size_t i = 0; i < known_count(members); i++)
		if (members->known[i].pid == pid && members->known[i].identity == identity)
			return &members->known[i];
	return NULL;
}

static void remember(
	struct members *members, pid_t pid, uint64_t identity, enum membership membership)
{
	members->known[members->known_count % MEMBERS_KNOWN_MAX] =
		(struct known){.pid = pid, .identity = identity, .membership = membership};
	members->known_count++;
}

void members_know(struct members *members, pid_t pid, uint64_t identity)
{
	if (!members_find(members, pid, identity))
		remember(members, pid, identity, MEMBERSHIP_PROVED);
}

static bool has_proved_number(const struct members *members, pid_t pid)
{
	for (size_t i = 0; i < known_count(members); i++)
		if (members->known[i].pid == pid &&
			members->known[i].membership == MEMBERSHIP_PROVED)
			return true;
	return false;
}

/* --- one process ----------------------------------------------------------------------------- */

/* A process whose turn it is. */
struct turn {
	struct pass *pass;
	const struct member *member;
	bool newcomer, asked, wanted;
	bool unseen; /* in which PID namespace it is */
};

static bool is_in_hurry(const struct members *members)
{
	return members->lost_usec > STRANGERS_PATIENCE_USEC;
}

static bool is_wanted(struct turn *turn)
{
	const struct member_visitor *visitor = turn->pass->visitor;

	if (!turn->asked)
		turn->wanted = !visitor->wants || visitor->wants(visitor->context, turn->member);
	turn->asked = true;
	return turn->wanted;
}

static bool share_memory(const struct member *member, const struct member *other)
{
	long r;

	step_begin();
	r = syscall(SYS_kcmp, member->pid, other->pid, KCMP_VM, 0, 0);
	step_end();
	return r == 0 && member_lives(member);
}

/* Who shares its memory with a process of the session is of the session, too: a process gets memory
 * of its own when it executes a program, and the launcher has. So those can be told that wait in
 * vfork() and cannot be stopped: while the child cannot go on they stay there. */
static void prove_relatives(struct turn *turn)
{
	const struct member_visitor *visitor = turn->pass->visitor;
	struct members *members = turn->pass->members;

	for (size_t i = 0; i < members->unproved_count; i++) {
		struct member member;
		int r = member_open(members->unproved[i].pid, &member);

		if (r == 0 && member.identity == members->unproved[i].identity &&
			share_memory(&member, turn->member)) {
			members_know(members, member.pid, member.identity);
			if (!visitor->wants || visitor->wants(visitor->context, &member))
				visitor->visit(visitor->context, &member, MEMBERSHIP_PROVED);
			turn->asked = false;
		}
		member_close(&member);
	}
}

static void note_unproved(struct members *members, const struct member *member)
{
	if (members->unproved_count == MEMBERS_UNPROVED_MAX)
		return;
	members->unproved[members->unproved_count].pid = member->pid;
	members->unproved[members->unproved_count++].identity = member->identity;
}

/* While it is stopped; it may be gone a moment later. */
static void look_at_stopped(void *context)
{
	struct turn *turn = context;

	prove_relatives(turn);
	if (turn->newcomer)
		(void)is_wanted(turn);
}

static bool notifies(void *context, pid_t tid)
{
	const struct turn *turn = context;
	const struct member_visitor *visitor = turn->pass->visitor;

	return visitor->notifies && visitor->notifies(visitor->context, tid);
}

/* Containers of one profile have the same filter. */
static bool is_in_namespace(struct turn *turn)
{
	const struct members *members = turn->pass->members;
	struct stat st = {0};

	if (!members->filter.contained)
		return true;
	turn->unseen = fstatat(turn->member->proc, "ns/pid", &st, 0) < 0;
	return !turn->unseen && st.st_ino == members->pid_namespace;
}

static bool proves(void *context, const struct sock_filter *program, size_t length)
{
	struct turn *turn = context;

	return filter_is(program, length, &turn->pass->members->filter) && is_in_namespace(turn);
}

static enum membership recall_or_examine(struct turn *turn, bool *ret_late)
{
	struct members *members = turn->pass->members;
	const struct member *member = turn->member;
	struct known *known = members_find(members, member->pid, member->identity);
	struct examination examination = {.member = member,
		.proves = proves,
		.hurry = is_in_hurry(members),
		.patience_usec = RUNNING_PATIENCE_USEC,
		.notifies = notifies,
		.look = look_at_stopped,
		.context = turn};
	enum membership membership = known ? known->membership : examine(&examination);

	/* A call that came to the session's listener proves it in any namespace. */
	if (membership == MEMBERSHIP_NONE && turn->unseen)
		membership = MEMBERSHIP_UNKNOWN;
	if (!known && membership != MEMBERSHIP_UNKNOWN)
		remember(members, member->pid, member->identity, membership);
	if (membership == MEMBERSHIP_UNKNOWN)
		note_unproved(members, member);
	*ret_late = examination.late;
	return membership;
}

/* Under any filter and no_new_privs, as the kernel says of its first thread, dead or not. What it
 * does not say may be. Into a container an exec may bring somebody without no_new_privs. */
static bool may_be_confined(const struct members *members, int proc, struct candidate *ret)
{
	_cleanup_free_ char *status = NULL;
	uint64_t mode = SECCOMP_MODE_FILTER, no_new_privs = 1, parent = 0, user = 0;
	int r = text_read_at(proc, "status", STATUS_FILE_MAX, &status);

	if (r == 0) {
		(void)text_numbers(status, "Seccomp", 10, &mode, 1);
		(void)text_numbers(status, "NoNewPrivs", 10, &no_new_privs, 1);
		(void)text_numbers(status, "PPid", 10, &parent, 1);
		(void)text_numbers(status, "Uid", 10, &user, 1);
	}
	ret->parent = (pid_t)parent;
	ret->user = (uid_t)user;
	return r != -ENOENT && r != -ESRCH && mode == SECCOMP_MODE_FILTER &&
	       (no_new_privs == 1 || members->filter.contained);
}

/* MEMBERSHIP_NONE also if it is not wanted. */
static enum membership judge(struct turn *turn, bool *ret_late)
{
	struct members *members = turn->pass->members;
	enum membership membership;
	struct candidate unused;

	if (members->progress == EXAMINING)
		return MEMBERSHIP_UNKNOWN;
	members->progress = EXAMINING;
	if (turn->newcomer ? !may_be_confined(members, turn->member->proc, &unused)
			   : !is_in_hurry(members) && !is_wanted(turn))
		return MEMBERSHIP_NONE;
	membership = recall_or_examine(turn, ret_late);
	return membership == MEMBERSHIP_NONE || is_wanted(turn) ? membership : MEMBERSHIP_NONE;
}

/* False if it may have had a child before it could be told whose it was, or since. */
static bool judge_and_visit(struct turn *turn, bool *ret_late)
{
	const struct member_visitor *visitor = turn->pass->visitor;
	struct members *members = turn->pass->members;
	enum membership membership = judge(turn, ret_late);

	if (membership != MEMBERSHIP_PROVED && !member_may_fork(turn->member))
		return false;
	if (membership == MEMBERSHIP_NONE)
		return true;
	members->visited = true;
	members->progress = VISITING;
	visitor->visit(visitor->context, turn->member, membership);
	if (membership == MEMBERSHIP_PROVED)
		members->since = now_usec();
	return membership != MEMBERSHIP_PROVED;
}

/* The same. */
static bool take(struct pass *pass, pid_t pid, bool newcomer, bool *ret_late)
{
	struct members *members = pass->members;
	struct member member;
	struct turn turn = {.pass = pass, .member = &member, .newcomer = newcomer};
	bool settled = true;

	if (members->progress == BEGINNING)
		members->since = now_usec();
	if (members->progress != VISITING) {
		int r = member_open(pid, &member);

		if (r < 0 && r != -ESRCH)
			members->error = r;
		settled = r == 0 ? judge_and_visit(&turn, ret_late) : r != -ESRCH;
		member_close(&member);
	}
	members->lost_usec += now_usec() - members->since;
	members->progress = BEGINNING;
	return settled;
}

/* --- the child -------------------------------------------------------------------------------- */

/* The number that was given out last; 0: it cannot be told. */
static pid_t newest_number(void)
{
	_cleanup_free_ char *text = NULL;
	int r = text_read_at(AT_FDCWD, "/proc/loadavg", STATUS_FILE_MAX, &text);
	const char *at = r < 0 ? NULL : strrchr(text, ' ');

	return at ? atoi(at) : 0;
}

static bool is_listed(const struct pass *pass, pid_t number)
{
	return number <= pass->newest && pass->listed[pass->newest - number];
}

static bool is_over(const struct pass *pass)
{
	return pass->visitor->is_over && pass->visitor->is_over(pass->visitor->context);
}

/* False if this child has to end before all are taken. */
static bool take_newcomers(struct pass *pass)
{
	struct members *members = pass->members;
	pid_t last = newest_number();
	bool late = false;

	members->unseen = last == 0;
	while (members->latest != last) {
		if (is_over(pass) || (pass->visitor->some && members->visited))
			return true;
		/* They begin again with small numbers, which happens once in a while. */
		if (members->latest > last || members->newcomers++ == NEWCOMERS_MAX) {
			members->unseen = 1;
			return true;
		}
		if (!is_listed(pass, members->latest + 1) &&
			!take(pass, members->latest + 1, true, &late))
			last = newest_number();
		members->latest++;
		if (late)
			return false;
	}
	return true;
}

static void go_on(void *context)
{
	struct pass *pass = context;
	struct members *members = pass->members;
	bool late = false;

	while (members->next < pass->count && !is_over(pass)) {
		(void)take(pass, pass->candidates[members->next].pid, false, &late);
		members->next++;
		if (late)
			return;
	}
	members->done = pass->visitor->only_known || take_newcomers(pass);
}

/* --- the list --------------------------------------------------------------------------------- */

static int by_pid(const void *a, const void *b)
{
	return ((const struct candidate *)a)->pid - ((const struct candidate *)b)->pid;
}

static int by_rank(const void *a, const void *b)
{
	const struct candidate *one = a, *other = b;

	return one->rank == other->rank ? by_pid(a, b) : (int)one->rank - (int)other->rank;
}

/* Who cannot be looked at may be confined; who is gone may have left a child. */
static void consider(struct pass *pass, pid_t pid)
{
	struct candidate *candidate = &pass->candidates[pass->count];
	_cleanup_close_ int proc = task_open(pid);
	bool there = proc >= 0 ? may_be_confined(pass->members, proc, candidate) : proc != -ESRCH;

	candidate->pid = pid;
	candidate->rank = has_proved_number(pass->members, pid)    ? PROVED
			  : candidate->user == pass->members->user ? OF_USER
								   : STRANGER;
	pass->count += there;
	if (proc != -ESRCH && pid <= pass->newest && pid > pass->newest - NEWCOMERS_BEFORE)
		pass->listed[pass->newest - pid] = true;
}

/* They are in the order of their numbers, and so are parents and children as a rule. */
static void rank_descendants(struct pass *pass)
{
	for (size_t i = 0; i < pass->count; i++) {
		const struct candidate parent = {.pid = pass->candidates[i].parent};
		const struct candidate *found =
			bsearch(&parent, pass->candidates, pass->count, sizeof(parent), by_pid);

		if (found && found->rank < pass->candidates[i].rank)
			pass->candidates[i].rank = DESCENDANT;
	}
	qsort(pass->candidates, pass->count, sizeof(*pass->candidates), by_rank);
}

static int make_list(struct pass *pass)
{
	_cleanup_free_ pid_t *pids = NULL;
	size_t count;
	int r = task_list(AT_FDCWD, "/proc", &pids, &count);

	if (r < 0)
		return r;
	pass->candidates = calloc(count, sizeof(*pass->candidates));
	if (!pass->candidates)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		if (!pass->visitor->only_known || has_proved_number(pass->members, pids[i]))
			consider(pass, pids[i]);
	rank_descendants(pass);
	return 0;
}

/* --- a pass ----------------------------------------------------------------------------------- */

static bool only_strangers_are_left(const struct pass *pass)
{
	size_t next = pass->members->next;

	return next == pass->count || pass->candidates[next].rank == STRANGER;
}

static int run_children(struct pass *pass)
{
	struct members *members = pass->members;

	while (!members->done) {
		int r = child_run(go_on, pass,
			is_in_hurry(members) ? HURRIED_STEP_USEC : EXAMINATION_STEP_USEC,
			members->deadline);

		if (r == -ETIME && only_strangers_are_left(pass)) {
			members->unseen = MAX(pass->count - members->next, 1U);
			break;
		}
		/* Another goes on: this one was held up, or somebody has killed it when it acted
		 * for an app. */
		if (r < 0 && r != -ETIMEDOUT && r != -ECHILD)
			return r;
	}
	return members->error;
}

int members_for_each(struct members *members, const struct member_visitor *visitor)
{
	struct pass pass = {.members = members, .visitor = visitor, .newest = newest_number()};
	int r;

	members->visited = members->done = false;
	members->unseen = 0;
	members->error = 0;
	members->next = members->newcomers = 0;
	members->unproved_count = 0;
	members->lost_usec = 0;
	members->progress = BEGINNING;
	members->latest = MAX(pass.newest - NEWCOMERS_BEFORE, 0);
	r = make_list(&pass);
	if (r == 0)
		r = run_children(&pass);
	free(pass.candidates);
	return r;
}
