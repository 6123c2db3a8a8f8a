/* SPDX-License-Identifier: MIT */
/* The signal Record, and what Last() answers. Keys: time t (microseconds since 1970), dropped t,
 * allowed b, call s, queue s, means s, missing s, reason s, refused b, errno i, plug s, pid u, uid
 * u, command s, suggestion s, suppressed t, and text s, the line of the log. */
#include "include/bus.h"
#include "messages.h"
#include "daemon/manager/core/list.h"
#include "daemon/manager/sessions/records.h"

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

int bus_append_last(const struct manager *manager, const struct bus_viewer *viewer, pid_t pid,
	sd_bus_message *message)
{
	const struct record *record;
	int r = sd_bus_message_open_container(message, 'a', "a{sv}");

	FOREACH (records, manager->last_records)
		for (size_t i = 0; r >= 0 && bus_may_see(viewer, records->uid) &&
				   (record = last_records_at(records, i));
			i++)
			if (pid == 0 || record->pid == pid)
				r = append_row(message, record);
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
