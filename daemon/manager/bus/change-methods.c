/* SPDX-License-Identifier: MIT */
/* Connect, Disconnect, Apply, ApplyFile and Reload: who may, what is asked, and what comes of it.
 */
#include "change-methods.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon/manager/changes/expiry.h"
#include "daemon/manager/changes/reload.h"
#include "daemon/manager/changes/report.h"
#include "daemon/manager/sessions/holders.h"
#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"
#include "messages.h"
#include "replies.h"

/* --- what went wrong, for the caller --------------------------------------------------------- */

int bus_set_fault(sd_bus_error *error, int r, const struct fault *fault)
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

static int set_refusal(sd_bus_error *error, struct refusal *refusal)
{
	static const char *const names[] = {
		[REFUSAL_FAILED] = BUS_ERROR_FAILED,
		[REFUSAL_STATE] = BUS_ERROR_STATE,
		[REFUSAL_DOCUMENTS] = BUS_ERROR_POLICY,
		[REFUSAL_NAMES] = BUS_ERROR_INVALID_ARGUMENT,
	};
	int r = sd_bus_error_set(
		error, names[refusal->kind], refusal->text ? refusal->text : strerror(ENOMEM));

	refusal_clear(refusal);
	return r;
}

/* --- who may change --------------------------------------------------------------------------- */

/* Asked at each call: groups may have been configured anew. */
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
			"permission denied: only root%s%s may do this; try sudo",
			group ? " and members of group " : "", group ? group : "");
	if (peer->relay.others)
		return sd_bus_error_set(error, BUS_ERROR_ACCESS_DENIED,
			"permission denied: only the process that has connected may change anything over its connection; before Linux 6.5 only after mqgated has answered it");
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

/* Takes the reference to connections, and the reply, which may be NULL for lack of memory. */
static int apply_connections(struct peer *peer, struct connections *connections,
	struct reply *reply, sd_bus_error *error)
{
	struct manager *manager = peer->manager;
	struct policy policy = {packages_ref(manager->policy.packages), connections};
	const struct change_asker asker = reply_asker(reply);
	_cleanup_(change_freep) struct change *change = NULL;
	struct refusal refusal = {0};
	int r;

	r = change_new(manager, &asker, &change);
	r = r < 0 ? refuse_change(&refusal, r) : change_apply(&change, &policy, &refusal);
	policy_release(&policy);
	return r < 0 ? set_refusal(error, &refusal) : 1;
}

struct connect_call {
	const char *plug, *slot;
	uint64_t until; /* 0: no end */
	int any_id;
};

static int read_connect(sd_bus_message *message, struct connect_call *ret, sd_bus_error *error)
{
	uint64_t span = UINT64_MAX;
	const struct bus_option options[] = {{"for", 't', &span}, {"any-id", 'b', &ret->any_id}};
	int r;

	r = sd_bus_message_read(message, "ss", &ret->plug, &ret->slot);
	r = r < 0 ? r : bus_read_options(message, options, ELEMENTSOF(options), error);
	if (r < 0 || span == UINT64_MAX)
		return r;
	if (span == 0 || span > CONNECTION_SPAN_MAX)
		return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
			"out of range; use 1 second to %llu days, or no time for a connection without an end",
			CONNECTION_SPAN_MAX / 86400);
	ret->until = end_of_span(span);
	return 0;
}

#define CONNECT_NOTE_MAX (sizeof("any-id until ") + UTC_STRING_MAX)

static const char *connect_note(
	const struct connect_call *call, char buffer[static CONNECT_NOTE_MAX])
{
	char until[UTC_STRING_MAX];

	(void)snprintf(buffer, CONNECT_NOTE_MAX, "%s%s%s%s", call->any_id ? "any-id" : "",
		call->any_id && call->until > 0 ? " " : "", call->until > 0 ? "until " : "",
		call->until > 0 ? utc_format(call->until, until) : "");
	return buffer;
}

static int method_connect(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	struct connections *connections;
	struct attempt attempt;
	struct fault fault = {0};
	struct connect_call call = {0};
	char note[CONNECT_NOTE_MAX];
	int r;

	r = read_connect(message, &call, error);
	if (r < 0)
		return r;
	attempt_begin(&attempt, peer, "connect", call.plug, call.slot);
	r = policy_connect(&peer->manager->policy, call.plug, call.slot, call.until, call.any_id,
		&connections, &fault);
	if (r == 0) {
		r = apply_connections(
			peer, connections, reply_new(REPLY_CONNECTED, message), error);
		if (r > 0)
			attempt_log(&attempt, connect_note(&call, note));
	} else {
		r = bus_set_fault(error, r, &fault);
	}
	fault_clear(&fault);
	return r;
}

#define NO_WAIT UINT64_MAX

struct disconnection {
	const char *first, *second;
	int forget, kill;
	uint64_t wait; /* seconds; NO_WAIT if it was not asked for */
};

static int read_disconnect(sd_bus_message *message, struct disconnection *ret, sd_bus_error *error)
{
	const struct bus_option options[] = {{"forget", 'b', &ret->forget},
		{"kill", 'b', &ret->kill}, {"wait", 't', &ret->wait}};
	int r;

	r = sd_bus_message_read(message, "ss", &ret->first, &ret->second);
	r = r < 0 ? r : bus_read_options(message, options, ELEMENTSOF(options), error);
	if (r >= 0 && ret->wait != NO_WAIT && ret->wait > DISCONNECT_WAIT_MAX)
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
	if (r != -ENOTCONN || (!disconnection->kill && disconnection->wait == NO_WAIT))
		return r;
	fault_clear(fault);
	*ret = connections_ref(policy->connections);
	*ret_cut = 0;
	return 0;
}

