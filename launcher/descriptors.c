/* SPDX-License-Identifier: MIT */
/* Descriptors that a command would inherit through the launcher. */
#include "descriptors.h"

#include <fcntl.h>
#include <sys/vfs.h>

#include "include/compat.h"
#include "include/task.h"
#include "include/text.h"
#include "include/util.h"
#include "refuse.h"

static bool is_message_queue(int fd)
{
	struct statfs statfs;

	return fstatfs(fd, &statfs) == 0 && statfs.f_type == MQUEUE_MAGIC;
}

static bool is_io_uring(int fd)
{
	return text_link_is(fd, "anon_inode:[io_uring]");
}

static int check_one(int fd, void *userdata)
{
	char **ret_message = userdata;

	if (is_message_queue(fd))
		return refuse(ret_message, -EBUSY,
			"descriptor %d is open on a message queue or its file system, and with "
			"it the command could bypass mqgate; close it first (%d<&- in a shell)",
			fd, fd);
	if (is_io_uring(fd))
		return refuse(ret_message, -EBUSY,
			"descriptor %d is an io_uring, and with it the command could bypass "
			"mqgate; close it first (%d<&- in a shell)",
			fd, fd);
	return 0;
}

int descriptors_visit(descriptor_visit_t visit, void *userdata, char **ret_message)
{
	_cleanup_free_ int *fds = NULL;
	size_t count = 0;
	int r = task_list(AT_FDCWD, "/proc/self/fd", &fds, &count);

	if (r < 0)
		return refuse(ret_message, r,
			"/proc/self/fd: %s; cannot check inherited descriptors; is /proc mounted?",
			strerror(-r));
	/* The directory's own is among them, and closed by now. */
	for (size_t i = 0; r == 0 && i < count; i++)
		r = visit(fds[i], userdata);
	return r;
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
