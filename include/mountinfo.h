/* SPDX-License-Identifier: MIT */
/* The mounts that a process sees, as mountinfo lists them: those beneath its root. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct mount_entry {
	uint64_t id; /* as statx has it */
	uint64_t device;
	const char *mount_point; /* absolute, seen from the process' root */
	const char *type;
};

/* The whole text of /proc/self/mountinfo. The caller frees it. Returns 0 or a negative errno
 * (-EBADMSG: it is empty). */
int mountinfo_read(char **ret);
/* The same of an open one of any process; -E2BIG: it is larger than max bytes. */
int mountinfo_read_from(int fd, size_t max, char **ret);

/* Cuts one line up in place: *ret points into it. 0, or -EBADMSG if it is no line of mountinfo:
 * "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [TAG]… - TYPE SOURCE OPTIONS". */
int mountinfo_parse(char *line, struct mount_entry *ret);

/* Takes one line off *rest, cutting it up in place: *ret points into it. Returns 1, 0 at the end,
 * -EBADMSG if it is no line of mountinfo. */
int mountinfo_next(char **rest, struct mount_entry *ret);
