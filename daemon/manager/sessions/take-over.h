/* SPDX-License-Identifier: MIT */
/* Sessions of an earlier manager, as they come back from the service manager. */
#pragma once

#include "daemon/manager/core/manager.h"

/* A descriptor that came back. Takes fd. 0 or -ENOMEM. */
int store_take(struct manager *manager, int fd, const char *name);
/* Rebuilds all sessions that came back, and waits until what they have lost meanwhile is taken back
 * from them. What cannot be taken over is closed for good, and said. 0 or negative errno: fatal. */
int store_take_over(struct manager *manager);
void store_free(struct manager *manager);
