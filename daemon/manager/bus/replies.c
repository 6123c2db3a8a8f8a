/* SPDX-License-Identifier: MIT */
#include "replies.h"

#include <sys/socket.h>

#include "daemon/manager/sessions/kept-processes.h"
#include "daemon/manager/sessions/totals.h"
#include "include/bus.h"
#include "include/log.h"
#include "messages.h"

struct reply *reply_new(enum reply_kind kind, sd_bus_message *call)
{
	struct reply *reply = calloc(1, sizeof(*reply));

	if (reply)
		*reply = (struct reply){
			.kind = kind, .call = sd_bus_message_ref(call), .began = now_usec()};
	return reply;
}

struct reply *reply_free(struct reply *reply)
{
	if (!reply)
		return NULL;
	reply->call = sd_bus_message_unref(reply->call);
	reply->query = holders_query_free(reply->query);
	(void)connections_unref(reply->before);
	(void)connections_unref(reply->after);
	free(reply);
	return NULL;
}

static void drop(void *userdata)
{
	(void)reply_free(userdata);
}

static int reply_reloaded(sd_bus_message *call, const struct change *change)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(call, &reply);
	r = r < 0 ? r : sd_bus_message_open_container(reply, 'a', "s");
	for (size_t i = 0; r >= 0 && i < change->warnings.count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&change->warnings.items[i]);

		r = line ? sd_bus_message_append(reply, "s", line) : -ENOMEM;
	}
	r = r < 0 ? r : sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

void reply_report(sd_bus_message *call, int r)
{
	if (r >= 0 || r == -ENOTCONN || r == -ECONNRESET)
		return;
	log_errno(r, "control: cannot answer; the connection is closed");
	(void)shutdown(sd_bus_get_fd(sd_bus_message_get_bus(call)), SHUT_RDWR);
}

static int reply_late(const struct reply *reply, const struct change *change)
{
	const struct session *session = change_hindered_by(change);
	char command[COMMAND_STRING_MAX];

	if (!session)
		return sd_bus_reply_method_errorf(reply->call, BUS_ERROR_DEADLINE,
			"the change is stored, but not yet in force in %zu sessions; repeat the command to check again",
			change->pending);
	return sd_bus_reply_method_errorf(reply->call, BUS_ERROR_DEADLINE,
		"the change is stored, but not yet in force: process %d (%s) was killed but still runs: the kernel holds it, for example in a call on a file system that does not answer; to check again, repeat the command%s",
		(int)session->unstopped, session_unstopped_command(session, command),
		reply->kind == REPLY_DISCONNECTED ? " with --wait 0" : "");
}

static void on_holders(const struct holders_result *result, void *userdata)
{
	struct reply *reply = userdata;
	int r;

	r = sd_bus_reply_method_return(reply->call, "a{sv}", 10, "disconnected", "t",
		(uint64_t)reply->cut, "sessions", "t", (uint64_t)result->sessions, "processes", "t",
		(uint64_t)result->processes, "holders", "t", (uint64_t)result->holders,
		"registrants", "t", (uint64_t)result->registrants, "unknown", "t",
		(uint64_t)result->unknown, "killed", "t", (uint64_t)result->killed, "left", "t",
		(uint64_t)result->left, "left-pids", "s", result->left_pids, "failed", "t",
		(uint64_t)result->failed);
	reply_report(reply->call, r);
	(void)reply_free(reply);
}

static void count(const struct reply *reply, const struct change *change)
{
	static const enum change_kind kinds[] = {
		[REPLY_CONNECTED] = CHANGE_CONNECT,
		[REPLY_DISCONNECTED] = CHANGE_DISCONNECT,
		[REPLY_RELOADED] = CHANGE_RELOAD,
		[REPLY_APPLIED] = CHANGE_APPLY,
	};

	totals_count_change(change->manager->totals, kinds[reply->kind], now_usec() - reply->began);
}

static void on_change(const struct change *change, bool in_time, void *userdata)
{
	struct reply *reply = userdata;
	int r;

	count(reply, change);
	if (in_time && reply->kind == REPLY_DISCONNECTED) {
		holders_query_start(take_pointer(reply->query),
			&(struct holders_asker){on_holders, drop, reply});
		return;
	}
	if (!in_time)
		r = reply_late(reply, change);
	else if (reply->kind == REPLY_RELOADED)
		r = reply_reloaded(reply->call, change);
	else if (reply->kind == REPLY_APPLIED)
		r = bus_reply_apply(reply->call, reply->before, reply->after);
	else
		r = sd_bus_reply_method_return(reply->call, "");
	reply_report(reply->call, r);
	(void)reply_free(reply);
}

struct change_asker reply_asker(struct reply *reply)
{
	return (struct change_asker){on_change, drop, reply};
}
