/* SPDX-License-Identifier: MIT */
/* The socket on which container runtimes hand over listeners. */
#pragma once

#include "core/manager.h"

int container_accept(sd_event_source *source, int fd, uint32_t events, void *userdata);
void containers_free(struct manager *manager);
