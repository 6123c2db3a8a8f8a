/* SPDX-License-Identifier: MIT */
/* mqctl connect and mqctl disconnect: what snapd does, with its texts. */
#include "connections.h"
#include "find.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/names.h"
#include "rules.h"

/* The first of a package that the plug can be connected to, with any_id also one of another id if
 * there is none of its own; NULL if there is none. */
static const struct slot *slot_for(
	const struct package *package, const struct plug *plug, bool any_id)
{
	const struct slot *first = NULL;

	for (size_t i = 0; i < package->slot_count; i++) {
		const struct slot *slot = &package->slots[i];

		if (!fits(plug, slot))
			continue;
		if (streq(slot->id, plug->id))
			return slot;
		if (any_id && !first)
			first = slot;
	}
	return first;
}

/* The slot argument was left out. snapd then takes a slot of the system itself; there is none
 * here. */
static int slot_left_out(const struct policy *policy, const struct plug *plug, struct fault *fault)
{
	for (size_t i = 0; i < policy->packages->count; i++) {
		const struct package *package = policy->packages->items[i];
		const struct slot *slot = slot_for(package, plug, false);

		if (slot)
			return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
				"the slot is missing; name one: mqctl connect %s:%s %s:%s",
				plug->package->name, plug->name, package->name, slot->name);
	}
	return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
		"the slot is missing; name one, \"mqctl slots\" lists them");
}

static int only_slot(const struct plug *plug, const struct package *package,
	const struct slot **ret, struct fault *fault)
{
	_cleanup_(names_clear) struct names names = {0};
	_cleanup_free_ char *joined = NULL;
	const struct slot *slot = slot_for(package, plug, true);
	int r = 0;

	if (package->slot_count == 1) {
		*ret = &package->slots[0];
		return 0;
	}
	if (package->slot_count == 0)
		return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
			"package \"%s\" has no \"posix-mq\" interface slots; see mqctl slots",
			package->name);
	for (size_t i = 0; i < package->slot_count && r == 0; i++)
		r = names_add(&names, package->slots[i].name);
	joined = names_join(&names);
	if (r < 0 || !joined)
		return -ENOMEM;
	if (!slot)
		return fault_set(fault, FAULT_AMBIGUOUS, -ENOTUNIQ,
			"package \"%s\" has multiple \"posix-mq\" interface slots: %s; name one",
			package->name, joined);
	return fault_set(fault, FAULT_AMBIGUOUS, -ENOTUNIQ,
		"package \"%s\" has multiple \"posix-mq\" interface slots: %s; name one: mqctl "
		"connect %s%s:%s %s:%s",
		package->name, joined, any_id_option(plug, slot), plug->package->name, plug->name,
		package->name, slot->name);
}

static int find_slot_argument(const struct policy *policy, const struct plug *plug,
	const char *text, const struct slot **ret, struct fault *fault)
{
	const struct package *package;
	int r;

	if (!*text)
		return slot_left_out(policy, plug, fault);
	if (strchr(text, ':'))
		return policy_find_slot(policy, text, ret, fault);
	r = find_package(policy, text, &package, fault);
	return r < 0 ? r : only_slot(plug, package, ret, fault);
}

/* The plug comes first. 0 if it does. */
static int check_order(const struct policy *policy, const char *verb, const char *plug,
	const char *slot, struct fault *fault)
{
	const struct slot *slot_first = policy_slot(policy, plug);
	const struct plug *plug_second = policy_plug(policy, slot);

	if (policy_plug(policy, plug) || !slot_first || !plug_second)
		return 0;
	return fault_set(fault, FAULT_INVALID, -EINVAL,
		"%s is a slot and %s a plug, and the plug comes first: mqctl %s %s%s %s", plug,
		slot, verb, streq(verb, "connect") ? any_id_option(plug_second, slot_first) : "",
		slot, plug);
}

static bool is_live(const struct connection *connection)
{
	return connection->state != CONNECTION_UNDESIRED;
}

static int check_ids(
	const struct plug *plug, const struct slot *slot, uint64_t until, struct fault *fault)
{
	if (streq(plug->id, slot->id))
		return 0;
	return fault_set(fault, FAULT_INVALID, -EINVAL,
		"cannot connect %s:%s (id \"%s\") to %s:%s (id \"%s\"): the ids must be the same "
		"(posix-mq: %s in the plug); to connect them nevertheless: mqctl connect --any-id "
		"%s%s:%s %s:%s",
		plug->package->name, plug->name, plug->id, slot->package->name, slot->name,
		slot->id, slot->id, until > 0 ? "--for SPAN " : "", plug->package->name, plug->name,
		slot->package->name, slot->name);
}

static int find_sides(const struct policy *policy, const char *plug, const char *slot,
	const struct plug **ret_plug, const struct slot **ret_slot, struct fault *fault)
{
	int r;

	r = check_order(policy, "connect", plug, slot, fault);
	r = r < 0 ? r : policy_find_plug(policy, plug, ret_plug, fault);
	return r < 0 ? r : find_slot_argument(policy, *ret_plug, slot, ret_slot, fault);
}

