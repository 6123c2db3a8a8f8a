/* SPDX-License-Identifier: MIT */
/* The registrations for notification that a session has made, and taking them back.
 *
 * A process that has registered on a queue is told of the next message that comes to it when it is
 * empty, by a signal or through a socket, without any further call. The registration is the
 * process's own: it ends when a message comes, when the process removes it or closes any descriptor
 * of that queue, and when it ends. So a thread of the process is made to remove it (force.h), with
 * a descriptor of that queue that the process has. Whether it is registered is asked of the queue:
 * reading one tells who is.
 *
 * The process may hold no descriptor any more, in spite of all this: another process that shares
 * its table has closed it. No honest program comes to that, and the process is killed.
 *
 * A queue that was deleted is found by a descriptor only. If it is deleted, too, whose descriptor a
 * sharer of the table has closed, it is not found: a program that only deleted its queue and closed
 * it looks the same, and must not be killed. What is left to the registered process is to be told
 * once that somebody who kept that queue open has sent to it; it can neither open the queue nor
 * receive. */
#include "registrations.h"

#include <dirent.h>
#include <fcntl.h>

#include "act.h"
#include "force.h"
#include "revoke.h"
#include "identity.h"

#define RETRY_USEC    500
#define PATIENCE_USEC 50000 /* for one thread to stop; then others are tried */

static bool same_key(struct queue_key a, struct queue_key b)
{
	return a.device == b.device && a.inode == b.inode;
}

