/* SPDX-License-Identifier: MIT */
/* Replies that wait until a change is in force. */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager/changes/change.h"
#include "daemon/manager/sessions/holders.h"

enum reply_kind {
	REPLY_CONNECTED,
	REPLY_DISCONNECTED,
	REPLY_RELOADED,
	REPLY_APPLIED,
};

struct reply {
	enum reply_kind kind;
	sd_bus_message *call;
	uint64_t began; /* CLOCK_MONOTONIC */
	/* REPLY_DISCONNECTED */
	size_t cut; /* connections */
	struct holders_query *query;
	/* REPLY_APPLIED */
	struct connections *before, *after;
};

/* NULL on lack of memory. */
struct reply *reply_new(enum reply_kind kind, sd_bus_message *call);
struct reply *reply_free(struct reply *reply);
DEFINE_CLEANUP(struct reply *, reply_free);

/* How sending a reply went. Whoever asked may have gone away. Who cannot be answered is not left
 * waiting: the library finds the end of the connection, and frees the peer. */
void reply_report(sd_bus_message *call, int r);

/* For change_new(): replies and frees. No reply: change_new() fails with -ENOMEM. */
struct change_asker reply_asker(struct reply *reply);
