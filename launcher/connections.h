/* SPDX-License-Identifier: MIT */
/* Connections to mqgated that a command would inherit. */
#pragma once

#include <sys/stat.h>

/* Closes fd if it is a connection to a socket in this directory. */
void connection_close_if_of(int fd, const struct stat *directory);
