/* SPDX-License-Identifier: MIT */
/* The file tree without message queues that the wall of the form "mount" stands around. */
#pragma once

#include <stddef.h>

#include "include/mountinfo.h"

/* Moves this process into a mount namespace of its own, in which no mqueue file system is mounted,
 * /dev/mqueue looks empty, and the tree hangs below a directory that is nowhere else: the anchor.
 * Needs CAP_SYS_ADMIN and CAP_SYS_CHROOT. Working directory and tree stay the same. Returns 0 and
 * an O_PATH descriptor of the anchor (close-on-exec), or a negative errno with a message (see
 * refuse.h); then this process must not go on. */
int view_enter(int *ret_anchor_fd, char **ret_message);

/* One pass over the text of mountinfo, which is cut up: hands each mqueue mount to detach, which
 * returns 1 if it has detached it, 0 if it cannot be reached at its mount point, or a negative
 * errno. Returns how many were detached, or what detach returned, or -EBADMSG. ret_left: the first
 * mount point that could not be reached, or NULL; points into the text. */
typedef int (*detach_t)(const struct mount_entry *mount, void *userdata);
int view_detach_pass(
	char *mountinfo, detach_t detach, void *userdata, size_t *ret_count, const char **ret_left);
