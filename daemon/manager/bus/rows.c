/* SPDX-License-Identifier: MIT */
/* Rows of List. */
#include <sys/stat.h>

#include "include/limits.h"
#include "include/log.h"
#include "daemon/manager/core/list.h"
#include "daemon/manager/sessions/state.h"
#include "messages.h"

int bus_append_string(sd_bus_message *message, const char *key, const char *value)
{
	return sd_bus_message_append(message, "{sv}", key, "s", value);
}

int bus_append_uint32(sd_bus_message *message, const char *key, uint32_t value)
{
	return sd_bus_message_append(message, "{sv}", key, "u", value);
}

int bus_append_strings(
	sd_bus_message *message, const char *key, const char *const *values, size_t count)
{
	int r;

	r = sd_bus_message_open_container(message, 'e', "sv");
	r = r < 0 ? r : sd_bus_message_append(message, "s", key);
	r = r < 0 ? r : sd_bus_message_open_container(message, 'v', "as");
	r = r < 0 ? r : sd_bus_message_open_container(message, 'a', "s");
	for (size_t i = 0; r >= 0 && i < count; i++)
		r = sd_bus_message_append(message, "s", values[i]);
	r = r < 0 ? r : sd_bus_message_close_container(message);
	r = r < 0 ? r : sd_bus_message_close_container(message);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int open_row(sd_bus_message *message)
{
	return sd_bus_message_open_container(message, 'a', "{sv}");
}

static int append_packages(
	struct manager *manager, const struct bus_viewer *viewer, sd_bus_message *message)
{
	const struct packages *packages = manager->policy.packages;
	char file[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < packages->count; i++) {
		const struct package *package = packages->items[i];

		r = open_row(message);
		r = r < 0 ? r : bus_append_string(message, "name", package->name);
		r = r < 0 ? r : bus_append_string(message, "publisher", package->publisher);
		r = r < 0 ? r
			  : bus_append_string(
				    message, "file", escape(package->file, file, sizeof(file)));
		r = r < 0 ? r : sd_bus_message_close_container(message);
	}
	return r;
}

/* False if one of them is not there. */
static bool find_sides(const struct policy *policy, const struct connection *connection,
	const struct plug **ret_plug, const struct slot **ret_slot)
{
	struct fault fault = {0};
	bool found = policy_find_plug(policy, connection->plug, ret_plug, &fault) == 0 &&
		     policy_find_slot(policy, connection->slot, ret_slot, &fault) == 0;

	fault_clear(&fault);
	return found;
}

/* A connection in force: wanted, and both sides are there. */
static bool is_live(const struct policy *policy, const struct connection *connection)
{
	const struct plug *plug;
	const struct slot *slot;

	return connection->state != CONNECTION_UNDESIRED &&
	       find_sides(policy, connection, &plug, &slot);
}

static const char *sides_note(const struct policy *policy, const struct connection *connection)
{
	struct fault fault = {0};
	const struct plug *plug;
	const struct slot *slot;
	int r;

	if (!find_sides(policy, connection, &plug, &slot))
		return "";
	r = policy_check_fit(plug, slot, &fault);
	fault_clear(&fault);
	return r < 0 ? ",misfit" : streq(plug->id, slot->id) ? "" : ",any-id";
}

/* Plugs or slots that occur in live connections, sorted. The texts are the policy's. */
struct refs {
	const char **items;
	size_t count;
};

static int compare_refs(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int connected_refs(const struct policy *policy, struct refs *plugs, struct refs *slots)
{
	size_t count = policy->connections->count;

	plugs->items = calloc(count + 1, sizeof(char *));
	slots->items = calloc(count + 1, sizeof(char *));
	if (!plugs->items || !slots->items)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct connection *connection = &policy->connections->items[i];

		if (!is_live(policy, connection))
			continue;
		plugs->items[plugs->count++] = connection->plug;
		slots->items[slots->count++] = connection->slot;
	}
	qsort(plugs->items, plugs->count, sizeof(char *), compare_refs);
	qsort(slots->items, slots->count, sizeof(char *), compare_refs);
	return 0;
}

static bool refs_have(const struct refs *refs, const char *ref)
{
	return bsearch(&ref, refs->items, refs->count, sizeof(char *), compare_refs);
}

static const char *ref_of(
	char buffer[static REF_MAX + 1], const struct package *package, const char *name)
{
	(void)snprintf(buffer, REF_MAX + 1, "%s:%s", package->name, name);
	return buffer;
}

static int append_connection(
	sd_bus_message *message, const char *plug, const char *slot, const char *notes)
{
	int r;

	r = open_row(message);
	r = r < 0 ? r : bus_append_string(message, "interface", "posix-mq");
	r = r < 0 ? r : bus_append_string(message, "plug", plug);
	r = r < 0 ? r : bus_append_string(message, "slot", slot);
	r = r < 0 ? r : bus_append_string(message, "notes", notes);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

#define NOTES_MAX (sizeof("manual,until=,any-id") + UTC_STRING_MAX)

static const char *notes_format(const struct policy *policy, const struct connection *connection,
	char buffer[static NOTES_MAX])
{
	char until[UTC_STRING_MAX];

	if (connection->state != CONNECTION_MANUAL)
		return "";
	(void)snprintf(buffer, NOTES_MAX, "manual%s%s%s", connection->until > 0 ? ",until=" : "",
		connection->until > 0 ? utc_format(connection->until, until) : "",
		sides_note(policy, connection));
	return buffer;
}

static int append_unconnected(sd_bus_message *message, const struct package *package,
	const struct refs *plugs, const struct refs *slots)
{
	char ref[REF_MAX + 1];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < package->plug_count; i++)
		if (!refs_have(plugs, ref_of(ref, package, package->plugs[i].name)))
			r = append_connection(message, ref, "", "");
	for (size_t i = 0; r >= 0 && i < package->slot_count; i++)
		if (!refs_have(slots, ref_of(ref, package, package->slots[i].name)))
			r = append_connection(message, "", ref, "");
	return r;
}

static int append_connections(
	struct manager *manager, const struct bus_viewer *viewer, sd_bus_message *message)
{
	const struct policy *policy = &manager->policy;
	struct refs plugs = {0}, slots = {0};
	int r;

	r = connected_refs(policy, &plugs, &slots);
	for (size_t i = 0; r >= 0 && i < policy->connections->count; i++) {
		const struct connection *connection = &policy->connections->items[i];
		char notes[NOTES_MAX];

		if (is_live(policy, connection))
			r = append_connection(message, connection->plug, connection->slot,
				notes_format(policy, connection, notes));
	}
	for (size_t i = 0; r >= 0 && i < policy->packages->count; i++)
		r = append_unconnected(message, policy->packages->items[i], &plugs, &slots);
	free(plugs.items);
	free(slots.items);
	return r;
}

/* The slots that a plug is joined to now. ret->items is the caller's to free. */
static int slots_of_plug(const struct policy *policy, const char *plug, struct refs *ret)
{
	const struct connections *connections = policy->connections;
	size_t first = connections_lower_bound(connections, plug, ""), end = first;

	while (end < connections->count && streq(connections->items[end].plug, plug))
		end++;
	ret->items = calloc(end - first + 1, sizeof(char *));
	if (!ret->items)
		return -ENOMEM;
	for (size_t i = first; i < end; i++)
		if (is_live(policy, &connections->items[i]))
			ret->items[ret->count++] = connections->items[i].slot;
	return 0;
}

static int append_plug(
	const struct policy *policy, const struct plug *plug, sd_bus_message *message)
{
	struct refs slots = {0};
	char ref[REF_MAX + 1];
	int r;

	r = slots_of_plug(policy, ref_of(ref, plug->package, plug->name), &slots);
	r = r < 0 ? r : open_row(message);
	r = r < 0 ? r : bus_append_string(message, "plug", ref);
	r = r < 0 ? r : bus_append_string(message, "id", plug->id);
	r = r < 0 ? r
		  : bus_append_string(message, "mediation", mediation_to_string(plug->mediation));
	r = r < 0 ? r : bus_append_strings(message, "connected", slots.items, slots.count);
	r = r < 0 ? r
		  : bus_append_strings(
			    message, "path", (const char *const *)plug->paths, plug->path_count);
	r = r < 0 ? r : sd_bus_message_close_container(message);
	free(slots.items);
	return r;
}

static int append_plugs(
	struct manager *manager, const struct bus_viewer *viewer, sd_bus_message *message)
{
	const struct packages *packages = manager->policy.packages;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < packages->count; i++)
		for (size_t j = 0; r >= 0 && j < packages->items[i]->plug_count; j++)
			r = append_plug(&manager->policy, &packages->items[i]->plugs[j], message);
	return r;
}

