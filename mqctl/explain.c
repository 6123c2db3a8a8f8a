/* SPDX-License-Identifier: MIT */
/* mqctl explain: may a plug do this, by what, or what is missing and what would grant it. */
#include "client.h"
#include "print.h"

#include "include/bus.h"
#include "include/limits.h"

struct answer {
	int allowed;
	const char *text, *command; /* of the reply */
};

static int read_answer_entry(sd_bus_message *reply, struct answer *answer)
{
	const char *key;
	int r;

	r = sd_bus_message_read(reply, "s", &key);
	if (r < 0)
		return r;
	if (streq(key, "allowed"))
		r = sd_bus_message_read(reply, "v", "b", &answer->allowed);
	else if (streq(key, "text"))
		r = sd_bus_message_read(reply, "v", "s", &answer->text);
	else if (streq(key, "command"))
		r = sd_bus_message_read(reply, "v", "s", &answer->command);
	else
		r = sd_bus_message_skip(reply, "v");
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int read_answer(sd_bus_message *reply, struct answer *answer)
{
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0)
		r = read_answer_entry(reply, answer);
	if (r < 0)
		return r;
	return answer->allowed >= 0 && answer->text ? 0 : -EBADMSG;
}

int verb_explain(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct answer answer = {.allowed = -1, .command = ""};
	int r;

	r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Explain", "sss",
		arguments->words[0], arguments->words[1], arguments->words[2]);
	if (r < 0)
		return r;
	r = read_answer(reply, &answer);
	if (r < 0)
		return print_bad_answer(r);
	print_lines("", answer.text, stdout);
	if (*answer.command)
		print_lines("To allow it: ", answer.command, stdout);
	return answer.allowed ? DONE : REFUSED;
}
