/* SPDX-License-Identifier: MIT */
#include "include/denials.h"

#include <time.h>

#include "include/util.h"

#define READ_TRIES 8

bool denial_is_same(const struct denial *denial, const struct denial *other)
{
	return denial->missing == other->missing && streq(denial->name, other->name);
}

void denial_add(struct denial *denial, const struct denial *other)
{
	const uint64_t first = MIN(denial->first ?: other->first, other->first);
	const uint64_t count = denial->count + other->count;

	if (other->last >= denial->last)
		*denial = *other;
	denial->first = first;
	denial->count = count;
}

/* Whoever makes the same call again finds it at once. */
static uint32_t find(const struct denials *denials, const struct denial *denial)
{
	if (denials->count > 0 && denial_is_same(&denials->items[denials->newest], denial))
		return denials->newest;
	for (uint32_t i = 0; i < denials->count; i++)
		if (denial_is_same(&denials->items[i], denial))
			return i;
	return denials->count;
}

static uint32_t find_oldest(const struct denials *denials)
{
	uint32_t oldest = 0;

	for (uint32_t i = 1; i < denials->count; i++)
		if (denials->items[i].last < denials->items[oldest].last)
			oldest = i;
	return oldest;
}

/* The sequence stays the item's own. */
static void write_item(struct denial *item, const struct denial *written)
{
	const uint32_t sequence = item->sequence | 1;

	__atomic_store_n(&item->sequence, sequence, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	memcpy((char *)item + sizeof(item->sequence),
		(const char *)written + sizeof(item->sequence),
		sizeof(*item) - sizeof(item->sequence));
	__atomic_store_n(&item->sequence, sequence + 1, __ATOMIC_RELEASE);
}

void denials_note(struct denials *denials, const struct denial *denial)
{
	uint32_t place = find(denials, denial);
	struct denial added = *denial;

	added.count = 1;
	added.first = added.last = (uint64_t)time(NULL);
	if (place < denials->count)
		denial_add(&added, &denials->items[place]);
	else if (place == SESSION_DENIALS_MAX)
		place = find_oldest(denials);
	write_item(&denials->items[place], &added);
	denials->newest = place;
	if (place == denials->count)
		__atomic_store_n(&denials->count, place + 1, __ATOMIC_RELEASE);
}

uint32_t denials_count(const struct denials *denials)
{
	return MIN(
		__atomic_load_n(&denials->count, __ATOMIC_ACQUIRE), (uint32_t)SESSION_DENIALS_MAX);
}

bool denials_read(const struct denials *denials, uint32_t i, struct denial *ret)
{
	const struct denial *item = &denials->items[i];

	for (int tries = 0; tries < READ_TRIES; tries++) {
		const uint32_t before = __atomic_load_n(&item->sequence, __ATOMIC_ACQUIRE);

		memcpy(ret, item, sizeof(*ret));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (before % 2 == 0 && __atomic_load_n(&item->sequence, __ATOMIC_RELAXED) == before)
			return ret->count > 0 && memchr(ret->name, '\0', sizeof(ret->name)) &&
			       memchr(ret->command, '\0', sizeof(ret->command));
	}
	return false;
}
