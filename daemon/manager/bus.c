/* SPDX-License-Identifier: MIT */
/* The control bus: who is connected, what they may call, and what they are answered. */
#include <systemd/sd-id128.h>
#include <sys/socket.h>

#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"
#include "manager.h"
#include "record.h"

struct peer {
	struct peer *previous, *next;
	struct manager *manager;
	sd_bus *bus;
	struct identity identity;
	sd_event_source *drop_source;
};

static struct peer *peer_free(struct peer *peer)
{
	if (!peer)
		return NULL;
	LIST_DROP(peer->manager->peers, peer);
	peer->manager->peer_count--;
	peer->drop_source = sd_event_source_disable_unref(peer->drop_source);
	peer->bus = sd_bus_close_unref(peer->bus);
	peer->identity.pidfd = safe_close(peer->identity.pidfd);
	free(peer);
	return NULL;
}

void peers_free(struct manager *manager)
{
	FOREACH (peer, manager->peers)
		(void)peer_free(peer);
}

static int on_drop(sd_event_source *source, void *userdata)
{
	(void)peer_free(userdata);
	return 0;
}

/* Later: the library may just be working on its bus. */
static void peer_drop(struct peer *peer)
{
	if (peer->drop_source)
		return;
	log_warning("control: pid %d, uid %u does not read its messages; dropped",
		(int)peer->identity.pid, peer->identity.uid);
	if (sd_event_add_defer(peer->manager->event, &peer->drop_source, on_drop, peer) < 0)
		(void)shutdown(sd_bus_get_fd(peer->bus), SHUT_RDWR);
}

static bool leaves_unread(const struct peer *peer, uint64_t limit)
{
	uint64_t queued;

	return sd_bus_get_n_queued_write(peer->bus, &queued) < 0 || queued > limit;
}

/* --- what went wrong, for the caller --------------------------------------------------------- */

static int set_fault(sd_bus_error *error, int r, const struct fault *fault)
{
	static const char *const names[] = {
		[FAULT_NONE] = BUS_ERROR_FAILED,
		[FAULT_NOT_FOUND] = BUS_ERROR_NOT_FOUND,
		[FAULT_AMBIGUOUS] = BUS_ERROR_AMBIGUOUS,
		[FAULT_NOT_CONNECTED] = BUS_ERROR_NOT_CONNECTED,
		[FAULT_INVALID] = BUS_ERROR_INVALID_ARGUMENT,
	};

	return sd_bus_error_set(
		error, names[fault->kind], fault->message ? fault->message : strerror(-r));
}

int bus_set_change_error(sd_bus_error *error, const struct manager *manager, int r, int state_error)
{
	if (r == -EIO)
		return sd_bus_error_setf(error, BUS_ERROR_STATE,
			"cannot write the connections in %s: %s; nothing has changed",
			manager->options->state_dir, strerror(-state_error));
	if (r == -E2BIG)
		return sd_bus_error_setf(error, BUS_ERROR_FAILED,
			"a running session would have more than %d queues, %d patterns or %d plugs; "
			"nothing has changed",
			GRANTS_MAX, GRANTS_PATTERNS_MAX, SESSION_PLUGS_MAX);
	return sd_bus_error_setf(error, BUS_ERROR_FAILED, "%s; nothing has changed", strerror(-r));
}

/* --- who may change --------------------------------------------------------------------------- */

/* 1 if it may, 0 if not. Asked at each call: a process may have become confined since it
 * connected, and groups may have been configured anew. */
static int is_administrator(const struct peer *peer)
{
	const struct settings *settings = &peer->manager->settings;

	if (peer->identity.uid == 0)
		return 1;
	if (!settings->config.admin_group)
		return 0;
	return peer_in_group(sd_bus_get_fd(peer->bus), &peer->identity, settings->admin_gid);
}

