/* SPDX-License-Identifier: MIT */
/* Capabilities of the launcher. */
#pragma once

#include <stdbool.h>

/* Whether this process has it in effect. */
bool capability_has(int capability);

/* Gives it up for good: out of every set and out of the bounding set, so that no exec as uid 0
 * brings it back. Needs CAP_SETPCAP. Returns 0, or a negative errno; then this process must not go
 * on. */
int capability_give_up(int capability);
