/* SPDX-License-Identifier: MIT */
/* Options of methods: a{sv}. */
#include "include/bus.h"
#include "messages.h"

static int read_option(sd_bus_message *message, const struct bus_option *options, size_t count,
	sd_bus_error *error)
{
	const char *key;
	int r;

	r = sd_bus_message_read(message, "s", &key);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		const char type[] = {options[i].type, '\0'};

		if (!streq(options[i].key, key))
			continue;
		r = sd_bus_message_read(message, "v", type, options[i].ret);
		return r != -ENXIO
			       ? r
			       : sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT,
					 "option \"%s\" is of another type than \"%s\"", key, type);
	}
	return sd_bus_error_setf(error, BUS_ERROR_INVALID_ARGUMENT, "unknown option \"%s\"", key);
}

int bus_read_options(sd_bus_message *message, const struct bus_option *options, size_t count,
	sd_bus_error *error)
{
	int r;

	r = sd_bus_message_enter_container(message, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		r = read_option(message, options, count, error);
		r = r < 0 ? r : sd_bus_message_exit_container(message);
	}
	return r < 0 ? r : sd_bus_message_exit_container(message);
}
