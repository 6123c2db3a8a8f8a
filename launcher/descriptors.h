/* SPDX-License-Identifier: MIT */
/* Descriptors that a command would inherit through the launcher. */
#pragma once

/* Refuses (-EBUSY with a message, see refuse.h) if any inherited descriptor, whatever its number
 * and whether or not it is close-on-exec, leads past the door: one on a message queue file system
 * (queues, directories, O_PATH), or an io_uring, which may hold credentials from outside the wall.
 */
int descriptors_check(char **ret_message);

/* Fills what is closed of 0, 1 and 2 with /dev/null, close-on-exec: so no socket of the launcher
 * ends up as somebody's standard error, and the command finds closed what was closed. */
int descriptors_fill_standard(void);

/* Visits every descriptor of this process. Returns 0, what visit returned (it says itself why), or
 * a negative errno with a message. */
typedef int (*descriptor_visit_t)(int fd, void *userdata);
int descriptors_visit(descriptor_visit_t visit, void *userdata, char **ret_message);
