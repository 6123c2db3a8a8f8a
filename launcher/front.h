/* SPDX-License-Identifier: MIT */
/* The front of a run without a daemon: what the parent of mq-run sees of the command. */
#pragma once

#include <sys/types.h>

#include "include/util.h"

/* Passes on what this process is sent, stops when the command stops, and ends as it ends. socket:
 * to mqgate-alone. All signals are blocked. Keeps nothing open but standard error. */
_noreturn_ void front_run(int socket, pid_t supervisor);
