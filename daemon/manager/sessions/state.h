/* SPDX-License-Identifier: MIT */
/* What is known of a session, of its session process, and of what is on its way to them. */
#pragma once

#include "include/bindings.h"
#include "daemon/manager/core/list.h"
#include "daemon/manager/core/manager.h"
#include "daemon/manager/peers/peer.h"

struct change;
struct kept;
struct killing;
struct holders_request;
struct session_message;

/* Whoever started a session; one of them is called, once. */
struct session_starter {
	void (*ready)(void *userdata);
	/* Before it was ready; over: its last process is gone. */
	void (*ended)(bool over, void *userdata);
	/* The launcher is not under this session's filter alone; has to end the session. */
	void (*refused)(const struct examined *examined, void *userdata);
	void *userdata; /* NULL: nobody waits */
	/* Of a container; its path is "" if it is judged already. */
	const struct container_bundle *bundle;
};

/* Where a container comes from. */
struct container_bundle {
	int root; /* the runtime's root directory */
	uid_t user;
	gid_t group;
	char path[CONTAINER_BUNDLE_MAX + 1]; /* from there */
};

/* New grants on their way to a session. */
struct update {
	struct update *previous, *next; /* in session->updates, once sent */
	struct change *change;
	/* Taken over by its session: frees the update. */
	void (*in_force)(struct update *update);
	/* It cannot be in force before somebody has stopped: who waits for it is told. */
	void (*hindered)(struct update *update);
	uint64_t generation;
	int grants; /* sealed memfd, until sent */
	size_t size;
	struct bindings bindings; /* what the session has from now on; nothing if that stays */
	bool rebinds;
	bool revokes; /* something that the session had */
};

struct session {
	struct session *previous, *next;
	struct manager *manager;
	struct bindings bindings;
	struct identity launcher; /* for display only */
	uint64_t filter_id;
	char *container; /* its label: filter_id is the mark of its profile; NULL: a launcher's */
	bool refused;    /* it is not served: its session process denies every call */
	bool broken;     /* that has been told */
	uint64_t capabilities; /* that its processes can ever have */
	uint32_t number;       /* by which the service manager keeps it; 0: it does not */
	bool ended;            /* last process is gone; no longer in manager->sessions */
	bool unsettled; /* of an earlier manager, and what it has by now is not yet in force */
	enum mediation mediation; /* for as long as it runs */
	uint32_t launch_version;  /* of its launcher: the form of its filter. A launcher that lies
				     about it could as well help its app from outside */

	int listener;
	struct watch *listener_watch;
	int inflight;
	const struct inflight_head *head; /* of it, mapped */
	uint64_t in_hand_seen;

	struct session_process *process; /* NULL between two */
	uint64_t restart_time;
	sd_event_source *restart_source;

	/* processes.c */
	struct kept *kept; /* processes that may be inside a call */
	size_t kept_count;
	uint64_t kept_ever;
	bool unkept;            /* there was no room for one, or it was not told of it in order */
	bool processes_unknown; /* of an earlier manager, and nobody has told of them yet */
	sd_event_source *guard_source; /* while something is being taken back */
	unsigned failures;             /* session processes that died meanwhile */
	bool given_up;
	struct killing *killing;
	pid_t unstopped; /* it was killed and goes on: nothing is in force before it has stopped */

	struct update *prepared; /* while a change is being made */
	struct update *updates;  /* sent and not yet acknowledged */
	struct holders_request
		*holders_requests;      /* of holders_queries, not yet answered, whoever is asked */
	struct session_starter starter; /* waits for the first acknowledgement */
};

struct session_process {
	struct session_process *previous, *next;
	struct manager *manager;
	struct session *session; /* NULL: the spare */
	pid_t pid;               /* 0 until it is known; for display only */
	int socket;
	int lifeline; /* see spawner.h */
	struct watch *lifeline_watch, *socket_watch;
	sd_event_source *deadline_source;
	uint64_t generation_sent, generation_acknowledged;
	bool killed;
};

/* What the parts below tell of a session; session.c takes it. */
struct session_reports {
	/* -EBADMSG if no session process of ours would have sent it. */
	int (*message)(struct session *session, const struct session_message *message, int *fd);
	/* This generation and all before it are in force. */
	void (*in_force)(struct session *session, uint64_t generation);
	/* It is not, since this process, and perhaps others, was killed and is not seen to have
	 * stopped; pid may be 0. */
	void (*unstopped)(struct session *session, uint64_t generation, pid_t pid, uint32_t count);
	/* Its session process is reaped: nobody answers until there is another. */
	void (*process_gone)(struct session *session);
};

/* Its last process is gone, noticed or not. */
bool session_is_over(const struct session *session);
bool listener_is_over(int listener);
bool session_has_plug(const struct session *session, const char *plug);
