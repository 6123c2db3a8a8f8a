/* SPDX-License-Identifier: MIT */
/* Sets of connections.
 *
 * A set is never changed, a changed copy is made. What is expensive in that are the texts, and
 * those are shared: the two of a connection lie in one counted block. */
#include "connections.h"

#include "include/array.h"
#include "include/limits.h"

struct texts {
	unsigned references;
	char plug[]; /* and behind its NUL the slot */
};

static struct texts *texts_of(const struct connection *connection)
{
	return (struct texts *)(connection->plug - offsetof(struct texts, plug));
}

const char *connection_state_to_string(enum connection_state state)
{
	switch (state) {
	case CONNECTION_MANUAL:
		return "manual";
	case CONNECTION_AUTO:
		return "auto";
	case CONNECTION_UNDESIRED:
		return "undesired";
	}
	return "unknown";
}

int connection_state_from_string(const char *text, enum connection_state *ret)
{
	for (enum connection_state i = CONNECTION_MANUAL; i <= CONNECTION_UNDESIRED; i++)
		if (streq(text, connection_state_to_string(i))) {
			*ret = i;
			return 0;
		}
	return -EINVAL;
}

int connection_init(struct connection *connection, const char *plug, const char *slot,
	enum connection_state state)
{
	size_t plug_size = strlen(plug) + 1, slot_size = strlen(slot) + 1;
	struct texts *texts = malloc(sizeof(*texts) + plug_size + slot_size);

	if (!texts)
		return -ENOMEM;
	texts->references = 1;
	memcpy(texts->plug, plug, plug_size);
	memcpy(texts->plug + plug_size, slot, slot_size);
	*connection = (struct connection){
		.plug = texts->plug, .slot = texts->plug + plug_size, .state = state};
	return 0;
}

static struct connection connection_share(const struct connection *connection)
{
	texts_of(connection)->references++;
	return *connection;
}

void connection_clear(struct connection *connection)
{
	struct texts *texts = texts_of(connection);

	if (--texts->references == 0)
		free(texts);
}

int connections_new_sized(size_t allocated, struct connections **ret)
{
	struct connections *connections = calloc(1, sizeof(*connections));

	if (!connections)
		return -ENOMEM;
	connections->references = 1;
	connections->items = calloc(MAX(allocated, 1U), sizeof(*connections->items));
	if (!connections->items) {
		free(connections);
		return -ENOMEM;
	}
	*ret = connections;
	return 0;
}

int connections_new(struct connections **ret)
{
	return connections_new_sized(0, ret);
}

struct connections *connections_ref(struct connections *connections)
{
	connections->references++;
	return connections;
}

struct connections *connections_unref(struct connections *connections)
{
	if (!connections || --connections->references > 0)
		return NULL;
	for (size_t i = 0; i < connections->count; i++)
		connection_clear(&connections->items[i]);
	free(connections->items);
	free(connections);
	return NULL;
}

int connection_compare(const void *a, const void *b)
{
	const struct connection *x = a, *y = b;
	int c = strcmp(x->plug, y->plug);

	return c ? c : strcmp(x->slot, y->slot);
}

size_t connections_lower_bound(
	const struct connections *connections, const char *plug, const char *slot)
{
	struct connection key = {.plug = (char *)plug, .slot = (char *)slot};

	return array_first(connections->items, connections->count, sizeof(*connections->items),
		&key, connection_compare);
}

const struct connection *connections_find(
	const struct connections *connections, const char *plug, const char *slot)
{
	size_t i = connections_lower_bound(connections, plug, slot);

	if (i < connections->count && streq(connections->items[i].plug, plug) &&
		streq(connections->items[i].slot, slot))
		return &connections->items[i];
	return NULL;
}

void connections_append(struct connections *connections, const struct connection *item)
{
	connections->items[connections->count++] = connection_share(item);
}

int connections_with(const struct connections *connections, const char *plug, const char *slot,
	enum connection_state state, struct connections **ret)
{
	return connections_with_end(connections, plug, slot, state, 0, ret);
}

int connections_with_end(const struct connections *connections, const char *plug, const char *slot,
	enum connection_state state, uint64_t until, struct connections **ret)
{
	_cleanup_(connections_unrefp) struct connections *changed = NULL;
	size_t at = connections_lower_bound(connections, plug, slot);
	bool replaces = connections_find(connections, plug, slot) != NULL;
	int r;

	if (!replaces && connections->count >= CONNECTIONS_MAX)
		return -E2BIG;
	r = connections_new_sized(connections->count + 1, &changed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < at; i++)
		connections_append(changed, &connections->items[i]);
	r = connection_init(&changed->items[at], plug, slot, state);
	if (r < 0)
		return r;
	changed->items[at].until = until;
	changed->count++;
	for (size_t i = at + replaces; i < connections->count; i++)
		connections_append(changed, &connections->items[i]);
	*ret = take_pointer(changed);
	return 0;
}

int connections_without(const struct connections *connections, const char *plug, const char *slot,
	struct connections **ret)
{
	const struct connection *gone = connections_find(connections, plug, slot);
	struct connections *changed;
	int r;

	if (!gone)
		return -ENOENT;
	r = connections_new_sized(connections->count, &changed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < connections->count; i++)
		if (&connections->items[i] != gone)
			connections_append(changed, &connections->items[i]);
	*ret = changed;
	return 0;
}

static bool has_run_out(const struct connection *connection, uint64_t now)
{
	return connection->until > 0 && connection->until <= now;
}

int connections_expire(
	const struct connections *connections, uint64_t now, struct connections **ret)
{
	struct connections *changed;
	size_t count = 0;
	int r;

	for (size_t i = 0; i < connections->count; i++)
		count += has_run_out(&connections->items[i], now);
	if (count == 0) {
		*ret = connections_ref((struct connections *)connections);
		return 0;
	}
	r = connections_new_sized(connections->count - count, &changed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < connections->count; i++)
		if (!has_run_out(&connections->items[i], now))
			connections_append(changed, &connections->items[i]);
	*ret = changed;
	return 0;
}

uint64_t connections_next_end(const struct connections *connections)
{
	uint64_t next = 0;

	for (size_t i = 0; i < connections->count; i++) {
		uint64_t until = connections->items[i].until;

		if (until > 0 && (next == 0 || until < next))
			next = until;
	}
	return next;
}

static bool is_wanted(const struct connection *connection)
{
	return connection->state != CONNECTION_UNDESIRED;
}

/* Of a pair in at least one of two sets; NULL: it is not in that one. */
static bool differs(
	const struct connection *old, const struct connection *new, enum connection_difference *ret)
{
	bool before = old && is_wanted(old), after = new &&is_wanted(new);

	*ret = before && after ? CONNECTION_KEPT
	       : after         ? CONNECTION_CONNECTED
			       : CONNECTION_DISCONNECTED;
	return before != after ||
	       (before && (old->state != new->state || old->until != new->until));
}

void connections_compare(const struct connections *old, const struct connections *new,
	void (*report)(const struct connection *connection, enum connection_difference difference,
		void *userdata),
	void *userdata)
{
	size_t i = 0, j = 0;

	while (i < old->count || j < new->count) {
		int c = i == old->count   ? 1
			: j == new->count ? -1
					  : connection_compare(&old->items[i], &new->items[j]);
		const struct connection *before = c <= 0 ? &old->items[i++] : NULL;
		const struct connection *after = c >= 0 ? &new->items[j++] : NULL;
		enum connection_difference difference;

		if (differs(before, after, &difference))
			report(difference == CONNECTION_DISCONNECTED ? before : after, difference,
				userdata);
	}
}
