/* SPDX-License-Identifier: MIT */
/* Queues that are held open here. */
#include "held.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <mqueue.h>
#include <sys/syscall.h>

#include "include/util.h"

_Static_assert(SESSION_HELD_MAX <= UINT8_MAX, "a hint is a byte");

static uint8_t *hint_of(struct held *held, pid_t tid, int fd)
{
	return &held->hints[((size_t)tid * 31 + (size_t)fd) % HELD_HINTS];
}

const struct queue_file *held_find(struct held *held, pid_t tid, int fd)
{
	struct held_file *at = &held->files[*hint_of(held, tid, fd)];

	if (at->used == 0 || tid <= 0 || fd < 0 ||
		syscall(SYS_kcmp, tid, held->self, KCMP_FILE, fd, at->file.fd) != 0)
		return NULL;
	at->used = now_usec();
	return &at->file;
}

static int describe(int queue, struct queue_key key, struct queue_file *ret)
{
	int flags = fcntl(queue, F_GETFL);
	struct mq_attr attributes;

	if (flags < 0 || syscall(SYS_mq_getsetattr, queue, NULL, &attributes) < 0)
		return -errno;
	*ret = (struct queue_file){.fd = queue,
		.access = flags & O_ACCMODE,
		.message_size = (uint64_t)attributes.mq_msgsize,
		.key = key};
	return 0;
}

static void let_go(struct held_file *at)
{
	if (at->used != 0)
		(void)safe_close(at->file.fd);
	at->used = 0;
}

static struct held_file *least_used(struct held *held)
{
	struct held_file *least = &held->files[0];

	for (size_t i = 1; i < SESSION_HELD_MAX; i++)
		if (held->files[i].used < least->used)
			least = &held->files[i];
	return least;
}

int held_add(struct held *held, pid_t tid, int fd, int *queue, struct queue_key key,
	const struct queue_file **ret)
{
	struct queue_file file;
	struct held_file *at;
	int r = describe(*queue, key, &file);

	if (r < 0)
		return r;
	if (held->self == 0)
		held->self = getpid();
	at = least_used(held);
	let_go(at);
	*at = (struct held_file){.file = file, .used = now_usec()};
	*queue = -EBADF;
	*hint_of(held, tid, fd) = (uint8_t)(at - held->files);
	*ret = &at->file;
	return 0;
}

void held_drop(struct held *held, uint64_t unused_usec)
{
	for (size_t i = 0; i < SESSION_HELD_MAX; i++)
		if (held->files[i].used != 0 &&
			(unused_usec == 0 || now_usec() - held->files[i].used >= unused_usec))
			let_go(&held->files[i]);
}

int held_timeout(const struct held *held)
{
	uint64_t first = UINT64_MAX, now;

	for (size_t i = 0; i < SESSION_HELD_MAX; i++)
		if (held->files[i].used != 0)
			first = MIN(first, held->files[i].used + HELD_USEC);
	if (first == UINT64_MAX)
		return -1;
	now = now_usec();
	return first <= now ? 0 : (int)((first - now) / 1000) + 1;
}
