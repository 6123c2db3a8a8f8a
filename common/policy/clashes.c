/* SPDX-License-Identifier: MIT */
/* Names that would mean two queues to one session. */
#include "find.h"
#include "include/array.h"
#include "include/names.h"
#include "rules.h"
#include "variables.h"

/* A rule, and what is plain in its name: before its first and after its last wildcard or variable.
 */
struct part {
	struct rule rule;
	size_t length, head, tail;
	size_t place; /* among what is bound */
};

struct parts {
	struct part *items;
	size_t count, plain_count;
};

static bool is_pattern(const struct part *part)
{
	return part->head < part->length;
}

static struct part part_of(const struct rule *rule)
{
	struct part part = {
		.rule = *rule, .length = strlen(rule->name), .head = strcspn(rule->name, "*?{")};

	while (part.tail < part.length && !strchr("*?}", rule->name[part.length - 1 - part.tail]))
		part.tail++;
	return part;
}

/* A name that is not another one's. */
static bool is_own(const struct rule *rule)
{
	return !rule->queue || streq(rule->queue, rule->name);
}

/* If a name is one of both. */
static bool mean_the_same(const struct rule *a, const struct rule *b)
{
	if (a->slot->host != b->slot->host)
		return false;
	return (is_own(a) && is_own(b)) || (a->queue && b->queue && streq(a->queue, b->queue));
}

static bool can_meet(const struct part *a, const struct part *b)
{
	size_t tail = MIN(a->tail, b->tail);

	if (!is_pattern(a) && !is_pattern(b))
		return streq(a->rule.name, b->rule.name);
	return (is_pattern(a) || a->length >= b->head + b->tail) &&
	       (is_pattern(b) || b->length >= a->head + a->tail) &&
	       memcmp(a->rule.name, b->rule.name, MIN(a->head, b->head)) == 0 &&
	       memcmp(a->rule.name + a->length - tail, b->rule.name + b->length - tail, tail) == 0;
}

bool names_can_meet(const char *a, const char *b)
{
	const struct rule one = {.name = a}, other = {.name = b};
	const struct part part = part_of(&one), other_part = part_of(&other);

	return can_meet(&part, &other_part);
}

/* Plain names first, in their order. */
static int compare_parts(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int c = (int)is_pattern(x) - (int)is_pattern(y);

	c = c ? c : strcmp(x->rule.name, y->rule.name);
	return c ? c : (x->place > y->place) - (x->place < y->place);
}

#define PART_TEXT_MAX (2 * PATTERN_MAX + 2 * REF_MAX + 100)

static const char *part_text(const struct part *part, char buffer[static PART_TEXT_MAX])
{
	const struct rule *rule = &part->rule;
	char plug[REF_MAX + 1] = "", slot[REF_MAX + 1];

	if (rule->plug)
		ref_format(rule->plug->package->name, rule->plug->name, plug);
	(void)snprintf(buffer, PART_TEXT_MAX, "%s of %s%s%s (%s%s%s)", rule->name, plug,
		*plug ? " connected to " : "",
		ref_format(rule->slot->package->name, rule->slot->name, slot),
		rule->queue ? "the queue " : "queues of such names", rule->queue ? rule->queue : "",
		rule->slot->host ? " in the host's IPC namespace" : "");
	return buffer;
}

static const char *remedy_of_clash(const struct part *a, const struct part *b)
{
	if (a->rule.plug && b->rule.plug)
		return "disconnect one of them first, or change both with mqctl apply; or give a plug "
		       "other names (path)";
	return a->rule.plug || b->rule.plug
		       ? "disconnect the plug, or start the program without the slot"
		       : "start the program with one of the slots only";
}

static int clash(const struct part *a, const struct part *b, struct fault *fault)
{
	char one[PART_TEXT_MAX], other[PART_TEXT_MAX];

	return fault_set(fault, FAULT_INVALID, -EEXIST,
		"a name can mean one queue only, and these clash: %s, and %s; %s",
		typed(part_text(a, one)), typed(part_text(b, other)), remedy_of_clash(a, b));
}

static bool clashes(const struct part *a, const struct part *b)
{
	return !mean_the_same(&a->rule, &b->rule) && can_meet(a, b);
}

static int compare_head(const void *key, const void *item)
{
	const struct part *pattern = key, *plain = item;

	return strncmp(pattern->rule.name, plain->rule.name, pattern->head);
}

/* Of the plain names that begin like the pattern. */
static const struct part *find_plain(const struct parts *parts, const struct part *pattern)
{
	size_t i = array_first(
		parts->items, parts->plain_count, sizeof(*pattern), pattern, compare_head);

	for (; i < parts->plain_count && compare_head(pattern, &parts->items[i]) == 0; i++)
		if (clashes(&parts->items[i], pattern))
			return &parts->items[i];
	return NULL;
}

/* What clashes with a sorted part and comes before it. Those of one plain name lie together. */
static const struct part *find_clash(const struct parts *parts, size_t i)
{
	const struct part *part = &parts->items[i], *found;

	if (!is_pattern(part))
		return i > 0 && clashes(part - 1, part) ? part - 1 : NULL;
	found = find_plain(parts, part);
	for (size_t j = parts->plain_count; j < i && !found; j++)
		if (clashes(&parts->items[j], part))
			found = &parts->items[j];
	return found;
}

