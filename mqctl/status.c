/* SPDX-License-Identifier: MIT */
/* mqctl status, reload: about the manager as a whole. */
#include "client.h"
#include "print.h"

#include "include/bus.h"
#include "include/limits.h"

static void print_fact(const char *key, const char *value, bool first, bool json)
{
	_cleanup_free_ char *label = NULL;

	if (json) {
		(void)fputs(first ? "\n  " : ",\n  ", stdout);
		json_print_string(key, stdout);
		(void)fputs(": ", stdout);
		json_print_string(value, stdout);
	} else if (asprintf(&label, "%s: ", key) >= 0) {
		print_lines(label, value, stdout);
	}
}

static int print_facts(sd_bus_message *reply, bool json)
{
	const char *key, *value;
	bool first = true;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = sd_bus_message_read(reply, "sv", &key, "s", &value);
		if (r < 0)
			return r;
		print_fact(key, value, first, json);
		first = false;
		r = sd_bus_message_exit_container(reply);
		if (r < 0)
			return r;
	}
	return r;
}

int verb_status(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r;

	r = manager_call(arguments, STATUS_DEADLINE_USEC, &reply, "Status", "");
	if (r < 0)
		return r;
	if (arguments->json)
		(void)fputc('{', stdout);
	r = print_facts(reply, arguments->json);
	if (arguments->json)
		(void)fputs("\n}\n", stdout);
	return r < 0 ? print_bad_answer(r) : DONE;
}

int verb_reload(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *warning;
	int r;

	r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Reload", "");
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "s");
	while (r >= 0 && (r = sd_bus_message_read(reply, "s", &warning)) > 0)
		print_lines("", warning, stderr);
	return r < 0 ? print_bad_answer(r) : DONE;
}
