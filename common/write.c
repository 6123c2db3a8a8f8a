/* SPDX-License-Identifier: MIT */
/* Bytes written in full. */
#include "include/write.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "include/util.h"

int write_all(int fd, const void *data, size_t size)
{
	const char *at = data;

	while (size > 0) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		size -= (size_t)n;
	}
	return 0;
}

int memfd_sealed(const char *name, const void *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r = fd < 0 ? -errno : write_all(fd, data, size);

	if (r < 0)
		return r;
	return fcntl(fd, F_ADD_SEALS, SEALS_ALL) < 0 ? -errno : take_fd(&fd);
}
