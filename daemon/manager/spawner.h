/* SPDX-License-Identifier: MIT */
/* The spawner: the parent of the session processes. It has the privileges that they need, and does
 * nothing but to start, kill and reap them; so the manager, which talks to everybody, can do
 * without these privileges, and may be shut in further than the parent of session processes may be
 * (see mqgate-sessions@.service).
 *
 * It serves one manager, over one socket, on which each message asks for a session process. It
 * ends, and all of them with it, when that socket is closed. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define SPAWNER_REQUEST 0x6d71737077ULL

/* Comes with two descriptors: what the session process finds as WORKER_FD, and a lifeline, a socket
 * of its own (SOCK_SEQPACKET). When the other end of the lifeline is shut down for writing or
 * closed, the session process is killed. */
struct spawner_request {
	uint64_t magic;
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

/* Asks for a session process; the descriptors are still ours. Waits a while for a spawner that has
 * much to do. 0, or negative errno: there will be none. */
int spawner_ask(int spawner, int socket, int lifeline);

/* A spawner that waits for us at this path. Logs. 0 or negative errno. */
int spawner_connect(const char *path, int *ret_socket);

/* Waits, not for ever, until it has ended, and all session processes with it. pid: 0 if it is not
 * our child. Takes socket. */
void spawner_dismiss(int socket, pid_t pid);
