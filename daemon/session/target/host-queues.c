/* SPDX-License-Identifier: MIT */
/* Queues created in our IPC namespace on behalf of callers in others. */
#include "host-queues.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "include/text.h"
#include "own.h"

#define FILES_TEXT_MAX (1024 * 1024)

static bool is_entry(const struct host_queues *queues, int place)
{
	return queues->items[place].name[0] != '\0';
}

/* The kernel lists the files of a set. True also if it cannot be seen. */
static bool is_open(const struct host_files *files, int place)
{
	_cleanup_free_ char *text = NULL;
	char path[48];

	if (files->sets[place] <= 0)
		return files->sets[place] < 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", files->sets[place]);
	return text_read_at(AT_FDCWD, path, FILES_TEXT_MAX, &text) < 0 || text_field(text, "tfd");
}

/* Also if it cannot be seen. */
static bool has_its_name(
	const struct host_queues *queues, int place, const struct own_identity *own)
{
	_cleanup_close_ int queue = own_look_up(own, -EBADF, queues->items[place].name);
	struct descriptor descriptor;

	if (queue < 0 || own_descriptor(queue, &descriptor) < 0)
		return queue != -ENOENT;
	return queues->items[place].key.inode == 0 ||
	       queue_key_same(queues->items[place].key, descriptor.key);
}

static int find_free(const struct host_queues *queues)
{
	for (int i = 0; i < (int)queues->count; i++)
		if (!is_entry(queues, i))
			return i;
	return queues->count < HOST_QUEUES_MAX ? (int)queues->count : -ENOSPC;
}

static void forget(struct host_queues *queues, struct host_files *files, int place)
{
	if (files->sets[place] > 0)
		(void)safe_close(files->sets[place]);
	files->sets[place] = 0;
	queues->items[place].name[0] = '\0';
}

int host_queues_begin(struct host_queues *queues, struct host_files *files,
	const struct own_identity *own, const char *name)
{
	int place = find_free(queues);

	for (int i = 0; place < 0 && i < HOST_QUEUES_MAX; i++)
		if (!has_its_name(queues, i, own) && !is_open(files, i))
			forget(queues, files, i);
	place = place < 0 ? find_free(queues) : place;
	if (place < 0)
		return place;
	queues->items[place].key = (struct queue_key){0};
	(void)snprintf(queues->items[place].name, sizeof(queues->items[place].name), "%s", name);
	if (place == (int)queues->count)
		__atomic_store_n(&queues->count, (uint32_t)place + 1, __ATOMIC_SEQ_CST);
	return place;
}

void host_queues_end(struct host_queues *queues, int place, int queue)
{
	struct descriptor descriptor;

	if (queue < 0)
		queues->items[place].name[0] = '\0';
	else if (own_descriptor(queue, &descriptor) == 0)
		queues->items[place].key = descriptor.key;
}

static int find_key(const struct host_queues *queues, struct queue_key key)
{
	for (int i = 0; i < (int)queues->count; i++)
		if (is_entry(queues, i) && queue_key_same(queues->items[i].key, key))
			return i;
	return -ENOENT;
}

void host_queues_opened(const struct host_queues *queues, struct host_files *files, int queue)
{
	struct epoll_event no_event = {0};
	struct descriptor descriptor;
	int place =
		own_descriptor(queue, &descriptor) < 0 ? -EBADF : find_key(queues, descriptor.key);

	if (place < 0)
		return;
	if (files->sets[place] == 0)
		files->sets[place] = epoll_create1(EPOLL_CLOEXEC);
	if (files->sets[place] < 0 ||
		epoll_ctl(files->sets[place], EPOLL_CTL_ADD, queue, &no_event) == 0)
		return;
	(void)safe_close(files->sets[place]);
	files->sets[place] = -1;
}
