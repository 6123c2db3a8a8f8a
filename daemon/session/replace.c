/* SPDX-License-Identifier: MIT */
/* Taking descriptors away from the processes of a session.
 *
 * Under `open` mediation the access mode of a descriptor is all that stands between a program and a
 * queue, and the kernel lets nobody take a descriptor back. But while a thread waits for the answer
 * to a call that came to our listener, we may put descriptors into its table, also in the place of
 * others. So for each table that has one too many, a thread is made to enter such a call
 * (detour.h), and its descriptors are replaced before it is answered.
 *
 * Why nothing else is hit:
 *
 * - A number may be closed, and mean something else a moment later. So all threads that share the
 * table are stopped before it is looked at, and let go when it is done. New ones are looked for
 * until there are none. A table of which one thread cannot be stopped is left as it is.
 * - Nobody is stopped but threads of processes that are proved to run under the session's filter;
 * after a thread was stopped, which keeps its number its own, it is looked up again among the
 * threads of that process.
 * - The call is recognised by the thread, which is stopped on its way to it, and by all of its
 * registers, some of which hold a random number. Its other arguments are such that it does nothing,
 * should anybody else answer it.
 * - A program may have filters of its own that kill it for such a call: they are run beforehand
 * (filters.h). There are three calls to choose from.
 *
 * Why an honest program notices nothing else: see detour.h; and
 *
 * - a thread that waits in a call that fails with EINTR when it is stopped, with a timeout, is not
 * stopped but when it has just begun to wait: then the timeout begins anew, but it is the same.
 * Otherwise the table is left as it is.
 * - A descriptor of which a permission is left is replaced only if nothing hangs on it: an epoll
 * set would forget it, and a registration of its process on that queue would be removed, as by any
 * close(). Then it is left.
 *
 * What it is not: a program can hide a descriptor, in a socket or in an io_uring, and take it out
 * again. Against a hostile one `mqctl disconnect --kill` is the answer. */
#include "replace.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/seccomp.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "disturb.h"
#include "excess.h"
#include "filters.h"
#include "notify.h"
#include "registrations.h"
#include "revoke.h"
#include "text.h"
#include "threads.h"

#define PATIENCE_USEC  200000 /* for the threads of one table to stop */
#define PREPARE_USEC   100000 /* for one of them to be where it can make our call */
#define ENTRY_USEC     100000 /* for it to begin */
#define FRESH_USEC     5000   /* by so much a timeout may be prolonged */
#define READY_USEC     250000 /* for those that wait with a timeout to begin anew */
#define LOOK_USEC      300    /* between two looks at them */
#define RETRY_USEC     500    /* between two passes; twice as long after each */
#define RETRY_MAX_USEC 20000

/* A descriptor table of a process, by a thread that uses it. */
struct table {
	pid_t pid;
	pid_t tid;
};

struct tables {
	struct table *entries;
	size_t count, allocated;
};

