/* SPDX-License-Identifier: MIT */
/* One session: its listener, its grants, and what is known of its processes. */
#pragma once

#include <stdint.h>

#include "blocked.h"
#include "on-behalf.h"
#include "refusals.h"
#include "daemon/session/revoke/bring-back.h"
#include "daemon/session/revoke/holders.h"
#include "daemon/session/target/contained.h"
#include "daemon/session/target/cache.h"
#include "daemon/session/target/held.h"
#include "daemon/session/target/inflight.h"
#include "daemon/session/target/opened.h"
#include "daemon/session/target/urgency.h"
#include "include/grants.h"
#include "include/protocol.h"
#include "include/syscalls.h"

/* What was denied last, and to which thread. */
struct repeated {
	uint64_t since; /* when its call was taken up; CLOCK_MONOTONIC in microseconds */
	pid_t tid;
	struct denial denial;
};

/* What may be recorded, and what was held back. */
struct recorder {
	uint32_t rate;        /* a second; RECORD_BURST at once */
	bool allowed;         /* also allowed opens and deletes */
	uint64_t tokens_usec; /* time saved up; a record costs 1 s / rate */
	uint64_t last_usec;
	uint64_t suppressed;
	struct session_message held; /* the latest of the suppressed ones */
};

/* What of the kernel's refusals was told. */
struct told_refusal {
	enum mq_call call;
	int error; /* 0: none */
	char name[QUEUE_NAME_MAX + 1];
};

struct told {
	struct told_refusal items[REFUSALS_TOLD_MAX];
	size_t next;
};

struct call;

/* A session process: what it serves, and with what. */
struct supervisor {
	int channel;  /* to the manager */
	int listener; /* -EBADF before attach */
	struct inflight *inflight;
	struct grants *grants; /* NULL before the first message of them: nothing is answered */
	uint16_t counted[GRANTS_GIVERS_MAX + 1]; /* where each giver of them is counted */
	struct own_identity own;
	enum mediation mediation;
	struct contained contained; /* what is a container's, without a wall */
	uint64_t ends_again;        /* when the processes of a broken one are killed once more */
	bool tells_tables; /* the filter tells when a process is to share its descriptor table */
	struct callers callers;
	struct urgency urgency;
	struct opened opened;
	struct held held;
	struct host_files host_files;
	struct recorder recorder;
	struct repeated repeated;
	struct told told;
	struct waiters waiters;
	struct refusals refusals;
	struct holder_search holders;
	struct revoker revoker;
	/* Is told of each call once it has its answer; NULL: nobody is. */
	void (*observe)(void *observer, const struct call *call);
	void *observer;
	uint64_t owed; /* generation that is acknowledged when those who were killed have stopped */
};

/* Whether a record would be sent now; notes a record, sends it or holds it back; sends what was
 * held back once there is room. The recorder's time until then in milliseconds, -1 if nothing is
 * held back. */
bool recorder_has_room(struct recorder *recorder);
void recorder_note(struct recorder *recorder, int channel, const struct session_message *record);
/* One more like the last one that was held back. */
void recorder_repeat(struct recorder *recorder);
void recorder_flush(struct recorder *recorder, int channel);
int recorder_timeout(const struct recorder *recorder);

/* Records a process that is about to be killed. context: the supervisor. */
void record_killing(void *context, pid_t tid);
