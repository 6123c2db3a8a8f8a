/* SPDX-License-Identifier: MIT */
/* What a runtime has been told of a container, and the kernel does not show. */
#pragma once

#include <sys/types.h>

struct bundle {
	int root;         /* the runtime's root directory */
	const char *path; /* from there */
	uid_t user;       /* the runtime's */
	gid_t group;
};

/* Whether calls of the container that we have taken up cannot be interrupted (CONTAINER_FLAG), by
 * the bundle's config.json: 0; -ENODATA: they can; -ENOLINK: it cannot be read, or is not the
 * runtime's own; or another negative errno. Waits for the file system: whoever calls must be
 * disposable. */
int bundle_has_flag(const struct bundle *bundle);
