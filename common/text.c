/* SPDX-License-Identifier: MIT */
/* Texts of /proc. */
#include "include/text.h"

#include <ctype.h>
#include <fcntl.h>

#include "include/limits.h"
#include "include/util.h"

static int grow(char **text, size_t *allocated)
{
	char *grown;

	*allocated = *allocated ? 2 * *allocated : 4096;
	grown = realloc(*text, *allocated);
	if (!grown)
		return -ENOMEM;
	*text = grown;
	return 0;
}

int text_read(int fd, size_t max, char **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t have = 0, allocated = 0;

	for (;;) {
		ssize_t n;

		if (have + 1 >= allocated) {
			int r = grow(&text, &allocated);

			if (r < 0)
				return r;
		}
		n = pread(fd, text + have, allocated - have - 1, (off_t)have);
		if (n < 0)
			return -errno;
		have += (size_t)n;
		if (have > max)
			return -E2BIG;
		if (have + 1 < allocated)
			break;
	}
	text[have] = '\0';
	*ret = take_pointer(text);
	return 0;
}

int text_read_at(int directory, const char *name, size_t max, char **ret)
{
	_cleanup_close_ int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : text_read(fd, max, ret);
}

/* The text after "\nKEY:". No value of the app's own can look like a line: the kernel escapes
 * newlines in its name. */
const char *text_field(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			return line + length + 1;
	}
	return NULL;
}

int text_next_number(const char **at, int base, uint64_t *ret)
{
	char *end;

	*at += strspn(*at, " \t");
	if (**at == '\n' || **at == '\0')
		return 0;
	errno = 0;
	*ret = strtoull(*at, &end, base);
	if (errno != 0 || !isxdigit((unsigned char)**at) || !strchr(" \t\n", *end))
		return -EBADMSG;
	*at = end;
	return 1;
}

int text_numbers(const char *text, const char *key, int base, uint64_t *ret, size_t count)
{
	const char *at = text_field(text, key);

	for (size_t i = 0; at && i < count; i++)
		if (text_next_number(&at, base, &ret[i]) <= 0)
			return -EBADMSG;
	return at ? 0 : -EBADMSG;
}

static int read_number(int directory, const char *name, const char *key, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r = text_read_at(directory, name, STATUS_FILE_MAX, &text);

	return r < 0 ? r : text_numbers(text, key, 10, ret, 1);
}

int text_status_at(int proc, const char *key, uint64_t *ret)
{
	return read_number(proc, "status", key, ret);
}

int text_status(pid_t tid, const char *key, uint64_t *ret)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	return read_number(AT_FDCWD, path, key, ret);
}

int text_link_at(int directory, const char *name, char *buffer, size_t size)
{
	ssize_t n = readlinkat(directory, name, buffer, size);

	if (n < 0)
		return -errno;
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	buffer[n] = '\0';
	return 0;
}

bool text_link_is(int fd, const char *expected)
{
	char path[64], link[128];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return text_link_at(AT_FDCWD, path, link, sizeof(link)) == 0 && streq(link, expected);
}

/* "unlimited" is what strtoull() does not read. */
static int read_limit(const char **at, rlim_t *ret)
{
	unsigned long long value;
	char *end;

	*at += strspn(*at, " ");
	if (startswith(*at, "unlimited")) {
		*at += strlen("unlimited");
		*ret = RLIM_INFINITY;
		return 0;
	}
	errno = 0;
	value = strtoull(*at, &end, 10);
	if (errno != 0 || end == *at)
		return -EBADMSG;
	*at = end;
	*ret = value;
	return 0;
}

int text_limit(const char *text, const char *name, struct rlimit *ret)
{
	const char *at = strstr(text, name);
	int r;

	if (!at)
		return -EBADMSG;
	at += strlen(name);
	r = read_limit(&at, &ret->rlim_cur);
	return r < 0 ? r : read_limit(&at, &ret->rlim_max);
}
