/* SPDX-License-Identifier: MIT */
/* The wall: a Landlock domain that keeps this process away from every queue by every other road. */
#pragma once

/* Puts this process behind the wall, for good. no_new_privs must be set. Returns 0, or a negative
 * errno with a message (see refuse.h); then the process must not go on. */
int wall_raise(char **ret_message);
