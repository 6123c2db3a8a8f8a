/* SPDX-License-Identifier: MIT */
/* What stands between the manager and a container runtime. */
#pragma once

#include "include/container.h"

struct account;

/* What comes over *socket afterwards: one message, with the listener if there is one. */
struct container_report {
	struct container_message message;
	char fault[192]; /* what is wrong, for the log; "": nothing so far */
};

/* As fd_receiver_start(). */
int container_receiver_start(struct account *account, int *socket);