static int check_administrator(const struct peer *peer, sd_bus_error *error)
{
	const char *group = peer->manager->settings.config.admin_group;

	if (is_administrator(peer) <= 0)
		return sd_bus_error_setf(error, BUS_ERROR_ACCESS_DENIED,
			"permission denied: changing connections is for root%s%s; try sudo",
			group ? " and the members of group " : "", group ? group : "");
	if (identity_in_session(&peer->identity) != 0)
		return sd_bus_error_set(error, BUS_ERROR_ACCESS_DENIED,
			"permission denied: a confined process changes nothing; use a shell "
			"outside the session");
	return 0;
}

/* A change, and who asks for it: found out before the reply, after which the asker may be gone. */
struct attempt {
	const char *what, *first, *second;
	char who[COMMAND_STRING_MAX + 64];
};

static void attempt_begin(struct attempt *attempt, const struct peer *peer, const char *what,
	const char *first, const char *second)
{
	char command[COMMAND_STRING_MAX];

	*attempt = (struct attempt){.what = what, .first = first, .second = second};
	(void)snprintf(attempt->who, sizeof(attempt->who), "by pid %d, uid %u (%s)",
		(int)peer->identity.pid, peer->identity.uid,
		identity_command(&peer->identity, command));
}

/* note: "" or more about it */
static void attempt_log(const struct attempt *attempt, const char *note)
{
	char first[512], second[512];

	log_notice("%s%s%s%s%s%s%s: %s", attempt->what, *attempt->first ? " " : "",
		escape(attempt->first, first, sizeof(first)), *attempt->second ? " " : "",
		escape(attempt->second, second, sizeof(second)), *note ? " " : "", note,
		attempt->who);
}

/* --- methods ---------------------------------------------------------------------------------- */

/* Takes the reference to connections, and the survey if there is one. */
static int apply_connections(struct peer *peer, struct connections *connections,
	enum change_kind kind, struct survey **survey, size_t cut, sd_bus_message *call,
	sd_bus_error *error)
{
	struct manager *manager = peer->manager;
	struct policy policy = {packages_ref(manager->policy.packages), connections};
	_cleanup_(change_freep) struct change *change = NULL;
	int r, state_error = 0;

	r = change_new(manager, kind, call, &change);
	if (r == 0) {
		change->cut = cut;
		change->survey = survey ? take_pointer(*survey) : NULL;
		change->before = connections_ref(manager->policy.connections);
		change->after = connections_ref(connections);
		r = change_apply(&change, &policy, &state_error);
	}
	policy_release(&policy);
	return r < 0 ? bus_set_change_error(error, manager, r, state_error) : 1;
}

static int read_connect(sd_bus_message *message, const char **ret_plug, const char **ret_slot,
	uint64_t *ret_until, sd_bus_error *error)
{
	uint64_t span = UINT64_MAX;
	const struct bus_option options[] = {{"for", 't', &span}};
	int r;

	r = sd_bus_message_read(message, "ss", ret_plug, ret_slot);
	r = r < 0 ? r : bus_read_options(message, options, ELEMENTSOF(options), error);
	if (r < 0)
		return r;
	*ret_until = 0;
	if (span == UINT64_MAX)
		return 0;
	if (span == 0 || span > CONNECTION_SPAN_MAX)
		return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
			"a timed connection lasts from 1 second to %llu days; without a time it has "
			"no end",
			CONNECTION_SPAN_MAX / 86400);
	*ret_until = end_of_span(span);
	return 0;
}

static int method_connect(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	struct connections *connections;
	struct attempt attempt;
	struct fault fault = {0};
	char note[sizeof("until ") + UTC_STRING_MAX] = "", until_text[UTC_STRING_MAX];
	const char *plug, *slot;
	uint64_t until;
	int r;

	r = read_connect(message, &plug, &slot, &until, error);
	r = r < 0 ? r : check_administrator(peer, error);
	if (r < 0)
		return r;
	if (until > 0)
		(void)snprintf(note, sizeof(note), "until %s", utc_format(until, until_text));
	attempt_begin(&attempt, peer, "connect", plug, slot);
	r = policy_connect(&peer->manager->policy, plug, slot, until, &connections, &fault);
	if (r == 0) {
		r = apply_connections(peer, connections, CHANGE_CONNECT, NULL, 0, message, error);
		if (r > 0)
			attempt_log(&attempt, note);
	} else {
		r = set_fault(error, r, &fault);
	}
	fault_clear(&fault);
	return r;
}

