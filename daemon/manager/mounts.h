/* SPDX-License-Identifier: MIT */
/* mqueue file systems in the mount table, but for the one on /dev/mqueue. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/manager.h"

struct mqueue_mount {
	uint64_t id; /* of the mount */
	char *path;
};

struct mqueue_mounts {
	struct mqueue_mount *items;
	size_t count;
};

void mqueue_mounts_clear(struct mqueue_mounts *mounts);
bool mqueue_mounts_have(const struct mqueue_mounts *mounts, const struct mqueue_mount *mount);

/* Adds those of a text of mountinfo, cutting it up. 0, -EBADMSG, -ENOMEM. */
int mqueue_mounts_find(char *mountinfo, struct mqueue_mounts *mounts);

int mounts_start(struct manager *manager);
struct mount_watch *mounts_free(struct mount_watch *mounts);
