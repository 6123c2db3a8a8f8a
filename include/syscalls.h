/* SPDX-License-Identifier: MIT */
/* The one table of intercepted calls. The launcher builds the filter from it, the session finds the
 * decoder in it; so the two cannot disagree. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "include/request.h"

struct intercepted_call {
	uint32_t arch; /* AUDIT_ARCH_* */
	int nr;
	enum mq_call call;
};

/* True for a clone(2) that makes a process, and not a thread, which shares the caller's descriptor
 * table. The filter hands it to the listener, too: it decides nothing, but is to know. */
bool call_shares_table(uint32_t arch, int nr, uint64_t flags);

/* What a session's calls are decided on. */
enum mediation {
	MEDIATION_CALL, /* every call */
	MEDIATION_OPEN, /* opening, deleting and notifying; for the others the access mode of the
			   descriptor stands, which the kernel sees to */
	MEDIATION_COUNT,
};

/* "call", "open". */
const char *mediation_to_string(enum mediation mediation);

/* True if the session's filter hands this call to its listener. */
bool mediation_intercepts(enum mediation mediation, enum mq_call call);

/* The architecture that this program was built for, and the 32-bit one whose programs run on it
 * too. */
extern const uint32_t native_arch, compat_arch;

/* Row by row; NULL past the end. */
const struct intercepted_call *intercepted_call_at(size_t i);

/* The row of a notification; NULL if it is not one of ours. */
const struct intercepted_call *intercepted_call_find(uint32_t arch, int nr);

/* True for the numbers that, on a 32-bit architecture, take times of 64 bits. */
bool intercepted_call_has_long_time(int nr);
