/* SPDX-License-Identifier: MIT */
/* Who of a session has registered for notification, and on what.
 *
 * A process that has registered on a queue is told of the next message that comes to it when it is
 * empty, by a signal or through a socket, without any further call. The registration is the
 * process's own: it ends when a message comes, when the process removes it or closes any descriptor
 * of that queue, and when it ends. Nobody else can remove it, so one that was made before a
 * disconnect stays, and is told of: it says once that a message has come, and nothing of what is in
 * it.
 *
 * Noted is which processes have registered (processes.h), not on what: the descriptor may be
 * exchanged between our look and the kernel's use of it. So each lost queue is asked who is
 * registered on it, through a descriptor of ours. Opening it waits for nobody: a lease that an
 * owner holds on it makes that fail, and then it counts as registered.
 *
 * A queue that was deleted is found by a descriptor of the process only, which it has unless a
 * sharer of its table has closed that. */
#include "registrations.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "include/task.h"
#include "act.h"
#include "identity.h"
#include "target.h"
#include "threads.h"

static bool same_key(struct queue_key a, struct queue_key b)
{
	return a.device == b.device && a.inode == b.inode;
}

static bool is_gone(int error)
{
	return error == -ENOENT || error == -ESRCH || error == -EBADF;
}

static bool is_over(const struct process *process)
{
	struct task task;
	int r = task_read_by_number(process->pid, &task);

	return r == -ESRCH || (r == 0 && task.start != process->start);
}

/* --- asking a queue -------------------------------------------------------------------------- */

/* Through a descriptor of ours, which may be a copy that is for writing only. */
static enum registered ask(int queue, pid_t tgid)
{
	char path[32], text[256];
	_cleanup_close_ int fd = -EBADF;
	const char *at;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", queue);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return REGISTERED_UNKNOWN;
	text[n] = '\0';
	at = strstr(text, "NOTIFY_PID:");
	if (!at)
		return REGISTERED_UNKNOWN;
	return strtol(at + strlen("NOTIFY_PID:"), NULL, 10) == tgid ? REGISTERED : REGISTERED_NOT;
}

/* What is looked for: the lost queues of a scope, or all of them (NULL). */
struct search {
	const struct queues *queues;
	const struct grants *scope;
	const struct own_identity *own;
	pid_t tgid;
	struct unlawful *found;
};

static bool is_wanted(const struct search *search, uint32_t i)
{
	const struct queues *queues = search->queues;

	return queues->keys[i].inode != 0 && !(queues->permissions[i] & PERMISSION_READ) &&
	       (!search->scope || grants_lookup(search->scope, queues->names[i]) != 0);
}

static uint32_t used_entries(const struct queues *queues)
{
	return MIN(queues->count, (uint32_t)SESSION_QUEUES_MAX);
}

