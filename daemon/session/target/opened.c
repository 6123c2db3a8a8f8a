/* SPDX-License-Identifier: MIT */
/* The files that were opened here. */
#include "opened.h"

#include <linux/kcmp.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "include/util.h"

#define LEARN_TRIES 4

_Static_assert(SESSION_WATCHED_MAX <= UINT8_MAX, "a hint is a byte");

static bool is_used(const struct opened *opened, uint32_t place)
{
	return place < opened->count && opened->files[place].watch >= 0;
}

int opened_watch(struct opened *opened, int queue, struct queue_key key)
{
	struct epoll_event no_event = {0};
	uint32_t place = opened->count % SESSION_WATCHED_MAX;
	struct opened_file *file = &opened->files[place];

	if (opened->self == 0)
		opened->self = getpid();
	/* An earlier file cannot be taken out of its set without a descriptor of it. */
	if (is_used(opened, place))
		(void)safe_close(file->watch);
	opened->count = opened->count == UINT32_MAX ? SESSION_WATCHED_MAX : opened->count + 1;
	file->watch = epoll_create1(EPOLL_CLOEXEC);
	if (file->watch < 0)
		return -1;
	if (epoll_ctl(file->watch, EPOLL_CTL_ADD, queue, &no_event) < 0) {
		file->watch = safe_close(file->watch);
		return -1;
	}
	file->number = queue;
	file->key = key;
	return (int)place;
}

static size_t hint(pid_t tid, int fd)
{
	return ((size_t)tid * 31 + (size_t)fd) % OPENED_HINTS;
}

void opened_hint(struct opened *opened, pid_t tid, int fd, int place)
{
	opened->hints[hint(tid, fd)] = (uint8_t)place;
}

static bool is_file(const struct opened *opened, pid_t tid, int fd, const struct opened_file *file)
{
	struct kcmp_epoll_slot slot = {.efd = (uint32_t)file->watch, .tfd = (uint32_t)file->number};

	return syscall(SYS_kcmp, tid, opened->self, KCMP_EPOLL_TFD, fd, &slot) == 0;
}

bool opened_find(const struct opened *opened, pid_t tid, int fd, struct queue_key *ret)
{
	uint32_t place = opened->hints[hint(tid, fd)];

	if (tid <= 0 || fd < 0 || !is_used(opened, place) ||
		!is_file(opened, tid, fd, &opened->files[place]))
		return false;
	*ret = opened->files[place].key;
	return true;
}

void opened_learn(struct opened *opened, pid_t tid, int fd, struct queue_key key)
{
	unsigned tries = 0;

	for (uint32_t age = 1; age <= MIN(opened->count, (uint32_t)SESSION_WATCHED_MAX); age++) {
		uint32_t place = (opened->count - age) % SESSION_WATCHED_MAX;
		const struct opened_file *file = &opened->files[place];

		if (!is_used(opened, place) || !queue_key_same(file->key, key))
			continue;
		if (is_file(opened, tid, fd, file)) {
			opened_hint(opened, tid, fd, (int)place);
			return;
		}
		if (++tries == LEARN_TRIES)
			return;
	}
}
