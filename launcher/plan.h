/* SPDX-License-Identifier: MIT */
/* The plan of the wall: which places in the file tree get a rule. Knows nothing of Landlock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Takes one rule of the plan: everything at and beneath fd (an O_PATH descriptor, valid during the
 * call) stays in reach. path is for messages and tests. Negative: the plan is given up. */
typedef int (*plan_rule_t)(int fd, const char *path, bool is_directory, void *userdata);

/* One file system object, as the kernel tells them apart. */
struct object {
	uint64_t device;
	uint64_t inode;
	bool is_directory, is_link;
};

/* A directory above a hidden place, under the first name that leads to it. */
struct on_the_way {
	struct object object;
	const char *hidden;
	size_t length; /* of the directory's own path in it; the root has 0 */
};

struct plan {
	plan_rule_t add;
	void *userdata;
	bool looks_closely; /* if mountinfo may be out of date: at everything, as at mount points */

	char **hidden; /* absolute paths; the root is "", and /dev/mqueue the first */
	size_t hidden_count;
	char *mountinfo; /* cut up; mount_points lie in it */
	const char **mount_points;
	size_t mount_point_count;
	uint64_t *devices; /* of mqueue file systems */
	size_t device_count;
	struct on_the_way *on_the_way;
	size_t on_the_way_count;
};

/* Works out the rules for a file tree: root_fd is its root, mountinfo the text of
 * /proc/self/mountinfo with paths from that root. plan has what is above the empty line set,
 * nothing else. What vanishes, cannot be opened or cannot be listed gets no rule, and so is out of
 * reach. Returns 0, what add returned, -EBADMSG (no mountinfo text), -EBUSY (mqueue on the root
 * itself), -ENOMEM, -EMFILE, -ENFILE. To be cleared in any case; until then the hidden places and
 * the directories above them can be read. */
int plan_tree(struct plan *plan, int root_fd, const char *mountinfo);
void plan_clear(struct plan *plan);
