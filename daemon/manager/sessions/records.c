/* SPDX-License-Identifier: MIT */
#include "records.h"

#include <inttypes.h>
#include <systemd/sd-journal.h>

#include "daemon/manager/core/list.h"
#include "include/log.h"
#include "state.h"
#include "totals.h"

/* --- the last ones -------------------------------------------------------------------------- */

static struct last_records *records_free(struct manager *manager, struct last_records *records)
{
	LIST_DROP(manager->last_records, records);
	for (size_t i = 0; i < LAST_RECORDS_PER_USER_MAX; i++)
		record_clear(&records->items[i]);
	free(records);
	return NULL;
}

void last_records_free(struct manager *manager)
{
	FOREACH (records, manager->last_records)
		(void)records_free(manager, records);
}

/* Of those that are not root's, the one that has been silent for longest. */
static void make_room(struct manager *manager)
{
	struct last_records *victim = NULL;
	size_t count = 0;

	FOREACH (records, manager->last_records) {
		count++;
		if (records->uid != 0 && (!victim || records->changed < victim->changed))
			victim = records;
	}
	if (victim && count >= LAST_RECORDS_USERS_MAX)
		(void)records_free(manager, victim);
}

static struct last_records *find_or_add(struct manager *manager, uid_t uid)
{
	struct last_records *added;

	FOREACH (records, manager->last_records)
		if (records->uid == uid)
			return records;
	make_room(manager);
	added = calloc(1, sizeof(*added));
	if (added) {
		added->uid = uid;
		LIST_ADD(manager->last_records, added);
	}
	return added;
}

bool records_may_send(struct manager *manager, const struct record *record)
{
	struct last_records *records = find_or_add(manager, record->session_uid);
	const uint64_t now = now_usec();

	if (!records)
		return false;
	if (now - records->second >= 1000000) {
		records->second = now;
		records->sent = 0;
	}
	return records->sent++ < CONTROL_RECORDS_PER_USER_MAX;
}

void last_records_add(struct manager *manager, struct record *record)
{
	struct last_records *records = find_or_add(manager, record->session_uid);

	if (records) {
		const size_t place = (records->oldest + records->count) % LAST_RECORDS_PER_USER_MAX;

		record_clear(&records->items[place]);
		records->items[place] = *record;
		records->changed = record->time;
		if (records->count < LAST_RECORDS_PER_USER_MAX)
			records->count++;
		else
			records->oldest = (records->oldest + 1) % LAST_RECORDS_PER_USER_MAX;
		*record = (struct record){0};
	}
	record_clear(record);
}

const struct record *last_records_at(const struct last_records *records, size_t i)
{
	return i < records->count
		       ? &records->items[(records->oldest + i) % LAST_RECORDS_PER_USER_MAX]
		       : NULL;
}

/* --- told and kept -------------------------------------------------------------------------- */

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
		record_verdict(record), "MQGATE_CALL=%s", record->call, "MQGATE_QUEUE=%s",
		record->queue, "MQGATE_MEANS=%s", record->means, "MQGATE_MISSING=%s",
		record->missing, "MQGATE_REASON=%s", record->why ? record->why : record->reason,
		"MQGATE_ERRNO=%i", record->error, "MQGATE_PLUG=%s", record->plug, "MQGATE_PID=%i",
		(int)record->pid, "MQGATE_UID=%u", (unsigned)record->uid, "MQGATE_COMMAND=%s",
		record->command, "MQGATE_SUGGESTION=%s",
		record->suggestion ? record->suggestion : "", "MQGATE_SUPPRESSED=%" PRIu64,
		record->suppressed, NULL);
}

int records_handle(struct session *session, const struct session_message *message)
{
	struct record record;
	int r = record_from_message(session, message, &record);

	if (r == -ENOMEM)
		log_error("out of memory: a record is lost");
	if (r < 0)
		return r == -ENOMEM ? 0 : r;
	session->manager->totals->records_suppressed += record.suppressed;
	log_record(&record);
	if (session->manager->tell)
		session->manager->tell(session->manager, &record);
	last_records_add(session->manager, &record);
	return 0;
}
