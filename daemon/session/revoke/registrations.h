/* SPDX-License-Identifier: MIT */
/* Who of a session has registered for notification, and on what. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/grants.h"
#include "include/limits.h"
#include "daemon/session/target/processes.h"
#include "daemon/session/target/queues.h"

struct credentials;
struct own_identity;
struct target;

/* What could not be looked at counts as registered. */
enum registered { REGISTERED_NOT, REGISTERED_UNKNOWN, REGISTERED };

/* Whether a noted process is registered on a queue of the scope that the session may not read any
 * more: each such queue is asked for who is. The permissions in scope do not matter. Waits for
 * nobody. */
enum registered registrations_look(const struct process *process, const struct queues *queues,
	const struct grants *scope, const struct own_identity *own);

/* The same of all queues that the session may not read, with a bound: looked at by a disposable
 * child. */
enum registered registrations_look_quickly(
	const struct process *process, const struct queues *queues, const struct own_identity *own);

/* Queues on which an mq_notify must not register its caller, open for reading since before it was
 * answered. */
struct lookout {
	size_t count;
	struct {
		struct queue_key key;
		int queue;
		bool registered; /* the caller was, before */
	} queues[SESSION_QUEUES_MAX];
};

/* Opens those that the session knows and may not read, by their names; and whatever queue the
 * thread has a descriptor of, unless it is known that the session may read it. Waits for nobody. 0,
 * or a negative errno if there is one that cannot be opened or asked: then the call must not be
 * given back. To be ended in any case. */
int lookout_begin(struct lookout *lookout, const struct queues *queues,
	const struct own_identity *own, const struct credentials *identity,
	const struct target *target);

/* True if the process is registered where it was not. */
bool lookout_sees(const struct lookout *lookout, pid_t tgid);

void lookout_end(struct lookout *lookout);

/* The queue of an entry, open for reading, if its name still leads there; -ENOENT if not, or
 * another negative errno. */
int registrations_open(const struct queues *queues, uint32_t entry, const struct own_identity *own,
	const struct credentials *identity);