struct disconnection {
	const char *first, *second;
	int forget, kill;
	uint64_t wait; /* seconds */
};

static int read_disconnect(sd_bus_message *message, struct disconnection *ret, sd_bus_error *error)
{
	const struct bus_option options[] = {{"forget", 'b', &ret->forget},
		{"kill", 'b', &ret->kill}, {"wait", 't', &ret->wait}};
	int r;

	r = sd_bus_message_read(message, "ss", &ret->first, &ret->second);
	r = r < 0 ? r : bus_read_options(message, options, ELEMENTSOF(options), error);
	if (r >= 0 && ret->wait > DISCONNECT_WAIT_MAX)
		return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
			"waiting lasts at most %d seconds", DISCONNECT_WAIT_MAX);
	return r;
}

/* What is not connected any more may be held still: then there is something to wait for and to
 * kill. */
static int cut_connections(const struct peer *peer, const struct disconnection *disconnection,
	struct connections **ret, size_t *ret_cut, struct fault *fault)
{
	const struct policy *policy = &peer->manager->policy;
	int r;

	r = policy_disconnect(policy, disconnection->first, disconnection->second,
		disconnection->forget, ret, ret_cut, fault);
	if (r != -ENOTCONN || (!disconnection->kill && disconnection->wait == 0))
		return r;
	fault_clear(fault);
	*ret = connections_ref(policy->connections);
	*ret_cut = 0;
	return 0;
}

static int apply_disconnection(struct peer *peer, const struct disconnection *disconnection,
	const struct attempt *attempt, sd_bus_message *message, sd_bus_error *error)
{
	const struct survey_options options = {
		.kill = disconnection->kill, .wait_usec = disconnection->wait * 1000000};
	_cleanup_(survey_freep) struct survey *survey = NULL;
	_cleanup_(fault_clear) struct fault fault = {0};
	struct connections *connections;
	size_t cut;
	int r;

	r = survey_new(peer->manager, disconnection->first, disconnection->second, &options,
		attempt->who, &survey);
	if (r < 0)
		return bus_set_change_error(error, peer->manager, r, 0);
	r = cut_connections(peer, disconnection, &connections, &cut, &fault);
	if (r < 0)
		return set_fault(error, r, &fault);
	return apply_connections(
		peer, connections, CHANGE_DISCONNECT, &survey, cut, message, error);
}

static int method_disconnect(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct disconnection disconnection = {0};
	struct peer *peer = userdata;
	struct attempt attempt;
	int r;

	r = read_disconnect(message, &disconnection, error);
	r = r < 0 ? r : check_administrator(peer, error);
	if (r < 0)
		return r;
	attempt_begin(&attempt, peer, "disconnect", disconnection.first, disconnection.second);
	r = apply_disconnection(peer, &disconnection, &attempt, message, error);
	if (r > 0)
		attempt_log(&attempt, disconnection.kill     ? "and kill"
				      : disconnection.forget ? "and forget"
							     : "");
	return r;
}

static int make_apply(struct peer *peer, struct connections *connections, bool dry_run,
	const struct attempt *attempt, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(connections_unrefp) struct connections *before =
		connections_ref(peer->manager->policy.connections);
	_cleanup_(connections_unrefp) struct connections *after = connections_ref(connections);
	int r;

	if (dry_run) {
		r = bus_reply_apply(message, before, after);
		(void)connections_unref(connections);
		return r;
	}
	r = apply_connections(peer, connections, CHANGE_APPLY, NULL, 0, message, error);
	if (r > 0) {
		attempt_log(attempt, "");
		log_changes(before, after, attempt->who);
	}
	return r;
}

