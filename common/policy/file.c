/* SPDX-License-Identifier: MIT */
/* Whole files, bounded. */
#include "include/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "include/util.h"

static int file_open(int directory, const char *path, size_t size_max, size_t *ret_size)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	fd = openat(directory, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	if ((uint64_t)st.st_size > size_max)
		return -EFBIG;
	*ret_size = (size_t)st.st_size;
	return take_fd(&fd);
}

int file_read_fd(int fd, size_t size, char **ret_text, size_t *ret_size)
{
	_cleanup_free_ char *text = malloc(size + 1);
	size_t at = 0;

	if (!text)
		return -ENOMEM;
	while (at < size) {
		ssize_t n = read(fd, text + at, size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	text[at] = '\0';
	*ret_text = take_pointer(text);
	*ret_size = at;
	return 0;
}

int file_read_at(
	int directory, const char *path, size_t size_max, char **ret_text, size_t *ret_size)
{
	_cleanup_close_ int fd = -EBADF;
	size_t size = 0;

	fd = file_open(directory, path, size_max, &size);
	/* A file that grows meanwhile is read up to the size it had. */
	return fd < 0 ? fd : file_read_fd(fd, size, ret_text, ret_size);
}

int file_read(const char *path, size_t size_max, char **ret_text, size_t *ret_size)
{
	return file_read_at(AT_FDCWD, path, size_max, ret_text, ret_size);
}

const char *file_remedy(int error)
{
	switch (-error) {
	case ENOENT:
		return "check the name";
	case EACCES:
	case EPERM:
		return "make it, and the directories above it, readable for mqgated (chmod a+rX)";
	case EISDIR:
	case ENOTSUP:
		return "put a regular file there";
	case ELOOP:
		return "fix the symbolic link";
	default:
		return "check the file system";
	}
}
