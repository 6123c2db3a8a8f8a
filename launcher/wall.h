/* SPDX-License-Identifier: MIT */
/* The wall: a Landlock domain that keeps this process away from every queue by every other road. */
#pragma once

#include <stdbool.h>

enum wall_form {
	WALL_RULES, /* for everybody */
	WALL_MOUNT, /* needs CAP_SYS_ADMIN, and takes it away */
};

struct wall {
	enum wall_form form;
	bool keeps_signals; /* where the kernel can (6.12), no signals to anybody outside */

	/* Once prepared; before: negative, NULL. */
	int ruleset_fd;
	char *costs; /* the directories besides / and /dev directly in which files can no longer be
			created, and why; NULL if there are none */
};

/* Makes the wall ready, in the form "mount" in a mount namespace of its own. Then puts this process
 * behind it, for good, with no_new_privs: not before mqgated has answered, to whom it would look
 * like one who is confined. Both return 0, or a negative errno with a message (see refuse.h); then
 * the process must not go on. */
int wall_prepare(struct wall *wall, char **ret_message);
int wall_raise(struct wall *wall, char **ret_message);
void wall_clear(struct wall *wall);
