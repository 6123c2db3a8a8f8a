/* SPDX-License-Identifier: MIT */
/* The queues that a session has opened. */
#include "queues.h"

#include <string.h>

#include "include/util.h"

/* What a descriptor carries. */
#define DATA_PERMISSIONS (PERMISSION_READ | PERMISSION_WRITE)

bool queue_key_same(struct queue_key a, struct queue_key b)
{
	return a.device == b.device && a.inode == b.inode;
}

static uint32_t used_entries(const struct queues *queues)
{
	return MIN(queues->count, (uint32_t)SESSION_QUEUES_MAX);
}

static uint32_t find(const struct queues *queues, struct queue_key key)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		if (queue_key_same(queues->keys[i], key))
			return i;
	return SESSION_QUEUES_MAX;
}

static uint32_t least_recently_used(const struct queues *queues)
{
	uint32_t oldest = 0;

	/* Differences, because the clock may have come round. */
	for (uint32_t i = 1; i < SESSION_QUEUES_MAX; i++)
		if (queues->clock - queues->entries[i].last_used >
			queues->clock - queues->entries[oldest].last_used)
			oldest = i;
	return oldest;
}

uint32_t queues_find_victim(const struct queues *queues, struct queue_key key)
{
	return queues->count < SESSION_QUEUES_MAX || find(queues, key) < SESSION_QUEUES_MAX
		       ? SESSION_QUEUES_MAX
		       : least_recently_used(queues);
}

static uint32_t permissions_of(const struct queues *queues, uint32_t i, const struct grants *grants)
{
	return grants_on_queue(grants, &queues->entries[i].subject, queues->entries[i].name,
		queues->entries[i].spaces);
}

static void set_text(char text[static QUEUE_NAME_MAX + 1], const char *value)
{
	memset(text, 0, QUEUE_NAME_MAX + 1);
	memcpy(text, value, strlen(value));
}

/* What somebody else was given by these grants stays: their loss must be noticed. */
static void give(struct queues *queues, uint32_t i, uint32_t permissions)
{
	queues->entries[i].permissions |= permissions;
	queues->entries[i].opened |= queues->entries[i].permissions;
}

static bool are_numbers(const struct subject *subject)
{
	return subject->pid != SUBJECT_NOBODY.pid || subject->uid != SUBJECT_NOBODY.uid;
}

void queues_remember(struct queues *queues, struct queue_key key, const struct queue_facts *facts,
	const struct grants *grants)
{
	uint32_t i;
	bool known;

	if (key.inode == 0 || strlen(facts->name) > QUEUE_NAME_MAX ||
		strlen(facts->alias) > QUEUE_NAME_MAX)
		return;
	i = find(queues, key);
	known = i < SESSION_QUEUES_MAX;
	if (i == SESSION_QUEUES_MAX && queues->count < SESSION_QUEUES_MAX) {
		i = queues->count;
	} else if (i == SESSION_QUEUES_MAX) {
		i = least_recently_used(queues);
		queues->forgot = 1;
	}

	/* In this order a half-written entry names nothing. */
	__atomic_store_n(&queues->keys[i].inode, 0, __ATOMIC_SEQ_CST);
	set_text(queues->entries[i].name, facts->name);
	set_text(queues->entries[i].alias, streq(facts->alias, facts->name) ? "" : facts->alias);
	if (!known || are_numbers(&facts->subject))
		queues->entries[i].subject = facts->subject;
	if (!known)
		queues->entries[i].spaces = queues->entries[i].permissions =
			queues->entries[i].opened = 0;
	queues->entries[i].spaces |= facts->spaces;
	queues->entries[i].counted = facts->counted;
	queues->keys[i].device = key.device;
	give(queues, i, permissions_of(queues, i, grants));
	queues->entries[i].last_used = ++queues->clock;
	__atomic_store_n(&queues->keys[i].inode, key.inode, __ATOMIC_SEQ_CST);
	if (i == queues->count)
		__atomic_store_n(&queues->count, i + 1, __ATOMIC_SEQ_CST);
}

void queues_adopt(struct queues *queues, uint32_t place, const struct subject *subject,
	const struct grants *grants)
{
	queues->entries[place].subject = *subject;
	give(queues, place, permissions_of(queues, place, grants));
}

void queues_note_access(struct queues *queues, struct queue_key key, uint32_t access)
{
	uint32_t i = find(queues, key);

	if (i < SESSION_QUEUES_MAX)
		queues->entries[i].opened |= access;
}

uint32_t queues_find(struct queues *queues, struct queue_key key)
{
	uint32_t i = key.inode == 0 ? SESSION_QUEUES_MAX : find(queues, key);

	if (i < SESSION_QUEUES_MAX)
		queues->entries[i].last_used = ++queues->clock;
	return i;
}

bool queues_lose(const struct queues *queues, const struct grants *grants)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		if ((queues->entries[i].permissions & ~permissions_of(queues, i, grants)) != 0)
			return true;
	return queues->forgot != 0;
}

uint32_t queues_find_lost(const struct queues *queues, const char *name, uint32_t permissions)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		if ((queues->entries[i].opened & ~queues->entries[i].permissions & permissions) !=
				0 &&
			(streq(queues->entries[i].name, name) ||
				streq(queues->entries[i].alias, name)))
			return i;
	return SESSION_QUEUES_MAX;
}

bool queues_are_in(const struct queues *queues, uint32_t i, const struct grants *scope)
{
	return permissions_of(queues, i, scope) != 0;
}

bool queues_may_be_held(const struct queues *queues, const struct grants *scope)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		if ((queues->entries[i].opened & ~queues->entries[i].permissions &
			    DATA_PERMISSIONS) != 0 &&
			queues_are_in(queues, i, scope))
			return true;
	return queues->forgot != 0;
}

void queues_update(struct queues *queues, const struct grants *grants)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		queues->entries[i].permissions = permissions_of(queues, i, grants);
}
