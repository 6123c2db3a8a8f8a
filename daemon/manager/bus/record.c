/* SPDX-License-Identifier: MIT */
/* The signal Record, and what Last() answers. Keys: time t (microseconds since 1970), dropped t,
 * allowed b, call s, queue s, means s, missing s, reason s, refused b, errno i, plug s, pid u, uid
 * u, command s, container s, suggestion s, suppressed t, and text s, the line of the log. */
#include "include/bus.h"
#include "messages.h"
#include "daemon/manager/core/list.h"
#include "daemon/manager/sessions/records.h"
#include "daemon/manager/sessions/state.h"
#include "include/inflight.h"
#include "include/protocol.h"
#include "include/verdict.h"

static int append_record(sd_bus_message *message, const struct record *record, uint64_t dropped)
{
	_cleanup_free_ char *text = record_format(record);
	int r;

	if (!text)
		return -ENOMEM;
	r = sd_bus_message_append(message, "{sv}{sv}{sv}", "time", "t", record->time, "dropped",
		"t", dropped, "allowed", "b", (int)record->allowed);
	r = r < 0 ? r : bus_append_string(message, "call", record->call);
	r = r < 0 ? r : bus_append_string(message, "queue", record->queue);
	r = r < 0 ? r : bus_append_string(message, "means", record->means);
	r = r < 0 ? r : bus_append_string(message, "missing", record->missing);
	r = r < 0 ? r
		  : bus_append_string(
			    message, "reason", record->why ? record->why : record->reason);
	r = r < 0 ? r
		  : sd_bus_message_append(message, "{sv}", "refused", "b", (int)record->refused);
	r = r < 0 ? r : sd_bus_message_append(message, "{sv}", "errno", "i", record->error);
	r = r < 0 ? r : bus_append_string(message, "plug", record->plug);
	r = r < 0 ? r : bus_append_uint32(message, "pid", (uint32_t)record->pid);
	r = r < 0 ? r : bus_append_uint32(message, "uid", record->uid);
	r = r < 0 ? r : bus_append_string(message, "command", record->command);
	r = r < 0 ? r : bus_append_string(message, "container", record->container ?: "");
	r = r < 0 ? r
		  : bus_append_string(
			    message, "suggestion", record->suggestion ? record->suggestion : "");
	r = r < 0 ? r
		  : sd_bus_message_append(message, "{sv}", "suppressed", "t", record->suppressed);
	return r < 0 ? r : bus_append_string(message, "text", text);
}

static int append_row(sd_bus_message *message, const struct record *record)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	r = r < 0 ? r : append_record(message, record, 0);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* Whether the rate of records has let one of it through, and it is remembered. */
static bool was_told(const struct manager *manager, const struct record *record)
{
	const struct record *told;

	FOREACH (records, manager->last_records)
		for (size_t i = 0;
			records->uid == record->session_uid && (told = last_records_at(records, i));
			i++)
			if (streq(told->queue, record->queue) &&
				streq(told->missing, record->missing))
				return true;
	return false;
}

static int append_untold(
	sd_bus_message *message, struct session *session, const struct denial *denial)
{
	struct session_message as_record = {.type = SESSION_RECORD,
		.record = {.call = denial->call,
			.reason = REASON_NOT_GRANTED,
			.error = EACCES,
			.missing = denial->missing,
			.tid = denial->pid,
			.tgid = denial->pid,
			.uid = denial->uid}};
	struct record record;
	int r;

	memcpy(as_record.record.command, denial->command, sizeof(denial->command));
	memcpy(as_record.record.name, denial->name, sizeof(denial->name));
	r = record_from_message(session, &as_record, &record);
	if (r < 0)
		return r == -EBADMSG ? 0 : r;
	record.time = denial->last * 1000000;
	if (!was_told(session->manager, &record))
		r = append_row(message, &record);
	record_clear(&record);
	return r;
}

/* left: how many may still be looked at. */
static int append_session(sd_bus_message *message, struct session *session, pid_t pid, size_t *left)
{
	const struct denials *denials = session->head ? &session->head->denials : NULL;
	const uint32_t count = denials ? denials_count(denials) : 0;
	struct denial denial;
	int r = 0;

	for (uint32_t i = 0; i < count && r >= 0 && *left > 0; i++) {
		if (!denials_read(denials, i, &denial) || (pid != 0 && denial.pid != pid))
			continue;
		(*left)--;
		r = append_untold(message, session, &denial);
	}
	return r;
}

int bus_append_last(const struct manager *manager, const struct bus_viewer *viewer, pid_t pid,
	sd_bus_message *message)
{
	const struct record *record;
	size_t left = SESSION_DENIALS_MAX;
	int r = sd_bus_message_open_container(message, 'a', "a{sv}");

	FOREACH (records, manager->last_records)
		for (size_t i = 0; r >= 0 && bus_may_see(viewer, records->uid) &&
				   (record = last_records_at(records, i));
			i++)
			if (pid == 0 || record->pid == pid)
				r = append_row(message, record);
	FOREACH (session, manager->sessions)
		if (r >= 0 && bus_may_see(viewer, session->launcher.uid))
			r = append_session(message, session, pid, &left);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

struct denied {
	sd_bus_message *message;
	const struct grants *grants; /* of the plug, by now */
};

static int append_denial(const struct denial *denial, void *userdata)
{
	const struct denied *denied = userdata;
	sd_bus_message *message = denied->message;
	const struct subject subject = {denial->subject_pid, denial->uid};
	const uint32_t missing =
		denial->missing & ~grants_find(denied->grants, &subject, denial->name).permissions;
	int r;

	if (missing == 0)
		return 0;
	r = sd_bus_message_open_container(message, 'r', "ayutttuuiay");
	r = r < 0 ? r
		  : sd_bus_message_append_array(message, 'y', denial->name, strlen(denial->name));
	r = r < 0 ? r
		  : sd_bus_message_append(message, "utttuui", missing, denial->count, denial->first,
			    denial->last, denial->subject_pid, denial->uid, denial->pid);
	r = r < 0 ? r
		  : sd_bus_message_append_array(
			    message, 'y', denial->command, strlen(denial->command));
	return MIN(r < 0 ? r : sd_bus_message_close_container(message), 0);
}

static bool may_see(const void *viewer, uid_t uid)
{
	return bus_may_see(viewer, uid);
}

int bus_append_denials(const struct manager *manager, const struct bus_viewer *viewer,
	const char *plug, sd_bus_message *message)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	struct denied denied = {.message = message};
	int r = grants_new(0, &grants);

	r = r < 0 ? r : policy_add_plug_grants(&manager->policy, plug, NULL, grants);
	if (r < 0)
		return r;
	grants_seal(grants);
	denied.grants = grants;
	r = sd_bus_message_open_container(message, 'a', "(ayutttuuiay)");
	r = r < 0 ? r
		  : last_records_denials(manager, plug, may_see, viewer, append_denial, &denied);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

int bus_send_record(sd_bus *bus, const struct record *record, uint64_t dropped)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	r = sd_bus_message_new_signal(bus, &signal, BUS_PATH, BUS_INTERFACE, "Record");
	r = r < 0 ? r : sd_bus_message_open_container(signal, 'a', "{sv}");
	r = r < 0 ? r : append_record(signal, record, dropped);
	r = r < 0 ? r : sd_bus_message_close_container(signal);
	return r < 0 ? r : sd_bus_send(bus, signal, NULL);
}
