/* SPDX-License-Identifier: MIT */
/* Learning: what the command needs, and the file that is to give it. */
#pragma once

#include "daemon/session/call/supervisor.h"
#include "include/learn.h"

struct learner {
	const char *file, *plug, *what; /* as for learn_document(); file NULL: nothing is learned */
	const char *name;               /* of the file, in its directory */
	int directory;
	struct needs needs;
	char *original; /* what the file has besides what was learned in this run; NULL: nothing */
	bool added;     /* something was written into it */
	char *written;  /* what was written last */
	char *ref;      /* of the plug, in that */
	bool news;      /* something was learned since */
	uint64_t due;   /* when that is to be written, microseconds of CLOCK_MONOTONIC */
};

/* Opens the directory, and says whether the file can be written and added to. 0, -EBADMSG with an
 * error in diagnostics, or -ENOMEM. */
int learner_begin(struct learner *learner, struct diagnostics *diagnostics);

/* Everything, sealed. */
int learner_grants(struct grants **ret);

void learner_note(
	struct learner *learner, const struct supervisor *supervisor, const struct call *call);

/* Writes what is due, and how long that is from now, in milliseconds; -1: nothing is. */
int learner_write(struct learner *learner, bool at_the_end, struct diagnostics *diagnostics);
int learner_timeout(const struct learner *learner);
