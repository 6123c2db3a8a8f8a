/* SPDX-License-Identifier: MIT */
/* Rules: what a plug and a slot, or a slot alone, say about names. */
#include "rules.h"

#include "fault.h"
#include "find.h"

bool fits(const struct plug *plug, const struct slot *slot)
{
	return !plug || plug->path_count == 0 ||
	       (plug->path_count == slot->path_count && slot->pattern_count == 0);
}

int policy_check_fit(const struct plug *plug, const struct slot *slot, struct fault *fault)
{
	if (fits(plug, slot))
		return 0;
	if (slot->pattern_count > 0)
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"%s:%s calls its queues by names of its own (path), and %s:%s has the "
			"path-pattern %s, whose queues have no other names; remove path from the "
			"plug, or make a slot without path-pattern",
			plug->package->name, plug->name, slot->package->name, slot->name,
			typed(slot->patterns[0]));
	return fault_set(fault, FAULT_INVALID, -EINVAL,
		"names in the path of %s:%s: %zu, queues in the path of %s:%s: %zu; the n-th name "
		"means the n-th queue: list as many, or remove path from the plug",
		plug->package->name, plug->name, plug->path_count, slot->package->name, slot->name,
		slot->path_count);
}

static void report_misfit(
	const struct plug *plug, const struct slot *slot, struct diagnostics *diagnostics)
{
	_cleanup_(fault_clear) struct fault fault = {0};

	(void)policy_check_fit(plug, slot, &fault);
	diagnostics_add(diagnostics, SEVERITY_WARNING, plug->package->file, plug->line,
		plug->column, "the connection of %s:%s to %s:%s gives nothing: %s",
		plug->package->name, plug->name, slot->package->name, slot->name,
		fault.message ? fault.message : "they do not fit");
}

void policy_report_misfits(const struct policy *policy, struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < policy->connections->count; i++) {
		const struct connection *connection = &policy->connections->items[i];
		const struct plug *plug = policy_plug(policy, connection->plug);
		const struct slot *slot;

		if (connection->state == CONNECTION_UNDESIRED || !plug || plug->path_count == 0)
			continue;
		slot = policy_slot(policy, connection->slot);
		if (slot && !fits(plug, slot))
			report_misfit(plug, slot, diagnostics);
	}
}

size_t rule_count(const struct plug *plug, const struct slot *slot)
{
	return fits(plug, slot) ? slot->path_count + slot->pattern_count : 0;
}

struct rule rule_at(const struct plug *plug, const struct slot *slot, size_t i)
{
	struct rule rule = {.plug = plug, .slot = slot};

	if (i < slot->path_count) {
		rule.queue = slot->paths[i];
		rule.name = plug && plug->path_count > 0 ? plug->paths[i] : rule.queue;
	} else {
		rule.name = slot->patterns[i - slot->path_count];
	}
	return rule;
}

const struct slot *next_slot(const struct policy *policy, const char *plug, size_t *at)
{
	const struct connections *connections = policy->connections;
	const struct slot *slot = NULL;

	while (!slot && *at < connections->count && streq(connections->items[*at].plug, plug)) {
		const struct connection *connection = &connections->items[(*at)++];

		if (connection->state != CONNECTION_UNDESIRED)
			slot = policy_slot(policy, connection->slot);
	}
	return slot;
}
