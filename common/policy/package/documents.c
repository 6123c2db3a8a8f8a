/* SPDX-License-Identifier: MIT */
/* A policy that is nothing but some documents: packages, and perhaps what is connected. */
#include "common/policy/connections.h"
#include "include/file.h"
#include "include/names.h"
#include "include/tree.h"
#include "include/array.h"
#include "include/documents.h"
#include "include/limits.h"
#include "documents.h"
#include "packages.h"

/* A document with connections. */
struct list {
	const char *file;
	struct tree *tree;
};

struct documents {
	struct package **packages;
	size_t package_count;
	struct list *lists;
	size_t list_count;
};

static void documents_clear(struct documents *documents)
{
	for (size_t i = 0; i < documents->package_count; i++)
		package_free(documents->packages[i]);
	for (size_t i = 0; i < documents->list_count; i++)
		tree_free(documents->lists[i].tree);
	free(documents->packages);
	free(documents->lists);
}

static int add_package(struct documents *documents, const char *file, const char *text, size_t size,
	struct diagnostics *diagnostics)
{
	struct package *package = NULL;
	int r = package_parse(file, text, size, diagnostics, &package);

	if (r == 0)
		r = array_append(
			&documents->packages, &documents->package_count, &package, sizeof(package));
	if (r < 0)
		package_free(package);
	return r;
}

static int add_list(struct documents *documents, const char *file, struct tree **tree)
{
	const struct list list = {file, *tree};
	int r = array_append(&documents->lists, &documents->list_count, &list, sizeof(list));

	if (r == 0)
		(void)take_pointer(*tree);
	return r;
}

static int take_text(struct documents *documents, const char *file, const char *text, size_t size,
	struct diagnostics *diagnostics)
{
	_cleanup_(tree_freep) struct tree *tree = NULL;
	const struct value *root;
	int r = tree_parse(file, text, size, diagnostics, &tree);

	if (r < 0)
		return r;
	root = tree->root && tree->root->kind == VALUE_MAP ? tree->root : NULL;
	if (!root || value_get(root, "name") || !value_get(root, "connections"))
		r = add_package(documents, file, text, size, diagnostics);
	if (r == 0 && root && value_get(root, "connections"))
		r = add_list(documents, file, &tree);
	return r;
}

static int read_document(
	struct documents *documents, const char *file, struct diagnostics *diagnostics)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = file_read(file, PACKAGE_FILE_MAX, &text, &size);

	return r < 0 ? package_refuse_unread(file, r, diagnostics)
		     : take_text(documents, file, text, size, diagnostics);
}

/* Adds what is in one set to another. */
static int join(struct connections **connections, const struct connections *others)
{
	for (size_t i = 0; i < others->count; i++) {
		struct connections *joined;
		int r = connections_with(*connections, others->items[i].plug, others->items[i].slot,
			CONNECTION_MANUAL, &joined);

		if (r < 0)
			return r;
		connections_unref(*connections);
		*connections = joined;
	}
	return 0;
}

static int connect_as_written(
	const struct documents *documents, struct policy *policy, struct diagnostics *diagnostics)
{
	_cleanup_(connections_unrefp) struct connections *all = NULL;
	int r = connections_new(&all);

	for (size_t i = 0; i < documents->list_count && r == 0; i++) {
		const struct list *list = &documents->lists[i];
		_cleanup_(connections_unrefp) struct connections *some = NULL;

		r = apply_list(policy, list->file, list->tree->root, diagnostics, &some);
		r = r < 0 ? r : join(&all, some);
	}
	if (r < 0)
		return r;
	connections_unref(policy->connections);
	policy->connections = take_pointer(all);
	return 0;
}

static int connect_plug(const struct plug *plug, struct policy *policy)
{
	const struct packages *packages = policy->packages;
	char plug_ref[REF_MAX + 1], slot_ref[REF_MAX + 1];
	int r = 0;

	ref_format(plug->package->name, plug->name, plug_ref);
	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; j < packages->items[i]->slot_count && r == 0; j++) {
			const struct slot *slot = &packages->items[i]->slots[j];
			struct connection one = {plug_ref, slot_ref, CONNECTION_MANUAL, 0};
			struct connections others = {.items = &one, .count = 1};

			if (!streq(slot->id, plug->id))
				continue;
			ref_format(slot->package->name, slot->name, slot_ref);
			r = join(&policy->connections, &others);
		}
	return r;
}

/* Each plug to every slot of its id. */
static int connect_by_id(struct policy *policy)
{
	const struct packages *packages = policy->packages;
	int r = 0;

	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; j < packages->items[i]->plug_count && r == 0; j++)
			r = connect_plug(&packages->items[i]->plugs[j], policy);
	return r;
}

static int make_policy(
	struct documents *documents, struct diagnostics *diagnostics, struct policy *ret)
{
	_cleanup_(policy_release) struct policy policy = {0};
	const size_t errors = diagnostics->errors;
	int r = connections_new(&policy.connections);

	if (r == 0)
		r = packages_from(&documents->packages, &documents->package_count, diagnostics,
			&policy.packages);
	if (r == 0)
		r = documents->list_count > 0 ? connect_as_written(documents, &policy, diagnostics)
					      : connect_by_id(&policy);
	if (r == 0 && diagnostics->errors > errors)
		r = -EBADMSG;
	if (r < 0)
		return r;
	policy_report_misfits(&policy, diagnostics);
	*ret = policy;
	policy = (struct policy){0};
	return 0;
}

int policy_from_text(
	const char *file, const char *text, struct diagnostics *diagnostics, struct policy *ret)
{
	_cleanup_(documents_clear) struct documents documents = {0};
	int r = take_text(&documents, file, text, strlen(text), diagnostics);

	return r < 0 ? r : make_policy(&documents, diagnostics, ret);
}

int policy_from_documents(
	char *const *files, size_t count, struct diagnostics *diagnostics, struct policy *ret)
{
	_cleanup_(documents_clear) struct documents documents = {0};
	const size_t errors = diagnostics->errors;

	for (size_t i = 0; i < count; i++) {
		int r = read_document(&documents, files[i], diagnostics);

		if (r < 0 && r != -EBADMSG)
			return r;
	}
	return diagnostics->errors > errors ? -EBADMSG : make_policy(&documents, diagnostics, ret);
}
