/* SPDX-License-Identifier: MIT */
/* Finding things by what a person typed. */
#include "find.h"

#include "include/limits.h"
#include "include/log.h"
#include "include/names.h"

/* What a message says after the name that was not found: the nearest one, else what it is instead,
 * else all there are. Malloc'd; NULL on lack of memory. */
static char *remedy(const char *name, const struct names *names, const char *kind, bool is_other)
{
	const char *nearest = nearest_name(name, names->items, names->count);
	_cleanup_free_ char *joined = names_join(names);
	char *text = NULL;
	int n;

	if (!joined)
		return NULL;
	if (nearest)
		n = asprintf(&text, "; did you mean \"%s\"?", nearest);
	else if (is_other)
		n = asprintf(&text, "; it is a %s", streq(kind, "plug") ? "slot" : "plug");
	else if (names->count == 0)
		n = asprintf(&text, "; it has no %ss", kind);
	else
		n = asprintf(&text, "; its %ss are: %s", kind, joined);
	return n < 0 ? NULL : text;
}

static int unknown_package(const struct policy *policy, const char *name, struct fault *fault)
{
	const struct packages *packages = policy->packages;
	_cleanup_(names_clear) struct names names = {0}, directories = {0};
	_cleanup_free_ char *places = NULL;
	const char *nearest;
	int r = 0;

	for (size_t i = 0; i < packages->count && r == 0; i++)
		r = names_add(&names, packages->items[i]->name);
	for (size_t i = 0; i < packages->directory_count && r == 0; i++)
		r = names_add(&directories, packages->directories[i]);
	places = names_join(&directories);
	if (r < 0 || !places)
		return -ENOMEM;
	nearest = nearest_name(name, names.items, names.count);
	if (nearest)
		return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
			"package \"%s\" is not known; did you mean \"%s\"?", typed(name), nearest);
	return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
		"package \"%s\" is not known; packages are read from %s, then mqctl reload",
		typed(name), *places ? typed(places) : "packages.d");
}

int find_package(const struct policy *policy, const char *name, const struct package **ret,
	struct fault *fault)
{
	*ret = packages_find(policy->packages, name);
	return *ret ? 0 : unknown_package(policy, name, fault);
}

/* What differs between plugs, slots and apps of a package. */
struct side {
	const char *name, *other, *option;
	size_t (*count)(const struct package *package);
	const char *(*at)(const struct package *package, size_t i);
	bool (*has)(const struct package *package, const char *name);
	bool (*other_has)(const struct package *package, const char *name);
};

static size_t plug_count(const struct package *package)
{
	return package->plug_count;
}

static size_t slot_count(const struct package *package)
{
	return package->slot_count;
}

static const char *plug_at(const struct package *package, size_t i)
{
	return package->plugs[i].name;
}

static const char *slot_at(const struct package *package, size_t i)
{
	return package->slots[i].name;
}

static bool has_plug(const struct package *package, const char *name)
{
	return package_plug(package, name) != NULL;
}

static bool has_slot(const struct package *package, const char *name)
{
	return package_slot(package, name) != NULL;
}

static const struct side plug_side = {
	"plug", "slot", "--slot", plug_count, plug_at, has_plug, has_slot};
static const struct side slot_side = {
	"slot", "plug", "--plug", slot_count, slot_at, has_slot, has_plug};

static size_t app_count(const struct package *package)
{
	return package->app_count;
}

static const char *app_at(const struct package *package, size_t i)
{
	return package->apps[i].name;
}

static bool has_not(const struct package *package, const char *name)
{
	return false;
}

static const struct side app_side = {
	.name = "app", .count = app_count, .at = app_at, .other_has = has_not};

static int add_names(const struct package *package, const struct side *side, struct names *names)
{
	int r = 0;

	for (size_t i = 0; i < side->count(package) && r == 0; i++)
		r = names_add(names, side->at(package, i));
	return r;
}

