/* SPDX-License-Identifier: MIT */
/* The wall: a Landlock domain that keeps this process away from every queue by every other road. */
#pragma once

#include <stdbool.h>

enum wall_form {
	WALL_RULES, /* for everybody */
	WALL_MOUNT, /* needs CAP_SYS_ADMIN, and takes it away */
};

/* Puts this process behind the wall, for good. no_new_privs must be set. keeps_signals: where the
 * kernel can (6.12), it may send signals to nobody outside, either. ret_costs names the
 * directories besides / and /dev directly in which files can no longer be created, and why; NULL if
 * there are none. Returns 0, or a negative errno with a message (see refuse.h); then the process
 * must not go on. */
int wall_raise(enum wall_form form, bool keeps_signals, char **ret_costs, char **ret_message);
