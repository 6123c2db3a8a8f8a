/* SPDX-License-Identifier: MIT */
/* A change of the policy: prepared completely, made, and reported when every session concerned has
 * taken it over. */
#pragma once

#include "daemon/manager/core/manager.h"

struct session;

/* Who waits for the end of a change. One of the two is called, once, and takes userdata. */
struct change_asker {
	/* All sessions concerned have taken it over; or they have not, in time. */
	void (*done)(const struct change *change, bool in_time, void *userdata);
	void (*drop)(void *userdata);
	void *userdata; /* NULL: nobody waits */
};

struct change {
	struct change *previous, *next;
	struct manager *manager;
	struct change_asker asker;
	bool inevitable; /* made also if the state cannot be written; that is logged */
	sd_event_source *deadline_source;
	size_t pending; /* sessions that have not taken it over */
	struct diagnostics warnings;
};

enum refusal_kind {
	REFUSAL_FAILED,
	REFUSAL_STATE,     /* the state could not be written */
	REFUSAL_DOCUMENTS, /* have errors */
	REFUSAL_NAMES,     /* would clash */
};

/* Why nothing has changed. */
struct refusal {
	enum refusal_kind kind;
	char *text; /* NULL on lack of memory */
};
void refusal_clear(struct refusal *refusal);
/* For a change that was not even made. r, for which refusal has no text yet. Returns r. */
int refuse_change(struct refusal *refusal, int r);

/* Takes asker's userdata, on failure too; asker may be NULL. 0 or -ENOMEM. */
int change_new(struct manager *manager, const struct change_asker *asker, struct change **ret);
struct change *change_free(struct change *change);
DEFINE_CLEANUP(struct change *, change_free);

/* Whether change_apply() would refuse a policy for what is in it: see names_check(). */
int change_check(
	const struct manager *manager, const struct policy *policy, struct refusal *ret_refusal);

/* Makes the change: prepares every session's grants, then writes the state if connections changed,
 * then swaps and sends. Takes the references in policy if it succeeds, and the change in any case
 * (NULL afterwards); the asker is told when all sessions have taken it over, perhaps at once. On
 * failure nothing has changed, and why is in ret_refusal. */
int change_apply(struct change **change, struct policy *policy, struct refusal *ret_refusal);

/* At the next end of a timed connection the timer of expiry.c runs out; to be called whenever the
 * connections are others. */
int expiry_arm(struct manager *manager);

/* A session whose killed process has not stopped, for which the change waits; or NULL. */
const struct session *change_hindered_by(const struct change *change);
