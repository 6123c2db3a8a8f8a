/* SPDX-License-Identifier: MIT */
/* Who of a session has registered for notification, and on what. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/grants.h"
#include "include/limits.h"
#include "processes.h"
#include "queues.h"

struct identity;
struct own_identity;
struct target;

/* What could not be looked at counts as registered. */
enum registered { REGISTERED_NOT, REGISTERED_UNKNOWN, REGISTERED };

/* Whether a noted process is registered on a queue of the scope that the session may not read any
 * more: each such queue is asked for who is. The permissions in scope do not matter. Waits for
 * nobody. */
enum registered registrations_look(const struct process *process, const struct queues *queues,
	const struct grants *scope, const struct own_identity *own);

/* The known queues on which a process is registered without being allowed to read them: found by
 * their names, and those that are deleted by a descriptor that the thread has. */
struct unlawful {
	uint64_t bits[SESSION_QUEUES_MAX / 64];
};
void registrations_find_unlawful(const struct queues *queues, const struct own_identity *own,
	const struct identity *identity, const struct target *target, struct unlawful *ret);

/* True if there is one now that was not before. */
bool registrations_have_grown(const struct unlawful *before, const struct unlawful *now);
