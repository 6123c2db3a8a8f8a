/* SPDX-License-Identifier: MIT */
/* The two listening sockets, and the lock on the state directory. */
#pragma once

#include "core/manager.h"

/* Both sockets listening, passed or made; what else was passed goes to store_take(). Logs. */
int sockets_open(struct manager *manager);
/* From now on whoever connects is served. Logs. */
int sockets_serve(struct manager *manager);
void sockets_close(struct manager *manager);
/* The state directory is ours alone until the descriptor is closed. Logs. */
int lock_state_dir(const char *directory, int *ret_fd);