static int refuse_apply(int r, const struct diagnostics *diagnostics, sd_bus_error *error)
{
	_cleanup_free_ char *text = diagnostics_text(diagnostics, "nothing has changed");

	if (r != -EBADMSG || !text)
		return sd_bus_error_set(
			error, BUS_ERROR_FAILED, strerror(r == -EBADMSG ? ENOMEM : -r));
	return sd_bus_error_set(error, BUS_ERROR_INVALID_ARGUMENT, text);
}

static int method_apply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	struct peer *peer = userdata;
	struct connections *connections;
	struct attempt attempt;
	const char *text, *file = "document";
	int dry_run = 0, r;
	const struct bus_option options[] = {{"dry-run", 'b', &dry_run}, {"file", 's', &file}};

	/* Not even read for somebody who may not: it can be long. */
	r = check_administrator(peer, error);
	r = r < 0 ? r : sd_bus_message_read(message, "s", &text);
	r = r < 0 ? r : bus_read_options(message, options, ELEMENTSOF(options), error);
	if (r < 0)
		return r;
	attempt_begin(&attempt, peer, "apply", file, "");
	r = policy_apply(
		&peer->manager->policy, file, text, strlen(text), &diagnostics, &connections);
	return r < 0 ? refuse_apply(r, &diagnostics, error)
		     : make_apply(peer, connections, dry_run, &attempt, message, error);
}

static int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	struct attempt attempt;
	int r;

	r = check_administrator(peer, error);
	if (r < 0)
		return r;
	attempt_begin(&attempt, peer, "reload", "", "");
	attempt_log(&attempt, "");
	r = manager_reload(peer->manager, message, error);
	return r < 0 ? r : 1;
}

static int method_list(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct peer *peer = userdata;
	const char *what;
	int r;

	/* A list can be long, and so can a queue. */
	if (leaves_unread(peer, CONTROL_LIST_UNREAD_MAX))
		return sd_bus_error_set(error, BUS_ERROR_FAILED,
			"too much is unread on this connection; read the answers to earlier calls "
			"first");
	r = sd_bus_message_read(message, "s", &what);
	r = r < 0 ? r : sd_bus_message_new_method_return(message, &reply);
	r = r < 0 ? r : sd_bus_message_open_container(reply, 'a', "a{sv}");
	if (r < 0)
		return r;
	r = bus_append_list(peer->manager, peer->identity.uid, what, reply);
	if (r == -EINVAL)
		return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
			"there is no list of \"%s\"; known are packages, plugs, slots, "
			"connections and sessions",
			what);
	r = r < 0 ? r : sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const char *or_empty(const char *text)
{
	return text ? text : "";
}

static int reply_explanation(sd_bus_message *message, const struct explanation *explanation)
{
	return sd_bus_reply_method_return(message, "a{sv}", 4, "allowed", "b",
		(int)explanation->allowed, "text", "s", or_empty(explanation->text), "slot", "s",
		or_empty(explanation->slot), "command", "s", or_empty(explanation->command));
}

static int method_explain(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	struct explanation explanation = {0};
	struct fault fault = {0};
	const char *plug, *operation, *queue;
	int r;

	r = sd_bus_message_read(message, "sss", &plug, &operation, &queue);
	if (r < 0)
		return r;
	r = policy_explain(&peer->manager->policy, plug, operation, queue, &explanation, &fault);
	r = r < 0 ? set_fault(error, r, &fault) : reply_explanation(message, &explanation);
	explanation_clear(&explanation);
	fault_clear(&fault);
	return r;
}

