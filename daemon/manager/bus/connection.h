/* SPDX-License-Identifier: MIT */
/* A peer of the control bus. */
#pragma once

#include <systemd/sd-bus.h>

#include "daemon/manager/core/list.h"
#include "daemon/manager/core/manager.h"
#include "daemon/manager/peers/account.h"
#include "daemon/manager/peers/peer.h"
#include "daemon/manager/sessions/examination.h"
#include "relay.h"

struct peer {
	struct peer *previous, *next;
	struct manager *manager;
	struct account *account;
	enum share share; /* SHARE_CONTROL, or SHARE_REFUSED */
	struct identity identity;
	struct examination *examination; /* it has no turn before that is over */
	sd_bus_message *change;          /* that it asks for meanwhile; NULL: it has just come */
	int confined; /* 1, or negative errno: it may be: all that it asks for is refused */
	struct relay relay;
	sd_bus *bus;
	sd_event_source *outside_source, *inside_source, *silence_source;
	size_t unread;    /* as its account has it */
	size_t owed;      /* that, when its silence was last looked at */
	size_t records;   /* of it records, which nobody has asked for: about so much */
	uint64_t dropped; /* records that it was not sent since the last that it was */
	bool sees_all;    /* it did when that was last looked at: */
	uint64_t looked;  /* CLOCK_MONOTONIC */
	bool ready;       /* there may be something to be done for it */
	bool gone;        /* nobody reads what it is sent */
};
