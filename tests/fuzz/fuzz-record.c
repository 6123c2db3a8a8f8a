/* SPDX-License-Identifier: MIT */
/* A record as a session process sends it: what people and programs get of it is fit to print. */
#include "daemon/manager/sessions/record.h"
#include "daemon/manager/sessions/state.h"
#include "fuzz.h"
#include "include/protocol.h"
#include "include/verdict.h"

/* It goes into a shell as it is. */
static void check_remedy(const char *command)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789 ._/=+-:&";

	REQUIRE(strspn(command, plain) == strlen(command));
	REQUIRE(startswith(command, "sysctl ") || startswith(command, "prlimit --pid ") ||
		startswith(command, "nsenter --target ") || startswith(command, "chmod ") ||
		startswith(command, "chgrp "));
}

static void check_record(const struct record *record)
{
	_cleanup_free_ char *line = record_format(record);

	REQUIRE(line && is_fit_to_print(line));
	REQUIRE(is_fit_to_print(record->queue) && is_fit_to_print(record->command));
	REQUIRE(record->queue[0] == '\0' || record->queue[0] == '/');
	REQUIRE(record->plug && is_fit_to_print(record->plug));
	if (record->refused)
		REQUIRE(record->why && is_fit_to_print(record->why));
	if (record->suggestion && record->refused)
		check_remedy(record->suggestion);
	else if (record->suggestion)
		check_suggestion(record->suggestion);
	REQUIRE(!(record->allowed && record->killed));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char *plugs[] = {
		(char *)"logger:events", (char *)"logger:fast", (char *)"gone:plug"};
	static struct manager manager;
	struct session session = {.manager = &manager};
	struct session_message message = {.type = SESSION_RECORD};
	struct input input = {data, size};
	struct record record;
	int r;

	manager.policy = *fuzz_policy();
	session.bindings.plugs = plugs;
	session.bindings.plug_count = take_byte(&input) % (ELEMENTSOF(plugs) + 1);
	take(&input, &message.record, sizeof(message.record));
	r = record_from_message(&session, &message, &record);
	REQUIRE(r == 0 || r == -EBADMSG);
	if (r < 0)
		return 0;
	REQUIRE(memchr(message.record.name, '\0', sizeof(message.record.name)));
	REQUIRE(memchr(message.record.command, '\0', sizeof(message.record.command)));
	check_record(&record);
	record_clear(&record);
	return 0;
}
