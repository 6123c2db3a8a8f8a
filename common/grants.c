/* SPDX-License-Identifier: MIT */
/* Grants: build, look up, serialise. */
#include "include/grants.h"

#include <fcntl.h>

#include "include/array.h"
#include "include/limits.h"

static const struct {
	uint32_t permission;
	const char *word;
} words[] = {
	{PERMISSION_OPEN, "open"},
	{PERMISSION_READ, "read"},
	{PERMISSION_WRITE, "write"},
	{PERMISSION_CREATE, "create"},
	{PERMISSION_DELETE, "delete"},
};

int permission_from_string(const char *word, uint32_t *ret_permission)
{
	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (streq(words[i].word, word)) {
			*ret_permission = words[i].permission;
			return 0;
		}
	return -EINVAL;
}

char *permissions_format(uint32_t permissions, char buffer[static PERMISSIONS_STRING_MAX])
{
	char *end = buffer;

	*end = '\0';
	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (permissions & words[i].permission) {
			if (end != buffer)
				*end++ = ',';
			end = stpcpy(end, words[i].word);
		}
	return buffer;
}

int grants_new(uint64_t generation, struct grants **ret)
{
	struct grants *grants = calloc(1, sizeof(*grants));

	if (!grants)
		return -ENOMEM;
	grants->generation = generation;
	*ret = grants;
	return 0;
}

static void free_list(struct grant *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(list[i].name);
	free(list);
}

struct grants *grants_free(struct grants *grants)
{
	if (grants) {
		free_list(grants->exact, grants->exact_count);
		free_list(grants->patterns, grants->pattern_count);
		free(grants);
	}
	return NULL;
}

static int list_add(struct grant **list, size_t *count, const char *name, uint32_t permissions)
{
	const struct grant grant = {
		.permissions = permissions | PERMISSION_OPEN, .name = strdup(name)};
	int r = grant.name ? array_append(list, count, &grant, sizeof(grant)) : -ENOMEM;

	if (r < 0)
		free(grant.name);
	return r;
}

int grants_add(struct grants *grants, const char *name, bool pattern, uint32_t permissions)
{
	size_t length = strlen(name);
	int r;

	if (length == 0 || length > QUEUE_NAME_MAX || permissions & ~(uint32_t)PERMISSIONS_ALL)
		return -EINVAL;
	if (grants->exact_count + grants->pattern_count >= GRANTS_MAX ||
		grants->bytes + length > GRANTS_BYTES_MAX)
		return -E2BIG;
	if (pattern && grants->pattern_count >= GRANTS_PATTERNS_MAX)
		return -E2BIG;
	r = pattern ? list_add(&grants->patterns, &grants->pattern_count, name, permissions)
		    : list_add(&grants->exact, &grants->exact_count, name, permissions);
	if (r == 0)
		grants->bytes += length;
	return r;
}

static int compare_grants(const void *a, const void *b)
{
	return strcmp(((const struct grant *)a)->name, ((const struct grant *)b)->name);
}

static void sort_and_fold(struct grant *list, size_t *count)
{
	size_t kept = 0;

	if (*count == 0)
		return;
	qsort(list, *count, sizeof(*list), compare_grants);
	for (size_t i = 1; i < *count; i++)
		if (streq(list[i].name, list[kept].name)) {
			list[kept].permissions |= list[i].permissions;
			free(list[i].name);
		} else {
			list[++kept] = list[i];
		}
	*count = kept + 1;
}

void grants_seal(struct grants *grants)
{
	sort_and_fold(grants->exact, &grants->exact_count);
	sort_and_fold(grants->patterns, &grants->pattern_count);
}

uint32_t grants_lookup(const struct grants *grants, const char *name)
{
	struct grant key = {.name = (char *)name};
	const struct grant *exact = NULL;
	uint32_t permissions;

	if (grants->exact_count > 0)
		exact = bsearch(
			&key, grants->exact, grants->exact_count, sizeof(key), compare_grants);
	permissions = exact ? exact->permissions : 0;
	for (size_t i = 0; i < grants->pattern_count; i++)
		if ((grants->patterns[i].permissions & ~permissions) != 0 &&
			pattern_match(grants->patterns[i].name, name))
			permissions |= grants->patterns[i].permissions;
	return permissions;
}

static bool has_unreadable(const struct grant *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!(list[i].permissions & PERMISSION_READ))
			return true;
	return false;
}

bool grants_have_unreadable(const struct grants *grants)
{
	return has_unreadable(grants->exact, grants->exact_count) ||
	       has_unreadable(grants->patterns, grants->pattern_count);
}

/* A pattern is given by the same one only: what others together match is not worked out. */
static bool gives_pattern(const struct grants *grants, const struct grant *pattern)
{
	const struct grant *same = NULL;

	if (grants->pattern_count > 0)
		same = bsearch(pattern, grants->patterns, grants->pattern_count, sizeof(*pattern),
			compare_grants);
	return same && (pattern->permissions & ~same->permissions) == 0;
}

