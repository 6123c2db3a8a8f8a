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
		if (queues->clock - queues->last_used[i] >
			queues->clock - queues->last_used[oldest])
			oldest = i;
	return oldest;
}

uint32_t queues_find_victim(const struct queues *queues, struct queue_key key)
{
	return queues->count < SESSION_QUEUES_MAX || find(queues, key) < SESSION_QUEUES_MAX
		       ? SESSION_QUEUES_MAX
		       : least_recently_used(queues);
}

void queues_remember(
	struct queues *queues, struct queue_key key, const char *name, uint32_t permissions)
{
	uint32_t i;
	bool known;

	if (key.inode == 0 || strlen(name) > QUEUE_NAME_MAX)
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
	queues->opened[i] = permissions | (known ? queues->opened[i] : 0);
	memset(queues->names[i], 0, sizeof(queues->names[i]));
	memcpy(queues->names[i], name, strlen(name));
	queues->keys[i].device = key.device;
	queues->permissions[i] = permissions;
	queues->last_used[i] = ++queues->clock;
	__atomic_store_n(&queues->keys[i].inode, key.inode, __ATOMIC_SEQ_CST);
	if (i == queues->count)
		__atomic_store_n(&queues->count, i + 1, __ATOMIC_SEQ_CST);
}

void queues_note_access(struct queues *queues, struct queue_key key, uint32_t access)
{
	uint32_t i = find(queues, key);

	if (i < SESSION_QUEUES_MAX)
		queues->opened[i] |= access;
}

const char *queues_find(struct queues *queues, struct queue_key key)
{
	uint32_t i;

	if (key.inode == 0)
		return NULL;
	i = find(queues, key);
	if (i == SESSION_QUEUES_MAX)
		return NULL;
	queues->last_used[i] = ++queues->clock;
	return queues->names[i];
}

bool queues_lose(const struct queues *queues, const struct grants *grants)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		if ((queues->permissions[i] & ~grants_lookup(grants, queues->names[i])) != 0)
			return true;
	return queues->forgot != 0;
}

uint32_t queues_find_lost(const struct queues *queues, const char *name, uint32_t permissions)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		if ((queues->opened[i] & ~queues->permissions[i] & permissions) != 0 &&
			strcmp(queues->names[i], name) == 0)
			return i;
	return SESSION_QUEUES_MAX;
}

bool queues_may_be_held(const struct queues *queues, const struct grants *scope)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		if ((queues->opened[i] & ~queues->permissions[i] & DATA_PERMISSIONS) != 0 &&
			grants_lookup(scope, queues->names[i]) != 0)
			return true;
	return queues->forgot != 0;
}

void queues_update(struct queues *queues, const struct grants *grants)
{
	for (uint32_t i = 0; i < used_entries(queues); i++)
		queues->permissions[i] = grants_lookup(grants, queues->names[i]);
}
