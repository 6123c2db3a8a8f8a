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
	free(records->ended);
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

/* --- what was denied ------------------------------------------------------------------------- */

/* Where one of a plug's is, or may be put. */
static struct ended_denial *place_of(
	struct last_records *records, const char *plug, const struct denial *denial)
{
	struct ended_denial *oldest = records->ended;

	for (size_t i = 0; i < records->ended_count; i++) {
		struct ended_denial *ended = &records->ended[i];

		if (denial_is_same(&ended->denial, denial) && streq(ended->plug, plug))
			return ended;
		if (ended->number < oldest->number)
			oldest = ended;
	}
	if (records->ended_count < ENDED_DENIALS_PER_USER_MAX)
		oldest = &records->ended[records->ended_count++];
	*oldest = (struct ended_denial){.denial.missing = 0};
	(void)snprintf(oldest->plug, sizeof(oldest->plug), "%s", plug);
	return oldest;
}

static int keep(const struct denial *denial, void *userdata)
{
	const struct session *session = userdata;
	struct last_records *records = find_or_add(session->manager, session->launcher.uid);

	if (records && !records->ended)
		records->ended = calloc(ENDED_DENIALS_PER_USER_MAX, sizeof(*records->ended));
	if (!records || !records->ended)
		return -ENOMEM;
	for (size_t i = 0; i < session->bindings.plug_count; i++) {
		struct ended_denial *ended = place_of(records, session->bindings.plugs[i], denial);

		denial_add(&ended->denial, denial);
		ended->number = ++records->ended_number;
	}
	records->changed = (uint64_t)time(NULL) * 1000000;
	return 0;
}

static int take_denials(const struct session *session, take_denial_t take, void *userdata)
{
	const struct denials *denials = session->head ? &session->head->denials : NULL;
	const uint32_t count = denials ? denials_count(denials) : 0;
	struct denial denial;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++)
		if (denials_read(denials, i, &denial))
			r = take(&denial, userdata);
	return r;
}

void last_records_keep(struct session *session)
{
	(void)take_denials(session, keep, session);
}

static bool has_plug(const struct session *session, const char *plug)
{
	for (size_t i = 0; i < session->bindings.plug_count; i++)
		if (streq(session->bindings.plugs[i], plug))
			return true;
	return false;
}

int last_records_denials(const struct manager *manager, const char *plug,
	bool (*may_see)(const void *viewer, uid_t uid), const void *viewer, take_denial_t take,
	void *userdata)
{
	int r = 0;

	FOREACH (records, manager->last_records)
		for (size_t i = 0; may_see(viewer, records->uid) && i < records->ended_count; i++)
			if (r == 0 && streq(records->ended[i].plug, plug))
				r = take(&records->ended[i].denial, userdata);
	FOREACH (session, manager->sessions)
		if (r == 0 && may_see(viewer, session->launcher.uid) && has_plug(session, plug))
			r = take_denials(session, take, userdata);
	return r;
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
