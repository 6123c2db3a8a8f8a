/* SPDX-License-Identifier: MIT */
/* Descriptors that let a program do more than its session's grants do. */
#include "excess.h"

#include <fcntl.h>

static bool read_flags(const struct target *target, int number, unsigned *ret)
{
	char path[32], text[128];
	_cleanup_close_ int fd = -EBADF;
	const char *at;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "fdinfo/%d", number);
	fd = openat(target->proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	at = strstr(text, "flags:");
	return at && sscanf(at, "flags: %o", ret) == 1;
}

static uint32_t access_of(unsigned flags)
{
	if (flags & O_PATH)
		return 0;
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return PERMISSION_READ;
	case O_WRONLY:
		return PERMISSION_WRITE;
	default:
		return PERMISSION_READ | PERMISSION_WRITE;
	}
}

bool excess_look(
	const struct queues *queues, const struct target *target, int number, struct excess *ret)
{
	struct descriptor descriptor;
	uint32_t permissions;
	unsigned flags;

	if (target_descriptor(target, number, &descriptor) < 0 || !descriptor.regular ||
		!queues_permissions(queues, descriptor.key, &permissions) ||
		!read_flags(target, number, &flags) || !(access_of(flags) & ~permissions))
		return false;
	*ret = (struct excess){.number = number,
		.key = descriptor.key,
		.kept = access_of(flags) & permissions,
		.nonblock = flags & O_NONBLOCK,
		.close_exec = flags & O_CLOEXEC};
	return true;
}

bool excess_next(
	const struct queues *queues, const struct target *target, DIR *table, struct excess *ret)
{
	struct dirent *entry;

	while ((entry = readdir(table)))
		if (entry->d_name[0] != '.' &&
			excess_look(queues, target, atoi(entry->d_name), ret))
			return true;
	return false;
}