static bool share_table(pid_t a, pid_t b)
{
	return a == b || syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

/* --- which tables ----------------------------------------------------------------------------- */

static DIR *open_tasks(const struct member *member)
{
	int fd = openat(member->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = fd < 0 ? NULL : fdopendir(fd);

	if (!tasks)
		(void)safe_close(fd);
	return tasks;
}

/* The next thread that lives, opened; 0 at the end. */
static pid_t next_thread(DIR *tasks, struct target *ret)
{
	struct dirent *entry;

	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.' || target_open(atoi(entry->d_name), ret) < 0)
			continue;
		if (thread_start(ret->proc) != 0)
			return ret->tid;
		target_close(ret);
	}
	return 0;
}

static int add_table(struct tables *tables, pid_t pid, pid_t tid)
{
	if (tables->count == tables->allocated) {
		size_t more = tables->allocated ? 2 * tables->allocated : 16;
		struct table *grown = reallocarray(tables->entries, more, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		tables->entries = grown;
		tables->allocated = more;
	}
	tables->entries[tables->count++] = (struct table){pid, tid};
	return 0;
}

static bool table_exceeds(const struct replacer *replacer, const struct target *target)
{
	DIR *table = target_open_table(target);
	struct excess excess;
	bool exceeds = table && excess_next(replacer->queues, target, table, &excess);

	if (table)
		(void)closedir(table);
	return exceeds;
}

/* Adds those of the process that have a descriptor too many; without tables only tells whether
 * there is one. */
static bool find_tables(
	const struct replacer *replacer, const struct member *member, struct tables *tables)
{
	DIR *tasks = open_tasks(member);
	struct target target;
	pid_t looked_at = 0;
	bool found = false;

	while (tasks && (tables || !found) && next_thread(tasks, &target) > 0) {
		/* Threads share one as a rule. */
		if ((!looked_at || !share_table(looked_at, target.tid)) &&
			table_exceeds(replacer, &target)) {
			found = true;
			if (tables)
				(void)add_table(tables, member->pid, target.tid);
		}
		looked_at = target.tid;
		target_close(&target);
	}
	if (tasks)
		(void)closedir(tasks);
	return found;
}

/* The kernel's own order of tables: those that are the same come to stand together. */
static int compare_tables(const void *a, const void *b)
{
	const struct table *one = a, *other = b;

	switch (syscall(SYS_kcmp, one->tid, other->tid, KCMP_FILES, 0, 0)) {
	case 0:
		return 0;
	case 1:
		return -1;
	default:
		return 1;
	}
}

/* --- waiting until all threads of a table can be stopped
 * ------------------------------------------ */

/* How often it has gone to sleep. */
static uint64_t count_sleeps(const struct target *target)
{
	uint64_t count;

	return text_status_at(target->proc, "voluntary_ctxt_switches", &count) < 0 ? 0 : count;
}

static const struct timed_wait *find_timed(const struct timed_waits *waits, pid_t tid)
{
	for (size_t i = 0; i < waits->count; i++)
		if (waits->entries[i].tid == tid)
			return &waits->entries[i];
	return NULL;
}

static bool is_fresh(const struct timed_waits *waits, pid_t tid)
{
	const struct timed_wait *wait = find_timed(waits, tid);

	return wait && wait->since != 0 && now_usec() < wait->since + FRESH_USEC;
}

static bool has_untimed_thread(const struct member *member)
{
	DIR *tasks = open_tasks(member);
	struct target target;
	bool found = false;

	while (!found && tasks && next_thread(tasks, &target) > 0) {
		found = !force_disturbs(target.proc);
		target_close(&target);
	}
	if (tasks)
		(void)closedir(tasks);
	return found;
}

/* Those of the process that wait with a timeout, and share the table of that thread (0: whatever
 * table). -EAGAIN: too many. */
static int list_timed(struct timed_waits *waits, pid_t pid, pid_t of)
{
	struct target target = TARGET_CLOSED;
	struct member member;
	DIR *tasks;
	int r = member_open(pid, &member);

	if (r < 0)
		return 0;
	tasks = open_tasks(&member);
	while (r == 0 && tasks && next_thread(tasks, &target) > 0) {
		if (force_disturbs(target.proc) && (of == 0 || share_table(of, target.tid))) {
			if (waits->count < REPLACE_TIMED_MAX)
				waits->entries[waits->count++] = (struct timed_wait){
					.tid = target.tid, .sleeps = count_sleeps(&target)};
			else
				r = -EAGAIN;
		}
		target_close(&target);
	}
	if (tasks)
		(void)closedir(tasks);
	member_close(&member);
	return r;
}

/* True if it has left its call, or begun another since the look before. */
static bool look_at_timed(struct timed_wait *wait)
{
	uint64_t before = wait->looked_at, sleeps;
	struct target target;
	bool timed;

	if (target_open(wait->tid, &target) < 0)
		return true;
	wait->looked_at = now_usec();
	timed = force_disturbs(target.proc);
	sleeps = count_sleeps(&target);
	target_close(&target);
	if (sleeps != wait->sleeps)
		wait->since = before;
	wait->sleeps = sleeps;
	return !timed || (wait->since != 0 && now_usec() < wait->since + FRESH_USEC);
}

static int wait_until_ready(
	struct replacer *replacer, const struct table *tables, size_t count, uint64_t deadline)
{
	struct timed_waits *waits = &replacer->timed;
	int r = 0;

	waits->count = 0;
	for (size_t i = 0; r == 0 && i < count; i++)
		r = list_timed(waits, tables[i].pid, tables[0].tid);
	while (r == 0) {
		size_t ready = 0;

		for (size_t i = 0; i < waits->count; i++)
			ready += look_at_timed(&waits->entries[i]);
		if (ready == waits->count)
			return 0;
		if (now_usec() > deadline || replacer->hooks->serve(replacer->hooks->context) < 0)
			return -EAGAIN;
		(void)usleep(LOOK_USEC);
	}
	return r;
}

/* --- stopping all threads of a table -----------------------------------------------------------
 */

static bool is_frozen(const struct replacer *replacer, pid_t tid)
{
	for (size_t i = 0; i < replacer->frozen_count; i++)
		if (replacer->frozen[i].tid == tid)
			return true;
	return false;
}

static bool is_late(const struct revoker *revoker, pid_t tid)
{
	for (size_t i = 0; i < revoker->late_count; i++)
		if (revoker->late[i] == tid)
			return true;
	return false;
}

static bool has_thread(const struct member *member, pid_t tid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "task/%d", (int)tid);
	return faccessat(member->proc, path, F_OK, 0) == 0 && member_lives(member);
}

/* 1: asked. 0: it is gone. -EAGAIN: not now. -EPERM: never. */
static int ask_thread(
	struct replacer *replacer, const struct member *member, const struct target *target)
{
	struct revoker *revoker = replacer->members->revoker;
	struct detour *detour = &replacer->frozen[replacer->frozen_count];
	int r;

	if (replacer->frozen_count == REPLACE_THREADS_MAX)
		return -EPERM;
	/* In an uninterruptible sleep it would not stop, nor inside vfork(). */
	if (is_late(revoker, target->tid) || revoker->late_count == REVOKE_LATE_MAX ||
		thread_state(target->proc) == 'D' ||
		(force_disturbs(target->proc) && !is_fresh(&replacer->timed, target->tid)))
		return -EAGAIN;
	r = detour_ask(target->tid, replacer->hooks, detour);
	if (r < 0)
		return r == -ESRCH ? 0 : -EAGAIN;
	replacer->frozen_count++;
	return has_thread(member, target->tid) ? 1 : -EAGAIN;
}

/* The number of threads that were asked, or as ask_thread(). */
static int ask_threads_of(struct replacer *replacer, const struct table *table, pid_t of)
{
	struct target target = TARGET_CLOSED;
	struct member member;
	int r = member_open(table->pid, &member), asked = 0;
	DIR *tasks;

	if (r < 0)
		return r == -ESRCH ? 0 : -EAGAIN;
	tasks = member_prove(replacer->members, &member) == MEMBERSHIP_PROVED ? open_tasks(&member)
									      : NULL;
	r = tasks ? 0 : -EAGAIN;
	while (r >= 0 && next_thread(tasks, &target) > 0) {
		if (!is_frozen(replacer, target.tid) && share_table(of, target.tid))
			r = ask_thread(replacer, &member, &target);
		target_close(&target);
		asked += r > 0;
		r = MIN(r, 0);
	}
	if (tasks)
		(void)closedir(tasks);
	member_close(&member);
	return r < 0 ? r : asked;
}

static void drop(struct replacer *replacer, size_t i)
{
	detour_forget(&replacer->frozen[i]);
	replacer->frozen[i] = replacer->frozen[--replacer->frozen_count];
}

static void let_stop_later(struct replacer *replacer, size_t i)
{
	struct revoker *revoker = replacer->members->revoker;

	if (revoker->late_count < REVOKE_LATE_MAX)
		revoker->late[revoker->late_count++] = replacer->frozen[i].tid;
	drop(replacer, i);
}

/* 0, or -EAGAIN: one has not stopped. */
static int await_from(struct replacer *replacer, size_t first, uint64_t deadline)
{
	int r = 0;

	for (size_t i = first; i < replacer->frozen_count;)
		switch (detour_await(&replacer->frozen[i], deadline)) {
		case 0:
			i++;
			break;
		case -EINPROGRESS:
			let_stop_later(replacer, i);
			r = -EAGAIN;
			break;
		default:
			drop(replacer, i);
			break;
		}
	return r;
}

/* Until no thread of the table runs. 0; -EAGAIN; -EPERM. Whatever it returns, those that were asked
 * are stopped, and have to be let go. */
static int freeze(
	struct replacer *replacer, const struct table *tables, size_t count, uint64_t deadline)
{
	int asked, r = 0;

	do {
		size_t first = replacer->frozen_count;

		asked = 0;
		for (size_t i = 0; r >= 0 && i < count; i++) {
			r = ask_threads_of(replacer, &tables[i], tables[0].tid);
			asked += MAX(r, 0);
		}
		asked = await_from(replacer, first, deadline) < 0 ? -EAGAIN : asked;
	} while (r >= 0 && asked > 0);
	return r < 0 ? r : MIN(asked, 0);
}

/* Its process is killed: it cannot be put back. */
static void end_broken(struct replacer *replacer, const struct detour *detour)
{
	const struct thread thread = {
		.tid = detour->tid, .start = thread_start(detour->target.proc)};

	if (thread.start != 0)
		(void)revoke_kill(
			replacer->members->revoker, &thread, now_usec() + REVOKE_DEADLINE_USEC);
}

static void thaw(struct replacer *replacer)
{
	while (replacer->frozen_count > 0) {
		struct detour *detour = &replacer->frozen[replacer->frozen_count - 1];

		if (detour_let_go(detour) == 0) {
			replacer->frozen_count--;
		} else if (detour->moved) {
			end_broken(replacer, detour);
			let_stop_later(replacer, replacer->frozen_count - 1);
		} else {
			let_stop_later(replacer, replacer->frozen_count - 1);
		}
	}
}

/* --- the call -----------------------------------------------------------------------------------
 */

/* One that all filters of the thread hand to a listener; -EPERM if none is. */
static int choose_call(
	struct replacer *replacer, const struct detour *detour, struct forced_call *ret)
{
	static const enum mq_call calls[] = {MQ_CALL_NOTIFY, MQ_CALL_UNLINK, MQ_CALL_OPEN};

	for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
		/* The first is a descriptor, or the address of a name. */
		*ret = (struct forced_call){.call = calls[i],
			.arguments = {UINT64_MAX, 0, (uint32_t)replacer->secret,
				(uint32_t)(replacer->secret >> 32), 0, 0}};
		detour_describe(detour, ret, &replacer->expected);
		if (filters_notify(detour->tid, &replacer->expected))
			return 0;
	}
	return -EPERM;
}

