/* SPDX-License-Identifier: MIT */
/* Taking descriptors away from the processes of a session. */
#pragma once

#include <linux/seccomp.h>

#include "detour.h"
#include "member.h"
#include "queues.h"

/* A thread that waits with a timeout and would see EINTR. */
struct timed_wait {
	pid_t tid;
	uint64_t sleeps;    /* how often it has gone to sleep */
	uint64_t looked_at; /* times: CLOCK_MONOTONIC, microseconds */
	uint64_t since;     /* not earlier than that it began this wait; 0: unknown */
};

struct timed_waits {
	struct timed_wait entries[REPLACE_TIMED_MAX];
	size_t count;
};

struct replacer {
	const struct queues *queues; /* with the permissions in force */
	const struct force_hooks *hooks;
	struct members *members;
	unsigned replaced; /* descriptors */

	/* Its own. */
	struct detour *frozen; /* the threads of one table */
	size_t frozen_count;
	struct timed_waits timed;
	int null;
	unsigned refused; /* descriptors of the table that could not be replaced */
	pid_t forced;     /* the thread that makes the call; 0: none */
	uint64_t secret;
	struct seccomp_data expected;
};

/* Brings every descriptor of every process of the session in line with the grants in force: one of
 * which no permission is left becomes /dev/null, one of which some is left a descriptor of that
 * access. Returns the number of processes in which that could not be done by the deadline
 * (CLOCK_MONOTONIC, microseconds), or a negative errno. */
int replace_descriptors(struct replacer *replacer, uint64_t deadline);

/* To be asked about every notification before it is looked at. True: it was ours, and has been
 * answered. */
bool replace_takes(
	struct replacer *replacer, int listener, const struct seccomp_notif *notification);
