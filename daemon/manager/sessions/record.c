/* SPDX-License-Identifier: MIT */
/* Records: one decision each, told to the journal or to stderr, and to whoever listens on the
 * control bus. */
#include <inttypes.h>
#include <systemd/sd-journal.h>

#include "include/log.h"
#include "include/verdict.h"
#include "record.h"
#include "state.h"

void record_clear(struct record *record)
{
	free(record->plug);
	free(record->suggestion);
	*record = (struct record){0};
}

char *missing_format(uint32_t missing, char buffer[static PERMISSIONS_STRING_MAX])
{
	uint32_t telling = missing & ~(uint32_t)PERMISSION_OPEN;

	return permissions_format(telling ? telling : missing, buffer);
}

static void print_why(FILE *f, const struct record *record)
{
	if (record->allowed)
		(void)fprintf(f, "to %s", *record->plug ? record->plug : "the session");
	else if (record->missing[0])
		(void)fprintf(f, "%s not granted to %s", record->missing,
			*record->plug ? record->plug : "the session, to which nothing is bound");
	else
		(void)fprintf(f, "%s", record->reason);
}

static const char *verdict_of(const struct record *record)
{
	return record->killed ? "killed" : record->allowed ? "allowed" : "denied";
}

char *record_format(const struct record *record)
{
	char *line = NULL;
	size_t size;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return NULL;
	(void)fprintf(f, "%s%s%s%s%s", verdict_of(record), record->call[0] ? " " : "", record->call,
		record->queue[0] ? " " : "", record->queue);
	if (record->means[0])
		(void)fprintf(f, " (the queue %s)", record->means);
	(void)fputs(": ", f);
	print_why(f, record);
	(void)fprintf(f, " (pid %d, uid %u, %s)", (int)record->pid, (unsigned)record->uid,
		record->command);
	if (record->suggestion)
		(void)fprintf(f, "; to allow: %s", record->suggestion);
	if (record->suppressed > 0)
		(void)fprintf(f, "; %" PRIu64 " before this one not recorded", record->suppressed);
	if (fclose(f) != 0) {
		free(line);
		return NULL;
	}
	return line;
}

static void log_record(const struct record *record)
{
	_cleanup_free_ char *line = record_format(record);

	if (!line) {
		log_error("out of memory: a record is lost");
		return;
	}
	if (!log_to_journal()) {
		log_notice("%s", line);
		return;
	}
	(void)sd_journal_send("MESSAGE=%s", line, "PRIORITY=%i", LOG_NOTICE, "MQGATE_VERDICT=%s",
		verdict_of(record), "MQGATE_CALL=%s", record->call, "MQGATE_QUEUE=%s",
		record->queue, "MQGATE_MEANS=%s", record->means, "MQGATE_MISSING=%s",
		record->missing, "MQGATE_REASON=%s", record->reason, "MQGATE_ERRNO=%i",
		record->error, "MQGATE_PLUG=%s", record->plug, "MQGATE_PID=%i", (int)record->pid,
		"MQGATE_UID=%u", (unsigned)record->uid, "MQGATE_COMMAND=%s", record->command,
		"MQGATE_SUGGESTION=%s", record->suggestion ? record->suggestion : "",
		"MQGATE_SUPPRESSED=%" PRIu64, record->suppressed, NULL);
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
	       memchr(message->record.command, '\0', sizeof(message->record.command));
}

static bool is_allowed(enum reason reason)
{
	return reason == REASON_GRANTED || reason == REASON_HARMLESS || reason == REASON_NO_QUEUE;
}

/* With its slash; "" for "". */
static void show_queue(const char *name, char ret[static RECORD_QUEUE_MAX])
{
	if (!*name)
		return;
	ret[0] = '/';
	(void)escape(name, ret + 1, RECORD_QUEUE_MAX - 1);
}

static void fill(
	struct record *record, const struct session *session, const struct session_message *message)
{
	enum reason reason = (enum reason)message->record.reason;

	*record = (struct record){.allowed = is_allowed(reason),
		.killed = reason == REASON_KILLED,
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

int record_from_message(
	const struct session *session, const struct session_message *message, struct record *ret)
{
	struct record record;

	if (!is_valid(message))
		return -EBADMSG;
	fill(&record, session, message);
	if (find_plug(&record, session, message->record.name, message->record.missing) < 0) {
		record_clear(&record);
		return -ENOMEM;
	}
	*ret = record;
	return 0;
}

int record_handle(struct session *session, const struct session_message *message)
{
	struct record record;
	int r = record_from_message(session, message, &record);

	if (r == -ENOMEM)
		log_error("out of memory: a record is lost");
	if (r < 0)
		return r == -ENOMEM ? 0 : r;
	log_record(&record);
	if (session->manager->tell)
		session->manager->tell(session->manager, &record);
	record_clear(&record);
	return 0;
}
