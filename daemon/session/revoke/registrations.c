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

#include "include/task.h"
#include "daemon/session/target/child.h"
#include "daemon/session/target/own.h"
#include "daemon/session/target/target.h"
#include "daemon/session/target/threads.h"

static bool is_gone(int error)
{
	return error == -ENOENT || error == -ESRCH || error == -EBADF;
}

static bool is_over(const struct process *process)
{
	uint64_t identity;
	_cleanup_close_ int pidfd = process_open(process->pid, &identity);

	return pidfd == -ESRCH || (pidfd >= 0 && identity != process->identity);
}

/* --- asking a queue -------------------------------------------------------------------------- */

/* A queue that is open for reading here. */
static enum registered ask(int queue, pid_t tgid)
{
	char text[256];
	ssize_t n = pread(queue, text, sizeof(text) - 1, 0);
	const char *at;

	if (n <= 0)
		return REGISTERED_UNKNOWN;
	text[n] = '\0';
	at = strstr(text, "NOTIFY_PID:");
	if (!at)
		return REGISTERED_UNKNOWN;
	return strtol(at + strlen("NOTIFY_PID:"), NULL, 10) == tgid ? REGISTERED : REGISTERED_NOT;
}

int registrations_open(const struct queues *queues, uint32_t entry, const struct own_identity *own,
	const struct credentials *identity)
{
	_cleanup_close_ int queue = -EBADF;
	struct descriptor descriptor;

	step_begin();
	queue = own_look_up(own,
		queues->entries[entry].spaces & SPACE_HOST ? -EBADF : identity->ipc_namespace,
		queues->entries[entry].name);
	step_end();
	if (queue < 0)
		return queue;
	if (own_descriptor(queue, &descriptor) < 0)
		return -EIO;
	return queue_key_same(descriptor.key, queues->keys[entry]) ? take_fd(&queue) : -ENOENT;
}

/* The same by a descriptor that the thread has, whatever that can do. What it has put there
 * meanwhile is not opened: an O_PATH descriptor holds nobody up. */
static int open_by_number(const struct target *target, int number, struct queue_key key)
{
	_cleanup_close_ int place = -EBADF;
	struct descriptor descriptor;
	char path[32];
	int queue;

	(void)snprintf(path, sizeof(path), "fd/%d", number);
	place = openat(target->proc, path, O_PATH | O_CLOEXEC);
	if (place < 0)
		return -errno;
	if (own_descriptor(place, &descriptor) < 0)
		return -EIO;
	if (!queue_key_same(descriptor.key, key))
		return -ENOENT;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
	step_begin();
	queue = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	step_end();
	return queue >= 0 ? queue : errno == ENOENT ? -EIO : -errno;
}

/* Takes the queue, or why there is none. */
static enum registered ask_and_close(int queue, pid_t tgid)
{
	_cleanup_close_ int fd = queue;

	if (fd < 0)
		return is_gone(fd) ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	return ask(fd, tgid);
}

static uint32_t used_entries(const struct queues *queues)
{
	return MIN(queues->count, (uint32_t)SESSION_QUEUES_MAX);
}

static bool may_not_be_read(const struct queues *queues, uint32_t i)
{
	return queues->keys[i].inode != 0 && !(queues->entries[i].permissions & PERMISSION_READ);
}

/* --- one process ---------------------------------------------------------------------------- */

/* For the lost queues of a scope. */
struct search {
	const struct queues *queues;
	const struct grants *scope; /* NULL: all */
	const struct own_identity *own;
	pid_t tgid;
	enum registered most; /* so far */
	bool has_identity;    /* they have been looked up by one */
};

static bool is_wanted(const struct search *search, uint32_t i)
{
	return may_not_be_read(search->queues, i) &&
	       (!search->scope || queues_are_in(search->queues, i, search->scope));
}

static void take(struct search *search, enum registered found)
{
	search->most = MAX(search->most, found);
}

static void look_by_names(struct search *search, const struct credentials *identity)
{
	for (uint32_t i = 0; i < used_entries(search->queues); i++)
		if (is_wanted(search, i))
			take(search, ask_and_close(registrations_open(search->queues, i,
							   search->own, identity),
					     search->tgid));
}

static int look_at_number(void *context, const struct target *target, int number)
{
	struct search *search = context;
	struct descriptor descriptor;
	int r = target_descriptor(target, number, &descriptor);

	if (is_gone(r))
		return -EBADF;
	if (r < 0)
		take(search, REGISTERED_UNKNOWN);
	for (uint32_t i = 0; r == 0 && descriptor.regular && i < used_entries(search->queues); i++)
		if (queue_key_same(search->queues->keys[i], descriptor.key) && is_wanted(search, i))
			take(search, ask_and_close(open_by_number(target, number, descriptor.key),
					     search->tgid));
	return search->most == REGISTERED;
}

static void look_by_identity(struct search *search, struct target *target)
{
	_cleanup_(credentials_clear) struct credentials identity = CREDENTIALS_NONE;
	int r = target_credentials(target, &search->own->namespaces, &identity);

	if (r == 0)
		look_by_names(search, &identity);
	else if (!thread_is_dead(target->proc))
		take(search, REGISTERED_UNKNOWN);
}

