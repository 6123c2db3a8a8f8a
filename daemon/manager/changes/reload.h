/* SPDX-License-Identifier: MIT */
/* Settings and packages: read, and read again. */
#pragma once

#include "change.h"

void settings_clear(struct settings *settings);
/* Logs nothing; what is wrong is in diagnostics. 0 or negative errno. */
int settings_load(const char *file, struct diagnostics *diagnostics, struct settings *ret);

/* Reads settings and packages again, all or nothing, and logs the result. asker as in change_new();
 * on failure it is free again, and why is in ret_refusal. */
int reload(struct manager *manager, const struct change_asker *asker, struct refusal *ret_refusal);