static int make_call(struct replacer *replacer, struct detour *detour)
{
	struct forced_call call;
	enum force_result result = detour_prepare(detour, now_usec() + PREPARE_USEC);
	int r;

	if (result != FORCE_DONE)
		return result == FORCE_NEVER ? -EPERM : -EAGAIN;
	r = choose_call(replacer, detour, &call);
	if (r < 0)
		return r;
	replacer->forced = detour->tid;
	result = detour_make(detour, &call, ENTRY_USEC, now_usec() + FORCE_DEADLINE_USEC);
	replacer->forced = 0;
	if (result == FORCE_BROKEN)
		end_broken(replacer, detour);
	return result == FORCE_DONE ? 0 : -EAGAIN;
}

/* By the first of the stopped threads that can, unless one of them is no longer stopped. 0;
 * -EAGAIN; -EPERM. */
static int make_call_by_any(struct replacer *replacer, uint64_t deadline)
{
	int result = -EPERM;

	for (size_t i = 0; i < replacer->frozen_count && (i == 0 || now_usec() < deadline); i++) {
		int r = make_call(replacer, &replacer->frozen[i]);

		if (r == 0 || replacer->frozen[i].running)
			return r;
		result = r == -EPERM ? result : r;
	}
	return result;
}

static int treat_table(
	struct replacer *replacer, const struct table *tables, size_t count, uint64_t deadline)
{
	int r = wait_until_ready(replacer, tables, count, MIN(deadline, now_usec() + READY_USEC));