pid_t registrations_owner(int queue)
{
	char path[32], text[256];
	_cleanup_close_ int fd = -EBADF;
	const char *at;
	ssize_t n;

	/* A copy of a descriptor may be for writing only. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", queue);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	at = strstr(text, "NOTIFY_PID:");
	return at ? (pid_t)strtol(at + strlen("NOTIFY_PID:"), NULL, 10) : 0;
}

static bool is_registered_by_name(const struct own_identity *own, const struct identity *identity,
	const char *name, struct queue_key key)
{
	_cleanup_close_ int queue = act_look_up(own, identity, name);
	struct descriptor descriptor;

	return queue >= 0 && own_descriptor(queue, &descriptor) == 0 &&
	       same_key(descriptor.key, key) && registrations_owner(queue) == identity->tgid;
}

/* --- one process ---------------------------------------------------------------------------- */

static DIR *open_table(const struct target *target)
{
	int fd = openat(target->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		(void)safe_close(fd);
	return dir;
}

/* The next descriptor that may be a queue's: its number; -ENOENT at the end. */
static int next_descriptor(DIR *dir, const struct target *target, struct queue_key *ret)
{
	struct dirent *entry;

	while ((entry = readdir(dir))) {
		struct descriptor descriptor;
		int number = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || target_descriptor(target, number, &descriptor) < 0 ||
			!descriptor.regular)
			continue;
		*ret = descriptor.key;
		return number;
	}
	return -ENOENT;
}

/* A number, in this thread's table, of a descriptor of the queue; -ENOENT. */
static int find_descriptor(const struct target *target, struct queue_key key)
{
	DIR *dir = open_table(target);
	struct queue_key found;
	int number = -ENOENT;

	if (!dir)
		return -ENOENT;
	do
		number = next_descriptor(dir, target, &found);
	while (number >= 0 && !same_key(found, key));
	(void)closedir(dir);
	return number;
}

static DIR *open_tasks(pid_t tgid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/task", tgid);
	return opendir(path);
}

/* The next thread that lives, opened; 0 at the end. */
static pid_t next_thread(DIR *tasks, struct target *ret)
{
	struct dirent *entry;

	while ((entry = readdir(tasks))) {
		pid_t tid = atoi(entry->d_name);

		if (tid <= 0 || target_open(tid, ret) < 0)
			continue;
		if (thread_start(ret->proc) != 0)
			return tid;
		target_close(ret);
	}
	return 0;
}

/* True while it is the process that was noted. Its first thread may be dead, and others not. */
static bool is_noted_process(const struct registration *registration)
{
	struct target target;
	uint64_t start;

	if (target_open(registration->tgid, &target) < 0)
		return false;
	start = thread_birth(target.proc);
	target_close(&target);
	return start == registration->start;
}

enum registered { REGISTERED_NOT, REGISTERED_WITH_DESCRIPTOR, REGISTERED_WITHOUT };

static bool is_registered_by_descriptor(
	const struct registration *registration, const struct target *target, int number)
{
	_cleanup_close_ int copy = target_copy_descriptor(target, number);
	struct descriptor descriptor;

	return copy >= 0 && own_descriptor(copy, &descriptor) == 0 &&
	       same_key(descriptor.key, registration->key) &&
	       registrations_owner(copy) == registration->tgid;
}

static bool is_registered_anyhow(const struct registration *registration,
	const struct own_identity *own, struct target *target)
{
	_cleanup_(identity_clear) struct identity identity = IDENTITY_NONE;

	return target_identity(target, &own->namespaces, &identity) == 0 &&
	       identity.tgid == registration->tgid &&
	       is_registered_by_name(own, &identity, registration->name, registration->key);
}

static enum registered look(const struct registration *registration, const struct own_identity *own)
{
	DIR *tasks = is_noted_process(registration) ? open_tasks(registration->tgid) : NULL;
	enum registered state = REGISTERED_NOT;
	struct target target = TARGET_CLOSED;

	while (tasks && state != REGISTERED_WITH_DESCRIPTOR && next_thread(tasks, &target) > 0) {
		int number = find_descriptor(&target, registration->key);

		if (number >= 0)
			state = is_registered_by_descriptor(registration, &target, number)
					? REGISTERED_WITH_DESCRIPTOR
					: REGISTERED_NOT;
		else if (state == REGISTERED_NOT &&
			 is_registered_anyhow(registration, own, &target))
			state = REGISTERED_WITHOUT;
		target_close(&target);
		if (number >= 0)
			break;
	}
	if (tasks)
		(void)closedir(tasks);
	return state;
}

/* --- noting --------------------------------------------------------------------------------- */

static void forget(struct registration *registration)
{
	__atomic_store_n(&registration->tgid, 0, __ATOMIC_SEQ_CST);
}

static struct registration *find_free(struct registrations *registrations)
{
	for (size_t i = 0; i < SESSION_REGISTRATIONS_MAX; i++)
		if (registrations->entries[i].tgid == 0)
			return &registrations->entries[i];
	return NULL;
}

static void forget_those_over(struct registrations *registrations, const struct own_identity *own)
{
	for (size_t i = 0; i < SESSION_REGISTRATIONS_MAX; i++)
		if (look(&registrations->entries[i], own) == REGISTERED_NOT)
			forget(&registrations->entries[i]);
}

static bool is_known(
	const struct registrations *registrations, const struct registration *registration)
{
	for (size_t i = 0; i < SESSION_REGISTRATIONS_MAX; i++) {
		const struct registration *entry = &registrations->entries[i];

		if (entry->tgid == registration->tgid && entry->start == registration->start &&
			same_key(entry->key, registration->key))
			return true;
	}
	return false;
}

int registrations_birth(pid_t tgid, uint64_t *ret)
{
	struct target target;
	int r = target_open(tgid, &target);

	if (r < 0)
		return r;
	*ret = thread_birth(target.proc);
	target_close(&target);
	return *ret == 0 ? -ESRCH : 0;
}

int registrations_note(struct registrations *registrations, const struct own_identity *own,
	pid_t tgid, uint64_t birth, struct queue_key key, const char *name)
{
	struct registration registration = {.start = birth, .key = key}, *free_entry;

	(void)snprintf(registration.name, sizeof(registration.name), "%s", name);
	registration.tgid = tgid;
	if (is_known(registrations, &registration))
		return 0;
	free_entry = find_free(registrations);
	if (!free_entry) {
		forget_those_over(registrations, own);
		free_entry = find_free(registrations);
	}
	if (!free_entry)
		return -ENOSPC;
	/* The process last: then all of it is there. */
	registration.tgid = 0;
	*free_entry = registration;
	__atomic_store_n(&free_entry->tgid, tgid, __ATOMIC_SEQ_CST);
	return 0;
}

/* --- taking back ---------------------------------------------------------------------------- */

struct removal {
	const struct registration *registration;
	struct revoker *revoker;
	const struct force_hooks *hooks;
	uint64_t begin, deadline;
};

static bool is_late(const struct revoker *revoker, pid_t tid)
{
	for (size_t i = 0; i < revoker->late_count; i++)
		if (revoker->late[i] == tid)
			return true;
	return false;
}

/* As long as it has taken so far: all threads are tried soon, and on a busy machine none is given
 * up again and again just before it gets to run. */
static uint64_t patience_of(const struct removal *removal)
{
	uint64_t now = now_usec();
	uint64_t left = removal->deadline - MIN(now, removal->deadline);

	return MIN(left, MAX(now - removal->begin, (uint64_t)PATIENCE_USEC));
}

static enum force_result force(struct removal *removal, const struct target *target, int number)
{
	struct revoker *revoker = removal->revoker;
	enum force_result result;
	bool late;

	if (revoker->late_count == REVOKE_LATE_MAX || is_late(revoker, target->tid))
		return FORCE_LATER;
	result = force_removal(target->tid, number, removal->hooks, patience_of(removal), &late);
	if (late)
		revoker->late[revoker->late_count++] = target->tid;
	return result;
}

/* One after the other, until one has made the call. */
static enum force_result force_any(struct removal *removal, bool disturb)
{
	DIR *tasks = open_tasks(removal->registration->tgid);
	enum force_result result = FORCE_LATER;
	struct target target = TARGET_CLOSED;

	while (tasks && result != FORCE_DONE && result != FORCE_BROKEN &&
		next_thread(tasks, &target) > 0) {
		int number = find_descriptor(&target, removal->registration->key);

		if (number >= 0 && force_disturbs(target.proc) == disturb)
			result = force(removal, &target, number);
		target_close(&target);
	}
	if (tasks)
		(void)closedir(tasks);
	return result;
}

static int kill_noted(struct removal *removal)
{
	DIR *tasks = is_noted_process(removal->registration)
			     ? open_tasks(removal->registration->tgid)
			     : NULL;
	struct target target = TARGET_CLOSED;
	int r = 0;

	if (!tasks)
		return 0;
	if (next_thread(tasks, &target) > 0)
		r = revoke_kill(removal->revoker,
			&(struct thread){.tid = target.tid, .start = thread_start(target.proc)},
			now_usec() + REVOKE_DEADLINE_USEC);
	target_close(&target);
	(void)closedir(tasks);
	return r;
}

/* Those that were asked to stop, and have come to wait inside the door since. */
static void release_late(const struct removal *removal)
{
	for (size_t i = 0; i < removal->revoker->late_count; i++)
		removal->hooks->release(removal->hooks->context, removal->revoker->late[i]);
}

static int take_back(struct removal *removal, const struct own_identity *own)
{
	enum registered state = look(removal->registration, own);

	while (state == REGISTERED_WITH_DESCRIPTOR && now_usec() < removal->deadline) {
		enum force_result result = force_any(removal, false);

		if (result != FORCE_DONE && result != FORCE_BROKEN)
			result = force_any(removal, true);
		if (result == FORCE_BROKEN)
			return kill_noted(removal);
		if (result != FORCE_DONE)
			(void)usleep(RETRY_USEC);
		release_late(removal);
		revoke_let_go_late(removal->revoker);
		state = look(removal->registration, own);
	}
	return state == REGISTERED_NOT ? 0 : kill_noted(removal);
}

int registrations_take_back(struct registrations *registrations, const struct own_identity *own,
	struct revoker *revoker, const struct grants *grants, const struct force_hooks *hooks,
	uint64_t deadline)
{
	for (size_t i = 0; i < SESSION_REGISTRATIONS_MAX; i++) {
		struct registration *entry = &registrations->entries[i];
		struct removal removal = {entry, revoker, hooks, now_usec(), deadline};
		int r;

		if (entry->tgid == 0 || grants_lookup(grants, entry->name) & PERMISSION_READ)
			continue;
		r = take_back(&removal, own);
		if (r < 0)
			return r;
		forget(entry);
	}
	return 0;
}

/* --- after a call --------------------------------------------------------------------------- */

static void mark(struct unlawful *unlawful, uint32_t i)
{
	unlawful->bits[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool is_lost(const struct queues *queues, uint32_t i)
{
	return !(queues->permissions[i] & PERMISSION_READ) && queues->keys[i].inode != 0;
}

static void mark_by_names(const struct queues *queues, uint32_t count,
	const struct own_identity *own, const struct identity *identity, struct unlawful *ret)
{
	for (uint32_t i = 0; i < count; i++)
		if (is_lost(queues, i) &&
			is_registered_by_name(own, identity, queues->names[i], queues->keys[i]))
			mark(ret, i);
}

static uint32_t find_lost(const struct queues *queues, uint32_t count, struct queue_key key)
{
	uint32_t i = 0;

	while (i < count && !(same_key(queues->keys[i], key) && is_lost(queues, i)))
		i++;
	return i;
}

static void mark_by_descriptors(const struct queues *queues, uint32_t count, pid_t tgid,
	const struct target *target, struct unlawful *ret)
{
	struct registration registration = {.tgid = tgid};
	DIR *dir = open_table(target);
	int number;

	while (dir && (number = next_descriptor(dir, target, &registration.key)) >= 0) {
		uint32_t i = find_lost(queues, count, registration.key);

		if (i < count && is_registered_by_descriptor(&registration, target, number))
			mark(ret, i);
	}
	if (dir)
		(void)closedir(dir);
}

void registrations_find_unlawful(const struct queues *queues, const struct own_identity *own,
	const struct identity *identity, const struct target *target, struct unlawful *ret)
{
	uint32_t count = MIN(queues->count, (uint32_t)SESSION_QUEUES_MAX);

	*ret = (struct unlawful){0};
	mark_by_names(queues, count, own, identity, ret);
	mark_by_descriptors(queues, count, identity->tgid, target, ret);
}

bool registrations_have_grown(const struct unlawful *before, const struct unlawful *now)
{
	for (size_t i = 0; i < ELEMENTSOF(now->bits); i++)
		if (now->bits[i] & ~before->bits[i])
			return true;
	return false;
}
