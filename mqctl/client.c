/* SPDX-License-Identifier: MIT */
/* The way to the manager: one call on the control bus, and every way in which it can fail. */
#include "client.h"

#include <stdarg.h>
#include <sys/socket.h>

#include "include/bus.h"
#include "include/socket.h"

static uint64_t usec_until(uint64_t deadline)
{
	uint64_t now = now_usec();

	return deadline > now ? deadline - now : 0;
}

/* sd_bus_call() would wait for the peer's greeting with a deadline of its own, a longer one. */
static int wait_until_ready(sd_bus *bus, uint64_t deadline)
{
	for (;;) {
		uint64_t left = usec_until(deadline);
		int r;

		r = sd_bus_is_ready(bus);
		if (r != 0)
			return r < 0 ? r : 0;
		if (left == 0)
			return -ETIMEDOUT;
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, left);
		if (r < 0 && r != -EINTR)
			return r;
	}
}

static int open_bus(const char *path, uint64_t deadline, sd_bus **ret)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	/* The library would not wait where others stand in line to be accepted. */
	fd = socket_connect(path, SOCK_STREAM, MAX(usec_until(deadline), 1U));
	if (fd < 0)
		return fd == -EAGAIN ? -ETIMEDOUT : fd;
	r = sd_bus_new(&bus);
	if (r < 0)
		return r;
	r = sd_bus_set_fd(bus, fd, fd);
	if (r < 0)
		return r;
	fd = -EBADF;
	r = sd_bus_start(bus);
	if (r < 0)
		return r;
	r = wait_until_ready(bus, deadline);
	if (r < 0)
		return r;
	*ret = take_pointer(bus);
	return 0;
}

static int call(sd_bus *bus, uint64_t deadline, sd_bus_error *error, sd_bus_message **ret_reply,
	const char *member, const char *types, va_list values)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	int r;

	r = sd_bus_message_new_method_call(bus, &message, NULL, BUS_PATH, BUS_INTERFACE, member);
	if (r < 0)
		return r;
	r = sd_bus_message_appendv(message, types, values);
	if (r < 0)
		return r == -EINVAL ? -EILSEQ : r;
	/* 0 would mean the library's default. */
	return sd_bus_call(bus, message, MAX(usec_until(deadline), 1U), error, ret_reply);
}

int reply_read(sd_bus_message *reply,
	int (*take)(sd_bus_message *reply, const char *key, void *context), void *context)
{
	const char *key;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = sd_bus_message_read(reply, "s", &key);
		r = r < 0 ? r : take(reply, key, context);
		r = r < 0 ? r : sd_bus_message_exit_container(reply);
	}
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static void report_errno(int r, const char *path, unsigned seconds)
{
	switch (-r) {
	case ENOENT:
	case ECONNREFUSED:
		print_error("mqgated is not running: nothing listens at %s; start it, for example "
			    "with \"systemctl start mqgated\", or give its --runtime-dir",
			path);
		break;
	case EILSEQ:
		print_error("an argument is not UTF-8; names of packages, plugs, slots and queues "
			    "must be");
		break;
	case ENAMETOOLONG:
		print_error("%s is too long for a socket; choose a shorter --runtime-dir", path);
		break;
	case EOPNOTSUPP:
		print_error("permission denied: mqgated at %s accepts a list of connections only "
			    "from root and the members of admin-group, and never from a confined "
			    "program; try sudo",
			path);
		break;
	case ETIMEDOUT:
		print_error("no answer from mqgated at %s within %u seconds; a change may still "
			    "take effect: check with \"mqctl connections\"",
			path, seconds);
		break;
	case EAGAIN:
	case ECONNRESET:
	case EPIPE:
	case ENOTCONN:
		print_error("mqgated at %s closed the connection: it is stopping, out of memory "
			    "or overloaded; check with \"mqctl connections\" whether a change "
			    "was made, and try again",
			path);
		break;
	default:
		print_error("cannot talk to mqgated at %s: %s", path, strerror(-r));
	}
}

/* What the manager refused says why itself. */
static void report(int r, const sd_bus_error *error, const char *path, uint64_t timeout_usec)
{
	if (error->name && startswith(error->name, "org.mqgate.Error."))
		print_error("%s", isempty(error->message) ? error->name : error->message);
	else if (sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_METHOD) ||
		 sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_INTERFACE) ||
		 sd_bus_error_has_name(error, SD_BUS_ERROR_UNKNOWN_OBJECT))
		print_error("mqgated at %s does not know this command: it is another version; "
			    "restart it",
			path);
	else
		report_errno(r, path, (unsigned)(timeout_usec / 1000000));
}

static char *control_path(const struct arguments *arguments)
{
	char *path;

	return asprintf(&path, "%s/%s", arguments->runtime_dir, BUS_SOCKET) < 0 ? NULL : path;
}

/* A call that answers nothing, but says if somebody may not even ask. */
static int ask(sd_bus *bus, uint64_t timeout_usec, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	int r;

	r = sd_bus_message_new_method_call(bus, &message, NULL, BUS_PATH, BUS_INTERFACE, "Last");
	r = r < 0 ? r : sd_bus_message_append(message, "u", UINT32_MAX);
	return r < 0 ? r : sd_bus_call(bus, message, timeout_usec, error, NULL);
}

int manager_connect(const struct arguments *arguments, uint64_t timeout_usec, sd_bus **ret)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_free_ char *path = control_path(arguments);
	int r;

	if (!path)
		return print_no_memory();
	r = open_bus(path, now_usec() + timeout_usec, &bus);
	r = r < 0 ? r : ask(bus, timeout_usec, &error);
	if (r < 0) {
		report(r, &error, path, timeout_usec);
		return r;
	}
	*ret = take_pointer(bus);
	return 0;
}

int manager_call(const struct arguments *arguments, uint64_t timeout_usec,
	sd_bus_message **ret_reply, const char *member, const char *types, ...)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	_cleanup_free_ char *path = control_path(arguments);
	uint64_t deadline = now_usec() + timeout_usec;
	va_list values;
	int r;

	if (!path)
		return print_no_memory();
	r = open_bus(path, deadline, &bus);
	if (r >= 0) {
		va_start(values, types);
		r = call(bus, deadline, &error, ret_reply, member, types, values);
		va_end(values);
	}
	if (r < 0 && !arguments->quiet)
		report(r, &error, path, timeout_usec);
	return r < 0 ? r : 0;
}
