/* SPDX-License-Identifier: MIT */
/* mqctl learn: what a plug was denied, as a document that would allow it. */
#include "mqctl.h"

#include "client.h"
#include "include/denials.h"
#include "include/grants.h"
#include "include/learn.h"

/* Bytes of the answer; what does not fit is cut. */
static int read_bytes(sd_bus_message *reply, char *ret, size_t size)
{
	const void *bytes;
	size_t length;
	int r = sd_bus_message_read_array(reply, 'y', &bytes, &length);

	if (r < 0)
		return r;
	memcpy(ret, bytes, MIN(length, size - 1));
	ret[MIN(length, size - 1)] = '\0';
	return 0;
}

static int read_denial(sd_bus_message *reply, struct denial *ret)
{
	int r = read_bytes(reply, ret->name, sizeof(ret->name));

	r = r < 0 ? r
		  : sd_bus_message_read(reply, "utttuui", &ret->missing, &ret->count, &ret->first,
			    &ret->last, &ret->subject_pid, &ret->uid, &ret->pid);
	r = r < 0 ? r : read_bytes(reply, ret->command, sizeof(ret->command));
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

/* Several may be of one queue: a session's that runs and those that have ended. */
static int add_denial(struct needs *needs, const struct denial *denial)
{
	const struct subject subject = {denial->subject_pid, denial->uid};
	int r = needs_add(needs, denial->name, denial->missing, &subject, denial->command);

	return r < 0 ? r : needs_count(needs, denial->name, denial->count - 1, denial->first);
}

static int read_denials(sd_bus_message *reply, struct needs *needs)
{
	int r = sd_bus_message_enter_container(reply, 'a', "(ayutttuuiay)");

	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "ayutttuuiay")) > 0) {
		struct denial denial = {.count = 0};

		r = read_denial(reply, &denial);
		if (r >= 0 && denial.count > 0)
			r = add_denial(needs, &denial);
		if (r == -E2BIG)
			r = 0;
	}
	return r;
}

static int print_document(const char *plug, const char *id, const struct needs *needs)
{
	_cleanup_free_ char *text = NULL;

	if (needs->count == 0) {
		print_error(
			"%s was denied nothing that mqgated remembers; start its program, or see "
			"\"mqctl sessions\"",
			plug);
		return REFUSED;
	}
	if (learn_slots(plug, id, needs, &text) < 0)
		return print_no_memory();
	(void)fputs(text, stdout);
	return DONE;
}

int verb_learn(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(needs_clear) struct needs needs = {0};
	const char *plug = arguments->words[0], *id;
	int r = manager_call(arguments, STATUS_DEADLINE_USEC, &reply, "Denials", "s", plug);

	if (r < 0)
		return r;
	r = sd_bus_message_read(reply, "s", &id);
	r = r < 0 ? r : read_denials(reply, &needs);
	return r < 0 ? print_bad_answer(r) : print_document(plug, id, &needs);
}
