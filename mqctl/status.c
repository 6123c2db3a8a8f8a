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

struct facts {
	bool json, begun;
};

static int read_fact(sd_bus_message *reply, const char *key, void *context)
{
	struct facts *facts = context;
	const char *value;
	int r = sd_bus_message_read(reply, "v", "s", &value);

	if (r < 0)
		return r;
	print_fact(key, value, !facts->begun, facts->json);
	facts->begun = true;
	return 0;
}

int verb_status(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct facts facts = {.json = arguments->json};
	int r;

	r = manager_call(arguments, STATUS_DEADLINE_USEC, &reply, "Status", "");
	if (r < 0)
		return r;
	if (arguments->json)
		(void)fputc('{', stdout);
	r = reply_read(reply, read_fact, &facts);
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
