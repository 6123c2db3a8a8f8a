/* SPDX-License-Identifier: MIT */
/* mqctl apply: makes the connections those of a file, or shows what would change. */
#include "client.h"
#include "print.h"

#include "include/bus.h"
#include "include/limits.h"
#include "include/write.h"

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
	if (!f || ferror(f) || (length < 0 && errno != 0)) {
		print_error("%s: cannot be read: %s", path, strerror(errno));
		return -EIO;
	}
	if (length > 0 && text[length - 1] == '\0') {
		print_error("%s: contains a NUL character; write plain UTF-8 text", path);
		return -EILSEQ;
	}
	if (length > APPLY_FILE_MAX) {
		print_error("%s: larger than %d bytes; remove comments", path, APPLY_FILE_MAX);
		return -EFBIG;
	}
	*ret_size = length < 0 ? 0 : (size_t)length;
	*ret = take_pointer(text);
	return 0;
}

/* The document as it is sent. Reports its failures. */
static int open_document(const char *path, int *ret_fd)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (read_document(path, &text, &size) < 0)
		return -EIO;
	*ret_fd = memfd_sealed("mqctl-apply", text, size);
	if (*ret_fd < 0)
		print_error("%s: cannot be sent: %s", path, strerror(-*ret_fd));
	return MIN(*ret_fd, 0);
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

static int print_entry(sd_bus_message *reply, const char *key, void *context)
{
	if (streq(key, "connect"))
		return print_list(reply, "+ ");
	if (streq(key, "disconnect"))
		return print_list(reply, "- ");
	if (streq(key, "keep"))
		return print_list(reply, "= ");
	return sd_bus_message_skip(reply, "v");
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
	r = reply_read(reply, print_entry, NULL);
	return r < 0 ? print_bad_answer(r) : DONE;
}
