/* SPDX-License-Identifier: MIT */
/* What of a session outlives the manager, besides its listener and its in-flight memfd: a sealed
 * memfd that the service manager keeps. */
#pragma once

#include <stdint.h>

#include "bound.h"
#include "peer.h"

/* Version 2, 0.1.0's, has no launch_version. */
#define FACTS_VERSION        3
#define FACTS_VERSION_OLDEST 2

/* The memfd's name; by it the manager tells what it gets back. */
#define FACTS_MEMFD "mqgate-facts"

struct facts {
	uint32_t number; /* of the session, as the service manager names it */
	enum mediation mediation;
	uint32_t launch_version;
	struct identity launcher; /* read back: pidfd is -EBADF unless that very process lives */
	uint64_t constant;
	uint64_t capabilities; /* that its processes can ever have */
	struct bound bound;    /* read back: what was named itself, for bound_again() */
};

void facts_clear(struct facts *facts);

/* A sealed memfd. 0 or negative errno. */
int facts_write(const struct facts *facts, int *ret_fd);

/* 0; -EBADMSG for anything that no facts_write() would have written, -EPROTONOSUPPORT for another
 * version, or another negative errno. */
int facts_read(int fd, struct facts *ret);
