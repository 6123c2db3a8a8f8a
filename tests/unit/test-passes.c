/* SPDX-License-Identifier: MIT */
/* Which processes a pass over all of them looks at, in which order, and what it says of those that
 * it could not look at. Processes, time and disposable children are played here. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/session/revoke/members.h"
#include "daemon/session/target/child.h"
#include "include/task.h"
#include "include/text.h"
#include "include/util.h"

#define PROC      5000
#define PIDFD     20000
#define PIDS      16384
#define USER      1000
#define NAMESPACE 77
#define NEWEST    1025 /* number, at the beginning; a byte of it is a true one */
#define BEFORE    256  /* numbers before that which may not be in the list yet */

/* --- processes ------------------------------------------------------------------------------- */

/* By their numbers. */
static struct played {
	bool exists;
	pid_t parent;
	uid_t user;
	uint64_t identity;
	int seccomp, no_new_privs; /* -1: the kernel does not say */
	int status_error, open_error;
	bool is_ours; /* its filter */
	enum membership otherwise;
	bool late, may_fork, bears; /* bears: a member, when it is examined */
	unsigned holds_up;          /* so many looks */
	bool holds_up_visitor;
	uint64_t takes;         /* to be examined */
	ino_t namespace;        /* 0: it cannot be told */
	pid_t memory;           /* which it shares */
	bool unwanted, is_gone; /* for whoever compares memory */
	unsigned examined, wanted;
	bool wanted_while_stopped;
	enum membership visited[4];
	uint64_t turn; /* of the first visit */
	unsigned visits;
} played[PIDS];

static pid_t newest;
static pid_t listed[PIDS];
static size_t listed_count;
static uint64_t now, turns;
static bool no_loadavg;

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){(time_t)(now / 1000000), (long)(now % 1000000 * 1000)};
	return 0;
}

/* Of another session and another user, and there before the list is made. */
static struct played *begin(pid_t pid)
{
	played[pid] = (struct played){.exists = true,
		.parent = 1,
		.user = USER + 1,
		.identity = 100 + (uint64_t)pid,
		.seccomp = SECCOMP_MODE_FILTER,
		.no_new_privs = 1,
		.otherwise = MEMBERSHIP_NONE,
		.may_fork = true,
		.memory = pid};
	return &played[pid];
}

int __wrap_task_open(pid_t tid);
int __wrap_task_open(pid_t tid)
{
	const struct played *process = &played[tid];

	return process->open_error ?: process->exists ? PROC + tid : -ESRCH;
}

static int open_members;

int __wrap_member_open(pid_t pid, struct member *ret);
int __wrap_member_open(pid_t pid, struct member *ret)
{
	const struct played *process = &played[pid];

	*ret = (struct member){.pid = pid,
		.proc = PROC + pid,
		.pidfd = PIDFD + pid,
		.identity = process->identity};
	open_members++;
	if (played[pid].bears && !process->exists)
		begin(++newest)->is_ours = true;
	return process->open_error ?: process->exists ? 0 : -ESRCH;
}

void __wrap_member_close(struct member *member);
void __wrap_member_close(struct member *member)
{
	cr_expect(member->pid > 0);
	open_members--;
}

bool __wrap_member_lives(const struct member *member);
bool __wrap_member_lives(const struct member *member)
{
	return !played[member->pidfd - PIDFD].is_gone;
}

bool __wrap_member_may_fork(const struct member *member);
bool __wrap_member_may_fork(const struct member *member)
{
	return played[member->pid].may_fork;
}

static void append(char **text, const char *key, int number)
{
	char *longer;

	if (number < 0)
		return;
	cr_assert_geq(asprintf(&longer, "%s%s:\t%d\n", *text, key, number), 0);
	free(*text);
	*text = longer;
}

static int read_loadavg(char **ret)
{
	if (no_loadavg)
		return -EIO;
	return asprintf(ret, "0.00 0.01 0.05 1/234 %d\n", newest) < 0 ? -ENOMEM : 0;
}

