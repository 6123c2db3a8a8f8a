/* SPDX-License-Identifier: MIT */
/* The call in hand. */
#pragma once

#include "include/verdict.h"
#include "daemon/session/target/notify.h"
#include "on-behalf.h"
#include "supervisor.h"
#include "daemon/session/target/credentials.h"

/* Everything about the call in hand. Made by serve.c, passed down, and cleared at its end. */
struct call {
	const struct seccomp_notif *notification;
	struct target target;
	struct credentials identity;
	enum reason contained; /* REASON_GRANTED, or what is wrong with its container */
	bool identity_known;
	bool table_full;               /* the app has no room for another descriptor */
	bool no_room;                  /* therefore it was refused */
	bool host_full;                /* it was refused: HOST_QUEUES_MAX */
	struct target_limits limits;   /* its own, if they were looked at */
	bool created;                  /* the queue is this call's own */
	int queue;                     /* opened for the app, to be injected */
	struct queue_key key;          /* of the descriptor that was looked at */
	struct granted granted;        /* on the queue, by its grants */
	struct subject subject;        /* to whom, if it matters */
	uint32_t entry;                /* among the queues, if its descriptor was looked at */
	bool too_wide;                 /* it does more than the session may, or perhaps does */
	uint64_t threads;              /* of the caller's process; 0: not known */
	bool alone;                    /* nobody can exchange the caller's descriptors */
	const struct queue_file *held; /* what its descriptor is; NULL: not held here */
	uint32_t place;                /* of the process that is about to register (processes.h) */
	bool waits;                    /* no answer yet: it is among the waiters */
	bool again;                    /* it has waited, and was counted then */
	bool refused;                  /* by the kernel, or as it would */
	uint32_t counted; /* among those who give something; 0: not known whose it is */
	struct verdict verdict;
	struct answer answer;
	struct request request; /* last, as in it its name */
};

void call_clear(struct call *call);

/* Opens what all looks at the caller go through, unless it is open. 0 or negative errno. */
int call_know_target(struct call *call);

/* Reads the caller's identity, once. 0 or negative errno. */
int call_know_identity(struct supervisor *supervisor, struct call *call);

/* The same of a thread that calls by name: the first look at it. */
int call_know_caller(struct supervisor *supervisor, struct call *call);

/* As far as names depend on the caller, whose identity is known. */
struct subject call_subject(const struct supervisor *supervisor, const struct call *call);

/* Whether the queue is in our IPC namespace and the caller, whose identity is known, is not. */
bool call_is_abroad(const struct call *call);

/* As whom the call is carried out; its descriptor and groups are those of call->identity. */
struct credentials call_actor(const struct call *call);

/* Where this call counts: by whom its queue was given, or else the only one who could have. */
struct counters *call_counters(const struct supervisor *supervisor, const struct call *call);

/* What has to stay granted while it waits. */
struct wanted call_wants(const struct supervisor *supervisor, const struct call *call);

/* Looks whether the caller is alone. 0 or negative errno. */
int call_know_company(struct supervisor *supervisor, struct call *call);

/* What the caller is looked at through, for a call that is to wait. 0 or negative errno. */
int call_open_target(
	const struct supervisor *supervisor, const struct call *call, struct target *ret);

/* True while the caller waits for its answer: until then what was read was the caller's. */
bool call_is_valid(const struct supervisor *supervisor, const struct call *call);

static inline struct answer answer_error(int error)
{
	return (struct answer){.kind = ANSWER_ERROR, .error = error};
}

/* What the kernel says, or would say, to a call that was allowed. What could not be done as the
 * caller at all nobody has refused. */
static inline struct answer refused_by_kernel(struct call *call, int error)
{
	if (error == ACT_IMPOSSIBLE) {
		call->verdict = VERDICT_DENY;
		call->verdict.reason = REASON_FAILED;
		return answer_error(EACCES);
	}
	call->refused = error != EAGAIN && error != ETIMEDOUT && error != EINTR;
	return answer_error(error);
}