	if (r == 0)
		r = freeze(replacer, tables, count, MIN(deadline, now_usec() + PATIENCE_USEC));
	replacer->refused = 0;
	if (r == 0 && replacer->frozen_count > 0)
		r = make_call_by_any(replacer, deadline);
	thaw(replacer);
	return r == 0 && replacer->refused > 0 ? -EPERM : r;
}

/* --- while it is inside --------------------------------------------------------------------------
 */

/* True if the text of /proc/TID/fdinfo/N is that of an epoll set with this number in it. */
static bool watches(const struct target *target, int set, int number)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t allocated = 0;
	char path[32];
	int fd, watched;

	(void)snprintf(path, sizeof(path), "fdinfo/%d", set);
	fd = openat(target->proc, path, O_RDONLY | O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (!f) {
		(void)safe_close(fd);
		return false;
	}
	while (getline(&line, &allocated, f) > 0)
		if (sscanf(line, "tfd: %d", &watched) == 1 && watched == number)
			return true;
	return false;
}

static bool is_watched(const struct target *target, int number)
{
	DIR *table = target_open_table(target);
	struct dirent *entry;
	bool watched = false;

	if (!table)
		return true;
	while (!watched && (entry = readdir(table))) {
		int set = atoi(entry->d_name);
		char link[32];

		watched = entry->d_name[0] != '.' &&
			  target_descriptor_link(target, set, link, sizeof(link)) == 0 &&
			  streq(link, "anon_inode:[eventpoll]") && watches(target, set, number);
	}
	(void)closedir(table);
	return watched;
}

