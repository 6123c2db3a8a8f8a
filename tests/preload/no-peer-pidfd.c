/* SPDX-License-Identifier: MIT */
/* Preloaded into mqgated: the kernel names no process at the other end of a socket, as before 6.5.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "include/compat.h"

__attribute__((visibility("default"))) int getsockopt(
	int socket, int level, int option, void *value, socklen_t *size)
{
	if (level == SOL_SOCKET && option == SO_PEERPIDFD) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return (int)syscall(SYS_getsockopt, socket, level, option, value, size);
}
