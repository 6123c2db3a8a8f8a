/* SPDX-License-Identifier: MIT */
/* What is counted of the manager's own work, and of sessions that have ended. The service manager
 * keeps the memory, so that it goes on with the next mqgated. */
#pragma once

#include "include/counters.h"
#include "include/inflight.h"

struct manager;

#define TOTALS_NAME "totals" /* no session's: theirs are hexadecimal */

enum change_kind {
	CHANGE_CONNECT,
	CHANGE_DISCONNECT,
	CHANGE_APPLY,
	CHANGE_RELOAD,
	CHANGE_KINDS,
};
const char *change_kind_to_string(enum change_kind kind);

struct totals {
	uint32_t version;
	uint32_t ended_count;
	uint64_t since; /* CLOCK_REALTIME, seconds */
	uint64_t launches, launches_refused;
	uint64_t processes_replaced; /* session processes that died */
	uint64_t records_suppressed; /* that sessions held back */
	uint64_t records_dropped;    /* that a reader of the control bus was not sent */
	/* From the call until the change is in force, or is not in time. */
	struct durations changes[CHANGE_KINDS];
	/* By plug or slot, of sessions that are over; further ones than TOTALS_REFS_MAX are counted
	 * together with those that cannot be told, in the first. */
	struct counted ended[TOTALS_REFS_MAX];
};

/* What an earlier manager has left; takes the descriptor. Logs if it is not used. */
void totals_take(struct manager *manager, int fd);
/* manager->totals from now on; new ones if there are none. 0 or negative errno. */
int totals_start(struct manager *manager);
void totals_free(struct manager *manager);

void totals_count_change(struct totals *totals, enum change_kind kind, uint64_t usec);
/* Of a session that is over. */
void totals_add_session(struct totals *totals, const struct inflight_head *head);
