/* SPDX-License-Identifier: MIT */
/* The control bus: what its peers may call, and what they are answered. What changes something is
 * in change-methods.c. */
#include "methods.h"

#include "change-methods.h"
#include "driver.h"
#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"
#include "messages.h"

/* --- what changes nothing --------------------------------------------------------------------- */

struct bus_viewer bus_viewer_of(const struct peer *peer)
{
	return (struct bus_viewer){
		.uid = peer->identity.uid, .all = bus_is_administrator(peer) > 0};
}

/* Before an answer that can be long. */
static int check_reader(const struct peer *peer, sd_bus_error *error)
{
	if (peer->gone)
		return -ECONNRESET;
	if (account_is_full(peer->account, SHARE_UNREAD))
		return sd_bus_error_set(error, BUS_ERROR_LIMIT,
			"this user has too many unread answers from mqgated; read them first, or try again");
	return 0;
}

static int method_counters(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct peer *peer = userdata;
	const struct bus_viewer viewer = bus_viewer_of(peer);
	int r = check_reader(peer, error);

	r = r < 0 ? r : sd_bus_message_new_method_return(message, &reply);
	r = r < 0 ? r : bus_append_counters(peer->manager, &viewer, reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_last(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct peer *peer = userdata;
	const struct bus_viewer viewer = bus_viewer_of(peer);
	int r = check_reader(peer, error);
	uint32_t pid;

	r = r < 0 ? r : sd_bus_message_read(message, "u", &pid);
	r = r < 0 ? r : sd_bus_message_new_method_return(message, &reply);
	r = r < 0 ? r : bus_append_last(peer->manager, &viewer, (pid_t)pid, reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_denials(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct peer *peer = userdata;
	const struct bus_viewer viewer = bus_viewer_of(peer);
	struct fault fault = {0};
	const struct plug *plug;
	int r = check_reader(peer, error);
	const char *ref;

	r = r < 0 ? r : sd_bus_message_read(message, "s", &ref);
	if (r < 0)
		return r;
	r = policy_find_plug(&peer->manager->policy, ref, &plug, &fault);
	if (r < 0)
		r = bus_set_fault(error, r, &fault);
	else if (plug->path_count > 0)
		r = sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
			"%s has a \"path\", whose names mean a slot's queues in order; write that slot "
			"by hand, see mqctl explain --last",
			ref);
	fault_clear(&fault);
	r = r < 0 ? r : sd_bus_message_new_method_return(message, &reply);
	r = r < 0 ? r : sd_bus_message_append(reply, "s", plug->id);
	r = r < 0 ? r : bus_append_denials(peer->manager, &viewer, ref, reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_list(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct peer *peer = userdata;
	const struct bus_viewer viewer = bus_viewer_of(peer);
	const char *what;
	int r = check_reader(peer, error);

	r = r < 0 ? r : sd_bus_message_read(message, "s", &what);
	r = r < 0 ? r : sd_bus_message_new_method_return(message, &reply);
	r = r < 0 ? r : sd_bus_message_open_container(reply, 'a', "a{sv}");
	if (r < 0)
		return r;
	r = bus_append_list(peer->manager, &viewer, what, reply);
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
	r = r < 0 ? bus_set_fault(error, r, &fault) : reply_explanation(message, &explanation);
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
	SD_BUS_METHOD("Connect", "ssa{sv}", "", bus_method_change, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD(
		"Disconnect", "ssa{sv}", "a{sv}", bus_method_change, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Apply", "sa{sv}", "a{sv}", bus_method_change, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD(
		"ApplyFile", "ha{sv}", "a{sv}", bus_method_change, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("List", "s", "aa{sv}", method_list, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Counters", "", "a{sv}a(sat)a(uussa(sat))", method_counters,
		SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Explain", "sss", "a{sv}", method_explain, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD(
		"Denials", "s", "sa(ayutttuuiay)", method_denials, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Last", "u", "aa{sv}", method_last, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Reload", "", "as", bus_method_change, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Status", "", "a{sv}", method_status, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("Record", "a{sv}", 0),
	SD_BUS_VTABLE_END,
};

/* --- what a peer is served -------------------------------------------------------------------- */

static int refuse_all(const struct peer *peer, sd_bus_error *error)
{
	if (peer->confined != 0)
		return bus_refuse_confined(peer->confined, error);
	if (peer->share == SHARE_REFUSED)
		return sd_bus_error_setf(error, BUS_ERROR_LIMIT,
			"too many connections to mqgated of user %u, or of all together; close some, or try again",
			peer->identity.uid);
	return sd_bus_error_setf(error, BUS_ERROR_LIMIT,
		"the message has more than %d bytes; for a long list use mqctl apply of this release",
		CONTROL_MESSAGE_MAX);
}

/* Before every message, also those that the library answers by itself. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct peer *peer = userdata;

	if (peer->share != SHARE_REFUSED && !peer->relay.shut)
		return 0;
	if (sd_bus_message_is_method_call(message, NULL, NULL) <= 0)
		return 0;
	peer->relay.shut |= peer->confined != 0;
	return refuse_all(peer, error);
}

static int no_object(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return 0;
}

/* With a slot of its own for each node: when memory runs out on the way to a node, the library
 * forgets those that it has made and that nobody has, and aborts when the bus is freed; and when it
 * runs out for a table of methods, the library frees the node if nobody has it, and looks at it
 * later. */
int bus_serve_methods(struct peer *peer)
{
	static const char *const nodes[] = {"/", "/org", "/org/freedesktop", DRIVER_PATH, BUS_PATH};
	int r;

	r = sd_bus_add_filter(peer->bus, NULL, on_message, peer);
	for (size_t i = 0; i < ELEMENTSOF(nodes) && r >= 0; i++)
		r = sd_bus_add_object(peer->bus, NULL, nodes[i], no_object, peer);
	r = r < 0 ? r : bus_serve_driver(peer->bus);
	return r < 0 ? r
		     : sd_bus_add_object_vtable(
			       peer->bus, NULL, BUS_PATH, BUS_INTERFACE, vtable, peer);
}