int __wrap_text_read_at(int directory, const char *path, size_t max, char **ret);
int __wrap_text_read_at(int directory, const char *path, size_t max, char **ret)
{
	const struct played *process = &played[directory < 0 ? 0 : directory - PROC];
	char *line;

	cr_assert_gt(max, 100U);
	if (streq(path, "/proc/loadavg"))
		return read_loadavg(ret);
	cr_assert_str_eq(path, "status");
	if (process->status_error)
		return process->status_error;
	*ret = strdup("Name:\tplayed\n");
	append(ret, "PPid", process->parent);
	append(ret, "Uid", (int)process->user);
	/* In the place of the line's end: the effective user, and so on. */
	cr_assert_geq(asprintf(&line, "%.*s\t7\t7\t7\n", (int)strlen(*ret) - 1, *ret), 0);
	free(*ret);
	*ret = line;
	append(ret, "NoNewPrivs", process->no_new_privs);
	append(ret, "Seccomp", process->seccomp);
	return 0;
}

static int list_error;

int __wrap_task_list(int directory, const char *name, pid_t **ret, size_t *ret_count);
int __wrap_task_list(int directory, const char *name, pid_t **ret, size_t *ret_count)
{
	(void)directory;
	cr_assert_str_eq(name, "/proc");
	if (list_error)
		return list_error;
	*ret = malloc(MAX(listed_count, 1U) * sizeof(pid_t));
	memcpy(*ret, listed, listed_count * sizeof(pid_t));
	*ret_count = listed_count;
	return 0;
}

static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static bool in_step;

void __wrap_step_begin(void);
void __wrap_step_begin(void)
{
	in_step = true;
}

void __wrap_step_end(void);
void __wrap_step_end(void)
{
	in_step = false;
}

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
	va_list arguments;
	pid_t one, other;

	cr_assert_eq(number, SYS_kcmp);
	cr_expect(in_step, "it may wait");
	va_start(arguments, number);
	one = va_arg(arguments, pid_t);
	other = va_arg(arguments, pid_t);
	cr_expect_eq(va_arg(arguments, int), KCMP_VM);
	cr_expect_eq(va_arg(arguments, int), 0);
	cr_expect_eq(va_arg(arguments, int), 0);
	va_end(arguments);
	return played[one].memory == played[other].memory ? 0 : 1;
}

int __wrap_fstatat64(int directory, const char *path, struct stat *ret, int flags);
int __wrap_fstatat64(int directory, const char *path, struct stat *ret, int flags)
{
	cr_assert_str_eq(path, "ns/pid");
	cr_expect_eq(flags, 0);
	ret->st_ino = played[directory - PROC].namespace;
	return ret->st_ino == 0 ? -1 : 0;
}

/* --- looking --------------------------------------------------------------------------------- */

static jmp_buf held_up;
static int are_held_up; /* with a process open */
static bool looks;      /* at one that is stopped */
static bool hurried, notified;
static struct members members;

bool __wrap_filter_is(
	const struct sock_filter *program, size_t length, const struct filter_mark *mark);
bool __wrap_filter_is(
	const struct sock_filter *program, size_t length, const struct filter_mark *mark)
{
	(void)program;
	cr_expect_eq(mark, &members.filter);
	return played[length].is_ours;
}

/* As the real one does; a program is as long as the number of its process says. */
enum membership __wrap_examine(struct examination *examination);
enum membership __wrap_examine(struct examination *examination)
{
	struct played *process = &played[examination->member->pid];

	process->examined++;
	hurried = examination->hurry;
	cr_expect_eq(examination->patience_usec, 500000U);
	notified = examination->notifies(examination->context, 42);
	cr_expect_not(examination->notifies(examination->context, 43));
	now += process->takes;
	if (process->holds_up > 0) {
		process->holds_up--;
		are_held_up++;
		longjmp(held_up, -ETIMEDOUT);
	}
	if (process->bears)
		begin(++newest)->is_ours = true;
	process->bears = false;
	examination->late = process->late;
	if (!process->late &&
		examination->proves(examination->context, NULL, (size_t)examination->member->pid)) {
		looks = true;
		examination->look(examination->context);
		looks = false;
		return MEMBERSHIP_PROVED;
	}
	return process->otherwise;
}

static unsigned children;
static uint64_t step;
static int child_error; /* of the first */
static bool child_errs_before;

int __wrap_child_run(
	void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline);
int __wrap_child_run(
	void (*work)(void *context), void *context, uint64_t step_usec, uint64_t deadline)
{
	int r;

	cr_expect_eq(deadline, members.deadline);
	step = step_usec;
	if (children++ == 0 && child_error && child_errs_before)
		return child_error;
	if (children > 10000)
		abort();
	r = setjmp(held_up);
	if (r == 0)
		work(context);
	cr_expect(r != 0 || !in_step);
	return r ?: children == 1 ? child_error : 0;
}

