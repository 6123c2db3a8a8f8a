/* SPDX-License-Identifier: MIT */
#include "record.h"

#include <inttypes.h>
#include <time.h>

#include "include/log.h"
#include "include/verdict.h"
#include "kernel-refusal.h"
#include "state.h"

void record_clear(struct record *record)
{
	free(record->plug);
	free(record->suggestion);
	free(record->why);
	free(record->container);
	*record = (struct record){0};
}

char *missing_format(uint32_t missing, char buffer[static PERMISSIONS_STRING_MAX])
{
	uint32_t telling = missing & ~(uint32_t)PERMISSION_OPEN;

	return permissions_format(telling ? telling : missing, buffer);
}

static void print_why(FILE *f, const struct record *record)
{
	if (record->refused)
		(void)fputs(record->why, f);
	else if (record->allowed)
		(void)fprintf(f, "to %s", *record->plug ? record->plug : "the session");
	else if (record->missing[0])
		(void)fprintf(f, "%s not granted to %s", record->missing,
			*record->plug ? record->plug : "the session, to which nothing is bound");
	else
		(void)fprintf(f, "%s", record->reason);
}

const char *record_verdict(const struct record *record)
{
	return record->killed    ? "killed"
	       : record->refused ? "refused"
	       : record->allowed ? "allowed"
				 : "denied";
}

char *record_format(const struct record *record)
{
	char *line = NULL;
	size_t size;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return NULL;
	(void)fprintf(f, "%s%s%s%s%s", record_verdict(record),
		record->refused ? " by the kernel:" : "", record->call[0] ? " " : "", record->call,
		record->queue[0] ? " " : "");
	print_word(f, record->queue);
	if (record->means[0]) {
		(void)fputs(" (the queue ", f);
		print_word(f, record->means);
		(void)fputs(")", f);
	}
	(void)fputs(": ", f);
	print_why(f, record);
	(void)fprintf(f, " (pid %d, uid %u, ", (int)record->pid, (unsigned)record->uid);
	print_word(f, record->command);
	(void)fprintf(f, "%s%s)", record->container ? ", container " : "",
		record->container ? record->container : "");
	if (record->suggestion)
		(void)fprintf(f, "; to allow: %s", record->suggestion);
	else if (record->hopeless)
		(void)fprintf(f, "; %s", record->hopeless);
	if (record->suppressed > 0)
		(void)fprintf(f, "; %" PRIu64 " before this one not recorded", record->suppressed);
	if (fclose(f) != 0) {
		free(line);
		return NULL;
	}
	return line;
}

static char *join(char *const *strings, size_t count)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < count; i++)
		(void)fprintf(f, "%s%s", i ? ", " : "", strings[i]);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* The plug that lacks something if that can be told, else all that the session has. */
static int find_plug(
	struct record *record, const struct session *session, const char *queue, uint32_t missing)
{
	int r = 0;

	if (missing && session->bindings.plug_count > 0)
		r = policy_suggest(&session->manager->policy,
			(const char *const *)session->bindings.plugs, session->bindings.plug_count,
			queue, missing, &record->plug, &record->suggestion);
	if (r < 0)
		return r;
	if (missing && !record->suggestion)
		record->hopeless = queue_name_is_possible(queue)
					   ? "no slot that could be connected gives that"
					   : "no queue can have this name";
	if (!record->suggestion || !record->plug) {
		free(record->plug);
		record->plug =
			session->bindings.plug_count > 0
				? join(session->bindings.plugs, session->bindings.plug_count)
				: join(session->bindings.slots, session->bindings.slot_count);
	}
	return record->plug ? 0 : -ENOMEM;
}

static bool is_valid(const struct session_message *message)
{
	bool killed = message->record.reason == REASON_KILLED;

	return (message->record.call < MQ_CALL_COUNT) != killed &&
	       message->record.reason <= REASON_KILLED &&
	       !(message->record.missing & ~(uint32_t)PERMISSIONS_ALL) &&
	       memchr(message->record.name, '\0', sizeof(message->record.name)) &&
	       memchr(message->record.queue, '\0', sizeof(message->record.queue)) &&
	       memchr(message->record.command, '\0', sizeof(message->record.command)) &&
	       (message->record.reason != REASON_REFUSED ||
		       (message->record.error > 0 && message->record.missing == 0 &&
			       kernel_refusal_is_valid(&message->record.refusal)));
}

static bool is_allowed(enum reason reason)
{
	return reason == REASON_GRANTED || reason == REASON_REFUSED || reason == REASON_HARMLESS ||
	       reason == REASON_NO_QUEUE;
}

/* With its slash; "" for "". */
static void show_queue(const char *name, char ret[static RECORD_QUEUE_MAX])
{
	if (!*name)
		return;
	ret[0] = '/';
	(void)escape(name, ret + 1, RECORD_QUEUE_MAX - 1);
}

static uint64_t realtime_usec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void fill(
	struct record *record, const struct session *session, const struct session_message *message)
{
	enum reason reason = (enum reason)message->record.reason;

	*record = (struct record){.time = realtime_usec(),
		.allowed = is_allowed(reason),
		.killed = reason == REASON_KILLED,
		.refused = reason == REASON_REFUSED,
		.call = reason == REASON_KILLED
				? ""
				: mq_call_to_string((enum mq_call)message->record.call),
		.reason = reason_to_string(reason),
		.error = message->record.error,
		.pid = message->record.tgid,
		.uid = message->record.uid,
		.session_uid = session->launcher.uid,
		.suppressed = message->record.suppressed};
	(void)escape(message->record.command, record->command, sizeof(record->command));
	show_queue(message->record.name, record->queue);
	show_queue(message->record.queue, record->means);
	if (message->record.missing)
		(void)missing_format(message->record.missing, record->missing);
}

static int name_container(struct record *record, const struct session *session)
{
	record->container = session->container ? strdup(session->container) : NULL;
	return session->container && !record->container ? -ENOMEM : 0;
}

/* The kernel's reason, and what would help. */
static int explain_refusal(struct record *record, const struct session_message *message)
{
	const struct refused_call call = {.why = &message->record.refusal,
		.error = message->record.error,
		.queue = *message->record.queue ? message->record.queue : message->record.name,
		.pid = message->record.tgid,
		.uid = message->record.uid};

	if (!record->refused)
		return 0;
	record->why = kernel_refusal_text(&call);
	return record->why ? kernel_refusal_remedy(&call, &record->suggestion) : -ENOMEM;
}

int record_from_message(
	const struct session *session, const struct session_message *message, struct record *ret)
{
	struct record record;

	if (!is_valid(message))
		return -EBADMSG;
	fill(&record, session, message);
	if (find_plug(&record, session, message->record.name, message->record.missing) < 0 ||
		explain_refusal(&record, message) < 0 || name_container(&record, session) < 0) {
		record_clear(&record);
		return -ENOMEM;
	}
	*ret = record;
	return 0;
}
