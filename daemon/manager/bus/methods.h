/* SPDX-License-Identifier: MIT */
/* What a peer may call. */
#pragma once

#include "connection.h"
#include "messages.h"

int bus_serve_methods(struct peer *peer);
struct bus_viewer bus_viewer_of(const struct peer *peer);
