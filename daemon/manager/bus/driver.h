/* SPDX-License-Identifier: MIT */
/* What clients that expect a bus daemon ask of it. */
#pragma once

#include <systemd/sd-bus.h>

#define DRIVER_PATH "/org/freedesktop/DBus"

/* 0 or negative errno. */
int bus_serve_driver(sd_bus *bus);
