/* SPDX-License-Identifier: MIT */
/* Carrying out the calls that take a descriptor. */
#pragma once

#include "call.h"

/* The answer to be given, unless call->waits. */
struct answer act_on_data(struct supervisor *supervisor, struct call *call);
struct answer act_on_notify(struct supervisor *supervisor, struct call *call);

/* Of all processes that are noted and live, before the first grants are acknowledged: the manager
 * can kill them from then on. 0; -ETIMEDOUT: it does not listen; or another negative errno. */
int tell_manager_of_all(struct supervisor *supervisor);

/* True for mq_notify, but for removing a registration. */
bool request_registers(const struct request *request);

/* Gives an mq_notify back by reply(), and sees it to its end. 0; or a negative errno: it was not
 * given back. */
int give_back_watched(struct supervisor *supervisor, struct call *call,
	int (*reply)(struct supervisor *supervisor, const struct call *call));
