/* SPDX-License-Identifier: MIT */
#include "suggest.h"

#include "connections.h"
#include "find.h"
#include "include/limits.h"
#include "include/names.h"

bool queue_name_is_possible(const char *name)
{
	return *name && strlen(name) <= QUEUE_NAME_MAX && !strchr(name, '/') && !streq(name, ".") &&
	       !streq(name, "..");
}

bool find_rule(const struct plug *plug, const struct slot *slot, const char *name,
	struct values *values, struct rule *ret)
{
	const size_t count = rule_count(plug, slot);

	for (size_t i = 0; i < count; i++) {
		const struct rule rule = rule_at(plug, slot, i);

		if (i < slot->path_count && !strchr(rule.name, '{')
				? streq(rule.name + 1, name)
				: values_find(rule.name + 1, name, values)) {
			*ret = rule;
			return true;
		}
	}
	return false;
}

bool is_connected(const struct policy *policy, const struct plug *plug, const struct slot *slot)
{
	char plug_ref[REF_MAX + 1], slot_ref[REF_MAX + 1];
	const struct connection *connection;

	ref_format(plug->package->name, plug->name, plug_ref);
	ref_format(slot->package->name, slot->name, slot_ref);
	connection = connections_find(policy->connections, plug_ref, slot_ref);
	return connection && connection->state != CONNECTION_UNDESIRED;
}

/* --- which slot ----------------------------------------------------------------------------- */

/* How much more a slot would give than is missing; the less the better, the first member counting
 * most. */
struct breadth {
	unsigned lacking; /* permissions that it does not give */
	unsigned pattern; /* 0: the name itself, 1: with numbers in it, 2: with wildcards */
	unsigned other_id;
	unsigned permissions;
	size_t queues;
};

static int compare_breadths(const struct breadth *a, const struct breadth *b)
{
	const size_t x[] = {a->lacking, a->pattern, a->other_id, a->permissions, a->queues};
	const size_t y[] = {b->lacking, b->pattern, b->other_id, b->permissions, b->queues};

	for (size_t i = 0; i < ELEMENTSOF(x); i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

static unsigned count_bits(uint32_t bits)
{
	return (unsigned)__builtin_popcount(bits);
}

static uint32_t given(const struct slot *slot)
{
	return slot->permissions | PERMISSION_OPEN;
}

/* False if it gives nothing of what is missing. */
static bool measure(const struct plug *plug, const struct slot *slot, const char *name,
	uint32_t missing, struct breadth *ret)
{
	struct values values = {0};
	struct rule rule;

	if (!(given(slot) & missing) || !find_rule(plug, slot, name, &values, &rule))
		return false;
	*ret = (struct breadth){.lacking = count_bits(missing & ~given(slot)),
		.pattern = strpbrk(rule.name, "*?") ? 2
			   : strchr(rule.name, '{') ? 1
						    : 0,
		.other_id = !streq(slot->id, plug->id),
		.permissions = count_bits(slot->permissions),
		.queues = slot->path_count + slot->pattern_count};
	return true;
}

/* One to which the plug is connected gives the name to others only (names with variables). */
static bool may_be_suggested(
	const struct policy *policy, const struct plug *plug, const struct slot *slot)
{
	return (plug->path_count == 0 || streq(slot->id, plug->id)) &&
	       !is_connected(policy, plug, slot);
}

static const struct slot *find_narrowest(
	const struct policy *policy, const struct plug *plug, const char *name, uint32_t missing)
{
	const struct slot *best = NULL;
	struct breadth breadth, least = {0};

	for (size_t i = 0; i < policy->packages->count; i++) {
		const struct package *package = policy->packages->items[i];

		for (size_t j = 0; j < package->slot_count; j++) {
			const struct slot *slot = &package->slots[j];

			if (!measure(plug, slot, name, missing, &breadth) ||
				(best && compare_breadths(&breadth, &least) >= 0) ||
				!may_be_suggested(policy, plug, slot))
				continue;
			best = slot;
			least = breadth;
		}
	}
	return best;
}

/* Each gives something that those before do not; what the later ones give as well makes an earlier
 * one superfluous. */
static void drop_superfluous(struct suggestion *suggestion, uint32_t missing)
{
	for (size_t i = suggestion->count; i-- > 0;) {
		uint32_t others = 0;

		for (size_t j = 0; j < suggestion->count; j++)
			others |= j == i ? 0 : given(suggestion->slots[j]);
		if (missing & ~others)
			continue;
		suggestion->count--;
		memmove(&suggestion->slots[i], &suggestion->slots[i + 1],
			(suggestion->count - i) * sizeof(suggestion->slots[0]));
	}
}

bool suggest(const struct policy *policy, const struct plug *plug, const char *name,
	uint32_t missing, struct suggestion *ret)
{
	uint32_t left;

	/* It comes with any other. */
	if (missing & ~(uint32_t)PERMISSION_OPEN)
		missing &= ~(uint32_t)PERMISSION_OPEN;
	left = missing;
	*ret = (struct suggestion){.plug = plug};
	if (!queue_name_is_possible(name))
		return false;
	while (left && ret->count < SUGGESTED_MAX) {
		const struct slot *slot = find_narrowest(policy, plug, name, left);

		if (!slot)
			return false;
		ret->slots[ret->count++] = slot;
		left &= ~given(slot);
	}
	drop_superfluous(ret, missing);
	for (size_t i = 0; i < ret->count; i++)
		ret->clashes |= would_clash(policy, plug, ret->slots[i]);
	return left == 0 && ret->count > 0;
}

/* --- for people ----------------------------------------------------------------------------- */

char *suggestion_command(const struct suggestion *suggestion)
{
	const struct plug *plug = suggestion->plug;
	char *command = NULL;
	size_t size;
	FILE *f = open_memstream(&command, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < suggestion->count; i++) {
		const struct slot *slot = suggestion->slots[i];

		(void)fprintf(f, "%smqctl connect %s%s:%s %s:%s", i > 0 ? " && " : "",
			any_id_option(plug, slot), plug->package->name, plug->name,
			slot->package->name, slot->name);
	}
	return fclose(f) == 0 ? command : NULL;
}

/* Of two sessions' plugs: fewer commands, then the plug's own id. */
static bool is_better(const struct suggestion *a, const struct suggestion *b)
{
	const bool a_foreign = !streq(a->slots[0]->id, a->plug->id);
	const bool b_foreign = !streq(b->slots[0]->id, b->plug->id);

	return a->count != b->count ? a->count < b->count : a_foreign < b_foreign;
}

int policy_suggest(const struct policy *policy, const char *const *plugs, size_t plug_count,
	const char *queue, uint32_t missing, char **ret_plug, char **ret_command)
{
	_cleanup_free_ char *plug = NULL, *command = NULL;
	struct suggestion best = {0}, suggestion;

	for (size_t i = 0; i < plug_count; i++) {
		const struct plug *found = policy_plug(policy, plugs[i]);

		if (found && suggest(policy, found, queue, missing, &suggestion) &&
			!suggestion.clashes && (best.count == 0 || is_better(&suggestion, &best)))
			best = suggestion;
	}
	*ret_plug = *ret_command = NULL;
	if (best.count == 0)
		return 0;
	if (asprintf(&plug, "%s:%s", best.plug->package->name, best.plug->name) < 0) {
		plug = NULL;
		return -ENOMEM;
	}
	command = suggestion_command(&best);
	if (!command)
		return -ENOMEM;
	*ret_plug = take_pointer(plug);
	*ret_command = take_pointer(command);
	return 0;
}
