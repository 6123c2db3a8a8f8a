/* SPDX-License-Identifier: MIT */
/* What clients that expect a bus daemon ask of it: busctl, gdbus, bindings of other languages.
 * There is none; its answers are those of a bus on which nobody is but mqgated and who asks. */
#include "driver.h"

#include "include/bus.h"
#include "include/util.h"

#define DRIVER       "org.freedesktop.DBus"
#define CALLER_NAME  ":1.1"
#define MANAGER_NAME ":1.0"

static int method_hello(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return sd_bus_reply_method_return(message, "s", CALLER_NAME);
}

/* Every record comes to everybody who may see it, asked for or not. */
static int method_match(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return sd_bus_reply_method_return(message, "");
}

/* As from a bus, which takes a monitor's name away: from then on it shows what comes. */
static int method_become_monitor(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	int r = sd_bus_reply_method_return(message, "");

	return r < 0 ? r
		     : sd_bus_emit_signal(sd_bus_message_get_bus(message), DRIVER_PATH, DRIVER,
			       "NameLost", "s", CALLER_NAME);
}

static const char *owner_of(const char *name)
{
	if (streq(name, BUS_NAME) || streq(name, MANAGER_NAME))
		return MANAGER_NAME;
	return streq(name, DRIVER) || streq(name, CALLER_NAME) ? name : NULL;
}

static int method_get_name_owner(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *name;
	int r = sd_bus_message_read(message, "s", &name);

	if (r < 0)
		return r;
	return owner_of(name) ? sd_bus_reply_method_return(message, "s", owner_of(name))
			      : sd_bus_error_setf(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER,
					"only %s is here", BUS_NAME);
}

static int method_name_has_owner(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *name;
	int r = sd_bus_message_read(message, "s", &name);

	return r < 0 ? r : sd_bus_reply_method_return(message, "b", owner_of(name) != NULL);
}

static int method_list_names(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return sd_bus_reply_method_return(
		message, "as", 4, DRIVER, MANAGER_NAME, CALLER_NAME, BUS_NAME);
}

static int method_list_no_names(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	return sd_bus_reply_method_return(message, "as", 0);
}

static const sd_bus_vtable driver[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Hello", "", "s", method_hello, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("AddMatch", "s", "", method_match, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("RemoveMatch", "s", "", method_match, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("GetNameOwner", "s", "s", method_get_name_owner, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("NameHasOwner", "s", "b", method_name_has_owner, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("ListNames", "", "as", method_list_names, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("NameLost", "s", 0),
	SD_BUS_METHOD(
		"ListActivatableNames", "", "as", method_list_no_names, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable monitoring[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD(
		"BecomeMonitor", "asu", "", method_become_monitor, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int bus_serve_driver(sd_bus *bus)
{
	int r = sd_bus_add_object_vtable(bus, NULL, DRIVER_PATH, DRIVER, driver, NULL);

	return r < 0 ? r
		     : sd_bus_add_object_vtable(
			       bus, NULL, DRIVER_PATH, DRIVER ".Monitoring", monitoring, NULL);
}