static bool is_registered(const struct target *target, int queue)
{
	uint64_t tgid;

	return text_status_at(target->proc, "Tgid", &tgid) < 0 ||
	       registrations_owner(queue) == (pid_t)tgid;
}

/* A descriptor of the same queue with the access that is left, or a negative errno. */
static int narrow(const struct target *target, const struct excess *excess)
{
	_cleanup_close_ int queue = target_copy_descriptor(target, excess->number);
	struct descriptor descriptor;
	char path[32];
	int flags = excess->kept & PERMISSION_READ ? O_RDONLY : O_WRONLY, fd;

	if (queue < 0)
		return queue;
	if (own_descriptor(queue, &descriptor) < 0 || descriptor.key.device != excess->key.device ||
		descriptor.key.inode != excess->key.inode)
		return -EBADF;
	if (is_watched(target, excess->number) ||
		(excess->kept & PERMISSION_READ && is_registered(target, queue)))
		return -EBUSY;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", queue);
	fd = open(path, flags | (excess->nonblock ? O_NONBLOCK : 0) | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int replace_one(struct replacer *replacer, const struct target *target, int listener,
	uint64_t id, const struct excess *excess)
{
	_cleanup_close_ int narrower = -EBADF;

	if (excess->kept != 0) {
		narrower = narrow(target, excess);
		if (narrower < 0)
			return narrower;
	}
	return notify_replace(listener, id, narrower >= 0 ? narrower : replacer->null,
		excess->number, excess->close_exec);
}

static void replace_all(
	struct replacer *replacer, int listener, const struct seccomp_notif *notification)
{
	struct target target;
	struct excess excess;
	DIR *table;

	if (target_open((pid_t)notification->pid, &target) < 0)
		return;
	table = target_open_table(&target);
	while (table && notify_is_valid(listener, notification->id) &&
		excess_next(replacer->queues, &target, table, &excess))
		if (replace_one(replacer, &target, listener, notification->id, &excess) == 0)
			replacer->replaced++;
		else
			replacer->refused++;
	if (table)
		(void)closedir(table);
	target_close(&target);
}

bool replace_takes(
	struct replacer *replacer, int listener, const struct seccomp_notif *notification)
{
	if (replacer->forced == 0 || (pid_t)notification->pid != replacer->forced ||
		memcmp(&notification->data, &replacer->expected, sizeof(replacer->expected)) != 0)
		return false;
	replace_all(replacer, listener, notification);
	(void)notify_reply(listener, notification->id, &(struct answer){.kind = ANSWER_VALUE});
	return true;
}

/* --- all of them ---------------------------------------------------------------------------------
 */

struct pass {
	struct replacer *replacer;
	struct tables tables;
	uint64_t deadline;
	unsigned unproved; /* processes */
	unsigned left;     /* processes, and worth another pass */
	unsigned never;    /* processes, and not */
};

/* To be proved it has to be stopped. */
static bool is_concerned(void *context, const struct member *member)
{
	struct pass *pass = context;
	struct replacer *replacer = pass->replacer;
	uint64_t patience = MIN(pass->deadline, now_usec() + READY_USEC);

	if (!find_tables(replacer, member, NULL))
		return false;
	if (member_is_known(replacer->members, member) || has_untimed_thread(member) ||
		wait_until_ready(replacer, &(struct table){.pid = member->pid}, 1, patience) == 0)
		return true;
	pass->left++;
	return false;
}

static void note_tables(void *context, const struct member *member, enum membership membership)
{
	struct pass *pass = context;

	if (membership == MEMBERSHIP_PROVED)
		(void)find_tables(pass->replacer, member, &pass->tables);
	else
		pass->unproved++;
}

static void treat_tables(struct pass *pass)
{
	const struct table *tables = pass->tables.entries;
	size_t count = pass->tables.count, same;

	for (size_t i = 0; i < count; i += same) {
		int r;

		same = 1;
		while (i + same < count && share_table(tables[i].tid, tables[i + same].tid))
			same++;
		r = treat_table(pass->replacer, tables + i, same, pass->deadline);
		if (r == -EPERM)
			pass->never++;
		else
			pass->left++;
	}
}

/* 1: another is worth it. 0: nothing is left, or nothing more can be done. */
static int make_pass(struct pass *pass)
{
	const struct member_visitor visitor = {
		.context = pass, .wants = is_concerned, .visit = note_tables};
	int r;

	pass->tables.count = 0;
	pass->unproved = pass->left = pass->never = 0;
	/* What was found when half of the time is over is treated in the other half. */
	pass->replacer->members->deadline = now_usec() / 2 + pass->deadline / 2;
	r = members_for_each(pass->replacer->members, &visitor);
	if (r < 0 && r != -ETIME)
		return r;
	pass->left += r == -ETIME;
	if (pass->tables.count > 0)
		qsort(pass->tables.entries, pass->tables.count, sizeof(struct table),
			compare_tables);
	treat_tables(pass);
	return pass->left + pass->unproved > 0;
}

static int repeat_passes(struct replacer *replacer, uint64_t deadline)
{
	struct pass pass = {.replacer = replacer, .deadline = deadline};
	useconds_t pause = RETRY_USEC;
	int r;

	while ((r = make_pass(&pass)) > 0 && now_usec() < deadline) {
		if (replacer->hooks->serve(replacer->hooks->context) < 0)
			break;
		revoke_let_go_late(replacer->members->revoker);
		(void)usleep(pause);
		pause = MIN(2 * pause, (useconds_t)RETRY_MAX_USEC);
	}
	free(pass.tables.entries);
	return r < 0 ? r : (int)(pass.unproved + pass.left + pass.never);
}

int replace_descriptors(struct replacer *replacer, uint64_t deadline)
{
	_cleanup_free_ struct detour *frozen = calloc(REPLACE_THREADS_MAX, sizeof(*frozen));
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r;

	if (!frozen)
		return -ENOMEM;
	if (null < 0 || getrandom(&replacer->secret, sizeof(replacer->secret), 0) < 0)
		return -errno;
	replacer->frozen = frozen;
	replacer->null = null;
	r = repeat_passes(replacer, deadline);
	replacer->frozen = NULL;
	return r;
}