static int method_status(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct peer *peer = userdata;
	int r;

	r = sd_bus_message_new_method_return(message, &reply);
	r = r < 0 ? r : sd_bus_message_open_container(reply, 'a', "{sv}");
	r = r < 0 ? r : bus_append_status(peer->manager, reply);
	r = r < 0 ? r : sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

/* The library's own check of privilege knows bus daemons only; ours is check_administrator(). */
static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Connect", "ssa{sv}", "", method_connect, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD(
		"Disconnect", "ssa{sv}", "a{sv}", method_disconnect, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Apply", "sa{sv}", "a{sv}", method_apply, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("List", "s", "aa{sv}", method_list, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Explain", "sss", "a{sv}", method_explain, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Reload", "", "as", method_reload, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Status", "", "a{sv}", method_status, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("Record", "a{sv}", 0),
	SD_BUS_VTABLE_END,
};

/* --- replies that wait ------------------------------------------------------------------------ */

static int reply_reload(const struct change *change)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(change->call, &reply);
	r = r < 0 ? r : sd_bus_message_open_container(reply, 'a', "s");
	for (size_t i = 0; r >= 0 && i < change->warnings.count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&change->warnings.items[i]);

		r = line ? sd_bus_message_append(reply, "s", line) : -ENOMEM;
	}
	r = r < 0 ? r : sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int reply_in_time(const struct change *change)
{
	switch (change->kind) {
	case CHANGE_CONNECT:
		return sd_bus_reply_method_return(change->call, "");
	case CHANGE_DISCONNECT:
		break; /* a survey replies */
	case CHANGE_RELOAD:
		return reply_reload(change);
	case CHANGE_APPLY:
		return bus_reply_apply(change->call, change->before, change->after);
	case CHANGE_EXPIRE:
		break;
	}
	return -EINVAL;
}

/* Whoever asked may have gone away. Who cannot be answered is not left waiting: the library finds
 * the end of the connection, and frees the peer. */
static void report_reply(sd_bus_message *call, int r)
{
	if (r >= 0 || r == -ENOTCONN || r == -ECONNRESET)
		return;
	log_errno(r, "control: cannot answer; the connection is closed");
	(void)shutdown(sd_bus_get_fd(sd_bus_message_get_bus(call)), SHUT_RDWR);
}

static const struct session *find_unstopped(const struct change *change)
{
	FOREACH (session, change->manager->sessions)
		FOREACH (update, session->updates)
			if (update->change == change && session->unstopped != 0)
				return session;
	return NULL;
}

static int reply_late(const struct change *change)
{
	const struct session *session = find_unstopped(change);
	char command[COMMAND_STRING_MAX];

	if (!session)
		return sd_bus_reply_method_errorf(change->call, BUS_ERROR_DEADLINE,
			"the change is stored, but not yet in force: %zu sessions have not taken "
			"it over; repeat the command to see whether they have",
			change->pending);
	return sd_bus_reply_method_errorf(change->call, BUS_ERROR_DEADLINE,
		"the change is stored, but not yet in force: process %d (%s) was killed and has not "
		"stopped: the kernel holds it, as it does in a call on a file system that does not "
		"answer; repeat the command to see whether it has gone",
		(int)session->unstopped, session_unstopped_command(session, command));
}

void bus_reply_change(struct change *change, bool in_time)
{
	int r;

	r = in_time ? reply_in_time(change) : reply_late(change);
	report_reply(change->call, r);
}

void bus_reply_survey(const struct survey *survey)
{
	const struct survey_result *result = &survey->result;
	int r;

	r = sd_bus_reply_method_return(survey->call, "a{sv}", 10, "disconnected", "t",
		(uint64_t)survey->cut, "sessions", "t", (uint64_t)result->sessions, "processes",
		"t", (uint64_t)result->processes, "holders", "t", (uint64_t)result->holders,
		"registrants", "t", (uint64_t)result->registrants, "unknown", "t",
		(uint64_t)result->unknown, "killed", "t", (uint64_t)result->killed, "left", "t",
		(uint64_t)result->left, "left-pids", "s", result->left_pids, "failed", "t",
		(uint64_t)result->failed);
	report_reply(survey->call, r);
}

/* --- records ---------------------------------------------------------------------------------- */

