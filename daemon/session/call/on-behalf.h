/* SPDX-License-Identifier: MIT */
/* Doing what was allowed, as the app's thread. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>

#include "include/request.h"
#include "daemon/session/target/own.h"

/* What act_open()'s descriptor has besides the flags that were asked for. Nothing of it matters to
 * the queue itself, and fcntl(F_SETFL) takes it away: without waiting for whoever uses the file at
 * the time, as lseek() would. O_NONBLOCK: opening a queue waits for a lease on it otherwise. The
 * others mark it: hardly anybody asks for all of them. */
#define ACT_OPEN_FLAGS (O_NONBLOCK | O_APPEND | O_NOATIME)

/* It could not be done as the app, and so was not done; no system call on queues says that. */
#define ACT_IMPOSSIBLE ECANCELED

/* Opens the queue, creating it if asked to. Waits for nobody: -EAGAIN if somebody holds a lease on
 * it that has to be broken first, which this begins; the app that did not ask for O_NONBLOCK is to
 * wait, and the call to be made again; -ACT_IMPOSSIBLE. Returns a descriptor, or the negative errno
 * that the app gets. name: of the queue, which request->name may only mean. ret_created: this very
 * call made the queue; assume it did not on error. */
int act_open(const struct own_identity *own, const struct credentials *identity, const char *name,
	const struct request *request, bool *ret_created);

/* Deletes the queue. 0, -ACT_IMPOSSIBLE or the negative errno that the app gets. Also takes back
 * what act_open() created. */
int act_unlink(
	const struct own_identity *own, const struct credentials *identity, const char *name);
