/* SPDX-License-Identifier: MIT */
/* A run without a daemon, seen from mq-run. */
#pragma once

#include "options.h"

/* Splits this process in three. The one that was started stays to be what its parent waits for
 * (front.h) and never returns; its child becomes mqgate-alone; and the child of that, in which this
 * returns, is to become the command: as if it had been started itself, but for its number.
 * ret_socket: to mqgate-alone, which is on it what mqgated is on the launcher socket. 0, or a
 * negative errno with a message (see refuse.h); then there is only one process. */
int alone_begin(const struct options *options, int *ret_socket, char **ret_message);
