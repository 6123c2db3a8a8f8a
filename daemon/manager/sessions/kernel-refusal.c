/* SPDX-License-Identifier: MIT */
#include "kernel-refusal.h"

#include <inttypes.h>
#include <stdio.h>

#include "include/grants.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/policy.h"
#include "include/util.h"

/* More no sysctl allows. */
#define MESSAGES_HARD_MAX 65536
#define SIZE_HARD_MAX     (16 * 1024 * 1024)
#define ENTER_MAX         64

static bool is_too_many(const struct kernel_refusal *why)
{
	return why->limit > 0 && why->wanted > why->limit;
}

static bool is_too_long(const struct kernel_refusal *why)
{
	return why->size_limit > 0 && why->size_wanted > why->size_limit;
}

bool kernel_refusal_is_valid(const struct kernel_refusal *why)
{
	if (why->why >= KERNEL_WHY_COUNT || why->has_owner > 1 || why->elsewhere > 1 ||
		(why->class != 0 && why->class != 'u' && why->class != 'g' && why->class != 'o'))
		return false;
	if (why->why == KERNEL_WHY_TOO_LARGE && !is_too_many(why) && !is_too_long(why))
		return false;
	for (size_t i = 0; i < KERNEL_QUEUES_TOLD_MAX; i++)
		if (!memchr(why->largest[i].name, '\0', sizeof(why->largest[i].name)))
			return false;
	return true;
}

/* --- why ------------------------------------------------------------------------------------ */

static void write_too_large(FILE *f, const struct kernel_refusal *why)
{
	const char *joint = "it wants ";

	if (is_too_many(why)) {
		(void)fprintf(f,
			"%sroom for %" PRIu64 " messages, and fs.mqueue.msg_max is %" PRIu64 "%s",
			joint, why->wanted, why->limit,
			why->wanted > MESSAGES_HARD_MAX ? ", which cannot be raised to that" : "");
		joint = "; ";
	}
	if (is_too_long(why))
		(void)fprintf(f,
			"%smessages of up to %" PRIu64
			" bytes, and fs.mqueue.msgsize_max is %" PRIu64 "%s",
			joint, why->size_wanted, why->size_limit,
			why->size_wanted > SIZE_HARD_MAX ? ", which cannot be raised to that" : "");
}

static void write_used(FILE *f, const struct kernel_refusal *why)
{
	const char *joint = ": ";

	(void)fprintf(f, "; its queues here have %" PRIu64, why->used);
	for (size_t i = 0; i < KERNEL_QUEUES_TOLD_MAX && *why->largest[i].name; i++) {
		char name[4 * QUEUE_NAME_MAX + 1];

		(void)fprintf(f, "%s/", joint);
		print_word(f, escape(why->largest[i].name, name, sizeof(name)));
		(void)fprintf(f, " %" PRIu64, why->largest[i].bytes);
		joint = ", ";
	}
	if (why->queues > KERNEL_QUEUES_TOLD_MAX)
		(void)fprintf(f, " and %" PRIu64 " more", why->queues - KERNEL_QUEUES_TOLD_MAX);
}

/* Of which a further queue would be allowed. */
static uint64_t bytes_needed(const struct kernel_refusal *why)
{
	return MAX(why->used, why->limit) + why->wanted;
}

static void write_bytes(FILE *f, const struct refused_call *call)
{
	const struct kernel_refusal *why = call->why;

	(void)fprintf(f,
		"the queue takes about %" PRIu64 " bytes of the %" PRIu64
		" that all queues of user %u may take (RLIMIT_MSGQUEUE)",
		why->wanted, why->limit, (unsigned)call->uid);
	if (why->used > 0)
		write_used(f, why);
	if (bytes_needed(why) > why->most)
		(void)fprintf(f,
			"; more than %" PRIu64 " mqgated itself may not have (LimitMSGQUEUE=)",
			why->most);
}

static void write_owner(FILE *f, const struct refused_call *call)
{
	const struct kernel_refusal *why = call->why;

	if (!queue_name_is_possible(call->queue))
		(void)fputs("no queue can have this name", f);
	else if (!why->has_owner)
		(void)fputs("the queue's owner and mode do not allow it", f);
	else if (why->wanted & PERMISSION_DELETE)
		(void)fprintf(f, "the queue is of user %u, who alone may delete it", why->uid);
	else
		(void)fprintf(f, "the queue is of user %u and group %u, and its mode is %04o",
			why->uid, why->gid, why->mode);
}

static void write_why(FILE *f, const struct refused_call *call)
{
	const struct kernel_refusal *why = call->why;

	switch ((enum kernel_why)why->why) {
	case KERNEL_WHY_NOTHING:
		(void)fputs("mq_maxmsg and mq_msgsize must be more than 0", f);
		break;
	case KERNEL_WHY_TOO_LARGE:
		write_too_large(f, why);
		break;
	case KERNEL_WHY_BYTES:
		write_bytes(f, call);
		break;
	case KERNEL_WHY_TABLE:
		(void)fprintf(f,
			"it has as many descriptors open as it may (RLIMIT_NOFILE: %" PRIu64 ")",
			why->limit);
		break;
	case KERNEL_WHY_QUEUES:
		(void)fprintf(f,
			"its IPC namespace may not have more queues "
			"(fs.mqueue.queues_max: %" PRIu64 ")",
			why->limit);
		break;
	case KERNEL_WHY_HOST:
		(void)fprintf(f,
			"the session has created as many queues on the host as it may "
			"(HOST_QUEUES_MAX: %d)",
			HOST_QUEUES_MAX);
		break;
	case KERNEL_WHY_OWNER:
		write_owner(f, call);
		break;
	case KERNEL_WHY_OTHER:
	case KERNEL_WHY_COUNT:
		(void)fputs(strerror(call->error), f);
		break;
	}
}