static int apply_disconnection(struct peer *peer, const struct disconnection *disconnection,
	const struct attempt *attempt, sd_bus_message *message, sd_bus_error *error)
{
	const struct holders_options options = {.kill = disconnection->kill,
		.wait_usec = disconnection->wait == NO_WAIT ? 0 : disconnection->wait * 1000000};
	_cleanup_(reply_freep) struct reply *reply = reply_new(REPLY_DISCONNECTED, message);
	_cleanup_(fault_clear) struct fault fault = {0};
	struct connections *connections;
	int r;

	r = reply ? holders_query_new(peer->manager, disconnection->first, disconnection->second,
			    &options, attempt->who, &reply->query)
		  : -ENOMEM;
	r = r < 0 ? r : cut_connections(peer, disconnection, &connections, &reply->cut, &fault);
	if (r < 0)
		return bus_set_fault(error, r, &fault);
	return apply_connections(peer, connections, take_pointer(reply), error);
}

static int method_disconnect(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct disconnection disconnection = {.wait = NO_WAIT};
	struct peer *peer = userdata;
	struct attempt attempt;
	int r;

	r = read_disconnect(message, &disconnection, error);
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

static int answer_dry_run(struct peer *peer, struct connections *connections,
	sd_bus_message *message, sd_bus_error *error)
{
	const struct policy policy = {peer->manager->policy.packages, connections};
	struct refusal refusal = {0};
	int r = change_check(peer->manager, &policy, &refusal);

	return r < 0 ? set_refusal(error, &refusal)
		     : bus_reply_apply(message, peer->manager->policy.connections, connections);
}

static int make_apply(struct peer *peer, struct connections *connections, bool dry_run,
	const struct attempt *attempt, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(connections_unrefp) struct connections *before =
		connections_ref(peer->manager->policy.connections);
	_cleanup_(connections_unrefp) struct connections *after = connections_ref(connections);
	struct reply *reply;
	int r;

	if (dry_run) {
		r = answer_dry_run(peer, connections, message, error);
		(void)connections_unref(connections);
		return r;
	}
	reply = reply_new(REPLY_APPLIED, message);
	if (reply) {
		reply->before = connections_ref(before);
		reply->after = connections_ref(after);
	}
	r = apply_connections(peer, connections, reply, error);
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

	r = sd_bus_message_read(message, "s", &document.text);
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

	r = sd_bus_message_read(message, "h", &fd);
	r = r < 0 ? r : read_apply_options(message, &document, &dry_run, error);
	if (r < 0)
		return r;
	r = map_sealed(fd, &document);
	if (r < 0)
		return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
			"the document must be in a memfd that is sealed against writing and shrinking: %s",
			strerror(-r));
	r = apply_document(peer, &document, dry_run, message, error);
	if (document.size > 0)
		(void)munmap((void *)document.text, document.size);
	return r;
}

static int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	struct refusal refusal = {0};
	struct change_asker asker;
	struct attempt attempt;
	int r;

	attempt_begin(&attempt, peer, "reload", "", "");
	attempt_log(&attempt, "");
	asker = reply_asker(reply_new(REPLY_RELOADED, message));
	r = reload(peer->manager, &asker, &refusal);
	return r < 0 ? set_refusal(error, &refusal) : 1;
}

/* --- changes: who asks is found out before ---------------------------------------------------- */

static int make_change(sd_bus_message *message, struct peer *peer, sd_bus_error *error)
{
	static const struct {
		const char *member;
		sd_bus_message_handler_t make;
	} changes[] = {
		{"Connect", method_connect},
		{"Disconnect", method_disconnect},
		{"Apply", method_apply},
		{"ApplyFile", method_apply_file},
		{"Reload", method_reload},
	};

	int r = check_administrator(peer, error);

	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(changes); i++)
		if (streq(sd_bus_message_get_member(message), changes[i].member))
			return changes[i].make(message, peer, error);
	return r < 0 ? r : -ENOSYS;
}

int bus_refuse_confined(int confined, sd_bus_error *error)
{
	return sd_bus_error_setf(error, BUS_ERROR_ACCESS_DENIED, "permission denied: %s",
		examination_refusal(confined));
}

static void on_examined(int confined, void *userdata)
{
	struct peer *peer = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = take_pointer(peer->change);
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	peer->examination = NULL;
	r = confined != 0 ? bus_refuse_confined(confined, &error)
			  : make_change(message, peer, &error);
	if (r < 0)
		reply_report(message, sd_bus_reply_method_errno(message, r, &error));
	peer->ready = true;
	(void)sd_event_source_set_enabled(peer->manager->turn_source, SD_EVENT_ONESHOT);
}

/* It may have become confined since it connected. */
int bus_method_change(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;
	int r = identity_may_be_confined(&peer->identity, serves_containers(peer->manager));

	if (r == 0)
		return make_change(message, peer, error);
	if (r > 0)
		r = examination_start(
			peer->account, &peer->identity, on_examined, peer, &peer->examination);
	if (r < 0)
		return bus_refuse_confined(r, error);
	peer->change = sd_bus_message_ref(message);
	return 1;
}
