/* SPDX-License-Identifier: MIT */
/* The mounts of this process, as /proc/self/mountinfo lists them: those beneath its root. */
#pragma once

#include <stdint.h>

struct mount_entry {
	uint64_t id; /* as statx has it */
	uint64_t device;
	const char *mount_point; /* absolute, seen from this process' root */
	const char *type;
};

/* The whole text. The caller frees it. Returns 0 or a negative errno (-EBADMSG: it is empty). */
int mountinfo_read(char **ret);

/* Takes one line off *rest, cutting it up in place: *ret points into it. Returns 1, 0 at the end,
 * -EBADMSG if it is no line of mountinfo. */
int mountinfo_next(char **rest, struct mount_entry *ret);
