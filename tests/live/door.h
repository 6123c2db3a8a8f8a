/* SPDX-License-Identifier: MIT */
/* A session without a manager: a real filter in a forked app, a real session process, and the test
 * in the manager's place. */
#pragma once

#include <criterion/criterion.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/grants.h"
#include "include/protocol.h"
#include "include/syscalls.h"

/* 10, times patience(). */
#define DOOR_DEADLINE_SECONDS door_deadline_seconds()
int door_deadline_seconds(void);

/* In the app's filter, if it is to be another than the session process is told. */
extern uint64_t door_other_filter_id;

/* What session processes are told of the filter: that it tells of shared descriptor tables. */
extern bool door_tells_tables;

/* That the next one is told by: the manager does not know the processes that are noted. */
extern bool door_processes_unknown;

/* Shared between the test and the app. */
struct stage {
	int go[2];      /* pipes: test → app */
	int ready[2];   /* app → test */
	char queue[64]; /* a name of this test's own, with slash */
	char other[64]; /* a second one */
	long results[64];
};

struct door {
	struct stage *stage;
	struct grants *grants; /* being built; sent by send_grants() */
	enum mediation mediation;
	uint64_t filter_id; /* of this test: others run at the same time */
	pid_t session, app;
	int channel, listener, inflight;
	uint64_t generation;
	/* What came before the latest acknowledgements. */
	unsigned record_count, process_count;
	struct session_message last_record;
};

/* Skips the running test if we are not root; fails it if MUST_WORK=1. */
void need_root(void);

/* Starts the session process and the app: before() runs unconfined (may be NULL), then app() behind
 * the filter, as uid and gid. */
void door_open(
	struct door *door, uid_t uid, void (*before)(struct stage *), void (*app)(struct stage *));

/* The same in a session of this mediation. */
void door_open_as(struct door *door, enum mediation mediation, uid_t uid,
	void (*before)(struct stage *), void (*app)(struct stage *));

/* Kills what is left, removes the queue. The app must have ended well. */
void door_close(struct door *door);

/* The same; the app must have been killed. */
void door_close_killed(struct door *door);

/* The two parts of that. */
void door_expect_killed(struct door *door);
void door_sweep(struct door *door);

/* What the session has from now on: these permissions on the stage's queue; waits for the
 * acknowledgement. */
void door_grant(struct door *door, uint32_t permissions);

/* The same, with permissions for the other queue too. */
void door_grant_both(struct door *door, uint32_t permissions, uint32_t permissions_on_other);

/* The same with these rules; if one has a giver, that is called as the rule. */
void door_grant_rules(struct door *door, const struct grant *rules, size_t count);

/* The app is about to wait: it gets these permissions and goes on; waits for its next report. */
void door_begin(struct door *door, uint32_t permissions, uint32_t permissions_on_other);

/* Descriptors of the session process with this in their links. */
unsigned door_count_links(const struct door *door, const char *text);

/* What the session process notes for the next one. */
struct inflight *door_notes(const struct door *door);

/* Until the session process has died by itself. */
void door_wait_for_death(const struct door *door);

/* Kills the session process and starts another on the same listener. */
void door_replace(struct door *door);

/* The same with one that dies before it acknowledges its grants. */
void door_replace_in_vain(struct door *door);

/* The manager's question who holds what was taken, of every queue; the answer to it. */
void door_ask(struct door *door, uint64_t number, uint64_t wait_usec, bool kill);
struct session_message door_answer(struct door *door);

/* The app's side: reports; reports and waits to be told to go on. The test's side: waits for the
 * report; says go. */
void app_tell(struct stage *stage);
void app_pause(struct stage *stage);
void door_wait(struct door *door);
void door_go(struct door *door);

/* The next record, within the deadline. */
struct session_message door_record(struct door *door);
/* What the session process says next; a pidfd that comes along is closed. As message_receive(). */
int door_receive(int channel, struct session_message *ret);

/* value, or -errno if value is negative. */
long result_of(long value);
