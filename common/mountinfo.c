/* SPDX-License-Identifier: MIT */
/* The mounts that a process sees, as mountinfo lists them. */
#include "include/mountinfo.h"

#include <fcntl.h>

#include <inttypes.h>
#include <sys/sysmacros.h>

#include "include/util.h"

#define PIECE 4096

/* The kernel gives it in pieces. */
int mountinfo_read_from(int fd, size_t max, char **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	ssize_t n;

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	do {
		char *longer = size > max ? NULL : realloc(text, size + PIECE + 1);

		if (!longer)
			return size > max ? -E2BIG : -ENOMEM;
		text = longer;
		n = read(fd, text + size, PIECE);
		if (n < 0)
			return -errno;
		size += (size_t)n;
	} while (n > 0);
	text[size] = '\0';
	*ret = size > 0 ? take_pointer(text) : NULL;
	return size > 0 ? 0 : -EBADMSG;
}

int mountinfo_read(char **ret)
{
	_cleanup_close_ int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : mountinfo_read_from(fd, SIZE_MAX - 1, ret);
}

static bool is_octal(const char *digits)
{
	for (size_t i = 0; i < 3; i++)
		if (digits[i] < '0' || digits[i] > '7')
			return false;
	return true;
}

/* Undoes mountinfo's escapes (blank, tab, newline, backslash as \ooo), in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		if (*from == '\\' && is_octal(from + 1)) {
			*to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + from[3] - '0');
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

int mountinfo_parse(char *line, struct mount_entry *ret)
{
	char *fields[5], *field;
	unsigned major_number, minor_number;

	for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
		fields[i] = strsep(&line, " ");
		if (!fields[i])
			return -EBADMSG;
	}
	do {
		field = strsep(&line, " ");
		if (!field)
			return -EBADMSG;
	} while (!streq(field, "-"));
	ret->type = strsep(&line, " ");
	if (!ret->type || fields[4][0] != '/' || sscanf(fields[0], "%" SCNu64, &ret->id) != 1 ||
		sscanf(fields[2], "%u:%u", &major_number, &minor_number) != 2)
		return -EBADMSG;
	unescape(fields[4]);
	ret->mount_point = fields[4];
	ret->device = makedev(major_number, minor_number);
	return 0;
}

int mountinfo_next(char **rest, struct mount_entry *ret)
{
	char *line = strsep(rest, "\n");
	int r;

	if (isempty(line))
		return 0;
	r = mountinfo_parse(line, ret);
	return r < 0 ? r : 1;
}
