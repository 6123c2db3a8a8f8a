/* SPDX-License-Identifier: MIT */
/* What package-yaml.c and package-apps.c share: one document that is being read. */
#pragma once

#include "include/tree.h"
#include "include/policy.h"

struct package_reader {
	struct package *package;
	struct diagnostics *diagnostics;
};

#define refuse(reader, at, ...)                                                         \
	diagnostics_add((reader)->diagnostics, SEVERITY_ERROR, (reader)->package->file, \
		(at)->line, (at)->column, __VA_ARGS__)

#define warn(reader, at, ...)                                                             \
	diagnostics_add((reader)->diagnostics, SEVERITY_WARNING, (reader)->package->file, \
		(at)->line, (at)->column, __VA_ARGS__)

/* What the keys of a map may mean: an error for each of these that is there twice, a note for any
 * other; and a warning for a key that looks like one of these. NULL-terminated. */
void check_keys(struct package_reader *reader, const struct value *map, const char *const *keys);

/* False if this cannot name a plug or slot (side): after a warning, for it is dropped, or after an
 * error if it is not even a text. */
bool check_name(struct package_reader *reader, const char *side, const struct value *name);

/* The map under a key of parent; NULL if there is none, or after an error. */
const struct value *read_map(
	struct package_reader *reader, const struct value *parent, const char *key);

/* A name that an app or a hook mentions, under plugs or under slots. */
struct mention {
	const struct value *name;
	size_t app; /* in package->apps, before apps_bind() */
};

struct mentions {
	struct mention *items;
	size_t count;
};
void mentions_clear(struct mentions *mentions);

/* Reads "apps", "hooks" and "components" into package->apps, without what is bound to them. 0 or
 * -ENOMEM. */
int apps_read(struct package_reader *reader, const struct value *root, struct mentions *plugs,
	struct mentions *slots);

/* Binds the package's plugs and slots, which are complete and sorted, to the apps that mention
 * them, and sorts the apps. 0 or -ENOMEM. */
int apps_bind(struct package *package, const struct mentions *plugs, const struct mentions *slots);