int policy_connect(const struct policy *policy, const char *plug, const char *slot, uint64_t until,
	bool any_id, struct connections **ret_connections, struct fault *fault)
{
	char plug_ref[REF_MAX + 1], slot_ref[REF_MAX + 1];
	const struct connection *connection;
	const struct plug *found_plug;
	const struct slot *found_slot;
	int r;

	r = find_sides(policy, plug, slot, &found_plug, &found_slot, fault);
	r = r < 0 ? r : policy_check_fit(found_plug, found_slot, fault);
	if (r < 0)
		return r;
	ref_format(found_plug->package->name, found_plug->name, plug_ref);
	ref_format(found_slot->package->name, found_slot->name, slot_ref);
	connection = connections_find(policy->connections, plug_ref, slot_ref);
	if (connection && connection->state == CONNECTION_MANUAL && connection->until == until) {
		*ret_connections = connections_ref(policy->connections);
		return 0;
	}
	if (!any_id && !(connection && is_live(connection)))
		r = check_ids(found_plug, found_slot, until, fault);
	if (r < 0)
		return r;
	r = connections_with_end(
		policy->connections, plug_ref, slot_ref, CONNECTION_MANUAL, until, ret_connections);
	if (r == -E2BIG)
		return fault_set(fault, FAULT_INVALID, -E2BIG,
			"there are already %d connections, which is the limit; disconnect some first",
			CONNECTIONS_MAX);
	return r;
}

/* A manual connection goes without a trace; an automatic one leaves word that it is not wanted,
 * unless that is to be forgotten. */
static int cut(const struct connections *connections, const struct connection *connection,
	bool forget, struct connections **ret)
{
	if (connection->state == CONNECTION_AUTO && !forget)
		return connections_with(
			connections, connection->plug, connection->slot, CONNECTION_UNDESIRED, ret);
	return connections_without(connections, connection->plug, connection->slot, ret);
}

static int not_connected(const struct connections *connections, const char *plug, const char *slot,
	struct fault *fault)
{
	_cleanup_(names_clear) struct names slots = {0};
	_cleanup_free_ char *joined = NULL;

	for (size_t i = 0; i < connections->count; i++)
		if (streq(connections->items[i].plug, plug) && is_live(&connections->items[i]) &&
			names_add(&slots, connections->items[i].slot) < 0)
			return -ENOMEM;
	joined = names_join(&slots);
	if (!joined)
		return -ENOMEM;
	return fault_set(fault, FAULT_NOT_CONNECTED, -ENOTCONN,
		"cannot disconnect %s from %s, it is not connected; %s is connected to %s", plug,
		slot, plug, slots.count > 0 ? joined : "nothing");
}

static int disconnect_two(const struct policy *policy, const char *plug, const char *slot,
	bool forget, struct connections **ret_connections, size_t *ret_count, struct fault *fault)
{
	const struct connection *connection = connections_find(policy->connections, plug, slot);
	const struct plug *found_plug;
	const struct slot *found_slot;
	int r;

	/* What is recorded can be cut even if its packages are gone. */
	if (connection && (forget || is_live(connection))) {
		*ret_count = 1;
		return cut(policy->connections, connection, forget, ret_connections);
	}
	r = check_order(policy, "disconnect", plug, slot, fault);
	r = r < 0 ? r : policy_find_plug(policy, plug, &found_plug, fault);
	r = r < 0 ? r : policy_find_slot(policy, slot, &found_slot, fault);
	if (r < 0)
		return r;
	if (forget)
		return fault_set(fault, FAULT_NOT_CONNECTED, -ENOTCONN,
			"cannot forget connection %s from %s, it was not connected", plug, slot);
	return not_connected(policy->connections, plug, slot, fault);
}

static bool concerns(const struct connection *connection, const char *ref, bool forget)
{
	return (forget || is_live(connection)) &&
	       (streq(connection->plug, ref) || streq(connection->slot, ref));
}

static int cut_all(const struct connections *connections, const char *ref, bool forget,
	struct connections **ret_connections, size_t *ret_count)
{
	_cleanup_(connections_unrefp) struct connections *changed = NULL;
	size_t count = 0;
	int r;

	r = connections_new_sized(connections->count, &changed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < connections->count; i++) {
		const struct connection *item = &connections->items[i];
		bool concerned = concerns(item, ref, forget);

		count += concerned;
		if (concerned && (forget || item->state == CONNECTION_MANUAL))
			continue;
		connections_append(changed, item);
		if (concerned)
			changed->items[changed->count - 1].state = CONNECTION_UNDESIRED;
	}
	*ret_connections = take_pointer(changed);
	*ret_count = count;
	return 0;
}

static bool any_concerned(const struct connections *connections, const char *ref, bool forget)
{
	for (size_t i = 0; i < connections->count; i++)
		if (concerns(&connections->items[i], ref, forget))
			return true;
	return false;
}

static int find_either(const struct policy *policy, const char *ref, struct fault *fault)
{
	const struct package *package;
	const struct plug *plug;
	struct ref parts;
	int r;

	if (policy_plug(policy, ref) || policy_slot(policy, ref))
		return 0;
	if (!strchr(ref, ':'))
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"invalid value: \"%s\"; allowed forms are PACKAGE:PLUG PACKAGE:SLOT or "
			"PACKAGE:PLUG-OR-SLOT; see mqctl connections",
			typed(ref));
	r = policy_find_plug(policy, ref, &plug, fault);
	/* The package is known, the name is neither plug nor slot. */
	if (r == -ENOENT && ref_parse(ref, &parts) == 0) {
		package = packages_find(policy->packages, parts.package);
		if (package)
			return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
				"package \"%s\" has no plug or slot named \"%s\"; see mqctl "
				"connections --all",
				parts.package, parts.name);
	}
	return r;
}

int policy_disconnect(const struct policy *policy, const char *first, const char *second,
	bool forget, struct connections **ret_connections, size_t *ret_count, struct fault *fault)
{
	int r;

	if (*second)
		return disconnect_two(
			policy, first, second, forget, ret_connections, ret_count, fault);
	if (any_concerned(policy->connections, first, forget))
		return cut_all(policy->connections, first, forget, ret_connections, ret_count);
	r = find_either(policy, first, fault);
	if (r < 0)
		return r;
	*ret_connections = connections_ref(policy->connections);
	*ret_count = 0;
	return 0;
}