static size_t permission_words(uint32_t permissions, const char *ret_words[static 5])
{
	static const char *const words[] = {"open", "read", "write", "create", "delete"};
	size_t count = 0;

	for (size_t i = 0; i < ELEMENTSOF(words); i++) {
		uint32_t permission;

		if (permission_from_string(words[i], &permission) == 0 && permissions & permission)
			ret_words[count++] = words[i];
	}
	return count;
}

static int append_queues(sd_bus_message *message, const struct slot *slot)
{
	size_t count = slot->path_count + slot->pattern_count;
	_cleanup_free_ const char **queues = calloc(count + 1, sizeof(char *));

	if (!queues)
		return -ENOMEM;
	for (size_t i = 0; i < slot->path_count; i++)
		queues[i] = slot->paths[i];
	for (size_t i = 0; i < slot->pattern_count; i++)
		queues[slot->path_count + i] = slot->patterns[i];
	return bus_append_strings(message, "queues", queues, count);
}

/* "" if there is none. */
static int append_max_mode(sd_bus_message *message, const struct slot *slot)
{
	char mode[sizeof("0777")] = "";

	if (slot->mode_cut)
		(void)snprintf(mode, sizeof(mode), "%04o", ACCESSPERMS & ~slot->mode_cut);
	return bus_append_string(message, "max-mode", mode);
}