static int not_found(const struct package *package, const struct side *side, const char *name,
	struct fault *fault)
{
	_cleanup_(names_clear) struct names names = {0};
	_cleanup_free_ char *text = NULL;

	if (add_names(package, side, &names) == 0)
		text = remedy(name, &names, side->name, side->other_has(package, name));
	if (!text)
		return -ENOMEM;
	return fault_set(fault, FAULT_NOT_FOUND, -ENOENT, "package \"%s\" has no %s named \"%s\"%s",
		package->name, side->name, typed(name), text);
}

int find_plug(const struct package *package, const char *name, const struct plug **ret,
	struct fault *fault)
{
	*ret = package_plug(package, name);
	return *ret ? 0 : not_found(package, &plug_side, name, fault);
}

int find_slot(const struct package *package, const char *name, const struct slot **ret,
	struct fault *fault)
{
	*ret = package_slot(package, name);
	return *ret ? 0 : not_found(package, &slot_side, name, fault);
}

/* A package alone where package:name is wanted: the names to choose from. */
static int name_left_out(
	const struct package *package, const struct side *side, struct fault *fault)
{
	_cleanup_(names_clear) struct names names = {0};
	_cleanup_free_ char *joined = NULL;

	if (add_names(package, side, &names) == 0)
		joined = names_join(&names);
	if (!joined)
		return -ENOMEM;
	if (names.count == 0)
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"invalid value: \"%s\" (want package:name); package \"%s\" has no %ss",
			package->name, package->name, side->name);
	return fault_set(fault, FAULT_INVALID, -EINVAL,
		"invalid value: \"%s\" (want package:name); the %ss of package \"%s\" are: %s",
		package->name, side->name, package->name, joined);
}

/* Takes "package:name" apart; the package must be known, the name need not. */
static int find_ref(const struct policy *policy, const struct side *side, const char *text,
	const struct package **ret, const char **ret_name, struct fault *fault)
{
	char package[PACKAGE_NAME_MAX + 1];
	size_t length = strcspn(text, ":");

	*ret = packages_find(policy->packages, text);
	if (*ret)
		return name_left_out(*ret, side, fault);
	if (length == 0 || text[length] == '\0' || text[length + 1] == '\0' ||
		strchr(text + length + 1, ':'))
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"invalid value: \"%s\" (want package:name)", typed(text));
	if (length > PACKAGE_NAME_MAX)
		return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
			"package \"%s…\" is not known; names have at most %d characters",
			typed_start(text), PACKAGE_NAME_MAX);
	memcpy(package, text, length);
	package[length] = '\0';
	*ret_name = text + length + 1;
	return find_package(policy, package, ret, fault);
}

int policy_find_plug(
	const struct policy *policy, const char *ref, const struct plug **ret, struct fault *fault)
{
	const struct package *package;
	const char *name;
	int r = find_ref(policy, &plug_side, ref, &package, &name, fault);

	return r < 0 ? r : find_plug(package, name, ret, fault);
}

int policy_find_slot(
	const struct policy *policy, const char *ref, const struct slot **ret, struct fault *fault)
{
	const struct package *package;
	const char *name;
	int r = find_ref(policy, &slot_side, ref, &package, &name, fault);

	return r < 0 ? r : find_slot(package, name, ret, fault);
}

int policy_find_app(const struct policy *policy, const char *text,
	const struct package **ret_package, const struct app **ret, struct fault *fault)
{
	char name[PACKAGE_NAME_MAX + 1];
	size_t length = strcspn(text, ".+");
	const char *app = text + length + (text[length] == '.');
	int r;

	if (length == 0 || text[length] == '\0' || text[length + 1] == '\0')
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"invalid value: \"%s\" (want package.app)", typed(text));
	if (length > PACKAGE_NAME_MAX)
		return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
			"package \"%s…\" is not known; names have at most %d characters",
			typed_start(text), PACKAGE_NAME_MAX);
	memcpy(name, text, length);
	name[length] = '\0';
	r = find_package(policy, name, ret_package, fault);
	if (r < 0)
		return r;
	*ret = package_app(*ret_package, app);
	return *ret ? 0 : not_found(*ret_package, &app_side, app, fault);
}

