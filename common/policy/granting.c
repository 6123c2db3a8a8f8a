/* SPDX-License-Identifier: MIT */
/* From rules to grants. */
#include "find.h"
#include "rules.h"
#include "variables.h"

struct granting {
	struct grants *grants;
	const char *values[VARIABLE_COUNT]; /* NULL: the variable stays */
};

/* Policy writes the slash, the kernel does not see it. */
static int add(const struct granting *granting, const struct rule *rule, uint32_t permissions)
{
	char name[PATTERN_MAX + 1];
	struct grant grant = {.permissions = permissions,
		.mode_cut = rule->slot->mode_cut,
		.host = rule->slot->host,
		.giver = (uint16_t)granting->grants->giver_count,
		.name = name};

	if (!fill_in(rule->name + 1, granting->values, name) ||
		has_variable(name, VARIABLE_INSTANCE))
		return 0;
	grant.pattern = strpbrk(name, "*?{");
	if (!grant.pattern && strlen(name) > QUEUE_NAME_MAX)
		return 0;
	if (rule->queue && !streq(rule->queue + 1, name))
		grant.queue = rule->queue + 1;
	return grants_add(granting->grants, &grant);
}

static int add_slot(const struct granting *granting, const struct plug *plug,
	const struct slot *slot, uint32_t permissions)
{
	const size_t count = rule_count(plug, slot);
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct rule rule = rule_at(plug, slot, i);

		r = add(granting, &rule, permissions);
	}
	return r;
}

int policy_add_plug_grants(
	const struct policy *policy, const char *plug, const char *instance, struct grants *grants)
{
	const struct granting granting = {grants, {[VARIABLE_INSTANCE] = instance}};
	size_t at = connections_lower_bound(policy->connections, plug, "");
	const struct plug *found = policy_plug(policy, plug);
	const struct slot *slot;
	int r = grants_set_giver(grants, plug);

	while (found && r == 0 && (slot = next_slot(policy, plug, &at)))
		r = add_slot(&granting, found, slot, slot->permissions);
	return r;
}

int policy_add_slot_grants(
	const struct policy *policy, const char *slot, const char *instance, struct grants *grants)
{
	const struct granting granting = {grants, {[VARIABLE_INSTANCE] = instance}};
	const struct slot *found = policy_slot(policy, slot);
	int r = grants_set_giver(grants, slot);

	return found && r == 0 ? add_slot(&granting, NULL, found, PERMISSIONS_ALL) : r;
}

int policy_add_slot_scope(const struct policy *policy, const char *slot, struct grants *grants)
{
	const struct granting granting = {grants, {"*", "*", "*"}};
	const struct slot *found = policy_slot(policy, slot);

	return found ? add_slot(&granting, NULL, found, PERMISSIONS_ALL) : 0;
}
