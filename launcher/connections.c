/* SPDX-License-Identifier: MIT */
/* Connections to mqgated that a command would inherit. */
#include "connections.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "descriptors.h"
#include "include/util.h"

/* A socket in the file system has the path that it was bound to, also for those connected to it. */
static int close_if_ours(int fd, void *userdata)
{
	const struct stat *directory = userdata;
	struct sockaddr_un address = {0};
	socklen_t size = sizeof(address) - 1;
	struct stat st;
	char *slash;

	if (getpeername(fd, (struct sockaddr *)&address, &size) < 0 ||
		address.sun_family != AF_UNIX || address.sun_path[0] == '\0')
		return 0;
	slash = strrchr(address.sun_path, '/');
	if (!slash)
		return 0;
	slash[slash == address.sun_path] = '\0';
	if (stat(address.sun_path, &st) == 0 && st.st_dev == directory->st_dev &&
		st.st_ino == directory->st_ino)
		(void)safe_close(fd);
	return 0;
}

int connections_close(const char *runtime_dir, char **ret_message)
{
	struct stat directory;

	/* Connecting will say what is wrong with it. */
	if (stat(runtime_dir, &directory) < 0)
		return 0;
	return descriptors_visit(close_if_ours, &directory, ret_message);
}