bool grants_give(const struct grants *grants, const struct grants *others)
{
	for (size_t i = 0; i < others->exact_count; i++)
		if (others->exact[i].permissions & ~grants_lookup(grants, others->exact[i].name))
			return false;
	for (size_t i = 0; i < others->pattern_count; i++)
		if (!gives_pattern(grants, &others->patterns[i]))
			return false;
	return true;
}

/* FNV-1a. */
static uint64_t mix(uint64_t hash, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t mix_list(uint64_t hash, const struct grant *list, size_t count)
{
	hash = mix(hash, &count, sizeof(count));
	for (size_t i = 0; i < count; i++) {
		hash = mix(hash, list[i].name, strlen(list[i].name) + 1);
		hash = mix(hash, &list[i].permissions, sizeof(list[i].permissions));
	}
	return hash;
}

uint64_t grants_fingerprint(const struct grants *grants)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	hash = mix_list(hash, grants->exact, grants->exact_count);
	hash = mix_list(hash, grants->patterns, grants->pattern_count);
	return hash ? hash : 1;
}

/* The wire form: a header, then entries, each followed by its name with the NUL. Both ends are on
 * one machine. */
#define WIRE_MAGIC UINT32_C(0x6d716732)

struct wire_header {
	uint32_t magic;
	uint32_t count;
	uint64_t generation;
};

struct wire_entry {
	uint32_t permissions;
	uint16_t pattern;
	uint16_t length; /* of the name, without the NUL */
};

static size_t wire_size(const struct grants *grants)
{
	size_t count = grants->exact_count + grants->pattern_count;
	size_t size = sizeof(struct wire_header) + count * (sizeof(struct wire_entry) + 1);

	for (size_t i = 0; i < grants->exact_count; i++)
		size += strlen(grants->exact[i].name);
	for (size_t i = 0; i < grants->pattern_count; i++)
		size += strlen(grants->patterns[i].name);
	return size;
}

static char *write_entries(char *at, const struct grant *list, size_t count, bool pattern)
{
	for (size_t i = 0; i < count; i++) {
		struct wire_entry entry = {.permissions = list[i].permissions,
			.pattern = pattern,
			.length = (uint16_t)strlen(list[i].name)};

		at = mempcpy(at, &entry, sizeof(entry));
		at = mempcpy(at, list[i].name, entry.length + 1U);
	}
	return at;
}

int grants_serialise(const struct grants *grants, void **ret_data, size_t *ret_size)
{
	struct wire_header header = {.magic = WIRE_MAGIC,
		.count = (uint32_t)(grants->exact_count + grants->pattern_count),
		.generation = grants->generation};
	size_t size = wire_size(grants);
	char *data = malloc(size);
	char *at;

	if (!data)
		return -ENOMEM;
	at = mempcpy(data, &header, sizeof(header));
	at = write_entries(at, grants->exact, grants->exact_count, false);
	(void)write_entries(at, grants->patterns, grants->pattern_count, true);
	*ret_data = data;
	*ret_size = size;
	return 0;
}

/* grants_serialise() writes a sealed set: names ascending, the patterns behind. */
static bool in_order(const struct grants *grants, const char *name, bool pattern)
{
	const struct grant *list = pattern ? grants->patterns : grants->exact;
	size_t count = pattern ? grants->pattern_count : grants->exact_count;

	if (!pattern && grants->pattern_count > 0)
		return false;
	return count == 0 || strcmp(list[count - 1].name, name) < 0;
}

static int read_entry(const char **at, size_t *left, struct grants *grants)
{
	struct wire_entry entry;
	const char *name;
	int r;

	if (*left < sizeof(entry))
		return -EBADMSG;
	memcpy(&entry, *at, sizeof(entry));
	*at += sizeof(entry);
	*left -= sizeof(entry);
	if (*left < entry.length + 1U || entry.pattern > 1 ||
		!(entry.permissions & PERMISSION_OPEN))
		return -EBADMSG;
	name = *at;
	if (strnlen(name, entry.length + 1U) != entry.length ||
		!in_order(grants, name, entry.pattern))
		return -EBADMSG;
	*at += entry.length + 1U;
	*left -= entry.length + 1U;
	r = grants_add(grants, name, entry.pattern, entry.permissions);
	return r == -EINVAL ? -EBADMSG : r;
}

int grants_deserialise(const void *data, size_t size, struct grants **ret)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	struct wire_header header;
	const char *at = data;
	int r;

	if (size < sizeof(header))
		return -EBADMSG;
	memcpy(&header, at, sizeof(header));
	if (header.magic != WIRE_MAGIC)
		return -EBADMSG;
	at += sizeof(header);
	size -= sizeof(header);
	r = grants_new(header.generation, &grants);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < header.count; i++) {
		r = read_entry(&at, &size, grants);
		if (r < 0)
			return r;
	}
	if (size != 0)
		return -EBADMSG;
	*ret = take_pointer(grants);
	return 0;
}