char *kernel_refusal_text(const struct refused_call *call)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	(void)fprintf(f, "%s, ", strerrorname_np(call->error));
	write_why(f, call);
	return fclose(f) == 0 ? text : NULL;
}

/* --- what would help ------------------------------------------------------------------------ */

/* Where its IPC namespace is not ours, while the process runs. */
static const char *enter(const struct refused_call *call, char buffer[static ENTER_MAX])
{
	buffer[0] = '\0';
	if (call->why->elsewhere)
		(void)snprintf(buffer, ENTER_MAX, "nsenter --target %d --ipc ", (int)call->pid);
	return buffer;
}

static int raise_sysctls(const struct refused_call *call, char **ret)
{
	const struct kernel_refusal *why = call->why;
	char messages[64] = "", size[64] = "", buffer[ENTER_MAX];

	if ((is_too_many(why) && why->wanted > MESSAGES_HARD_MAX) ||
		(is_too_long(why) && why->size_wanted > SIZE_HARD_MAX))
		return 0;
	if (is_too_many(why))
		(void)snprintf(
			messages, sizeof(messages), " fs.mqueue.msg_max=%" PRIu64, why->wanted);
	if (is_too_long(why))
		(void)snprintf(
			size, sizeof(size), " fs.mqueue.msgsize_max=%" PRIu64, why->size_wanted);
	return asprintf(ret, "%ssysctl%s%s", enter(call, buffer), messages, size) < 0 ? -ENOMEM : 0;
}

static int raise_queues(const struct refused_call *call, char **ret)
{
	const struct kernel_refusal *why = call->why;
	char buffer[ENTER_MAX];

	if (why->limit == 0)
		return 0;
	return asprintf(ret, "%ssysctl fs.mqueue.queues_max=%" PRIu64, enter(call, buffer),
		       2 * MAX(why->limit, why->queues)) < 0
		       ? -ENOMEM
		       : 0;
}

/* The hard limit only if it must: a program cannot raise it again. */
static int raise_limit(
	const struct refused_call *call, const char *name, uint64_t value, char **ret)
{
	return asprintf(ret, "prlimit --pid %d --%s=%" PRIu64 "%s", (int)call->pid, name, value,
		       value <= call->why->hard ? ":" : "") < 0
		       ? -ENOMEM
		       : 0;
}

/* It goes into a command as it is. */
static bool is_plain(const char *name)
{
	return *name && *name != '-' && queue_name_is_possible(name) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
		       strlen(name);
}

/* As narrow as modes are: everybody only where a group has something that would be taken from it.
 */
static int open_up(const struct refused_call *call, char **ret)
{
	const struct kernel_refusal *why = call->why;
	const bool reads = why->wanted & PERMISSION_READ, writes = why->wanted & PERMISSION_WRITE;
	const bool lends = why->class == 'o' && !(why->mode & 070);
	char group[QUEUE_NAME_MAX + 64] = "";

	if (why->class == 0 || !is_plain(call->queue) || !(reads || writes))
		return 0;
	if (lends)
		(void)snprintf(group, sizeof(group), "chgrp %u /dev/mqueue/%s && ", why->caller_gid,
			call->queue);
	return asprintf(ret, "%schmod %c+%s%s /dev/mqueue/%s", group, lends ? 'g' : (int)why->class,
		       reads ? "r" : "", writes ? "w" : "", call->queue) < 0
		       ? -ENOMEM
		       : 0;
}

int kernel_refusal_remedy(const struct refused_call *call, char **ret)
{
	const struct kernel_refusal *why = call->why;
	int r = 0;

	*ret = NULL;
	switch ((enum kernel_why)why->why) {
	case KERNEL_WHY_TOO_LARGE:
		r = raise_sysctls(call, ret);
		break;
	case KERNEL_WHY_BYTES:
		if (bytes_needed(why) <= why->most)
			r = raise_limit(call, "msgqueue", bytes_needed(why), ret);
		break;
	case KERNEL_WHY_TABLE:
		r = raise_limit(call, "nofile", 2 * why->limit, ret);
		break;
	case KERNEL_WHY_QUEUES:
		r = raise_queues(call, ret);
		break;
	case KERNEL_WHY_OWNER:
		r = open_up(call, ret);
		break;
	case KERNEL_WHY_NOTHING:
	case KERNEL_WHY_HOST:
	case KERNEL_WHY_OTHER:
	case KERNEL_WHY_COUNT:
		break;
	}
	if (r < 0)
		*ret = NULL;
	return r;
}
