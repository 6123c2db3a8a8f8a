/* SPDX-License-Identifier: MIT */
/* The numbers are of the caller's IPC namespace. Which queues there are, and whose, is seen only in
 * ours, in /dev/mqueue: by a disposable child, since somebody may hold the lock of that directory.
 * A caller is told nothing of it; who reads the record learns of no queue but its own user's, and
 * of the one that was to be opened no more than the directory shows everybody. */
#include "why.h"

#include <dirent.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "daemon/session/target/child.h"
#include "decode.h"
#include "include/compat.h"
#include "daemon/session/target/own.h"

#define DIRECTORY "/dev/mqueue"
/* What the kernel counts for each message besides the message (struct msg_msg), and for each
 * priority that may be in use (struct posix_msg_tree_node), on 64-bit machines. */
#define MESSAGE_OVERHEAD  48
#define PRIORITY_OVERHEAD 48
#define PRIORITIES_MAX    32768
#define DEADLINE_USEC     (100 * 1000ULL)

/* --- once ----------------------------------------------------------------------------------- */

static bool concerns_person(int error)
{
	return error == EINVAL || error == EMFILE || error == ENFILE || error == ENOSPC ||
	       error == EACCES || error == EPERM || error == ENOMEM;
}

static bool same_name(const struct told_refusal *refusal, const struct call *call)
{
	return call->granted.queue && refusal->call == call->request.call &&
	       streq(refusal->name, call->granted.queue);
}

static struct told_refusal *find_told(struct told *told, const struct call *call)
{
	for (size_t i = 0; i < REFUSALS_TOLD_MAX; i++)
		if (told->items[i].error != 0 && same_name(&told->items[i], call))
			return &told->items[i];
	return NULL;
}

bool why_is_news(struct told *told, const struct call *call)
{
	const int error = call->answer.error;
	struct told_refusal *refusal;

	if (request_has_descriptor(&call->request) || !call->refused || !concerns_person(error))
		return false;
	refusal = find_told(told, call);
	if (refusal && refusal->error == error)
		return false;
	if (!refusal)
		refusal = &told->items[told->next++ % REFUSALS_TOLD_MAX];
	*refusal = (struct told_refusal){.call = call->request.call, .error = error};
	(void)snprintf(
		refusal->name, sizeof(refusal->name), "%.*s", QUEUE_NAME_MAX, call->granted.queue);
	return true;
}

void why_forget(struct told *told, const struct call *call)
{
	struct told_refusal *refusal =
		request_has_descriptor(&call->request) ? NULL : find_told(told, call);

	if (refusal)
		refusal->error = 0;
}

/* --- what there is -------------------------------------------------------------------------- */

#define NOBODY_KNOWN ((uid_t)-1)

struct survey {
	const char *name;               /* whose owner is asked; NULL: which there are */
	uid_t user;                     /* of these; NOBODY_KNOWN: only how many */
	struct kernel_refusal *refusal; /* shared */
};

static bool is_queues_directory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == MQUEUE_MAGIC;
}

static uint64_t queue_bytes(uint64_t messages, uint64_t size)
{
	return messages * (size + MESSAGE_OVERHEAD) +
	       MIN(messages, (uint64_t)PRIORITIES_MAX) * PRIORITY_OVERHEAD;
}

/* The largest first. */
static void note_queue(struct kernel_refusal *refusal, const char *name, uint64_t bytes)
{
	size_t i = KERNEL_QUEUES_TOLD_MAX;

	refusal->queues++;
	refusal->used += bytes;
	while (i > 0 && bytes > refusal->largest[i - 1].bytes)
		i--;
	if (i == KERNEL_QUEUES_TOLD_MAX)
		return;
	memmove(&refusal->largest[i + 1], &refusal->largest[i],
		(KERNEL_QUEUES_TOLD_MAX - 1 - i) * sizeof(refusal->largest[0]));
	refusal->largest[i].bytes = bytes;
	(void)snprintf(refusal->largest[i].name, sizeof(refusal->largest[i].name), "%.*s",
		QUEUE_NAME_MAX, name);
}

static void survey_queue(const struct survey *survey, int directory, const char *name)
{
	_cleanup_close_ int queue = -EBADF;
	struct mq_attr attributes;
	struct stat st;

	step_begin();
	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == survey->user)
		queue = openat(directory, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	step_end();
	if (queue >= 0 && mq_getattr(queue, &attributes) == 0)
		note_queue(survey->refusal, name,
			queue_bytes(
				(uint64_t)attributes.mq_maxmsg, (uint64_t)attributes.mq_msgsize));
}

static void survey_all(const struct survey *survey, DIR *directory)
{
	for (;;) {
		const struct dirent *entry;

		step_begin();
		entry = readdir(directory);
		step_end();
		if (!entry)
			return;
		if (entry->d_type == DT_REG && survey->user == NOBODY_KNOWN)
			survey->refusal->queues++;
		else if (entry->d_type == DT_REG)
			survey_queue(survey, dirfd(directory), entry->d_name);
	}
}

