/* SPDX-License-Identifier: MIT */
/* What package.c and package-yaml.c share. */
#pragma once

#include "include/policy.h"

/* Free what a plug or slot owns. */
void plug_clear(struct plug *plug);
void slot_clear(struct slot *slot);