/* By the first thread that lives, and by each that has a table of its own. */
static int look_at_table(void *context, struct target *thread)
{
	struct search *search = context;

	if (!search->has_identity)
		look_by_identity(search, thread);
	search->has_identity = true;
	return target_for_each_descriptor(thread, look_at_number, search);
}

enum registered registrations_look(const struct process *process, const struct queues *queues,
	const struct grants *scope, const struct own_identity *own)
{
	struct search search = {queues, scope, own, process->pid};
	_cleanup_close_ int proc = -EBADF;
	int r;

	if (is_over(process))
		return REGISTERED_NOT;
	proc = task_open(process->pid);
	if (proc < 0)
		return proc == -ESRCH ? REGISTERED_NOT : REGISTERED_UNKNOWN;
	r = target_for_each_table(proc, look_at_table, &search);
	if (r < 0)
		take(&search, REGISTERED_UNKNOWN);
	/* Or it was another's, by then. */
	return is_over(process) ? REGISTERED_NOT : search.most;
}

struct quick_look {
	const struct process *process;
	const struct queues *queues;
	const struct own_identity *own;
	enum registered *result; /* shared with the child */
};

static void look_quickly(void *context)
{
	const struct quick_look *look = context;

	*look->result = registrations_look(look->process, look->queues, NULL, look->own);
}

enum registered registrations_look_quickly(
	const struct process *process, const struct queues *queues, const struct own_identity *own)
{
	enum registered *result = child_memory(sizeof(*result)), r = REGISTERED_UNKNOWN;
	struct quick_look look = {process, queues, own, result};

	if (!result)
		return r;
	if (child_run(look_quickly, &look, EXAMINATION_STEP_USEC,
		    now_usec() + STRANGERS_PATIENCE_USEC) == 0)
		r = *result;
	child_memory_free(result, sizeof(*result));
	return r;
}

/* --- one call ------------------------------------------------------------------------------- */

/* Takes the queue, or why there is none. */
static int add(struct lookout *lookout, struct queue_key key, int queue, pid_t tgid)
{
	_cleanup_close_ int fd = queue;
	enum registered before;

	if (fd < 0)
		return is_gone(fd) ? 0 : fd;
	if (lookout->count == ELEMENTSOF(lookout->queues))
		return -ENOSPC;
	before = ask(fd, tgid);
	if (before == REGISTERED_UNKNOWN)
		return -EIO;
	lookout->queues[lookout->count].key = key;
	lookout->queues[lookout->count].queue = take_fd(&fd);
	lookout->queues[lookout->count].registered = before == REGISTERED;
	lookout->count++;
	return 0;
}

static bool is_among(const struct lookout *lookout, struct queue_key key)
{
	for (size_t i = 0; i < lookout->count; i++)
		if (queue_key_same(lookout->queues[i].key, key))
			return true;
	return false;
}

/* It is no queue, or one that the session may read. */
static bool is_harmless(const struct queues *queues, const struct descriptor *descriptor)
{
	bool is_queue = false;

	for (uint32_t i = 0; descriptor->regular && i < used_entries(queues); i++) {
		if (queue_key_same(queues->keys[i], descriptor->key))
			return !may_not_be_read(queues, i);
		is_queue = is_queue || queues->keys[i].device == descriptor->key.device;
	}
	return !is_queue;
}

static int add_number(struct lookout *lookout, const struct queues *queues,
	const struct target *target, int number, pid_t tgid)
{
	struct descriptor descriptor;
	int r = target_descriptor(target, number, &descriptor);

	if (r < 0)
		return is_gone(r) ? 0 : r;
	if (is_harmless(queues, &descriptor) || is_among(lookout, descriptor.key))
		return 0;
	return add(lookout, descriptor.key, open_by_number(target, number, descriptor.key), tgid);
}

static int add_table(struct lookout *lookout, const struct queues *queues,
	const struct target *target, pid_t tgid)
{
	DIR *table = target_open_table(target);
	int number, r = -EIO;

	while (table && (r = table_next(table, &number)) > 0) {
		r = add_number(lookout, queues, target, number, tgid);
		if (r < 0)
			break;
	}
	if (table)
		(void)closedir(table);
	return r;
}

int lookout_begin(struct lookout *lookout, const struct queues *queues,
	const struct own_identity *own, const struct credentials *identity,
	const struct target *target)
{
	int r = queues->hidden ? -ENOSPC : 0;

	lookout->count = 0;
	for (uint32_t i = 0; r == 0 && i < used_entries(queues); i++)
		if (may_not_be_read(queues, i))
			r = add(lookout, queues->keys[i],
				registrations_open(queues, i, own, identity), identity->tgid);
	return r < 0 ? r : add_table(lookout, queues, target, identity->tgid);
}

bool lookout_sees(const struct lookout *lookout, pid_t tgid)
{
	for (size_t i = 0; i < lookout->count; i++)
		if (!lookout->queues[i].registered &&
			ask(lookout->queues[i].queue, tgid) == REGISTERED)
			return true;
	return false;
}

void lookout_end(struct lookout *lookout)
{
	while (lookout->count > 0)
		(void)safe_close(lookout->queues[--lookout->count].queue);
}