static void look_at_owner(const struct survey *survey, int directory)
{
	struct stat st;

	step_begin();
	if (fstatat(directory, survey->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		S_ISREG(st.st_mode)) {
		survey->refusal->uid = st.st_uid;
		survey->refusal->gid = st.st_gid;
		survey->refusal->mode = st.st_mode & ALLPERMS;
		survey->refusal->has_owner = 1;
	}
	step_end();
}

static void work(void *context)
{
	const struct survey *survey = context;
	DIR *directory;

	step_begin();
	directory = opendir(DIRECTORY);
	step_end();
	if (!directory)
		return;
	if (!is_queues_directory(dirfd(directory)))
		;
	else if (survey->name)
		look_at_owner(survey, dirfd(directory));
	else
		survey_all(survey, directory);
	(void)closedir(directory);
}

static void run_survey(
	const struct call *call, const char *name, uid_t user, struct kernel_refusal *refusal)
{
	struct survey survey = {name, user, NULL};

	if (call->identity.ipc_namespace >= 0 && !call->granted.host)
		return;
	survey.refusal = child_memory(sizeof(*refusal));
	if (!survey.refusal)
		return;
	*survey.refusal = *refusal;
	if (child_run(work, &survey, EXAMINATION_STEP_USEC, now_usec() + DEADLINE_USEC) == 0)
		*refusal = *survey.refusal;
	child_memory_free(survey.refusal, sizeof(*refusal));
}

/* --- by errno ------------------------------------------------------------------------------- */

static uint64_t limit(
	const struct supervisor *supervisor, const struct call *call, const char *name)
{
	const int namespace = call_is_abroad(call) ? -EBADF : call->identity.ipc_namespace;
	uint64_t value;

	return own_read_limit(&supervisor->own, namespace, name, &value) == 0 ? value : 0;
}

static void because_of_attributes(
	const struct supervisor *supervisor, const struct call *call, struct kernel_refusal *ret)
{
	const struct mq_attr *attributes = &call->request.attributes;

	if (!call->request.has_attributes)
		return;
	ret->why = KERNEL_WHY_NOTHING;
	if (attributes->mq_maxmsg <= 0 || attributes->mq_msgsize <= 0)
		return;
	ret->wanted = (uint64_t)attributes->mq_maxmsg;
	ret->limit = limit(supervisor, call, "msg_max");
	ret->size_wanted = (uint64_t)attributes->mq_msgsize;
	ret->size_limit = limit(supervisor, call, "msgsize_max");
	ret->why = (ret->limit > 0 && ret->wanted > ret->limit) ||
				   (ret->size_limit > 0 && ret->size_wanted > ret->size_limit)
			   ? KERNEL_WHY_TOO_LARGE
			   : KERNEL_WHY_OTHER;
}

/* What a queue without attributes gets. */
static uint64_t default_bytes(const struct supervisor *supervisor, const struct call *call)
{
	uint64_t messages =
		MIN(limit(supervisor, call, "msg_default"), limit(supervisor, call, "msg_max"));
	uint64_t size = MIN(
		limit(supervisor, call, "msgsize_default"), limit(supervisor, call, "msgsize_max"));

	return queue_bytes(messages, size);
}

static void because_of_bytes(
	const struct supervisor *supervisor, const struct call *call, struct kernel_refusal *ret)
{
	const struct mq_attr *attributes = &call->request.attributes;

	if (call->no_room) {
		ret->why = KERNEL_WHY_TABLE;
		ret->limit = call->limits.descriptors.rlim_cur;
		ret->hard = call->limits.descriptors.rlim_max;
		return;
	}
	ret->why = KERNEL_WHY_BYTES;
	ret->limit = call->identity.queue_bytes;
	ret->hard = call->limits.queue_bytes.rlim_max;
	ret->most = supervisor->own.queue_bytes.rlim_max;
	ret->wanted = call->request.has_attributes ? queue_bytes((uint64_t)attributes->mq_maxmsg,
							     (uint64_t)attributes->mq_msgsize)
						   : default_bytes(supervisor, call);
	run_survey(call, NULL, call->identity.real_uid, ret);
}

/* As the kernel chooses it. */
static uint32_t class_of(const struct credentials *identity, const struct kernel_refusal *refusal)
{
	if (identity->fs_uid == refusal->uid)
		return 'u';
	for (size_t i = 0; i < identity->group_count; i++)
		if (identity->groups[i] == refusal->gid)
			return 'g';
	return identity->fs_gid == refusal->gid ? 'g' : 'o';
}

static void because_of_owner(const struct call *call, struct kernel_refusal *ret)
{
	ret->why = KERNEL_WHY_OWNER;
	ret->wanted = request_needs(&call->request);
	run_survey(call, call->granted.queue, 0, ret);
	ret->caller_gid = call->identity.fs_gid;
	if (ret->has_owner)
		ret->class = class_of(&call->identity, ret);
}

static void because_of_queues(
	const struct supervisor *supervisor, const struct call *call, struct kernel_refusal *ret)
{
	if (call->host_full) {
		ret->why = KERNEL_WHY_HOST;
		return;
	}
	ret->why = KERNEL_WHY_QUEUES;
	ret->limit = limit(supervisor, call, "queues_max");
	run_survey(call, NULL, NOBODY_KNOWN, ret);
}

void find_why(
	const struct supervisor *supervisor, const struct call *call, struct kernel_refusal *ret)
{
	*ret = (struct kernel_refusal){.why = KERNEL_WHY_OTHER,
		.elsewhere = call->identity.ipc_namespace >= 0 && !call_is_abroad(call)};
	switch (call->answer.error) {
	case EINVAL:
		because_of_attributes(supervisor, call, ret);
		break;
	case EMFILE:
		because_of_bytes(supervisor, call, ret);
		break;
	case ENOSPC:
		because_of_queues(supervisor, call, ret);
		break;
	case EACCES:
	case EPERM:
		because_of_owner(call, ret);
		break;
	}
}
