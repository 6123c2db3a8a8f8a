/* SPDX-License-Identifier: MIT */
/* What goes into messages of the control bus, and what is read out of them. 0 or negative errno. */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager/core/manager.h"

int bus_append_string(sd_bus_message *message, const char *key, const char *value);
int bus_append_uint32(sd_bus_message *message, const char *key, uint32_t value);
int bus_append_strings(
	sd_bus_message *message, const char *key, const char *const *values, size_t count);
/* Who looks: sees its own sessions, or all of them. */
struct bus_viewer {
	uid_t uid;
	bool all; /* root, and the members of admin-group */
};
static inline bool bus_may_see(const struct bus_viewer *viewer, uid_t session_uid)
{
	return viewer->all || viewer->uid == session_uid;
}
/* The rows of one List. -EINVAL: no such list. */
int bus_append_list(struct manager *manager, const struct bus_viewer *viewer, const char *what,
	sd_bus_message *message);
/* What Counters() answers. */
int bus_append_counters(
	const struct manager *manager, const struct bus_viewer *viewer, sd_bus_message *message);
int bus_append_status(const struct manager *manager, sd_bus_message *message);
/* An option of a method. */
struct bus_option {
	const char *key;
	char type; /* 'b' (int), 't' (uint64_t), 's' (const char *) */
	void *ret;
};
/* Reads an a{sv}; what is not in options is refused. 0 or negative errno, with error. */
int bus_read_options(sd_bus_message *message, const struct bus_option *options, size_t count,
	sd_bus_error *error);
int bus_reply_apply(
	sd_bus_message *call, const struct connections *before, const struct connections *after);
/* The last records that the viewer may see, of one process, or of all (0). */
int bus_append_last(const struct manager *manager, const struct bus_viewer *viewer, pid_t pid,
	sd_bus_message *message);
/* What sessions with a plug were denied, and would be now: queue (bytes, without slash), missing
 * (PERMISSION_…), how often, first, last (seconds since 1970), number in its own PID namespace,
 * user, pid, command. */
int bus_append_denials(const struct manager *manager, const struct bus_viewer *viewer,
	const char *plug, sd_bus_message *message);
/* dropped: records before it that were not sent. */
int bus_send_record(sd_bus *bus, const struct record *record, uint64_t dropped);
