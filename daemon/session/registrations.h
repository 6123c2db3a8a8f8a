/* SPDX-License-Identifier: MIT */
/* The registrations for notification that a session has made, and taking them back. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/grants.h"
#include "include/limits.h"
#include "queues.h"

struct force_hooks;
struct identity;
struct own_identity;
struct revoker;
struct target;

struct registration {
	int32_t tgid;   /* 0: entry not in use */
	uint64_t start; /* of the process; tells it from a later one of that number */
	struct queue_key key;
	char name[QUEUE_NAME_MAX + 1];
};

struct registrations {
	struct registration entries[SESSION_REGISTRATIONS_MAX];
};

/* When the process began. It is the caller's only if the caller's notification is valid afterwards.
 * 0 or negative errno. */
int registrations_birth(pid_t tgid, uint64_t *ret);

/* Before mq_notify is given back to the kernel. 0; -ENOSPC if SESSION_REGISTRATIONS_MAX are in
 * force; another negative errno. Unless it is 0 the call must not be given back. */
int registrations_note(struct registrations *registrations, const struct own_identity *own,
	pid_t tgid, uint64_t birth, struct queue_key key, const char *name);

/* When it returns 0, no process of the session is registered on a queue that it may not read by
 * these grants. Processes notice nothing; one that cannot be brought to remove its registration is
 * killed. At most until the deadline, and as long again for the killed to go. Negative errno: some
 * registration may still be there. */
int registrations_take_back(struct registrations *registrations, const struct own_identity *own,
	struct revoker *revoker, const struct grants *grants, const struct force_hooks *hooks,
	uint64_t deadline);

/* The process that is registered on the queue of this descriptor of ours; 0: none, or it could not
 * be read. */
pid_t registrations_owner(int queue);

/* The known queues on which a process is registered without being allowed to read them: found by
 * their names, and those that are deleted by a descriptor that the thread has. */
struct unlawful {
	uint64_t bits[SESSION_QUEUES_MAX / 64];
};
void registrations_find_unlawful(const struct queues *queues, const struct own_identity *own,
	const struct identity *identity, const struct target *target, struct unlawful *ret);

/* True if there is one now that was not before. */
bool registrations_have_grown(const struct unlawful *before, const struct unlawful *now);
