/* SPDX-License-Identifier: MIT */
/* The spawner: the parent of the session processes. It has the privileges that they need, and does
 * nothing but to start, kill and reap them, and to
 * kill what the manager says; so the manager, which talks to everybody, can do
 * without these privileges, and may be shut in further than the parent of session processes may be
 * (see mqgate-sessions@.service).
 *
 * It serves one manager, over one socket, on which each message asks for a session process. It
 * ends, and all of them with it, when that socket is closed. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "include/protocol.h"

#define SPAWNER_START 0x6d71737077ULL
#define SPAWNER_KILL  0x6d71736b6cULL

/* Comes with two descriptors: a channel, and a lifeline, each a socket (SOCK_SEQPACKET). When the
 * other end of the lifeline is shut down for writing or closed, what was started is killed.
 *
 * SPAWNER_START: a session process, which finds the channel as SESSION_FD.
 * SPAWNER_KILL: a child that kills the processes of which pidfds come on the channel, and answers
 * there when they are seen to have stopped, or after KILL_DEADLINE_USEC. */
struct spawner_request {
	uint64_t magic;
};

/* On the channel of a killing: some processes, with as many pidfds. */
struct spawner_victims {
	uint32_t count; /* at most MESSAGE_FDS_MAX */
	uint32_t last;  /* 1: there are no more */
	int32_t pids[MESSAGE_FDS_MAX];
};

struct spawner_killed {
	uint32_t unstopped; /* not seen to have stopped */
	int32_t pid;        /* of one of them */
};

enum spawner_event_type {
	SPAWNER_STARTED = 1,
	SPAWNER_FAILED = 2,  /* status: errno, positive; nothing follows */
	SPAWNER_STOPPED = 3, /* by a signal */
	SPAWNER_GONE = 4,    /* and being reaped; nothing follows */
};

/* Comes on the lifeline. */
struct spawner_event {
	uint32_t type;
	int32_t pid;
	int32_t code;   /* as in siginfo_t */
	int32_t status; /* as in siginfo_t */
};

/* Serves the manager at the other end of socket, which it takes, until that is closed; then every
 * session process is dead and reaped. Gives up what capabilities are not of a spawner. Logs.
 * 0 or negative errno. */
int spawner_serve(int socket, const char *session_program);

/* The same in a child, which ends with this process whatever happens. Nothing of it is open there
 * but its standard descriptors. Logs. ret_socket is ours. 0 or negative errno. */
int spawner_fork(const char *session_program, pid_t *ret_pid, int *ret_socket);

/* Whether the peer of a socket that was accepted at a path is the owner of that path: to write
 * there is permitted to others, too, who have CAP_DAC_OVERRIDE, and a confined program may have it.
 * 0, -EPERM or another negative errno. */
int spawner_check_peer(int socket);

/* Asks for a session process, or a killing; the descriptors are still ours. Waits a while for a
 * spawner that has much to do. 0, or negative errno: there will be none. */
int spawner_ask(int spawner, uint64_t what, int channel, int lifeline);

/* The same with new sockets, of which the results are our ends, to be closed in any case. */
int spawner_begin(int spawner, uint64_t what, int *ret_channel, int *ret_lifeline);

/* A spawner that waits for us at this path. Logs. 0 or negative errno. */
int spawner_connect(const char *path, int *ret_socket);

/* Waits, not for ever, until it has ended, and all session processes with it. pid: 0 if it is not
 * our child. Takes socket. */
void spawner_dismiss(int socket, pid_t pid);
