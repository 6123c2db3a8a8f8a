/* SPDX-License-Identifier: MIT */
/* A record as people and programs get it. All text is escaped. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/grants.h"
#include "include/limits.h"
#include "include/util.h"

#define RECORD_QUEUE_MAX (4 * QUEUE_NAME_MAX + 2) /* with the slash */

struct record {
	uint64_t time; /* CLOCK_REALTIME, microseconds */
	bool allowed;
	bool killed;                          /* not a call denied, but a process killed */
	bool refused;                         /* allowed, and refused by the kernel */
	const char *call;                     /* "" if killed outside one */
	const char *reason;                   /* a phrase */
	char *why;                            /* the kernel's reason; NULL: it did not refuse */
	char queue[RECORD_QUEUE_MAX];         /* as the program says it; "" if not known */
	char means[RECORD_QUEUE_MAX];         /* the queue's own name; "" if it is the same */
	char missing[PERMISSIONS_STRING_MAX]; /* "" if nothing is */
	char *plug;                           /* the one concerned, or all of the session */
	char *suggestion;                     /* a command; NULL if nothing would help */
	const char *hopeless;                 /* why not; NULL: it helps, or that is not known */
	char command[4 * 16 + 1];
	char *container; /* its label; NULL: the session is none's */
	int error;       /* as answered, positive; 0: none */
	pid_t pid;
	uid_t uid;           /* real user of the thread */
	uid_t session_uid;   /* of the launcher */
	uint64_t suppressed; /* records held back before this one */
};

struct session;
struct session_message;

/* message is a SESSION_RECORD of this session's process. 0; -EBADMSG if no session process of ours
 * would have sent it; -ENOMEM. */
int record_from_message(
	const struct session *session, const struct session_message *message, struct record *ret);
void record_clear(struct record *record);

/* "denied", "allowed", "refused" or "killed". */
const char *record_verdict(const struct record *record);

/* One line for the log, malloc'd; NULL on lack of memory. */
char *record_format(const struct record *record);

/* What of a mask of missing permissions is worth telling: open comes with any other. Returns
 * buffer. */
char *missing_format(uint32_t missing, char buffer[static PERMISSIONS_STRING_MAX]);
