/* SPDX-License-Identifier: MIT */
/* What programs were seen to need, and the package document that gives it. */
#pragma once

#include "include/diagnostics.h"
#include "include/limits.h"
#include "include/policy.h"

#define NEED_COMMANDS_MAX 3  /* that are named; further ones are not */
#define NEED_COMMAND_SIZE 16 /* as the kernel has it */

/* One queue. */
struct need {
	char name[QUEUE_NAME_MAX + 1]; /* as the kernel has it, of any bytes */
	uint32_t permissions;
	uint64_t calls;
	uint64_t first;    /* seconds of CLOCK_REALTIME */
	uint32_t pid, uid; /* of who was first; as struct subject has it */
	bool by_pid;       /* the number of each process that used it was in its name */
	char commands[NEED_COMMANDS_MAX][NEED_COMMAND_SIZE];
	size_t command_count;
};

struct needs {
	struct need *items; /* sorted by name */
	size_t count;       /* at most LEARNED_MAX */
	size_t bytes;       /* that they take in a document, about; at most LEARNED_BYTES_MAX */
	size_t left_out;    /* calls on further ones */
	uint32_t *pids;     /* of all who called, as of subjects; at most LEARNED_MAX */
	size_t pid_count;
};
void needs_clear(struct needs *needs);

/* Notes a call. 1: it is a new queue, or needs a new permission; 0; -ENOMEM; -E2BIG. */
int needs_add(struct needs *needs, const char *name, uint32_t permissions,
	const struct subject *subject, const char *command);

/* Whether one of that number called. */
bool needs_know_pid(const struct needs *needs, uint64_t pid);

/* So many more calls on a queue that is in it, the first of them then. 0. */
int needs_count(struct needs *needs, const char *name, uint64_t calls, uint64_t first);

/* The document of a file that gives this to a plug: exactly these names and permissions, each with
 * a comment. text is what the file has now; NULL: nothing. All of that stays, and what it gives is
 * not given again. plug is a name; NULL: that of the file, or the only one in it. what is named in
 * the first line of a new one. 0; -EBADMSG with an error in diagnostics; or -ENOMEM. ret_plug: the
 * name of the plug; both are the caller's to free. */
int learn_document(const char *file, const char *text, const char *plug, const struct needs *needs,
	const char *what, struct diagnostics *diagnostics, char **ret_text, char **ret_plug);

/* A package of its own with slots that give this to a plug ("package:plug") with that id, and the
 * commands that connect them. 0 or -ENOMEM. */
int learn_slots(const char *plug, const char *id, const struct needs *needs, char **ret_text);