void bus_emit_record(struct manager *manager, const struct record *record)
{
	FOREACH (peer, manager->peers) {
		if (peer->identity.uid != 0 && peer->identity.uid != record->session_uid)
			continue;
		if (peer->drop_source || sd_bus_is_ready(peer->bus) <= 0)
			continue;
		if (leaves_unread(peer, CONTROL_UNREAD_MAX))
			peer_drop(peer);
		else
			(void)bus_send_record(peer->bus, record);
	}
}

/* --- connections ------------------------------------------------------------------------------ */

/* Before every message, also those that the library answers by itself. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;

	if (!leaves_unread(peer, CONTROL_UNREAD_MAX))
		return 0;
	peer_drop(peer);
	return 1;
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	(void)peer_free(userdata);
	return 0;
}

static int no_object(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return 0;
}

/* With a slot of its own for each node above it: when memory runs out on the way to a node, the
 * library forgets those that it has made and that nobody has, and aborts when the bus is freed. */
static int add_object(struct peer *peer)
{
	int r;

	r = sd_bus_add_object(peer->bus, NULL, "/", no_object, peer);
	r = r < 0 ? r : sd_bus_add_object(peer->bus, NULL, "/org", no_object, peer);
	return r < 0 ? r
		     : sd_bus_add_object_vtable(
			       peer->bus, NULL, BUS_PATH, BUS_INTERFACE, vtable, peer);
}

static int start_bus(struct peer *peer, int *fd)
{
	sd_id128_t server;
	int r;

	r = sd_bus_new(&peer->bus);
	r = r < 0 ? r : sd_bus_set_fd(peer->bus, *fd, *fd);
	if (r < 0)
		return r;
	*fd = -EBADF;
	r = sd_id128_randomize(&server);
	r = r < 0 ? r : sd_bus_set_server(peer->bus, true, server);
	r = r < 0 ? r : sd_bus_start(peer->bus);
	r = r < 0 ? r
		  : sd_bus_attach_event(peer->bus, peer->manager->event, SD_EVENT_PRIORITY_NORMAL);
	r = r < 0 ? r : sd_bus_add_filter(peer->bus, NULL, on_message, peer);
	r = r < 0 ? r
		  : sd_bus_match_signal(peer->bus, NULL, "org.freedesktop.DBus.Local",
			    "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
			    "Disconnected", on_disconnected, peer);
	return r < 0 ? r : add_object(peer);
}

static int peer_new(struct manager *manager, int *fd, struct identity *identity)
{
	struct peer *peer = calloc(1, sizeof(*peer));
	int r;

	if (!peer)
		return -ENOMEM;
	peer->manager = manager;
	peer->identity = *identity;
	identity->pidfd = -EBADF;
	LIST_ADD(manager->peers, peer);
	manager->peer_count++;
	r = start_bus(peer, fd);
	if (r < 0)
		(void)peer_free(peer);
	return r;
}

/* Whatever users do among them, there is room for root. */
static bool peers_full(const struct manager *manager, uid_t uid)
{
	size_t for_root = uid == 0 ? 0 : CONTROL_CONNECTIONS_PER_USER_MAX;
	size_t count = 0, of_root = 0;

	FOREACH (peer, manager->peers) {
		count += peer->identity.uid == uid;
		of_root += peer->identity.uid == 0;
	}
	return count >= CONTROL_CONNECTIONS_PER_USER_MAX ||
	       manager->peer_count - of_root >= CONTROL_CONNECTIONS_MAX - for_root;
}

/* Not so of a peer that is gone already or does not speak D-Bus: anybody could fill the log. */
static bool is_our_own_failure(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE;
}

int bus_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct manager *manager = userdata;
	_cleanup_close_ int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct identity identity;
	int r;

	if (socket < 0 || identity_of_peer(socket, &identity) < 0)
		return 0;
	if (!peers_full(manager, identity.uid)) {
		r = peer_new(manager, &socket, &identity);
		if (is_our_own_failure(r))
			log_errno(r, "control: cannot serve a connection");
	}
	identity.pidfd = safe_close(identity.pidfd);
	return 0;
}
