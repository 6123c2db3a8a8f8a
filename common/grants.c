/* SPDX-License-Identifier: MIT */
/* Grants: build, look up. */
#include "include/grants.h"

#include <sys/stat.h>

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

static void clear_rule(struct grant *rule)
{
	free((void *)rule->name);
	free((void *)rule->queue);
}

static void free_list(struct grant *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		clear_rule(&list[i]);
	free(list);
}

struct grants *grants_free(struct grants *grants)
{
	if (grants) {
		free_list(grants->exact, grants->exact_count);
		free_list(grants->patterns, grants->pattern_count);
		for (size_t i = 0; i < grants->giver_count; i++)
			free(grants->givers[i]);
		free(grants->givers);
		free(grants);
	}
	return NULL;
}

int grants_set_giver(struct grants *grants, const char *ref)
{
	_cleanup_free_ char *copy = NULL;
	int r;

	if (isempty(ref) || strlen(ref) > REF_MAX)
		return -EINVAL;
	if (grants->giver_count >= GRANTS_GIVERS_MAX)
		return -E2BIG;
	copy = strdup(ref);
	r = copy ? array_append(&grants->givers, &grants->giver_count, &copy, sizeof(copy))
		 : -ENOMEM;
	if (r == 0)
		(void)take_pointer(copy);
	return r;
}

static bool name_is_valid(const char *name)
{
	size_t length = strlen(name);

	return length > 0 && length <= QUEUE_NAME_MAX;
}

static bool rule_is_valid(const struct grant *rule)
{
	if (rule->permissions & ~(uint32_t)PERMISSIONS_ALL || rule->mode_cut & ~(mode_t)ALLPERMS)
		return false;
	if (rule->queue && !name_is_valid(rule->queue))
		return false;
	return rule->pattern ? pattern_is_valid(rule->name) : name_is_valid(rule->name);
}

static size_t rule_bytes(const struct grant *rule)
{
	return strlen(rule->name) + (rule->queue ? strlen(rule->queue) : 0);
}

static size_t plain_length(const struct grant *rule)
{
	return rule->pattern ? strcspn(rule->name, "*?{") : strlen(rule->name);
}

static int list_add(struct grant **list, size_t *count, const struct grant *rule)
{
	struct grant copy = *rule;
	int r;

	copy.permissions |= PERMISSION_OPEN;
	copy.plain = plain_length(rule);
	copy.name = strdup(rule->name);
	copy.queue = rule->queue ? strdup(rule->queue) : NULL;
	r = copy.name && (copy.queue || !rule->queue)
		    ? array_append(list, count, &copy, sizeof(copy))
		    : -ENOMEM;
	if (r < 0)
		clear_rule(&copy);
	return r;
}

int grants_add(struct grants *grants, const struct grant *rule)
{
	int r;

	if (!rule_is_valid(rule) || rule->giver > grants->giver_count)
		return -EINVAL;
	if (grants->exact_count + grants->pattern_count >= GRANTS_MAX ||
		grants->bytes + rule_bytes(rule) > GRANTS_BYTES_MAX)
		return -E2BIG;
	if (rule->pattern && grants->pattern_count >= GRANTS_PATTERNS_MAX)
		return -E2BIG;
	r = rule->pattern ? list_add(&grants->patterns, &grants->pattern_count, rule)
			  : list_add(&grants->exact, &grants->exact_count, rule);
	if (r < 0)
		return r;
	grants->bytes += rule_bytes(rule);
	grants->has_aliases |= rule->queue != NULL;
	return 0;
}

/* What the rule means by a name. */
static const char *meaning(const struct grant *rule, const char *name)
{
	return rule->queue ? rule->queue : name;
}

/* By name, those with shorter plain beginnings first: those of one name lie together, and so do the
 * patterns that begin alike. */
static int compare_rules(const void *a, const void *b)
{
	const struct grant *x = a, *y = b;
	int c = (x->plain > y->plain) - (x->plain < y->plain);

	c = c ? c : strcmp(x->name, y->name);
	c = c ? c : strcmp(meaning(x, ""), meaning(y, ""));
	return c ? c : (int)x->host - (int)y->host;
}

bool grants_are_before(const struct grants *grants, struct grant rule)
{
	const struct grant *list = rule.pattern ? grants->patterns : grants->exact;
	size_t count = rule.pattern ? grants->pattern_count : grants->exact_count;

	if (!rule.pattern && grants->pattern_count > 0)
		return false;
	rule.plain = plain_length(&rule);
	return count == 0 || compare_rules(&list[count - 1], &rule) < 0;
}

