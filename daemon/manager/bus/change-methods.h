/* SPDX-License-Identifier: MIT */
/* The methods of the control bus that change something. */
#pragma once

#include "connection.h"
#include "include/policy.h"

/* 1 if it may change something, but for being confined, 0 if not, or negative errno. */
int bus_is_administrator(const struct peer *peer);

/* Each of them; who asks is found out before. */
int bus_method_change(sd_bus_message *message, void *userdata, sd_bus_error *error);

/* The answer to one that is confined, or (negative errno) of which that cannot be told. */
int bus_refuse_confined(int confined, sd_bus_error *error);

/* What the policy has found wrong: r of its functions. */
int bus_set_fault(sd_bus_error *error, int r, const struct fault *fault);
