/* SPDX-License-Identifier: MIT */
/* Sockets in the file system. */
#pragma once

#include <stdint.h>
#include <sys/un.h>

/* What a path to one has at most, its NUL included. */
#define SOCKET_PATH_SIZE sizeof(((struct sockaddr_un *)0)->sun_path)

/* 0, or -ENAMETOOLONG. */
int socket_address(const char *path, struct sockaddr_un *ret);

/* Connects; waits for so long at most while others stand in line to be accepted, 0: for as long as
 * it takes, unless the type has SOCK_NONBLOCK. A close-on-exec descriptor; -ENAMETOOLONG; -EAGAIN:
 * it was not accepted; or another negative errno. */
int socket_connect(const char *path, int type, uint64_t wait_usec);