static bool is_wanted(void *context, const struct member *member)
{
	cr_expect_eq(context, &turns);
	played[member->pid].wanted++;
	played[member->pid].wanted_while_stopped = looks;
	return !played[member->pid].unwanted;
}

static void (*when_visited)(pid_t pid);

static void visit(void *context, const struct member *member, enum membership membership)
{
	struct played *process = &played[member->pid];

	cr_expect_eq(context, &turns);
	cr_assert_lt(process->visits, ELEMENTSOF(process->visited));
	if (process->visits == 0)
		process->turn = ++turns;
	process->visited[process->visits++] = membership;
	if (when_visited)
		when_visited(member->pid);
	are_held_up += process->holds_up_visitor;
	if (process->holds_up_visitor)
		longjmp(held_up, -ETIMEDOUT);
}

static bool notifies(void *context, pid_t tid)
{
	cr_expect_eq(context, &turns);
	return tid == 42;
}

static bool over;

static bool is_over(void *context)
{
	cr_expect_eq(context, &turns);
	return over;
}

static struct member_visitor visitor = {.context = &turns,
	.wants = is_wanted,
	.visit = visit,
	.notifies = notifies,
	.is_over = is_over};

static void setup(void)
{
	now = 1000000;
	newest = NEWEST;
	members.filter.id = 7;
	members.user = USER;
	members.deadline = 1000000000;
}

TestSuite(passes, .init = setup);

static struct played *stranger(pid_t pid)
{
	listed[listed_count++] = pid;
	return begin(pid);
}

