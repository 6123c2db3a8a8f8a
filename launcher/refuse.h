/* SPDX-License-Identifier: MIT */
/* How the launcher's parts say why they refuse: an error number for the code, a message for the
 * person. */
#pragma once

#include "include/util.h"

/* Stores the formatted message (the caller frees it; NULL on lack of memory) and returns error, a
 * negative errno: "return refuse(ret_message, -EINVAL, …)". A message names the place, the fault
 * and the remedy and has neither prefix nor final newline. */
int refuse(char **ret_message, int error, const char *format, ...) _printf_(3, 4);

/* What a message ends with about a system call of ours that has failed: what to do about it, if a
 * filter that we did not make, or a limit, may be the reason; else "". */
const char *remedy_of(int error);

/* The text, if a systemd unit may be to blame; else "". */
const char *in_unit(const char *text);