static void sort_and_fold(struct grant *list, size_t *count)
{
	size_t kept = 0;

	if (*count == 0)
		return;
	qsort(list, *count, sizeof(*list), compare_rules);
	for (size_t i = 1; i < *count; i++)
		if (compare_rules(&list[i], &list[kept]) == 0) {
			list[kept].permissions |= list[i].permissions;
			list[kept].mode_cut |= list[i].mode_cut;
			list[kept].giver = MIN(list[kept].giver, list[i].giver);
			clear_rule(&list[i]);
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

/* The first one that is not before. */
static size_t find_first(const struct grant *list, size_t count, const struct grant *key)
{
	return array_first(list, count, sizeof(*list), key, compare_rules);
}

static size_t find_exact(const struct grants *grants, const char *name)
{
	const struct grant key = {.name = name, .plain = strlen(name)};

	return find_first(grants->exact, grants->exact_count, &key);
}

/* Of the plain beginning only. */
static int compare_beginnings(const void *a, const void *b)
{
	const struct grant *x = a, *y = b;
	int c = (x->plain > y->plain) - (x->plain < y->plain);

	return c ? c : strncmp(x->name, y->name, y->plain);
}

/* The next pattern from i on that begins as the name does. */
static size_t find_beginning(const struct grants *grants, const char *name, size_t i)
{
	const struct grant *list = grants->patterns;

	while (i < grants->pattern_count) {
		struct grant key = {.name = name, .plain = list[i].plain};
		int c = strncmp(list[i].name, name, list[i].plain);

		if (c == 0)
			break;
		if (c > 0)
			key = (struct grant){.name = "", .plain = list[i].plain + 1};
		i = array_first(
			list, grants->pattern_count, sizeof(*list), &key, compare_beginnings);
	}
	return i;
}

static bool has_variable(const struct grant *rule)
{
	return strchr(rule->name + rule->plain, '{');
}

/* False: it contradicts what was found before. */
static bool add_up(struct granted *granted, const struct grant *rule, const char *name)
{
	const char *queue = meaning(rule, name);

	if (granted->permissions == 0) {
		granted->queue = queue;
		granted->host = rule->host;
		granted->giver = rule->giver;
	} else if (granted->host != rule->host || !streq(granted->queue, queue)) {
		return false;
	}
	granted->permissions |= rule->permissions;
	granted->mode_cut |= rule->mode_cut;
	granted->by_subject |= has_variable(rule);
	return true;
}

struct granted grants_find(
	const struct grants *grants, const struct subject *subject, const char *name)
{
	struct granted granted = {0};

	for (size_t i = find_exact(grants, name);
		i < grants->exact_count && streq(grants->exact[i].name, name); i++)
		if (!add_up(&granted, &grants->exact[i], name))
			return (struct granted){0};
	for (size_t i = 0; (i = find_beginning(grants, name, i)) < grants->pattern_count; i++)
		if (pattern_match_for(grants->patterns[i].name, subject, name) &&
			!add_up(&granted, &grants->patterns[i], name))
			return (struct granted){0};
	return granted;
}

static bool is_in(const struct grant *rule, uint32_t spaces)
{
	return spaces & (rule->host ? SPACE_HOST : SPACE_CALLER);
}

/* A name that depends on who asks is a name of that one only. */
static bool alias_means(const struct grant *rule, const struct subject *subject, const char *queue)
{
	return rule->queue && streq(rule->queue, queue) &&
	       (!rule->pattern || pattern_has_values(rule->name, subject));
}

static uint32_t by_aliases(const struct grant *list, size_t count, const struct subject *subject,
	const char *queue, uint32_t spaces)
{
	uint32_t permissions = 0;

	for (size_t i = 0; i < count; i++)
		if (is_in(&list[i], spaces) && alias_means(&list[i], subject, queue))
			permissions |= list[i].permissions;
	return permissions;
}

static uint32_t by_own_name(const struct grants *grants, const struct subject *subject,
	const char *queue, uint32_t spaces)
{
	uint32_t permissions = 0;

	for (size_t i = find_exact(grants, queue);
		i < grants->exact_count && streq(grants->exact[i].name, queue); i++)
		if (is_in(&grants->exact[i], spaces) && !grants->exact[i].queue)
			permissions |= grants->exact[i].permissions;
	for (size_t i = 0; (i = find_beginning(grants, queue, i)) < grants->pattern_count; i++)
		if (is_in(&grants->patterns[i], spaces) && !grants->patterns[i].queue &&
			pattern_match_for(grants->patterns[i].name, subject, queue))
			permissions |= grants->patterns[i].permissions;
	return permissions;
}

uint32_t grants_on_queue(const struct grants *grants, const struct subject *subject,
	const char *queue, uint32_t spaces)
{
	uint32_t permissions = by_own_name(grants, subject, queue, spaces);

	if (grants->has_aliases) {
		permissions |=
			by_aliases(grants->exact, grants->exact_count, subject, queue, spaces);
		permissions |=
			by_aliases(grants->patterns, grants->pattern_count, subject, queue, spaces);
	}
	return permissions;
}

bool grants_have_variables(const struct grants *grants)
{
	for (size_t i = 0; i < grants->pattern_count; i++)
		if (has_variable(&grants->patterns[i]))
			return true;
	return false;
}

static bool has_host(const struct grant *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].host)
			return true;
	return false;
}

bool grants_have_host(const struct grants *grants)
{
	return has_host(grants->exact, grants->exact_count) ||
	       has_host(grants->patterns, grants->pattern_count);
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
	size_t i = find_first(grants->patterns, grants->pattern_count, pattern);

	return i < grants->pattern_count && compare_rules(&grants->patterns[i], pattern) == 0 &&
	       (pattern->permissions & ~grants->patterns[i].permissions) == 0;
}

static bool gives_name(const struct grants *grants, const struct grant *rule)
{
	const struct granted granted = grants_find(grants, &SUBJECT_NOBODY, rule->name);

	return (rule->permissions & ~granted.permissions) == 0 && granted.host == rule->host &&
	       streq(granted.queue, meaning(rule, rule->name));
}

bool grants_give(const struct grants *grants, const struct grants *others)
{
	for (size_t i = 0; i < others->exact_count; i++)
		if (!gives_name(grants, &others->exact[i]))
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

static uint64_t mix_text(uint64_t hash, const char *text)
{
	return mix(hash, text, strlen(text) + 1);
}

static uint64_t mix_list(uint64_t hash, const struct grant *list, size_t count)
{
	hash = mix(hash, &count, sizeof(count));
	for (size_t i = 0; i < count; i++) {
		const uint32_t numbers[] = {
			list[i].permissions, (uint32_t)list[i].mode_cut, list[i].host};

		hash = mix_text(hash, list[i].name);
		hash = mix_text(hash, meaning(&list[i], ""));
		hash = mix(hash, numbers, sizeof(numbers));
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
