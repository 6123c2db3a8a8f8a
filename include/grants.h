/* SPDX-License-Identifier: MIT */
/* Grants: what a session has at this moment, queue name or pattern → what is granted.
 *
 * Names in here are the kernel's: without the leading slash that policy and people write.
 * A set is built with grants_add(), made ready once with grants_seal(), and never changed after. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/util.h"

enum {
	PERMISSION_OPEN = 1 << 0, /* always part of a grant */
	PERMISSION_READ = 1 << 1,
	PERMISSION_WRITE = 1 << 2,
	PERMISSION_CREATE = 1 << 3,
	PERMISSION_DELETE = 1 << 4,
	PERMISSIONS_ALL = (1 << 5) - 1,
};

/* One rule. A name is what the program says; queue is what it means by that. */
struct grant {
	uint32_t permissions;
	mode_t mode_cut;   /* bits that a queue created by it does not get */
	bool pattern;      /* name has *, ?, {pid} or {uid} */
	bool host;         /* in the IPC namespace of mqgated, not in the caller's */
	uint16_t giver;    /* for the counters only; in a set it is the set's */
	size_t plain;      /* bytes before the first of those, or all; computed */
	const char *name;  /* in a set, this and the next are the set's */
	const char *queue; /* NULL: the name itself */
};

struct grants {
	uint64_t generation; /* grows with each set that the manager makes */
	struct grant *exact; /* sorted once sealed, each rule once */
	size_t exact_count;
	struct grant *patterns;
	size_t pattern_count;
	bool has_aliases; /* rules with another queue */
	size_t bytes;     /* of all names and queues, against GRANTS_BYTES_MAX */
	char **givers;    /* the plugs and slots that the rules are of; rules count them from 1 */
	size_t giver_count;
};

/* Who asks, as far as names depend on it. */
struct subject {
	uint32_t pid; /* in the PID namespace in which the session began; 0: in none that counts */
	uint32_t uid; /* real */
};
#define UID_NONE       UINT32_C(65534) /* what the kernel says of an id that has no number here */
#define SUBJECT_NOBODY ((struct subject){.pid = 0, .uid = UID_NONE})

/* What is granted under a name. */
struct granted {
	uint32_t permissions; /* 0: nothing, and the rest does not count */
	mode_t mode_cut;
	bool host;
	bool by_subject;   /* some of it to nobody but the subject */
	uint16_t giver;    /* of the first rule that gives something; 0: not known */
	const char *queue; /* the name that was asked for, or in the grants */
};

/* Where the queue behind a descriptor is found: a bit for each namespace, for both if they are one.
 */
enum {
	SPACE_CALLER = 1 << 0,
	SPACE_HOST = 1 << 1,
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

/* What is added from now on is of this plug or slot ("package:name"). 0, -ENOMEM, -EINVAL (not 1 to
 * REF_MAX bytes) or -E2BIG (GRANTS_GIVERS_MAX). */
int grants_set_giver(struct grants *grants, const char *ref);

/* Adds a copy of a rule (PERMISSION_OPEN is implied); several of one name add up.
 * Returns 0, -ENOMEM, -E2BIG (GRANTS_MAX, GRANTS_PATTERNS_MAX, GRANTS_BYTES_MAX), or -EINVAL
 * (empty, longer than QUEUE_NAME_MAX or for a pattern PATTERN_MAX, braces that are no variable in a
 * pattern, or unknown bits). */
int grants_add(struct grants *grants, const struct grant *rule);

/* Sorts and folds. Must be called once, after the last grants_add(), before any look-up. */
void grants_seal(struct grants *grants);

/* What the exact name and every matching pattern give together: the union of the permissions, and
 * the mode bits that all allow. Nothing if two of them mean different queues. */
struct granted grants_find(
	const struct grants *grants, const struct subject *subject, const char *name);

/* The permissions on a queue by all the names that mean it. */
uint32_t grants_on_queue(const struct grants *grants, const struct subject *subject,
	const char *queue, uint32_t spaces);

/* True if some of a set is in the host's IPC namespace. */
bool grants_have_host(const struct grants *grants);

/* True if some of a set is given to certain processes or users only. */
bool grants_have_variables(const struct grants *grants);

/* True if the set certainly gives all that others do; both are sealed. */
bool grants_give(const struct grants *grants, const struct grants *others);

/* False if whatever is granted may also be read. */
bool grants_have_unreadable(const struct grants *grants);

/* A number that two sets share only if they give the same, whose it is aside (but for one chance in
 * 2^64). Not 0. */
uint64_t grants_fingerprint(const struct grants *grants);

/* Whether the rule comes behind all of them in a sealed set: ascending, the patterns last. */
bool grants_are_before(const struct grants *grants, struct grant rule);

/* A sealed set as bytes and back. Reading trusts nothing: -EBADMSG for anything that
 * grants_serialise() would not have written, -E2BIG past a limit. ret_data is the caller's to free.
 */
int grants_serialise(const struct grants *grants, void **ret_data, size_t *ret_size);
int grants_deserialise(const void *data, size_t size, struct grants **ret);

/* The bytes in a sealed memfd. 0 or negative errno. */
int grants_memfd(const struct grants *grants, int *ret_fd, size_t *ret_size);

/* True if a name matches a pattern: '*' any bytes, '?' any one byte, all else itself. Bytes, no
 * locale. Each piece between stars is placed once, leftmost, and never moved again: no pattern is
 * slow. */
bool pattern_match(const char *pattern, const char *name);

/* The same of a pattern with {pid} and {uid}, which mean the subject's; without a number they match
 * nothing. */
bool pattern_match_for(const char *pattern, const struct subject *subject, const char *name);

/* False if a variable in it has no number. */
bool pattern_has_values(const char *pattern, const struct subject *subject);

/* False if it is empty or too long, or if a brace is of neither {pid} nor {uid}. */
bool pattern_is_valid(const char *pattern);
