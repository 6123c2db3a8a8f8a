/* SPDX-License-Identifier: MIT */
/* What of a session outlives the manager, besides its listener and its in-flight memfd: a sealed
 * memfd that the service manager keeps. */
#pragma once

#include <stdint.h>

#include "include/bindings.h"
#include "daemon/manager/peers/peer.h"

/* Version 2, 0.1.0's, has neither launch_version nor an instance nor a container. */
#define SNAPSHOT_VERSION        3
#define SNAPSHOT_VERSION_OLDEST 2

/* The memfd's name; by it the manager tells what it gets back. */
#define SNAPSHOT_MEMFD "mqgate-facts"

struct snapshot {
	uint32_t number; /* of the session, as the service manager names it */
	enum mediation mediation;
	uint32_t launch_version;
	struct identity launcher; /* read back: pidfd is -EBADF unless that very process lives */
	uint64_t filter_id;
	uint64_t capabilities;    /* that its processes can ever have */
	char *container;          /* its label; NULL: it is a launcher's */
	bool refused;             /* that is not served */
	struct bindings bindings; /* read back: what was named itself, for bindings_again() */
};

void snapshot_clear(struct snapshot *snapshot);

/* A sealed memfd. 0 or negative errno. */
int snapshot_write(const struct snapshot *snapshot, int *ret_fd);

/* 0; -EBADMSG for anything that no snapshot_write() would have written, -EPROTONOSUPPORT for
 * another version, or another negative errno. */
int snapshot_read(int fd, struct snapshot *ret);
