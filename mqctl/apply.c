/* SPDX-License-Identifier: MIT */
/* mqctl apply: makes the connections those of a file, or shows what would change. */
#include "client.h"
#include "print.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "include/bus.h"
#include "include/limits.h"

/* Reports its failures. */
static int read_document(const char *path, char **ret, size_t *ret_size)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	ssize_t length = -1;

	errno = f ? 0 : errno;
	if (f)
		length = getdelim(&text, &size, '\0', f);
	if (!f || (length < 0 && errno != 0)) {
		print_error("%s: cannot be read: %s", path, strerror(errno));
		return -EIO;
	}
	if (length > 0 && text[length - 1] == '\0') {
		print_error("%s: a NUL character in it; write plain UTF-8 text", path);
		return -EILSEQ;
	}
	if (length > APPLY_FILE_MAX) {
		print_error("%s: larger than %d bytes; leave comments out", path, APPLY_FILE_MAX);
		return -EFBIG;
	}
	*ret_size = length < 0 ? 0 : (size_t)length;
	*ret = take_pointer(text);
	return 0;
}

static int seal(int fd, const char *text, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = write(fd, text + done, size - done);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0
		       ? -errno
		       : 0;
}

/* The document as it is sent. Reports its failures. */
static int open_document(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("mqctl-apply", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = fd < 0 ? -errno : 0;

	if (r == 0 && read_document(path, &text, &size) < 0)
		return -EIO;
	r = r < 0 ? r : seal(fd, text, size);
	if (r < 0) {
		print_error("%s: cannot be sent: %s", path, strerror(-r));
		return r;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

/* "+ PLUG SLOT" for each of a list. */
static int print_list(sd_bus_message *reply, const char *sign)
{
	const char *text;
	int r;

	r = sd_bus_message_enter_container(reply, 'v', "as");
	r = r < 0 ? r : sd_bus_message_enter_container(reply, 'a', "s");
	while (r >= 0 && (r = sd_bus_message_read(reply, "s", &text)) > 0)
		print_lines(sign, text, stdout);
	r = r < 0 ? r : sd_bus_message_exit_container(reply);
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int print_entry(sd_bus_message *reply)
{
	const char *key;
	int r;

	r = sd_bus_message_read(reply, "s", &key);
	if (r < 0)
		return r;
	if (streq(key, "connect"))
		r = print_list(reply, "+ ");
	else if (streq(key, "disconnect"))
		r = print_list(reply, "- ");
	else if (streq(key, "keep"))
		r = print_list(reply, "= ");
	else
		r = sd_bus_message_skip(reply, "v");
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

int verb_apply(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_close_ int fd = -EBADF;
	const char *path = arguments->words[0];
	int r;

	r = open_document(path, &fd);
	if (r < 0)
		return r;
	r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "ApplyFile", "ha{sv}", fd, 2,
		"dry-run", "b", (int)arguments->dry_run, "file", "s", path);
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0)
		r = print_entry(reply);
	return r < 0 ? print_bad_answer(r) : DONE;
}
