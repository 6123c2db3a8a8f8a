/* SPDX-License-Identifier: MIT */
/* Start and end of the manager. */
#pragma once

#include "core/manager.h"

/* Everything up to READY. Logs what went wrong. options must outlive the manager. */
int manager_new(const struct manager_options *options, struct manager **ret);
struct manager *manager_free(struct manager *manager);
DEFINE_CLEANUP(struct manager *, manager_free);
/* Until SIGTERM or SIGINT: 0; or negative errno. */
int manager_run(struct manager *manager);
