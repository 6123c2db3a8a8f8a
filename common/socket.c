/* SPDX-License-Identifier: MIT */
/* Sockets in the file system. */
#include "include/socket.h"

#include <sys/socket.h>

#include "include/util.h"

int socket_address(const char *path, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	(void)strcpy(ret->sun_path, path);
	return 0;
}

int socket_connect(const char *path, int type, uint64_t wait_usec)
{
	const struct timeval wait = {.tv_sec = (time_t)(wait_usec / 1000000),
		.tv_usec = (suseconds_t)(wait_usec % 1000000)};
	_cleanup_close_ int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	int r = socket_address(path, &address);

	if (r < 0)
		return r;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
		connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return take_fd(&fd);
}