static int bare_not_found(
	const struct policy *policy, const struct side *side, const char *name, struct fault *fault)
{
	const struct packages *packages = policy->packages;
	_cleanup_(names_clear) struct names names = {0};
	const char *nearest;

	for (size_t i = 0; i < packages->count; i++) {
		const struct package *package = packages->items[i];

		if (side->other_has(package, name))
			return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
				"no package has a %s named \"%s\"; package \"%s\" has a %s of that "
				"name, use %s",
				side->name, typed(name), package->name, side->other, side->option);
		if (add_names(package, side, &names) < 0)
			return -ENOMEM;
	}
	nearest = nearest_name(name, names.items, names.count);
	if (nearest)
		return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
			"no package has a %s named \"%s\"; did you mean \"%s\"?", side->name,
			typed(name), nearest);
	return fault_set(fault, FAULT_NOT_FOUND, -ENOENT,
		"no package has a %s named \"%s\"; see mqctl %ss", side->name, typed(name),
		side->name);
}

static int ambiguous(const struct side *side, const char *name, const struct names *packages,
	struct fault *fault)
{
	_cleanup_free_ char *joined = names_join(packages);

	if (!joined)
		return -ENOMEM;
	return fault_set(fault, FAULT_AMBIGUOUS, -ENOTUNIQ,
		"several packages have a %s named \"%s\": %s; write PACKAGE:%s", side->name, name,
		joined, name);
}

/* The one package that has a plug or slot of the bare name. */
static int resolve_bare(const struct policy *policy, const struct side *side, const char *name,
	const struct package **ret, struct fault *fault)
{
	_cleanup_(names_clear) struct names found = {0};

	for (size_t i = 0; i < policy->packages->count; i++) {
		const struct package *package = policy->packages->items[i];

		if (!side->has(package, name))
			continue;
		if (names_add(&found, package->name) < 0)
			return -ENOMEM;
		*ret = package;
	}
	if (found.count == 0)
		return bare_not_found(policy, side, name, fault);
	return found.count == 1 ? 0 : ambiguous(side, name, &found, fault);
}

int policy_resolve_plug(
	const struct policy *policy, const char *text, const struct plug **ret, struct fault *fault)
{
	const struct package *package = NULL;
	int r;

	if (strchr(text, ':'))
		return policy_find_plug(policy, text, ret, fault);
	r = resolve_bare(policy, &plug_side, text, &package, fault);
	if (r == 0)
		*ret = package_plug(package, text);
	return r;
}

int policy_resolve_slot(
	const struct policy *policy, const char *text, const struct slot **ret, struct fault *fault)
{
	const struct package *package = NULL;
	int r;

	if (strchr(text, ':'))
		return policy_find_slot(policy, text, ret, fault);
	r = resolve_bare(policy, &slot_side, text, &package, fault);
	if (r == 0)
		*ret = package_slot(package, text);
	return r;
}

static const struct package *package_of(
	const struct policy *policy, const char *ref, struct ref *ret)
{
	return ref_parse(ref, ret) == 0 ? packages_find(policy->packages, ret->package) : NULL;
}

const struct plug *policy_plug(const struct policy *policy, const char *ref)
{
	struct ref parts;
	const struct package *package = package_of(policy, ref, &parts);

	return package ? package_plug(package, parts.name) : NULL;
}

const struct slot *policy_slot(const struct policy *policy, const char *ref)
{
	struct ref parts;
	const struct package *package = package_of(policy, ref, &parts);

	return package ? package_slot(package, parts.name) : NULL;
}

const char *any_id_option(const struct plug *plug, const struct slot *slot)
{
	return streq(plug->id, slot->id) ? "" : "--any-id ";
}
