/* SPDX-License-Identifier: MIT */
/* The signal Record. Keys: allowed b, call s, queue s, means s, missing s, reason s, errno i, plug
 * s, pid u, uid u, command s, suggestion s, suppressed t, and text s, the line of the log. */
#include "include/bus.h"
#include "messages.h"
#include "daemon/manager/sessions/record.h"

static int append_record(sd_bus_message *message, const struct record *record)
{
	_cleanup_free_ char *text = record_format(record);
	int r;

	if (!text)
		return -ENOMEM;
	r = sd_bus_message_append(message, "{sv}", "allowed", "b", (int)record->allowed);
	r = r < 0 ? r : bus_append_string(message, "call", record->call);
	r = r < 0 ? r : bus_append_string(message, "queue", record->queue);
	r = r < 0 ? r : bus_append_string(message, "means", record->means);
	r = r < 0 ? r : bus_append_string(message, "missing", record->missing);
	r = r < 0 ? r : bus_append_string(message, "reason", record->reason);
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

int bus_send_record(sd_bus *bus, const struct record *record)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r;

	r = sd_bus_message_new_signal(bus, &signal, BUS_PATH, BUS_INTERFACE, "Record");
	r = r < 0 ? r : sd_bus_message_open_container(signal, 'a', "{sv}");
	r = r < 0 ? r : append_record(signal, record);
	r = r < 0 ? r : sd_bus_message_close_container(signal);
	return r < 0 ? r : sd_bus_send(bus, signal, NULL);
}
