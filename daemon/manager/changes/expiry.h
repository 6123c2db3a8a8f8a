/* SPDX-License-Identifier: MIT */
/* Connections that come and go without a command. */
#pragma once

#include "daemon/manager/core/manager.h"

/* When a connection of so many seconds ends, if it begins now. */
uint64_t end_of_span(uint64_t seconds);
/* The connections as they follow from other packages. 0 or -ENOMEM. */
int settle_connections(const struct manager *manager, struct packages *packages,
	struct diagnostics *diagnostics, struct connections **ret);
/* After loading: cuts what has run out meanwhile, connects automatically, writes the state if that
 * changed it, and arms the timer. Logs. */
int connections_start(struct manager *manager);
