/* SPDX-License-Identifier: MIT */
/* The processes that belong to a session: those that run under its filter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "container-filter.h"
#include "examine.h"
#include "include/limits.h"

/* What was found out about a process; this holds for ever: a filter is never taken off, and since
 * the launcher has handed over the listener a process gets this one by birth only. */
struct known {
	pid_t pid;
	enum membership membership;
	uint64_t identity;
	int mark; /* the caller's */
};

/* One session's processes. In memory that children share with us: they do the looking. Zero but for
 * the first four when new. */
struct members {
	struct filter_mark filter; /* of the session */
	uint64_t pid_namespace;    /* of a container: in which all of them are; 0: none is */
	uid_t user;                /* whose processes are looked at before others' */
	uint64_t deadline;         /* CLOCK_MONOTONIC, microseconds; nothing is begun later */

	struct known known[MEMBERS_KNOWN_MAX];
	size_t known_count; /* grows; the place of the next one is its remainder */

	/* The latest pass. */
	struct {
		pid_t pid;
		uint64_t identity;
	} unproved[MEMBERS_UNPROVED_MAX]; /* of which it could not be told */
	size_t unproved_count;
	size_t unseen;      /* strangers and newcomers, at least, for which there was no time */
	int error;          /* 0, or negative errno: a process could not be looked at */
	size_t next;        /* of the list */
	pid_t latest;       /* number after the list; then come those given out meanwhile */
	unsigned newcomers; /* looked at */
	int progress;       /* with the one that is looked at */
	uint64_t since;     /* when that began */
	uint64_t lost_usec; /* with those that were not proved */
	bool visited, done;
};

/* A process that is known to belong to the session needs no examination. */
void members_know(struct members *members, pid_t pid, uint64_t identity);
/* NULL: nothing is known. */
struct known *members_find(struct members *members, pid_t pid, uint64_t identity);

/* Called in a child, which may be killed at any time: whatever they write that is to last lies in
 * shared memory. */
struct member_visitor {
	void *context;
	bool only_known; /* those that are proved already, and no others */
	/* As in struct examination. */
	bool (*notifies)(void *context, pid_t tid);
	/* A look that disturbs nothing: is it worth proving? Called for processes under any filter.
	 * NULL: all are. */
	bool (*wants)(void *context, const struct member *member);
	/* Called for each that is proved, and for each that cannot be. It runs, or is about to;
	 * member is closed afterwards. Is not called again for one with which it was held up. */
	void (*visit)(void *context, const struct member *member, enum membership membership);
	/* True if nobody is left. */
	bool (*is_over)(void *context);
	bool some; /* if anybody was visited, those that start meanwhile do not matter */
};

/* One pass over all processes: those known to be the session's, then their descendants, then the
 * user's, then all others, then who has started meanwhile. If it returns 0 and none is unseen, each
 * process that lives was visited, or descends from one that was.
 *
 * 0; -ETIME: at the deadline some were left that are no strangers; another negative errno: some
 * process could not be looked at. Waits for no process: who holds it up counts as unknown after
 * EXAMINATION_STEP_USEC. */
int members_for_each(struct members *members, const struct member_visitor *visitor);
