/* SPDX-License-Identifier: MIT */
/* Carrying out the calls that take a name. */
#pragma once

#include "call.h"

/* The answer to be given, unless call->waits. */
struct answer act_on_open(struct supervisor *supervisor, struct call *call);
struct answer act_on_unlink(struct supervisor *supervisor, struct call *call);
