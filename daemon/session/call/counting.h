/* SPDX-License-Identifier: MIT */
/* Counting calls, where the manager sees it (include/counters.h). */
#pragma once

#include "call.h"

/* Whoever gives something by the grants that are in force now has a place to be counted in; without
 * one, when COUNTED_MAX are in use, it is counted where nobody is named. */
void counting_begin(struct supervisor *supervisor);

/* A call that is about to be answered, or waits. */
void count_call(const struct supervisor *supervisor, const struct call *call);
