/* SPDX-License-Identifier: MIT */
/* The launcher socket: from connect to the word. */
#pragma once

#include "core/manager.h"

int launch_accept(sd_event_source *source, int fd, uint32_t events, void *userdata);
void launches_free(struct manager *manager);
