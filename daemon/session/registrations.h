/* SPDX-License-Identifier: MIT */
/* Who of a session has registered for notification, and on what. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/grants.h"
#include "include/limits.h"
#include "queues.h"

struct identity;
struct own_identity;
struct target;

/* A process that has made an mq_notify which was given back to the kernel. */
struct registrant {
	int32_t tgid;   /* 0: entry not in use */
	uint64_t start; /* of the process; tells it from a later one of that number */
};

struct registrants {
	struct registrant entries[SESSION_REGISTRANTS_MAX];
};

/* When the process began. It is the caller's only if the caller's notification is valid afterwards.
 * 0 or negative errno. */
int registrations_birth(pid_t tgid, uint64_t *ret);

/* Before mq_notify is given back to the kernel. 0; -ENOSPC if SESSION_REGISTRANTS_MAX processes are
 * noted that live. Unless it is 0 the call must not be given back. */
int registrations_note(struct registrants *registrants, pid_t tgid, uint64_t birth);

/* What could not be looked at counts as registered. */
enum registered { REGISTERED_NOT, REGISTERED_UNKNOWN, REGISTERED };

/* Whether the process is registered on a queue of the scope that the session may not read any more:
 * each such queue is asked for who is. The permissions in scope do not matter. Waits for nobody. */
enum registered registrations_look(const struct registrant *registrant, const struct queues *queues,
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
