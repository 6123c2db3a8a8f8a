/* SPDX-License-Identifier: MIT */
/* Whole files, bounded. */
#pragma once

#include <stddef.h>

/* Reads a regular file of at most size_max bytes. ret_text is NUL-terminated (the NUL is not in
 * ret_size) and the caller's to free. Returns 0, -EFBIG, -ENOTSUP if it is not a regular file, or
 * another negative errno. Never blocks on a FIFO. */
int file_read(const char *path, size_t size_max, char **ret_text, size_t *ret_size);

/* The same; a relative path is one in this directory. */
int file_read_at(
	int directory, const char *path, size_t size_max, char **ret_text, size_t *ret_size);

/* The same of whatever fd is, to its end or size bytes of it; may block. */
int file_read_fd(int fd, size_t size, char **ret_text, size_t *ret_size);

/* The remedy for an error of file_read() or file_read_fd(), for a diagnostic; static. */
const char *file_remedy(int error);
