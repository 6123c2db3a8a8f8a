/* SPDX-License-Identifier: MIT */
/* Connections to mqgated that a command would inherit. */
#pragma once

/* Closes every inherited connection to a socket in this runtime directory: the command is to have
 * none that somebody else has made. 0, or negative errno with a message (see refuse.h). */
int connections_close(const char *runtime_dir, char **ret_message);
