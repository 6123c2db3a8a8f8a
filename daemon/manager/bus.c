/* SPDX-License-Identifier: MIT */
/* The control bus: what its peers may call, and what they are answered. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "bus.h"
#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"

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

/* Asked at each call: a process may have become confined since it connected, and groups may have
 * been configured anew. */
int bus_is_administrator(const struct peer *peer)
{
	const struct settings *settings = &peer->manager->settings;

	if (peer->identity.uid == 0)
		return 1;
	if (!settings->config.admin_group)
		return 0;
	return peer_in_group(peer->relay.outside, &peer->identity, settings->admin_gid);
}

static int check_administrator(const struct peer *peer, sd_bus_error *error)
{
	const char *group = peer->manager->settings.config.admin_group;

	if (bus_is_administrator(peer) <= 0)
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

struct document {
	const char *file, *text;
	size_t size;
};

static int apply_document(struct peer *peer, const struct document *document, bool dry_run,
	sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	struct connections *connections;
	struct attempt attempt;
	int r;

	attempt_begin(&attempt, peer, "apply", document->file, "");
	r = policy_apply(&peer->manager->policy, document->file, document->text, document->size,
		&diagnostics, &connections);
	return r < 0 ? refuse_apply(r, &diagnostics, error)
		     : make_apply(peer, connections, dry_run, &attempt, message, error);
}

static int read_apply_options(
	sd_bus_message *message, struct document *document, int *ret_dry_run, sd_bus_error *error)
{
	const struct bus_option options[] = {
		{"dry-run", 'b', ret_dry_run}, {"file", 's', &document->file}};

	return bus_read_options(message, options, ELEMENTSOF(options), error);
}

/* As mqctl 0.1.0 sends it. */
static int method_apply(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct document document = {.file = "document"};
	struct peer *peer = userdata;
	int dry_run = 0, r;

	r = check_administrator(peer, error);
	r = r < 0 ? r : sd_bus_message_read(message, "s", &document.text);
	r = r < 0 ? r : read_apply_options(message, &document, &dry_run, error);
	if (r < 0)
		return r;
	document.size = strlen(document.text);
	return apply_document(peer, &document, dry_run, message, error);
}

/* Only memory has seals, so nothing here waits for a file system; and with these nobody changes it
 * or takes it away while it is read. */
static int map_sealed(int fd, struct document *document)
{
	const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK, seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & wanted) != wanted || fstat(fd, &st) < 0)
		return -EBADF;
	document->size = (size_t)st.st_size;
	document->text = "";
	if (document->size == 0)
		return 0;
	document->text = mmap(NULL, document->size, PROT_READ, MAP_PRIVATE, fd, 0);
	return document->text == MAP_FAILED ? -errno : 0;
}

static int method_apply_file(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct document document = {.file = "document"};
	struct peer *peer = userdata;
	int dry_run = 0, fd, r;

	r = check_administrator(peer, error);
	r = r < 0 ? r : sd_bus_message_read(message, "h", &fd);
	r = r < 0 ? r : read_apply_options(message, &document, &dry_run, error);
	if (r < 0)
		return r;
	r = map_sealed(fd, &document);
	if (r < 0)
		return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
			"the document is to come in a memfd that is sealed against writing and "
			"shrinking: %s",
			strerror(-r));
	r = apply_document(peer, &document, dry_run, message, error);
	if (document.size > 0)
		(void)munmap((void *)document.text, document.size);
	return r;
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

	/* It can be long. */
	if (peer->gone)
		return -ECONNRESET;
	if (account_is_full(peer->account, SHARE_UNREAD))
		return sd_bus_error_set(error, BUS_ERROR_LIMIT,
			"too much of what mqgated has answered to this user is still unread; read "
			"it first, or try again");
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
	SD_BUS_METHOD(
		"ApplyFile", "ha{sv}", "a{sv}", method_apply_file, SD_BUS_VTABLE_UNPRIVILEGED),
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
		"answer; to see whether it has gone, repeat the command%s",
		(int)session->unstopped, session_unstopped_command(session, command),
		change->kind == CHANGE_DISCONNECT ? " with --wait 0" : "");
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

/* --- what a peer is served -------------------------------------------------------------------- */

static const char *refusal(const struct peer *peer, char buffer[static 256])
{
	if (peer->share == SHARE_REFUSED)
		(void)snprintf(buffer, 256,
			"too many connections to mqgated of %suser %u, or of all together; close "
			"some, or try again",
			peer->account->kind == ACCOUNT_CONFINED ? "confined processes of " : "",
			peer->identity.uid);
	else
		(void)snprintf(buffer, 256,
			"a message of more than %d bytes is not read; mqctl apply of this release "
			"sends a long list in another way",
			CONTROL_MESSAGE_MAX);
	return buffer;
}

/* Before every message, also those that the library answers by itself. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	char text[256];

	if (peer->share != SHARE_REFUSED && !peer->relay.shut)
		return 0;
	if (sd_bus_message_is_method_call(message, NULL, NULL) <= 0)
		return 0;
	return sd_bus_error_set(error, BUS_ERROR_LIMIT, refusal(peer, text));
}

static int no_object(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return 0;
}

/* With a slot of its own for each node above it: when memory runs out on the way to a node, the
 * library forgets those that it has made and that nobody has, and aborts when the bus is freed. */
int bus_serve_methods(struct peer *peer)
{
	int r;

	r = sd_bus_add_filter(peer->bus, NULL, on_message, peer);
	r = r < 0 ? r : sd_bus_add_object(peer->bus, NULL, "/", no_object, peer);
	r = r < 0 ? r : sd_bus_add_object(peer->bus, NULL, "/org", no_object, peer);
	return r < 0 ? r
		     : sd_bus_add_object_vtable(
			       peer->bus, NULL, BUS_PATH, BUS_INTERFACE, vtable, peer);
}