static int by_number(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

static struct played *member(pid_t pid)
{
	struct played *process = stranger(pid);

	process->is_ours = true;
	return process;
}

static void pass(void)
{
	open_members = are_held_up = 0;
	cr_expect_eq(members_for_each(&members, &visitor), 0);
	cr_expect_eq(open_members, are_held_up);
	cr_expect_not(in_step);
}

static void expect_visited(const struct played *process, enum membership membership)
{
	cr_expect_eq(process->visits, 1U, "%u visits", process->visits);
	cr_expect_eq(process->visited[0], membership);
}

/* --- who is examined ------------------------------------------------------------------------- */

Test(passes, find_those_under_the_filter_and_those_that_cannot_be_told)
{
	struct played *own = member(10), *other = stranger(11), *unknown = stranger(12);

	unknown->otherwise = MEMBERSHIP_UNKNOWN;
	pass();
	expect_visited(own, MEMBERSHIP_PROVED);
	expect_visited(unknown, MEMBERSHIP_UNKNOWN);
	cr_expect_eq(other->visits, 0U);
	cr_expect_eq(other->examined, 1U);
	cr_expect_eq(members.unseen, 0U);
	cr_expect_eq(children, 1U);
	cr_expect(notified);
	cr_expect_not(hurried);
	cr_expect_eq(step, 20000U);
}

Test(passes, examine_who_is_under_a_filter_and_cannot_get_rid_of_it)
{
	struct played *none = member(10), *strict = member(11), *privileged = member(12);
	struct played *silent = member(13), *unreadable = member(14), *gone = member(15);
	struct played *reaped = member(16), *unopened = member(17);

	none->seccomp = SECCOMP_MODE_DISABLED;
	strict->seccomp = SECCOMP_MODE_STRICT;
	privileged->no_new_privs = 0;
	silent->seccomp = silent->no_new_privs = -1;
	unreadable->status_error = -EIO;
	gone->status_error = -ESRCH;
	reaped->status_error = -ENOENT;
	unopened->open_error = -EMFILE;
	(void)member(18);
	cr_expect_eq(members_for_each(&members, &visitor), -EMFILE);
	cr_expect_eq(played[18].visits, 1U);
	cr_expect_eq(none->examined + strict->examined + privileged->examined, 0U);
	expect_visited(silent, MEMBERSHIP_PROVED);
	expect_visited(unreadable, MEMBERSHIP_PROVED);
	cr_expect_eq(gone->examined + reaped->examined, 0U);
	unopened->open_error = 0;
	pass();
	expect_visited(unopened, MEMBERSHIP_PROVED);
}

Test(passes, in_a_container_are_those_in_its_pid_namespace)
{
	struct played *own = member(10), *other = member(11), *unseen = member(12);
	struct played *unknown = stranger(13);

	members.filter.contained = true;
	members.pid_namespace = NAMESPACE;
	own->namespace = NAMESPACE;
	own->no_new_privs = 0;
	other->namespace = NAMESPACE + 1;
	pass();
	expect_visited(own, MEMBERSHIP_PROVED);
	cr_expect_eq(other->visits, 0U, "it is in another container of that profile");
	expect_visited(unseen, MEMBERSHIP_UNKNOWN);
	cr_expect_eq(unknown->visits, 0U);
}

Test(passes, in_a_container_of_which_nothing_is_known_nobody_is_proved)
{
	struct played *relative = stranger(11), *unseen = member(12);

	members.filter.contained = true;
	relative->otherwise = MEMBERSHIP_UNKNOWN;
	relative->memory = 12;
	pass();
	expect_visited(unseen, MEMBERSHIP_UNKNOWN);
	expect_visited(relative, MEMBERSHIP_UNKNOWN);
}

/* --- whose turn it is ------------------------------------------------------------------------ */

Test(passes, begin_with_the_sessions_own)
{
	static const pid_t order[] = {80, 97, 15, 95, 30, 90, 25, 100};

	for (size_t i = 0; i < ELEMENTSOF(order); i++)
		(void)member(order[i]);
	(void)stranger(20);
	qsort(listed, listed_count, sizeof(pid_t), by_number);
	/* A stranger, a child of it and one of that. */
	members.known[members.known_count++] = (struct known){
		.pid = 20, .identity = played[20].identity, .membership = MEMBERSHIP_NONE};
	played[25].parent = 20;
	played[100].parent = 25;
	played[30].user = played[90].user = played[15].user = USER;
	/* Two that are known, one of them the child of a user's; a child of the other and one of
	 * that. */
	members_know(&members, 80, played[80].identity);
	members_know(&members, 97, played[97].identity);
	played[97].parent = 90;
	played[15].parent = 80;
	played[95].parent = 15;
	pass();
	for (size_t i = 0; i < ELEMENTSOF(order); i++)
		cr_expect_eq(played[order[i]].turn, i + 1, "%d: %lu", order[i],
			(unsigned long)played[order[i]].turn);
}

Test(passes, may_be_of_the_known_only)
{
	struct played *known = member(10), *other = member(11), *refuted = member(12);
	struct played *later = begin(NEWEST + 1), *last = member(13);

	visitor.only_known = true;
	members_know(&members, 10, known->identity);
	members.known[members.known_count++] = (struct known){
		.pid = 12, .identity = refuted->identity, .membership = MEMBERSHIP_NONE};
	members_know(&members, 13, last->identity);
	/* What lies behind them. */
	members.known[members.known_count] = (struct known){
		.pid = 11, .identity = other->identity, .membership = MEMBERSHIP_PROVED};
	later->is_ours = true;
	newest++;
	members.unseen = 3;
	pass();
	cr_expect_eq(members.unseen, 0U);
	expect_visited(known, MEMBERSHIP_PROVED);
	expect_visited(last, MEMBERSHIP_PROVED);
	cr_expect_eq(known->examined + last->examined, 0U);
	cr_expect_eq(other->visits + refuted->visits + later->visits, 0U);
}

Test(passes, are_of_those_that_are_wanted)
{
	struct played *own = member(10), *unwanted = member(11);

	unwanted->unwanted = true;
	pass();
	cr_expect_eq(own->wanted, 1U);
	cr_expect_eq(unwanted->examined, 0U);
	cr_expect_eq(unwanted->visits, 0U);
	visitor.wants = NULL;
	visitor.notifies = NULL;
	pass();
	cr_expect_eq(unwanted->visits, 1U);
	cr_expect_not(notified);
}

Test(passes, end_when_it_is_over)
{
	(void)member(10);
	begin(NEWEST + 1)->is_ours = true;
	newest++;
	over = true;
	pass();
	cr_expect_eq(turns, 0U);
	over = false;
	visitor.is_over = NULL;
	pass();
	cr_expect_eq(turns, 2U);
}

/* --- what is known --------------------------------------------------------------------------- */

Test(passes, examine_nobody_twice)
{
	struct played *own = member(10), *other = stranger(11), *unknown = stranger(12);

	unknown->otherwise = MEMBERSHIP_UNKNOWN;
	pass();
	pass();
	cr_expect_eq(own->examined, 1U);
	cr_expect_eq(own->visits, 2U);
	cr_expect_eq(own->visited[1], MEMBERSHIP_PROVED);
	cr_expect_eq(other->examined, 1U);
	cr_expect_eq(other->visits, 0U);
	cr_expect_eq(unknown->examined, 2U);
	cr_expect_eq(members.known_count, 2U);
	cr_expect_eq(members.unproved_count, 1U);
	own->identity++;
	own->is_ours = false;
	pass();
	cr_expect_eq(own->examined, 2U, "that is another one");
	cr_expect_eq(own->visits, 2U);
}

Test(passes, forget_the_earliest)
{
	for (uint64_t i = 0; i < MEMBERS_KNOWN_MAX; i++)
		members_know(&members, 10, i + 1);
	members_know(&members, 10, 1);
	cr_expect_eq(members.known_count, (size_t)MEMBERS_KNOWN_MAX, "it is known");
	members_know(&members, 10, MEMBERS_KNOWN_MAX + 1);
	cr_expect_null(members_find(&members, 10, 1));
	cr_assert_not_null(members_find(&members, 10, MEMBERS_KNOWN_MAX + 1));
	cr_expect_eq(members_find(&members, 10, MEMBERS_KNOWN_MAX + 1), &members.known[0]);
	cr_expect_not_null(members_find(&members, 10, MEMBERS_KNOWN_MAX));
	cr_expect_null(members_find(&members, 11, 2));
	cr_expect_eq(members.deadline, 1000000000U, "and nothing else");
}

Test(passes, note_so_many_that_cannot_be_told)
{
	for (pid_t pid = 10; pid < 10 + MEMBERS_UNPROVED_MAX + 2; pid++)
		stranger(pid)->otherwise = MEMBERSHIP_UNKNOWN;
	pass();
	cr_expect_eq(members.unproved_count, (size_t)MEMBERS_UNPROVED_MAX);
	cr_expect_eq(members.unproved[0].pid, 10);
	cr_expect_eq(members.unproved[0].identity, 110U);
	cr_expect_eq(turns, MEMBERS_UNPROVED_MAX + 2U);
}

/* Who shares its memory with one of the session's. */
Test(passes, prove_relatives)
{
	struct played *relative = stranger(10), *alone = stranger(11), *successor = stranger(12);
	struct played *unwanted = stranger(13), *ended = stranger(14), *own = member(20);

	for (pid_t pid = 10; pid < 15; pid++)
		played[pid].otherwise = MEMBERSHIP_UNKNOWN;
	relative->memory = successor->memory = unwanted->memory = ended->memory = 20;
	successor->takes = unwanted->takes = 0;
	ended->is_gone = true;
	own->takes = 0;
	pass();
	cr_expect_eq(relative->visits, 2U);
	cr_expect_eq(relative->visited[0], MEMBERSHIP_UNKNOWN);
	cr_expect_eq(relative->visited[1], MEMBERSHIP_PROVED);
	expect_visited(alone, MEMBERSHIP_UNKNOWN);
	expect_visited(ended, MEMBERSHIP_UNKNOWN);
	expect_visited(own, MEMBERSHIP_PROVED);
	cr_expect_eq(own->wanted, 2U, "what is noted of it is that of another by then");
	cr_expect_not_null(members_find(&members, 10, relative->identity));
	cr_expect_null(members_find(&members, 11, alone->identity));
	cr_expect_null(members_find(&members, 14, ended->identity));
}

static void change(pid_t pid)
{
	if (pid == 10)
		played[10].identity++;
	if (pid == 11)
		played[11].unwanted = true;
	if (pid == 12)
		played[12].exists = false;
}

Test(passes, prove_no_successor_of_a_relative)
{
	for (pid_t pid = 10; pid < 13; pid++) {
		stranger(pid)->otherwise = MEMBERSHIP_UNKNOWN;
		played[pid].memory = 20;
	}
	(void)member(20);
	when_visited = change;
	pass();
	expect_visited(&played[10], MEMBERSHIP_UNKNOWN);
	expect_visited(&played[11], MEMBERSHIP_UNKNOWN);
	expect_visited(&played[12], MEMBERSHIP_UNKNOWN);
	cr_expect_null(members_find(&members, 10, played[10].identity));
	cr_expect_not_null(members_find(&members, 11, played[11].identity));
	cr_expect_null(members_find(&members, 12, played[12].identity));
	visitor.wants = NULL;
	when_visited = NULL;
	played[10].visits = played[20].visits = 0;
	members.known_count = 0;
	pass();
	cr_expect_eq(played[10].visits, 2U, "all are wanted");
}

/* --- newcomers ------------------------------------------------------------------------------- */

static void fork_one(pid_t pid)
{
	if (pid == 10) {
		begin(++newest)->is_ours = true;
		begin(++newest);
	}
}

Test(passes, go_on_with_those_that_start_meanwhile)
{
	(void)member(10);
	when_visited = fork_one;
	pass();
	expect_visited(&played[NEWEST + 1], MEMBERSHIP_PROVED);
	cr_expect_eq(played[NEWEST + 1].wanted, 1U);
	cr_expect(played[NEWEST + 1].wanted_while_stopped, "it may be gone a moment later");
	cr_expect_not(played[10].wanted_while_stopped);
	cr_expect_eq(played[NEWEST + 2].examined, 1U);
	cr_expect_eq(played[NEWEST + 2].wanted, 0U, "it is nobody's");
	cr_expect_eq(members.unseen, 0U);
	cr_expect_eq(members.latest, newest);
}

/* It was there when the list was made, and may have left a child. */
Test(passes, look_again_at_who_is_gone_from_the_list)
{
	struct played *gone = member(NEWEST - 7);

	gone->exists = false;
	gone->bears = true;
	pass();
	expect_visited(&played[NEWEST + 1], MEMBERSHIP_PROVED);
}

Test(passes, look_at_newcomers_under_a_filter_only)
{
	struct played *none = begin(NEWEST + 1), *unwanted = begin(NEWEST + 2);

	newest += 2;
	none->is_ours = unwanted->is_ours = unwanted->unwanted = true;
	none->seccomp = SECCOMP_MODE_DISABLED;
	pass();
	cr_expect_eq(none->examined, 0U);
	cr_expect_eq(unwanted->examined, 1U);
	cr_expect_eq(unwanted->wanted, 1U);
	cr_expect_eq(unwanted->visits, 0U);
}

/* Numbers are given out a little before their processes are found. */
Test(passes, look_at_those_that_the_list_may_lack)
{
	struct played *lacking = begin(NEWEST - BEFORE + 1), *listed_too = member(NEWEST);
	struct played *earlier = begin(NEWEST - BEFORE), *first = member(NEWEST - BEFORE + 2);

	lacking->is_ours = earlier->is_ours = true;
	pass();
	expect_visited(lacking, MEMBERSHIP_PROVED);
	cr_expect_eq(listed_too->visits, 1U);
	cr_expect_eq(first->visits, 1U);
	cr_expect_eq(earlier->visits, 0U);
	cr_expect_eq(members.newcomers, (unsigned)BEFORE);
}

Test(passes, do_not_look_again_at_who_was_listed)
{
	struct played *listed_first = stranger(NEWEST - BEFORE + 1), *unopened = member(NEWEST - 5);
	struct played *gone = member(NEWEST - 7);

	unopened->open_error = -EMFILE;
	gone->exists = false;
	cr_expect_eq(members_for_each(&members, &visitor), -EMFILE);
	cr_expect_eq(listed_first->examined, 1U);
	cr_expect_eq(members.unseen, 0U);
	gone->exists = true;
	unopened->open_error = 0;
	unopened->visits = 0;
	pass();
	cr_expect_eq(gone->visits, 1U);
}

/* It may have left a child, which has a later number. */
static void have_a_child(pid_t pid)
{
	if (pid == 10)
		newest++; /* which is gone when it is looked at, and has had another */
}

static unsigned generations;

static bool leave_a_child(void *context)
{
	(void)context;
	if (members.next == 1 && generations-- > 0)
		newest++;
	return false;
}

Test(passes, follow_those_that_fork_and_end)
{
	(void)member(10);
	when_visited = have_a_child;
	generations = 5;
	visitor.is_over = leave_a_child;
	begin(NEWEST + 6)->is_ours = true;
	pass();
	expect_visited(&played[NEWEST + 6], MEMBERSHIP_PROVED);
}

Test(passes, follow_those_that_are_proved_or_about_to_be_gone)
{
	begin(++newest)->is_ours = true;
	played[NEWEST + 1].bears = true;
	played[NEWEST + 1].may_fork = false;
	pass();
	expect_visited(&played[NEWEST + 1], MEMBERSHIP_PROVED);
	expect_visited(&played[NEWEST + 2], MEMBERSHIP_PROVED);
	played[NEWEST + 2].visits = 0;
	begin(++newest)->bears = true;
	played[NEWEST + 3].may_fork = false;
	pass();
	expect_visited(&played[NEWEST + 4], MEMBERSHIP_PROVED);
	begin(++newest)->bears = true;
	played[NEWEST + 5].may_fork = false;
	played[NEWEST + 5].otherwise = MEMBERSHIP_UNKNOWN;
	pass();
	expect_visited(&played[NEWEST + 6], MEMBERSHIP_PROVED);
	cr_expect_eq(played[NEWEST + 5].visits, 0U);
}

Test(passes, do_not_follow_strangers)
{
	begin(++newest)->bears = true;
	begin(++newest)->bears = true;
	played[NEWEST + 2].otherwise = MEMBERSHIP_UNKNOWN;
	pass();
	cr_expect_eq(members.latest, NEWEST + 2);
	expect_visited(&played[NEWEST + 2], MEMBERSHIP_UNKNOWN);
	cr_expect_eq(turns, 1U);
}

static pid_t more;

static bool start_more(void *context)
{
	(void)context;
	newest += more;
	more = 0;
	return false;
}

Test(passes, look_at_each_newcomer)
{
	for (pid_t pid = NEWEST + 1; pid <= NEWEST + 10; pid++)
		begin(pid)->is_ours = true;
	visitor.is_over = start_more;
	more = 10;
	(void)stranger(10);
	pass();
	for (pid_t pid = NEWEST + 1; pid <= NEWEST + 10; pid++)
		cr_expect_eq(played[pid].visits, 1U, "%d", pid);
}

Test(passes, leave_newcomers_past_the_bound)
{
	visitor.is_over = start_more;
	more = NEWCOMERS_MAX - BEFORE;
	(void)member(10);
	pass();
	cr_expect_eq(members.unseen, 0U);
	cr_expect_eq(members.newcomers, (unsigned)NEWCOMERS_MAX);
	more = NEWCOMERS_MAX - BEFORE + 1;
	begin(newest + more)->is_ours = true;
	pass();
	cr_expect_eq(members.unseen, 1U);
	cr_expect_eq(turns, 1U);
}

static bool begin_again(void *context)
{
	(void)context;
	newest = 300;
	return false;
}

Test(passes, say_so_when_numbers_begin_again)
{
	visitor.is_over = begin_again;
	(void)member(10);
	pass();
	cr_expect_eq(members.unseen, 1U);
	cr_expect_leq(members.newcomers, (unsigned)BEFORE);
	expect_visited(&played[10], MEMBERSHIP_PROVED);
}

Test(passes, say_so_if_the_latest_number_cannot_be_told)
{
	(void)member(10);
	no_loadavg = true;
	pass();
	cr_expect_eq(members.unseen, 1U);
	expect_visited(&played[10], MEMBERSHIP_PROVED);
}

Test(passes, need_no_newcomers_if_somebody_was_found)
{
	struct played *later = begin(NEWEST + 1);

	later->is_ours = true;
	newest++;
	visitor.some = true;
	(void)member(10);
	pass();
	cr_expect_eq(later->visits, 0U);
	played[10].is_ours = false;
	members.known_count = 0;
	pass();
	cr_expect_eq(later->visits, 1U);
}

/* --- who holds them up ----------------------------------------------------------------------- */

Test(passes, go_on_behind_who_holds_them_up)
{
	struct played *first = member(10), *holding = member(11), *last = member(12);

	holding->holds_up = 1;
	now = 1000000;
	holding->takes = 7000;
	last->takes = 500;
	pass();
	expect_visited(first, MEMBERSHIP_PROVED);
	expect_visited(holding, MEMBERSHIP_UNKNOWN);
	expect_visited(last, MEMBERSHIP_PROVED);
	cr_expect_eq(children, 2U);
	cr_expect_eq(holding->examined, 1U);
	cr_expect_eq(members.lost_usec, 7000U);
}

Test(passes, do_not_visit_again_who_holds_the_visitor_up)
{
	struct played *holding = member(11), *last = member(12);

	holding->holds_up_visitor = true;
	pass();
	expect_visited(holding, MEMBERSHIP_PROVED);
	expect_visited(last, MEMBERSHIP_PROVED);
	cr_expect_eq(children, 2U);
}

Test(passes, end_their_child_if_a_thread_does_not_stop)
{
	struct played *late = member(11), *last = member(12), *newcomer = begin(NEWEST + 1);

	late->late = true;
	late->otherwise = MEMBERSHIP_UNKNOWN;
	newcomer->late = true;
	newcomer->otherwise = MEMBERSHIP_UNKNOWN;
	newest += 2;
	begin(newest)->is_ours = true;
	pass();
	expect_visited(late, MEMBERSHIP_UNKNOWN);
	expect_visited(last, MEMBERSHIP_PROVED);
	expect_visited(newcomer, MEMBERSHIP_UNKNOWN);
	expect_visited(&played[newest], MEMBERSHIP_PROVED);
	cr_expect_eq(children, 3U);
}

Test(passes, hurry_when_strangers_have_cost_much)
{
	struct played *slow = stranger(10), *last = member(12), *unwanted = member(13);

	slow->takes = 1000000;
	(void)stranger(11);
	unwanted->unwanted = true;
	pass();
	cr_expect_not(hurried, "not yet");
	slow->takes++;
	members.known_count = 0;
	last->visits = 0;
	pass();
	cr_expect(hurried);
	cr_expect_eq(members.lost_usec, 1000001U);
	expect_visited(last, MEMBERSHIP_PROVED);
	cr_expect_eq(unwanted->examined, 1U, "examined first");
	cr_expect_eq(unwanted->visits, 0U);
}

Test(passes, have_short_steps_in_a_hurry)
{
	struct played *slow = stranger(10), *holding = stranger(11);

	slow->takes = 1000001;
	holding->holds_up = 1;
	pass();
	cr_expect_eq(step, 2000U);
	pass();
	cr_expect_eq(members.lost_usec, 0U, "of this pass");
}

/* The time that the session's own cost is no reason to hurry. */
Test(passes, do_not_count_the_time_of_the_proved)
{
	member(10)->takes = 5000;
	stranger(11)->takes = 3000;
	pass();
	cr_expect_eq(members.lost_usec, 3000U);
}

Test(passes, say_how_many_strangers_there_was_no_time_for)
{
	child_error = -ETIME;
	child_errs_before = true;
	(void)stranger(10);
	(void)stranger(11);
	pass();
	cr_expect_eq(members.unseen, 2U);
	children = 0;
	listed_count = 0;
	pass();
	cr_expect_eq(members.unseen, 1U, "newcomers, perhaps");
	children = 0;
	stranger(12)->user = USER;
	cr_expect_eq(members_for_each(&members, &visitor), -ETIME);
}

Test(passes, fail_without_children)
{
	(void)member(10);
	child_error = -EAGAIN;
	child_errs_before = true;
	cr_expect_eq(members_for_each(&members, &visitor), -EAGAIN);
	children = 0;
	child_error = -ECHILD;
	pass();
	expect_visited(&played[10], MEMBERSHIP_PROVED);
}

Test(passes, fail_without_a_list)
{
	(void)member(10);
	list_error = -EIO;
	cr_expect_eq(members_for_each(&members, &visitor), -EIO);
	cr_expect_eq(children, 0U);
	list_error = 0;
	no_memory = true;
	cr_expect_eq(members_for_each(&members, &visitor), -ENOMEM);
	no_memory = false;
	members.error = -EIO;
	members.progress = 1;
	pass();
	expect_visited(&played[10], MEMBERSHIP_PROVED);
}

Test(passes, leave_no_memory)
{
	size_t before;

	for (pid_t pid = 10; pid < 310; pid++)
		(void)stranger(pid);
	pass();
	before = mallinfo2().uordblks;
	for (int i = 0; i < 50; i++)
		pass();
	cr_expect_lt(mallinfo2().uordblks, before + 50000);
}