static int check_parts(struct parts *parts, struct fault *fault)
{
	qsort(parts->items, parts->count, sizeof(*parts->items), compare_parts);
	for (size_t i = 0; i < parts->count; i++) {
		const struct part *other = find_clash(parts, i);

		if (other)
			return clash(other, &parts->items[i], fault);
	}
	return 0;
}

/* What is done with each slot that something bound has names by. */
struct visitor {
	int (*visit)(struct visitor *visitor, const struct plug *plug, const struct slot *slot);
	bool has_host;
	bool plain;              /* no name can mean anything but itself */
	const struct plug *plug; /* as if it were connected to the slot, too; NULL: none */
	const struct slot *slot;
	struct parts parts;
	struct fault *fault;
};

static int visit_plug(const struct policy *policy, const char *ref, struct visitor *visitor)
{
	size_t at = connections_lower_bound(policy->connections, ref, "");
	const struct plug *plug = policy_plug(policy, ref);
	const struct slot *slot;
	int r = 0;

	while (plug && r == 0 && (slot = next_slot(policy, ref, &at)))
		if (fits(plug, slot))
			r = visitor->visit(visitor, plug, slot);
	return r;
}

static int visit_all(
	const struct policy *policy, const struct bound *bound, struct visitor *visitor)
{
	int r = 0;

	for (size_t i = 0; i < bound->plug_count && r == 0; i++)
		r = visit_plug(policy, bound->plugs[i], visitor);
	for (size_t i = 0; i < bound->slot_count && r == 0; i++) {
		const struct slot *slot = policy_slot(policy, bound->slots[i]);

		r = slot ? visitor->visit(visitor, NULL, slot) : 0;
	}
	return r == 0 && visitor->slot ? visitor->visit(visitor, visitor->plug, visitor->slot) : r;
}

static int look(struct visitor *visitor, const struct plug *plug, const struct slot *slot)
{
	visitor->plain &= !slot->host && !(plug && plug->path_count > 0);
	if (!slot->host || visitor->has_host)
		return 0;
	return fault_set(visitor->fault, FAULT_INVALID, -EXDEV,
		"%s:%s has \"namespace: host\", and mqgated runs in an IPC namespace of its own, "
		"from which it cannot reach the host's queues; start mqgated on the host, or remove "
		"the attribute",
		slot->package->name, slot->name);
}

static int add(struct parts *parts, const struct rule *rule)
{
	struct part part = part_of(rule);

	part.place = parts->count;
	parts->plain_count += !is_pattern(&part);
	return array_append(&parts->items, &parts->count, &part, sizeof(part));
}

/* 1: it is more than a session can have, and will be refused. */
static int collect(struct visitor *visitor, const struct plug *plug, const struct slot *slot)
{
	struct parts *parts = &visitor->parts;
	const size_t count = rule_count(plug, slot);
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct rule rule = rule_at(plug, slot, i);

		r = add(parts, &rule);
		if (r == 0)
			r = parts->count > GRANTS_MAX ||
			    parts->count - parts->plain_count > GRANTS_PATTERNS_MAX;
	}
	return r;
}

static int check_names(
	const struct policy *policy, const struct bound *bound, struct visitor *visitor)
{
	int r;

	visitor->visit = look;
	visitor->plain = true;
	r = visit_all(policy, bound, visitor);
	if (r < 0 || visitor->plain)
		return r;
	visitor->visit = collect;
	r = visit_all(policy, bound, visitor);
	if (r == 0)
		r = check_parts(&visitor->parts, visitor->fault);
	free(visitor->parts.items);
	return MIN(r, 0);
}

int policy_check_names(
	const struct policy *policy, const struct bound *bound, bool has_host, struct fault *fault)
{
	struct visitor visitor = {.has_host = has_host, .fault = fault};

	return check_names(policy, bound, &visitor);
}

bool would_clash(const struct policy *policy, const struct plug *plug, const struct slot *slot)
{
	_cleanup_(fault_clear) struct fault fault = {0};
	struct visitor visitor = {.has_host = true, .plug = plug, .slot = slot, .fault = &fault};
	char ref[REF_MAX + 1];
	const char *const plugs[] = {ref_format(plug->package->name, plug->name, ref)};

	return check_names(policy, &(struct bound){.plugs = plugs, .plug_count = 1}, &visitor) ==
	       -EEXIST;
}

/* 1: it has one. */
static int look_for_instance(
	struct visitor *visitor, const struct plug *plug, const struct slot *slot)
{
	const size_t count = rule_count(plug, slot);
	bool found = false;

	for (size_t i = 0; i < count && !found; i++)
		found = has_variable(rule_at(plug, slot, i).name, VARIABLE_INSTANCE);
	return found;
}

bool policy_names_instance(const struct policy *policy, const struct bound *bound)
{
	struct visitor visitor = {look_for_instance};

	return visit_all(policy, bound, &visitor) > 0;
}
