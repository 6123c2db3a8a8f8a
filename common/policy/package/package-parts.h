/* SPDX-License-Identifier: MIT */
/* What a package consists of. */
#pragma once

#include "include/policy.h"

/* Free what a plug, slot or app owns. */
void plug_clear(struct plug *plug);
void slot_clear(struct slot *slot);
void app_clear(struct app *app);

/* Plugs, slots or apps. */
void sort_by_name(void *items, size_t count, size_t size);
