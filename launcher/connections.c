/* SPDX-License-Identifier: MIT */
/* Connections to mqgated that a command would inherit. */
#include "connections.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "include/util.h"

/* A socket in the file system has the path that it was bound to, also for those connected to it. */
void connection_close_if_of(int fd, const struct stat *directory)
{
	struct sockaddr_un address = {0};
	socklen_t size = sizeof(address) - 1;
	struct stat st;
	char *slash;

	if (getpeername(fd, (struct sockaddr *)&address, &size) < 0 ||
		address.sun_family != AF_UNIX || address.sun_path[0] == '\0')
		return;
	slash = strrchr(address.sun_path, '/');
	if (!slash)
		return;
	slash[slash == address.sun_path] = '\0';
	if (stat(address.sun_path, &st) == 0 && st.st_dev == directory->st_dev &&
		st.st_ino == directory->st_ino)
		(void)safe_close(fd);
}
