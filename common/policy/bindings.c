/* SPDX-License-Identifier: MIT */
/* What a session has: named by its hello, or bound to its apps. */
#include "include/bindings.h"

#include "include/limits.h"
#include "include/util.h"

void bindings_clear(struct bindings *bindings)
{
	(void)strings_free(bindings->plugs, bindings->plug_count);
	(void)strings_free(bindings->slots, bindings->slot_count);
	(void)strings_free(bindings->apps, bindings->app_count);
	free(bindings->instance);
	*bindings = (struct bindings){0};
}

static int allocate(struct bindings *bindings)
{
	bindings->plugs = calloc(SESSION_PLUGS_MAX, sizeof(char *));
	bindings->slots = calloc(SESSION_PLUGS_MAX, sizeof(char *));
	bindings->apps = calloc(LAUNCH_REFS_MAX, sizeof(char *));
	return bindings->plugs && bindings->slots && bindings->apps ? 0 : -ENOMEM;
}

/* The same thing named twice counts once. */
static int add(char **strings, size_t *count, size_t count_max, const char *joint,
	const char *package, const char *name)
{
	_cleanup_free_ char *text = NULL;

	if (asprintf(&text, "%s%s%s", package, joint, name) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	for (size_t i = 0; i < *count; i++)
		if (streq(strings[i], text))
			return 0;
	if (*count == count_max)
		return -E2BIG;
	strings[(*count)++] = take_pointer(text);
	return 0;
}

static int add_plug(struct bindings *bindings, const struct plug *plug)
{
	return add(bindings->plugs, &bindings->plug_count, SESSION_PLUGS_MAX, ":",
		plug->package->name, plug->name);
}

static int add_slot(struct bindings *bindings, const struct slot *slot)
{
	return add(bindings->slots, &bindings->slot_count, SESSION_PLUGS_MAX, ":",
		slot->package->name, slot->name);
}

static int add_ref(struct bindings *bindings, const struct policy *policy,
	const struct launch_ref *ref, struct fault *fault)
{
	const struct package *package;
	const struct plug *plug;
	const struct slot *slot;
	const struct app *app;
	int r;

	switch (ref->kind) {
	case LAUNCH_REF_PLUG:
		r = policy_resolve_plug(policy, ref->text, &plug, fault);
		return r < 0 ? r : add_plug(bindings, plug);
	case LAUNCH_REF_SLOT:
		r = policy_resolve_slot(policy, ref->text, &slot, fault);
		return r < 0 ? r : add_slot(bindings, slot);
	case LAUNCH_REF_INSTANCE:
		bindings->instance = strdup(ref->text);
		return bindings->instance ? 0 : -ENOMEM;
	default:
		r = policy_find_app(policy, ref->text, &package, &app, fault);
		return r < 0 ? r
			     : add(bindings->apps, &bindings->app_count, LAUNCH_REFS_MAX,
				       app->of_component ? "" : ".", package->name, app->name);
	}
}

/* An app that no longer exists has nothing. */
static int bind_app(struct bindings *bindings, const struct policy *policy, const char *text)
{
	struct fault fault = {0};
	const struct package *package;
	const struct app *app;
	int r = policy_find_app(policy, text, &package, &app, &fault);

	fault_clear(&fault);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	for (size_t i = 0; i < package->plug_count && r == 0; i++)
		if (app_has_plug(app, &package->plugs[i]))
			r = add_plug(bindings, &package->plugs[i]);
	for (size_t i = 0; i < package->slot_count && r == 0; i++)
		if (app_has_slot(app, &package->slots[i]))
			r = add_slot(bindings, &package->slots[i]);
	return r;
}

static int bind_apps(struct bindings *bindings, const struct policy *policy)
{
	int r = 0;

	bindings->own_plug_count = bindings->plug_count;
	bindings->own_slot_count = bindings->slot_count;
	for (size_t i = 0; i < bindings->app_count && r == 0; i++)
		r = bind_app(bindings, policy, bindings->apps[i]);
	return r;
}

static int too_many(struct fault *fault)
{
	fault->kind = FAULT_INVALID;
	if (asprintf(&fault->message,
		    "these apps have more than %d plugs or slots; name those that you need with --plug and --slot",
		    SESSION_PLUGS_MAX) < 0) {
		*fault = (struct fault){0};
		return -ENOMEM;
	}
	return -E2BIG;
}

int bindings_from_hello(const struct policy *policy, const struct launch_hello *hello,
	struct bindings *ret, struct fault *fault)
{
	_cleanup_(bindings_clear) struct bindings bindings = {0};
	int r = allocate(&bindings);

	for (uint32_t i = 0; i < hello->ref_count && r == 0; i++)
		r = add_ref(&bindings, policy, &hello->refs[i], fault);
	if (r == 0)
		r = bind_apps(&bindings, policy);
	if (r == -E2BIG)
		r = too_many(fault);
	if (r < 0)
		return r;
	*ret = bindings;
	bindings = (struct bindings){0};
	return 0;
}

static int copy(char *const *from, size_t from_count, char **to, size_t *to_count)
{
	for (; *to_count < from_count; (*to_count)++) {
		to[*to_count] = strdup(from[*to_count]);
		if (!to[*to_count])
			return -ENOMEM;
	}
	return 0;
}

int bindings_again(
	const struct bindings *bindings, const struct policy *policy, struct bindings *ret)
{
	_cleanup_(bindings_clear) struct bindings again = {0};
	int r = allocate(&again);

	if (r == 0 && bindings->instance) {
		again.instance = strdup(bindings->instance);
		r = again.instance ? 0 : -ENOMEM;
	}
	if (r == 0)
		r = copy(bindings->plugs, bindings->own_plug_count, again.plugs, &again.plug_count);
	if (r == 0)
		r = copy(bindings->slots, bindings->own_slot_count, again.slots, &again.slot_count);
	if (r == 0)
		r = copy(bindings->apps, bindings->app_count, again.apps, &again.app_count);
	if (r == 0)
		r = bind_apps(&again, policy);
	if (r < 0)
		return r;
	*ret = again;
	again = (struct bindings){0};
	return 0;
}

struct bound bindings_bound(const struct bindings *bindings)
{
	return (struct bound){.plugs = (const char *const *)bindings->plugs,
		.plug_count = bindings->plug_count,
		.slots = (const char *const *)bindings->slots,
		.slot_count = bindings->slot_count};
}

static enum mediation plug_mediation(const struct policy *policy, const char *ref)
{
	struct fault fault = {0};
	const struct plug *plug;
	int r = policy_find_plug(policy, ref, &plug, &fault);

	fault_clear(&fault);
	return r < 0 ? MEDIATION_CALL : plug->mediation;
}

enum mediation bindings_mediation(const struct bindings *bindings, const struct policy *policy)
{
	for (size_t i = 0; i < bindings->plug_count; i++)
		if (plug_mediation(policy, bindings->plugs[i]) != MEDIATION_OPEN)
			return MEDIATION_CALL;
	return bindings->plug_count > 0 ? MEDIATION_OPEN : MEDIATION_CALL;
}

static int collect_grants(
	const struct bindings *bindings, const struct policy *policy, struct grants *grants)
{
	int r;

	for (size_t i = 0; i < bindings->plug_count; i++) {
		r = policy_add_plug_grants(policy, bindings->plugs[i], bindings->instance, grants);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < bindings->slot_count; i++) {
		r = policy_add_slot_grants(policy, bindings->slots[i], bindings->instance, grants);
		if (r < 0)
			return r;
	}
	grants_seal(grants);
	return 0;
}

int bindings_grants(const struct bindings *bindings, const struct policy *policy,
	uint64_t generation, struct grants **ret)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	int r;

	r = grants_new(generation, &grants);
	r = r < 0 ? r : collect_grants(bindings, policy, grants);
	if (r == 0)
		*ret = take_pointer(grants);
	return r;
}

const char *bindings_lack(const struct bindings *bindings, const struct policy *policy)
{
	const struct bound bound = bindings_bound(bindings);

	return !bindings->instance && policy_names_instance(policy, &bound)
		       ? "names with {instance} mean nothing to this command: start it with mq-run --instance NAME"
		       : NULL;
}
