/* SPDX-License-Identifier: MIT */
/* A package's document, whatever it says: what is accepted keeps every rule of names and bounds.
 * One that was made by the grammar means what was made; or what was broken is said, at its line. */
#include "include/names.h"
#include "common/policy/variables.h"
#include "structure-package.h"

const enum pieces structure_pieces = PIECES_NODES;

static void check_name(const char *name)
{
	REQUIRE(name[0] >= 'a' && name[0] <= 'z' && strlen(name) <= PLUG_NAME_MAX);
	REQUIRE(!name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")]);
}

static void check_id(const char *id)
{
	REQUIRE(*id && strlen(id) <= PLUG_NAME_MAX && is_fit_to_print(id));
}

static void check_queue(const char *queue)
{
	REQUIRE(queue[0] == '/' && queue[1] && !strchr(queue + 1, '/'));
	REQUIRE(strlen(queue + 1) <= QUEUE_NAME_MAX);
}

/* Only variables are in braces, and none beside another. */
static void check_variables(const char *queue)
{
	const char *after = NULL;

	while (*(queue += strcspn(queue, "{}"))) {
		const struct variable *variable = variable_at(queue);

		REQUIRE(variable && queue != after);
		queue = after = queue + strlen(variable->text);
	}
}

static void check_paths(const struct plug *plug)
{
	REQUIRE(plug->path_count <= SLOT_QUEUES_MAX);
	for (size_t i = 0; i < plug->path_count; i++) {
		check_queue(plug->paths[i]);
		check_variables(plug->paths[i]);
		REQUIRE(!strpbrk(plug->paths[i], "*?"));
		for (size_t j = 0; j < i; j++)
			REQUIRE(!streq(plug->paths[i], plug->paths[j]));
	}
}

static void check_slot(const struct slot *slot)
{
	check_name(slot->name);
	check_id(slot->id);
	REQUIRE(slot->permissions & PERMISSION_OPEN);
	REQUIRE(!(slot->permissions & ~(uint32_t)PERMISSIONS_ALL));
	REQUIRE(slot->path_count + slot->pattern_count >= 1);
	REQUIRE(slot->path_count + slot->pattern_count <= SLOT_QUEUES_MAX);
	REQUIRE(slot->mode_cut <= 07777);
	for (size_t i = 0; i < slot->path_count; i++) {
		check_queue(slot->paths[i]);
		REQUIRE(!strpbrk(slot->paths[i], "*?{}"));
	}
	for (size_t i = 0; i < slot->pattern_count; i++) {
		check_queue(slot->patterns[i]);
		check_variables(slot->patterns[i]);
	}
}

static void check_app(const struct package *package, const struct app *app)
{
	REQUIRE(*app->name && strlen(app->name) <= APP_NAME_MAX + strlen("hook."));
	for (size_t i = 0; i < app->plug_count; i++) {
		const struct plug *plug = package_plug(package, app->plugs[i]);

		REQUIRE(plug && plug->scoped && app_has_plug(app, plug));
	}
	for (size_t i = 0; i < app->slot_count; i++) {
		const struct slot *slot = package_slot(package, app->slots[i]);

		REQUIRE(slot && slot->scoped && app_has_slot(app, slot));
	}
}

static void check_package(const struct package *package)
{
	REQUIRE(package_name_is_valid(package->name));
	REQUIRE(strlen(package->publisher) <= PUBLISHER_MAX);
	for (size_t i = 0; i < package->plug_count; i++) {
		const struct plug *plug = &package->plugs[i];

		check_name(plug->name);
		REQUIRE(plug->mediation < MEDIATION_COUNT);
		REQUIRE(package_plug(package, plug->name) == plug && plug->package == package);
		check_id(plug->id);
		check_paths(plug);
	}
	for (size_t i = 0; i < package->slot_count; i++) {
		REQUIRE(package_slot(package, package->slots[i].name) == &package->slots[i]);
		check_slot(&package->slots[i]);
	}
	for (size_t i = 0; i < package->app_count; i++) {
		REQUIRE(package_app(package, package->apps[i].name) == &package->apps[i]);
		check_app(package, &package->apps[i]);
	}
}

static void check_id_made(const struct made_side *made, const char *id)
{
	REQUIRE(strlen(id) ==
		(made->means[ATTRIBUTE_ID] > 0 ? made->means[ATTRIBUTE_ID] : strlen(made->name)));
}

static size_t check_plug_made(const struct package *package, const struct made_side *made)
{
	const struct plug *plug = package_plug(package, made->name);

	REQUIRE(!plug == made->dropped);
	if (!plug)
		return 0;
	check_id_made(made, plug->id);
	REQUIRE(plug->path_count == made->means[ATTRIBUTE_PATH]);
	REQUIRE(plug->mediation == made->means[ATTRIBUTE_MEDIATION]);
	return 1;
}

static size_t check_slot_made(const struct package *package, const struct made_side *made)
{
	const struct slot *slot = package_slot(package, made->name);

	REQUIRE(!slot == made->dropped);
	if (!slot)
		return 0;
	check_id_made(made, slot->id);
	REQUIRE(slot->path_count == made->means[ATTRIBUTE_PATH]);
	REQUIRE(slot->pattern_count == made->means[ATTRIBUTE_PATTERN]);
	REQUIRE(slot->permissions == made->means[ATTRIBUTE_PERMISSIONS]);
	REQUIRE(slot->host == made->means[ATTRIBUTE_NAMESPACE]);
	REQUIRE(slot->mode_cut == made->means[ATTRIBUTE_MAX_MODE]);
	return 1;
}

static void check_made(const struct package *package, const struct made_package *made)
{
	size_t plugs = 0, slots = 0;

	for (size_t i = 0; i < made->plug_count; i++)
		plugs += check_plug_made(package, &made->plugs[i]);
	for (size_t i = 0; i < made->slot_count; i++)
		slots += check_slot_made(package, &made->slots[i]);
	REQUIRE(package->plug_count == plugs && package->slot_count == slots);
}

static void check_text(const void *text, size_t size, const struct made_package *made)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(package_freep) struct package *package = NULL;
	int r = package_parse("input.yaml", text, size, &diagnostics, &package);

	check_diagnostics(r, &diagnostics);
	if (r == 0)
		check_package(package);
	if (made)
		check_expected(&made->expected, r, &diagnostics);
	if (made && r == 0)
		check_made(package, made);
}

void structure_make(struct input *choices, struct text *ret)
{
	struct made_package made = {0};

	make_package(choices, &made);
	text_bytes(ret, made.text.data, made.text.size);
	text_clear(&made.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct made_package made = {0};
	struct input choices = {data, size};

	if (size == 0 || take_byte(&choices) != STRUCTURED) {
		check_text(data, size, NULL);
		return 0;
	}
	make_package(&choices, &made);
	check_text(made.text.data, made.text.size, &made);
	text_clear(&made.text);
	return 0;
}
