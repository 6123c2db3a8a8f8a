/* SPDX-License-Identifier: MIT */
/* One YAML document as a tree of values with positions.
 *
 * Made for documents that nobody vouches for: an alias is another pointer to the same value and is
 * never expanded; the height of every value, aliases followed, is at most YAML_DEPTH_MAX, so
 * recursion over it is bounded; no value contains itself; no text contains a NUL. Merge keys ("<<")
 * are applied, within YAML_MERGED_MAX. */
#pragma once

#include <stdbool.h>

#include "include/diagnostics.h"

enum value_kind {
	VALUE_STRING,
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_INTEGER,
	VALUE_FLOAT,
	VALUE_TAGGED, /* a scalar with a tag that we do not know */
	VALUE_LIST,
	VALUE_MAP,
};

struct value;

struct pair {
	struct value *key;
	struct value *value;
	unsigned rank; /* 0: written here; else it came by the rank'th merged map */
};

struct value {
	enum value_kind kind;
	unsigned line, column; /* from 1 */
	unsigned height;       /* 1: a scalar or an empty collection */
	bool open;             /* while it is being read */
	bool merges;           /* the key "<<", not quoted */
	bool visited;          /* for whoever walks the tree */
	size_t count;
	union {
		struct value **items; /* VALUE_LIST */
		struct pair *pairs;   /* VALUE_MAP; sorted by the key's text, duplicates adjacent */
	};
	struct value *next; /* all values of the tree */
	char text[];        /* of a scalar, as written; "" for collections */
};

struct tree {
	struct value *root; /* NULL: the document is empty */
	struct value *values;
};

struct tree *tree_free(struct tree *tree);
DEFINE_CLEANUP(struct tree *, tree_free);

/* Returns 0, -EBADMSG with one error in diagnostics, or -ENOMEM. */
int tree_parse(const char *file, const char *text, size_t size, struct diagnostics *diagnostics,
	struct tree **ret);

static inline bool value_is_scalar(const struct value *value)
{
	return value->kind != VALUE_LIST && value->kind != VALUE_MAP;
}

/* "a string", "a list", …, for "must be X, not Y". */
const char *value_kind_name(const struct value *value);

/* Of a VALUE_BOOL. */
bool value_is_true(const struct value *value);

/* The value of a key of a map, whatever type the key's text would have; NULL if there is none. */
const struct value *value_get(const struct value *map, const char *key);

/* An error for each key of the map that is written twice. Of keys that are not among read
 * (NULL-terminated; NULL: all are read) only a note. */
void value_report_duplicates(const struct value *map, const char *const *read, const char *file,
	struct diagnostics *diagnostics);
