/* SPDX-License-Identifier: MIT */
/* The courier: a child of the manager that stands between it and one launcher. */
#pragma once

#include <stdbool.h>

struct manager;

/* Whether descriptors can be sent to this socket at all, and to what is accepted from it. 0, or
 * -ENOPROTOOPT before Linux 6.16: then always. */
int descriptors_allow(int socket, bool allow);

/* Gives the launcher's socket to a new courier; *socket is then the manager's end. The courier ends
 * when either end is closed. 0, or a negative errno with *socket untouched. */
int courier_start(struct manager *manager, int *socket);

/* In a child: closes every descriptor but the standard ones and these two. */
void close_all_but(int first, int second);

/* At the end of the manager. */
void couriers_free(struct manager *manager);
