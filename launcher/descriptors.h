/* SPDX-License-Identifier: MIT */
/* Descriptors that a command would inherit through the launcher. */
#pragma once

#include <stdbool.h>

/* Refuses (-EBUSY with a message, see refuse.h) if any inherited descriptor, whatever its number
 * and whether or not it is close-on-exec, leads past the door: one on a message queue file system,
 * or an io_uring, which may hold credentials from outside the wall.
 *
 * Open queues pass if they are named by LISTEN_FDS, as sd_listen_fds(3) reads it, or if all queues
 * are to be inherited: under `call` mediation each call on them comes to the door. No directory of
 * queues passes, and no O_PATH. ret_queue: the first queue that has passed; negative: none.
 *
 * Closes every connection to a socket in this runtime directory: the command is to have none that
 * somebody else has made. */
int descriptors_check(bool all_queues, const char *runtime_dir, int *ret_queue, char **ret_message);

/* True if it is on a message queue file system. */
bool descriptor_is_of_queues(int fd);

/* Makes one call on each queue, from behind the filter, so that the session knows from its start
 * what it holds (daemon/session/call/serve.c): one that is asked about a queue only when the
 * command first uses it would not take back what it did not know of. 0, or a negative errno with a
 * message: the session has not looked at one. */
int descriptors_show_queues(char **ret_message);

/* Fills what is closed of 0, 1 and 2 with /dev/null, close-on-exec: so no socket of the launcher
 * ends up as somebody's standard error, and the command finds closed what was closed. */
int descriptors_fill_standard(void);

/* Visits every descriptor of this process. Returns 0, what visit returned (it says itself why), or
 * a negative errno with a message. */
typedef int (*descriptor_visit_t)(int fd, void *userdata);
int descriptors_visit(descriptor_visit_t visit, void *userdata, char **ret_message);
