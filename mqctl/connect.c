/* SPDX-License-Identifier: MIT */
/* mqctl connect, disconnect. Both return when the change is in force in every running session. */
#include "client.h"

#include "include/bus.h"
#include "include/limits.h"
#include "include/policy.h"

/* Reports its failures. */
static int read_span(const char *text, uint64_t *ret_seconds)
{
	int r = span_parse(text, ret_seconds);

	if (r == -ERANGE)
		print_error("--for %s: a timed connection lasts from 1 second to %llu days; "
			    "without --for it has no end",
			text, CONNECTION_SPAN_MAX / 86400);
	else if (r < 0)
		print_error("--for %s: this is no span of time; write a number with its unit, as "
			    "90s, 10m, 2h or 1d",
			text);
	return r;
}

int verb_connect(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *slot = arguments->word_count > 1 ? arguments->words[1] : "";
	uint64_t seconds;

	if (!arguments->span)
		return manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Connect", "ssa{sv}",
			arguments->words[0], slot, 0);
	if (read_span(arguments->span, &seconds) < 0)
		return USAGE;
	return manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Connect", "ssa{sv}",
		arguments->words[0], slot, 1, "for", "t", seconds);
}

static int read_disconnected(sd_bus_message *reply, uint64_t *ret_disconnected)
{
	const char *key;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = sd_bus_message_read(reply, "s", &key);
		if (r < 0)
			return r;
		r = streq(key, "disconnected")
			    ? sd_bus_message_read(reply, "v", "t", ret_disconnected)
			    : sd_bus_message_skip(reply, "v");
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(reply);
	}
	return r;
}

int verb_disconnect(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *second = arguments->word_count > 1 ? arguments->words[1] : "";
	uint64_t disconnected = 0;
	int r;

	r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Disconnect", "ssa{sv}",
		arguments->words[0], second, 1, "forget", "b", (int)arguments->forget);
	if (r < 0)
		return r;
	r = read_disconnected(reply, &disconnected);
	if (r < 0)
		return print_bad_answer(r);
	if (disconnected == 0)
		(void)puts("No connections to disconnect");
	return DONE;
}
