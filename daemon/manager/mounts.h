/* SPDX-License-Identifier: MIT */
/* mqueue file systems in the mount table, but for the one on /dev/mqueue. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct mqueue_mount {
	unsigned long id; /* of the mount */
	char *path;
};

struct mqueue_mounts {
	struct mqueue_mount *items;
	size_t count;
};

void mqueue_mounts_clear(struct mqueue_mounts *mounts);
bool mqueue_mounts_have(const struct mqueue_mounts *mounts, const struct mqueue_mount *mount);

/* Adds what one line of /proc/self/mountinfo says, if it is such a mount. 0, -EBADMSG, -ENOMEM. */
int mountinfo_line(const char *line, struct mqueue_mounts *mounts);