static void mark(struct unlawful *unlawful, uint32_t i)
{
	unlawful->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static enum registered look_by_name(
	const struct search *search, const struct identity *identity, uint32_t i)
{
	_cleanup_close_ int queue = act_look_up(search->own, identity, search->queues->names[i]);
	struct descriptor descriptor;

	if (queue < 0)
		return queue == -ENOENT ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	if (own_descriptor(queue, &descriptor) < 0)
		return REGISTERED_UNKNOWN;
	return same_key(descriptor.key, search->queues->keys[i]) ? ask(queue, search->tgid)
								 : REGISTERED_NOT;
}

static enum registered look_by_names(const struct search *search, const struct identity *identity)
{
	enum registered most = REGISTERED_NOT;

	for (uint32_t i = 0; i < used_entries(search->queues); i++) {
		enum registered state =
			is_wanted(search, i) ? look_by_name(search, identity, i) : REGISTERED_NOT;

		if (state == REGISTERED)
			mark(search->found, i);
		most = MAX(most, state);
	}
	return most;
}

static enum registered look_by_descriptor(
	const struct search *search, const struct target *target, int number, uint32_t i)
{
	_cleanup_close_ int copy = target_copy_descriptor(target, number);
	struct descriptor descriptor;

	if (copy < 0)
		return is_gone(copy) ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	if (own_descriptor(copy, &descriptor) < 0)
		return REGISTERED_UNKNOWN;
	return same_key(descriptor.key, search->queues->keys[i]) ? ask(copy, search->tgid)
								 : REGISTERED_NOT;
}

static enum registered look_at_number(
	const struct search *search, const struct target *target, int number)
{
	struct descriptor descriptor;
	enum registered state;
	uint32_t i = 0;
	int r = target_descriptor(target, number, &descriptor);

	if (r < 0)
		return is_gone(r) ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	if (!descriptor.regular)
		return REGISTERED_NOT;
	while (i < used_entries(search->queues) &&
		!(same_key(search->queues->keys[i], descriptor.key) && is_wanted(search, i)))
		i++;
	if (i == used_entries(search->queues))
		return REGISTERED_NOT;
	state = look_by_descriptor(search, target, number, i);
	if (state == REGISTERED)
		mark(search->found, i);
	return state;
}

static enum registered look_by_descriptors(const struct search *search, const struct target *target)
{
	enum registered most = REGISTERED_NOT;
	struct dirent *entry;
	DIR *table = target_open_table(target);

	if (!table)
		return thread_is_dead(target->proc) ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	while ((entry = readdir(table)))
		if (entry->d_name[0] != '.')
			most = MAX(most, look_at_number(search, target, atoi(entry->d_name)));
	(void)closedir(table);
	return most;
}

/* --- one process ---------------------------------------------------------------------------- */

static enum registered look_by_identity(const struct search *search, struct target *target)
{
	_cleanup_(identity_clear) struct identity identity = IDENTITY_NONE;
	int r = target_identity(target, &search->own->namespaces, &identity);

	if (r < 0)
		return thread_is_dead(target->proc) ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	return look_by_names(search, &identity);
}

static bool share_table(pid_t a, pid_t b)
{
	return a != 0 && syscall(SYS_kcmp, a, b, KCMP_FILES, 0, 0) == 0;
}

/* By the first thread that lives, and by each that has a table of its own. */
static enum registered look_by_threads(const struct search *search, DIR *tasks)
{
	enum registered most = REGISTERED_NOT;
	struct dirent *entry;
	pid_t looked_at = 0;

	while (most != REGISTERED && (entry = readdir(tasks))) {
		struct target target;
		int r;

		if (entry->d_name[0] == '.')
			continue;
		r = target_open(atoi(entry->d_name), &target);
		if (r < 0) {
			most = is_gone(r) ? most : MAX(most, REGISTERED_UNKNOWN);
			continue;
		}
		if (!thread_is_dead(target.proc) && !share_table(looked_at, target.tid)) {
			if (looked_at == 0)
				most = MAX(most, look_by_identity(search, &target));
			most = MAX(most, look_by_descriptors(search, &target));
			looked_at = target.tid;
		}
		target_close(&target);
	}
	return most;
}

enum registered registrations_look(const struct process *process, const struct queues *queues,
	const struct grants *scope, const struct own_identity *own)
{
	struct unlawful found = {0};
	const struct search search = {queues, scope, own, process->pid, &found};
	enum registered state;
	char path[32];
	DIR *tasks;

	if (is_over(process))
		return REGISTERED_NOT;
	(void)snprintf(path, sizeof(path), "/proc/%d/task", process->pid);
	tasks = opendir(path);
	if (!tasks)
		return is_gone(-errno) ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	state = look_by_threads(&search, tasks);
	(void)closedir(tasks);
	/* Or it was another's, by then. */
	return is_over(process) ? REGISTERED_NOT : state;
}

/* --- after a call --------------------------------------------------------------------------- */

void registrations_find_unlawful(const struct queues *queues, const struct own_identity *own,
	const struct identity *identity, const struct target *target, struct unlawful *ret)
{
	const struct search search = {queues, NULL, own, identity->tgid, ret};

	*ret = (struct unlawful){0};
	(void)look_by_names(&search, identity);
	(void)look_by_descriptors(&search, target);
}

bool registrations_have_grown(const struct unlawful *before, const struct unlawful *now)
{
	for (size_t i = 0; i < ELEMENTSOF(now->bits); i++)
		if (now->bits[i] & ~before->bits[i])
			return true;
	return false;
}
