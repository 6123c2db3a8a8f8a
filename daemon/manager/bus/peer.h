/* SPDX-License-Identifier: MIT */
/* The peers of the control bus, from accept() on. */
#pragma once

#include "daemon/manager/core/manager.h"

/* Before bus_accept(). 0 or negative errno. */
int bus_start(struct manager *manager);
int bus_accept(sd_event_source *source, int fd, uint32_t events, void *userdata);
void peers_free(struct manager *manager);