static int append_slot(const struct slot *slot, sd_bus_message *message)
{
	const char *words[5];
	size_t count = permission_words(slot->permissions, words);
	char ref[REF_MAX + 1];
	int r;

	r = open_row(message);
	r = r < 0 ? r : bus_append_string(message, "slot", ref_of(ref, slot->package, slot->name));
	r = r < 0 ? r : bus_append_string(message, "id", slot->id);
	r = r < 0 ? r : bus_append_strings(message, "permissions", words, count);
	r = r < 0 ? r : append_queues(message, slot);
	r = r < 0 ? r : bus_append_string(message, "namespace", slot->host ? "host" : "");
	r = r < 0 ? r : append_max_mode(message, slot);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_slots(
	struct manager *manager, const struct bus_viewer *viewer, sd_bus_message *message)
{
	const struct packages *packages = manager->policy.packages;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < packages->count; i++)
		for (size_t j = 0; r >= 0 && j < packages->items[i]->slot_count; j++)
			r = append_slot(&packages->items[i]->slots[j], message);
	return r;
}

static int append_session(const struct session *session, sd_bus_message *message)
{
	bool stays_shut = session->launch_version >= LAUNCH_VERSION_STAYS_SHUT;
	char command[COMMAND_STRING_MAX];
	int r;

	r = open_row(message);
	r = r < 0 ? r : bus_append_uint32(message, "pid", (uint32_t)session->launcher.pid);
	r = r < 0 ? r : bus_append_uint32(message, "uid", session->launcher.uid);
	r = r < 0 ? r
		  : bus_append_strings(message, "plugs",
			    (const char *const *)session->bindings.plugs,
			    session->bindings.plug_count);
	r = r < 0 ? r
		  : bus_append_strings(message, "slots",
			    (const char *const *)session->bindings.slots,
			    session->bindings.slot_count);
	r = r < 0 ? r
		  : bus_append_string(message, "instance",
			    session->bindings.instance ? session->bindings.instance : "");
	r = r < 0 ? r : bus_append_string(message, "container", session->container ?: "");
	r = r < 0 ? r
		  : bus_append_string(
			    message, "mediation", mediation_to_string(session->mediation));
	r = r < 0 ? r
		  : bus_append_string(message, "notes",
			    session->refused ? "refused"
			    : stays_shut     ? ""
					     : "reopenable");
	r = r < 0 ? r
		  : bus_append_string(
			    message, "command", identity_command(&session->launcher, command));
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_sessions(
	struct manager *manager, const struct bus_viewer *viewer, sd_bus_message *message)
{
	int r = 0;

	FOREACH (session, manager->sessions) {
		if (!bus_may_see(viewer, session->launcher.uid))
			continue;
		r = append_session(session, message);
		if (r < 0)
			break;
	}
	return r;
}

int bus_append_list(struct manager *manager, const struct bus_viewer *viewer, const char *what,
	sd_bus_message *message)
{
	static const struct {
		const char *what;
		int (*append)(struct manager *manager, const struct bus_viewer *viewer,
			sd_bus_message *message);
	} lists[] = {
		{"packages", append_packages},
		{"plugs", append_plugs},
		{"slots", append_slots},
		{"connections", append_connections},
		{"sessions", append_sessions},
	};

	for (size_t i = 0; i < ELEMENTSOF(lists); i++)
		if (streq(lists[i].what, what))
			return lists[i].append(manager, viewer, message);
	return -EINVAL;
}
