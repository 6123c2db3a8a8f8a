/* SPDX-License-Identifier: MIT */
/* Automatic connections: what packages of one publisher mean for each other. */
#include "connections.h"
#include "find.h"
#include "include/array.h"
#include "include/limits.h"
#include "include/names.h"
#include "rules.h"

/* All slots that can be connected automatically, by publisher and id. */
struct index {
	const struct slot **slots;
	size_t count;
};

static int compare_offers(
	const char *publisher, const char *id, const char *other_publisher, const char *other_id)
{
	int c = strcmp(publisher, other_publisher);

	return c ? c : strcmp(id, other_id);
}

static int compare_slots(const void *a, const void *b)
{
	const struct slot *x = *(const struct slot *const *)a, *y = *(const struct slot *const *)b;

	return compare_offers(x->package->publisher, x->id, y->package->publisher, y->id);
}

/* Of a package without a publisher nothing is connected automatically, and no slot of a parallel
 * installation ("name_key") is. */
static bool offers(const struct package *package)
{
	return *package->publisher && !strchr(package->name, '_');
}

static int index_slots(const struct packages *packages, struct index *ret)
{
	size_t count = 0;

	for (size_t i = 0; i < packages->count; i++)
		count += offers(packages->items[i]) ? packages->items[i]->slot_count : 0;
	ret->slots = calloc(MAX(count, 1U), sizeof(*ret->slots));
	if (!ret->slots)
		return -ENOMEM;
	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; offers(packages->items[i]) && j < packages->items[i]->slot_count;
			j++)
			ret->slots[ret->count++] = &packages->items[i]->slots[j];
	qsort(ret->slots, ret->count, sizeof(*ret->slots), compare_slots);
	return 0;
}

static size_t first_not_before(const struct index *index, const char *publisher, const char *id)
{
	const struct package package = {.publisher = (char *)publisher};
	const struct slot slot = {.package = &package, .id = (char *)id}, *key = &slot;

	return array_first(index->slots, index->count, sizeof(*index->slots), &key, compare_slots);
}

static bool matches(const struct plug *plug, const struct slot *slot)
{
	return *plug->package->publisher &&
	       streq(plug->package->publisher, slot->package->publisher) &&
	       streq(plug->id, slot->id);
}

/* The slot for a plug; NULL if there is none, or more than one, or if it does not fit. */
static const struct slot *only_candidate(const struct index *index, const struct plug *plug)
{
	size_t at = first_not_before(index, plug->package->publisher, plug->id);

	if (at == index->count || !matches(plug, index->slots[at]))
		return NULL;
	if (at + 1 < index->count && matches(plug, index->slots[at + 1]))
		return NULL;
	return fits(plug, index->slots[at]) ? index->slots[at] : NULL;
}

/* An automatic connection stays as long as it would be allowed; a second candidate does not undo
 * it. */
static bool stays(const struct policy *policy, const struct connection *connection)
{
	const struct plug *plug = policy_plug(policy, connection->plug);
	const struct slot *slot = policy_slot(policy, connection->slot);

	return connection->state != CONNECTION_AUTO ||
	       (plug && slot && matches(plug, slot) && fits(plug, slot) && offers(slot->package));
}

/* The new connections, in the order of plugs, which is not the order of a set. */
struct additions {
	struct connection *items;
	size_t count;
};

static int add_for_plug(const struct connections *old, const struct index *index,
	const struct plug *plug, struct additions *additions)
{
	const struct slot *slot = only_candidate(index, plug);
	char plug_ref[REF_MAX + 1], slot_ref[REF_MAX + 1];
	int r;

	if (!slot)
		return 0;
	ref_format(plug->package->name, plug->name, plug_ref);
	ref_format(slot->package->name, slot->name, slot_ref);
	if (connections_find(old, plug_ref, slot_ref))
		return 0;
	r = connection_init(
		&additions->items[additions->count], plug_ref, slot_ref, CONNECTION_AUTO);
	if (r == 0)
		additions->count++;
	return r;
}

static int find_additions(const struct policy *policy, struct additions *ret)
{
	const struct packages *packages = policy->packages;
	struct index index = {0};
	size_t count = 0;
	int r;

	r = index_slots(packages, &index);
	for (size_t i = 0; i < packages->count; i++)
		count += packages->items[i]->plug_count;
	ret->items = r < 0 ? NULL : calloc(MAX(count, 1U), sizeof(*ret->items));
	if (r == 0 && !ret->items)
		r = -ENOMEM;
	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; r == 0 && j < packages->items[i]->plug_count; j++)
			r = add_for_plug(
				policy->connections, &index, &packages->items[i]->plugs[j], ret);
	free(index.slots);
	return r;
}

static void additions_clear(struct additions *additions)
{
	for (size_t i = 0; i < additions->count; i++)
		connection_clear(&additions->items[i]);
	free(additions->items);
	*additions = (struct additions){0};
}

int policy_auto_connect(
	const struct policy *policy, struct connections **ret_connections, size_t *ret_left_out)
{
	const struct connections *old = policy->connections;
	_cleanup_(additions_clear) struct additions additions = {0};
	_cleanup_(connections_unrefp) struct connections *changed = NULL;
	size_t kept = 0, added;
	int r;

	r = find_additions(policy, &additions);
	if (r < 0)
		return r;
	for (size_t i = 0; i < old->count; i++)
		kept += stays(policy, &old->items[i]);
	added = MIN(additions.count, CONNECTIONS_MAX - kept);
	*ret_left_out = additions.count - added;
	if (kept == old->count && added == 0) {
		*ret_connections = connections_ref(policy->connections);
		return 0;
	}
	r = connections_new_sized(kept + added, &changed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < old->count; i++)
		if (stays(policy, &old->items[i]))
			connections_append(changed, &old->items[i]);
	for (size_t i = 0; i < added; i++)
		connections_append(changed, &additions.items[i]);
	qsort(changed->items, changed->count, sizeof(*changed->items), connection_compare);
	*ret_connections = take_pointer(changed);
	return 0;
}
