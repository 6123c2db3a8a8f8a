/* SPDX-License-Identifier: MIT */
/* Grants: what a session has at this moment, queue name or pattern → permissions.
 *
 * Names in here are the kernel's: without the leading slash that policy and people write.
 * A set is built with grants_add(), made ready once with grants_seal(), and never changed after. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/util.h"

enum {
	PERMISSION_OPEN = 1 << 0, /* always part of a grant */
	PERMISSION_READ = 1 << 1,
	PERMISSION_WRITE = 1 << 2,
	PERMISSION_CREATE = 1 << 3,
	PERMISSION_DELETE = 1 << 4,
	PERMISSIONS_ALL = (1 << 5) - 1,
};

struct grant {
	uint32_t permissions;
	char *name;
};

struct grants {
	uint64_t generation; /* grows with each set that the manager makes */
	struct grant *exact; /* sorted by name once sealed, each name once */
	size_t exact_count;
	struct grant *patterns;
	size_t pattern_count;
	size_t bytes; /* of all names, against GRANTS_BYTES_MAX */
};

/* "read" → PERMISSION_READ. Returns 0 or -EINVAL. */
int permission_from_string(const char *word, uint32_t *ret_permission);

/* The words of a mask, comma-separated, in the order open,read,write,create,delete.
 * Returns buffer. PERMISSIONS_STRING_MAX bytes are always enough. */
#define PERMISSIONS_STRING_MAX sizeof("open,read,write,create,delete")
char *permissions_format(uint32_t permissions, char buffer[static PERMISSIONS_STRING_MAX]);

int grants_new(uint64_t generation, struct grants **ret);
struct grants *grants_free(struct grants *grants);
DEFINE_CLEANUP(struct grants *, grants_free);

/* Adds permissions (PERMISSION_OPEN is implied) for a name or a pattern; several add up.
 * Returns 0, -ENOMEM, -E2BIG (GRANTS_MAX, GRANTS_PATTERNS_MAX, GRANTS_BYTES_MAX), or -EINVAL
 * (empty, longer than QUEUE_NAME_MAX, or unknown permission bits). */
int grants_add(struct grants *grants, const char *name, bool pattern, uint32_t permissions);

/* Sorts and folds. Must be called once, after the last grants_add(), before any look-up. */
void grants_seal(struct grants *grants);

/* The union of what the exact name and every matching pattern give; 0: nothing granted. */
uint32_t grants_lookup(const struct grants *grants, const char *name);

/* True if the set certainly gives all that others do; both are sealed. */
bool grants_give(const struct grants *grants, const struct grants *others);

/* False if whatever is granted may also be read. */
bool grants_have_unreadable(const struct grants *grants);

/* A number that two sets share only if they give the same (but for one chance in 2^64). Not 0. */
uint64_t grants_fingerprint(const struct grants *grants);

/* A sealed set as bytes and back. Reading trusts nothing: -EBADMSG for anything that
 * grants_serialise() would not have written, -E2BIG past a limit. ret_data is the caller's to free.
 */
int grants_serialise(const struct grants *grants, void **ret_data, size_t *ret_size);
int grants_deserialise(const void *data, size_t size, struct grants **ret);

/* True if a name matches a pattern: '*' any bytes, '?' any one byte, all else itself. Bytes, no
 * locale. Each piece between stars is placed once, leftmost, and never moved again: no pattern is
 * slow. */
bool pattern_match(const char *pattern, const char *name);
