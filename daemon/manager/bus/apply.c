/* SPDX-License-Identifier: MIT */
/* What Apply answers: the connections that differ. */
#include "include/limits.h"
#include "messages.h"

/* The differences of one kind, as "PLUG SLOT". */
struct difference_list {
	sd_bus_message *message;
	enum connection_difference kind;
	int r;
};

static void append_difference(
	const struct connection *connection, enum connection_difference difference, void *userdata)
{
	struct difference_list *list = userdata;
	char text[2 * REF_MAX + 2];

	if (difference != list->kind || list->r < 0)
		return;
	(void)snprintf(text, sizeof(text), "%s %s", connection->plug, connection->slot);
	list->r = sd_bus_message_append(list->message, "s", text);
}

static int append_differences(sd_bus_message *message, const char *key,
	enum connection_difference kind, const struct connections *before,
	const struct connections *after)
{
	struct difference_list list = {.message = message, .kind = kind};
	int r;

	r = sd_bus_message_open_container(message, 'e', "sv");
	r = r < 0 ? r : sd_bus_message_append(message, "s", key);
	r = r < 0 ? r : sd_bus_message_open_container(message, 'v', "as");
	r = r < 0 ? r : sd_bus_message_open_container(message, 'a', "s");
	if (r < 0)
		return r;
	connections_compare(before, after, append_difference, &list);
	r = list.r < 0 ? list.r : sd_bus_message_close_container(message);
	r = r < 0 ? r : sd_bus_message_close_container(message);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

int bus_reply_apply(
	sd_bus_message *call, const struct connections *before, const struct connections *after)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = sd_bus_message_new_method_return(call, &reply);
	r = r < 0 ? r : sd_bus_message_open_container(reply, 'a', "{sv}");
	r = r < 0 ? r : append_differences(reply, "connect", CONNECTION_CONNECTED, before, after);
	r = r < 0 ? r
		  : append_differences(reply, "disconnect", CONNECTION_DISCONNECTED, before, after);
	r = r < 0 ? r : append_differences(reply, "keep", CONNECTION_KEPT, before, after);
	r = r < 0 ? r : sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
