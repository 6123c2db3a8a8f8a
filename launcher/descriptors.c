/* SPDX-License-Identifier: MIT */
/* Descriptors that a command would inherit through the launcher. */
#include "descriptors.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/vfs.h>

#include "include/compat.h"
#include "include/util.h"
#include "refuse.h"

static void closedirp(DIR **directory)
{
	if (*directory)
		(void)closedir(*directory);
}

static bool is_message_queue(int fd)
{
	struct statfs statfs;

	return fstatfs(fd, &statfs) == 0 && statfs.f_type == MQUEUE_MAGIC;
}

static bool is_io_uring(int fd)
{
	char path[64], link[sizeof("anon_inode:[io_uring]")];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link));
	return n == sizeof(link) - 1 && memcmp(link, "anon_inode:[io_uring]", (size_t)n) == 0;
}

static int check_one(int fd, void *userdata)
{
	char **ret_message = userdata;

	if (is_message_queue(fd))
		return refuse(ret_message, -EBUSY,
			"descriptor %d is open on a message queue or its file system, and the "
			"command would get past mqgate with it; close it first (%d<&- in a shell)",
			fd, fd);
	if (is_io_uring(fd))
		return refuse(ret_message, -EBUSY,
			"descriptor %d is an io_uring, and the command could get past mqgate with "
			"it; close it first (%d<&- in a shell)",
			fd, fd);
	return 0;
}

int descriptors_visit(descriptor_visit_t visit, void *userdata, char **ret_message)
{
	_cleanup_(closedirp) DIR *directory = opendir("/proc/self/fd");
	const struct dirent *entry;

	if (!directory)
		return refuse(ret_message, -errno,
			"/proc/self/fd: %s; inherited descriptors cannot be checked, is /proc "
			"mounted?",
			strerror(errno));
	while ((errno = 0, entry = readdir(directory))) {
		int fd = atoi(entry->d_name);
		int r;

		if (entry->d_name[0] == '.' || fd == dirfd(directory))
			continue;
		r = visit(fd, userdata);
		if (r < 0)
			return r;
	}
	if (errno)
		return refuse(ret_message, -errno, "/proc/self/fd: %s", strerror(errno));
	return 0;
}

int descriptors_check(char **ret_message)
{
	return descriptors_visit(check_one, ret_message, ret_message);
}

int descriptors_fill_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	} while (fd <= STDERR_FILENO);
	(void)safe_close(fd);
	return 0;
}
