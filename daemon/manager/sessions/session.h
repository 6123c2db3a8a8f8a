/* SPDX-License-Identifier: MIT */
/* Sessions: from the handover of the listener until the last process is gone. */
#pragma once

#include "include/container.h"
#include "snapshot.h"
#include "state.h"

/* As its launcher said, and the kernel of it. */
struct session_origin {
	struct identity launcher; /* the pidfd is duplicated */
	uint64_t filter_id, capabilities;
	enum mediation mediation;
	uint32_t launch_version;
	const struct container_message *container; /* NULL: it is a launcher's */
	struct session_starter starter;            /* called only if session_new() succeeds */
};

/* Before anything else here: the first session process, in reserve. 0 or negative errno. */
int sessions_start(struct manager *manager);
void sessions_free(struct manager *manager);

/* A session, and a session process on its way. bindings and listener are empty or -EBADF afterwards
 * if they were taken over; on failure too. 0 or negative errno. */
int session_new(struct manager *manager, const struct session_origin *origin,
	struct bindings *bindings, int *listener, struct session **ret);
/* A container's that must not begin: it stays, and its session process denies every call. */
void session_refuse(struct session *session);
/* A session of an earlier manager, with what it has by the policy as it is now. Nobody answers yet;
 * manager->unsettled_count counts it until what it has lost meanwhile is taken back. What was taken
 * over of snapshot, listener and inflight is empty or -EBADF afterwards; on failure too. 0 or
 * negative errno. */
int session_take_over(
	struct manager *manager, struct snapshot *snapshot, int *listener, int *inflight);
/* Its last process is gone, or its launcher is. Frees it as soon as its session process is
 * reaped. */
void session_end(struct session *session);
struct session *session_free(struct session *session);

size_t sessions_of_user(const struct manager *manager, uid_t uid);
/* Whether there may be no further session of a user, not of root, who has so many of them. Whatever
 * users do among them, there is room for root. */
bool sessions_are_full(size_t count, size_t of_root, size_t of_user);

/* When a session process that has died may be replaced: now, or later if they die too fast.
 * restart_time is the caller's memory, 0 at first. */
uint64_t restart_at(uint64_t *restart_time, uint64_t now);

/* True if a request has been in hand for too long: seen at two looks, and old. */
bool in_hand_too_long(uint64_t since, uint64_t seen, uint64_t now);
