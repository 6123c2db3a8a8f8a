/* SPDX-License-Identifier: MIT */
/* mqctl connect, disconnect. Both return when the change is in force in every running session. */
#include "client.h"

#include <inttypes.h>

#include "include/bus.h"
#include "include/limits.h"
#include "include/policy.h"

/* Reports its failures. */
static int read_span(const char *text, uint64_t *ret_seconds)
{
	int r = span_parse(text, ret_seconds);

	if (r == -ERANGE)
		print_error("--for %s: out of range; use 1 second to %llu days, or no --for for a "
			    "connection without an end",
			text, CONNECTION_SPAN_MAX / 86400);
	else if (r < 0)
		print_error("--for %s: not a time span; write a number with its unit, such as 90s, "
			    "10m, 2h or 1d",
			text);
	return r;
}

static const char *second(const struct arguments *arguments)
{
	return arguments->word_count > 1 ? arguments->words[1] : "";
}

static const char *between(const struct arguments *arguments)
{
	return arguments->word_count > 1 ? " " : "";
}

int verb_connect(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *slot = second(arguments);
	uint64_t seconds = 0;

	if (arguments->span && read_span(arguments->span, &seconds) < 0)
		return USAGE;
	/* An older mqgated refuses an option that it does not know. */
	if (arguments->any_id)
		return manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Connect", "ssa{sv}",
			arguments->words[0], slot, arguments->span ? 2 : 1, "any-id", "b", 1, "for",
			"t", seconds);
	return manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Connect", "ssa{sv}",
		arguments->words[0], slot, arguments->span ? 1 : 0, "for", "t", seconds);
}

/* What mqgated answers to a disconnection. */
struct disconnect_outcome {
	uint64_t disconnected;
	uint64_t sessions, processes;  /* that hold what was taken, or are registered on it */
	uint64_t holders, registrants; /* of these processes */
	uint64_t unknown;              /* processes of which it cannot be told */
	uint64_t killed, left;         /* processes */
	const char *left_pids;         /* the first of these; of the reply */
	uint64_t failed;               /* sessions that could not be looked at */
};

static uint64_t *member_of(struct disconnect_outcome *outcome, const char *key)
{
	const struct {
		const char *key;
		uint64_t *member;
	} members[] = {
		{"disconnected", &outcome->disconnected},
		{"sessions", &outcome->sessions},
		{"processes", &outcome->processes},
		{"holders", &outcome->holders},
		{"registrants", &outcome->registrants},
		{"unknown", &outcome->unknown},
		{"killed", &outcome->killed},
		{"left", &outcome->left},
		{"failed", &outcome->failed},
	};

	for (size_t i = 0; i < ELEMENTSOF(members); i++)
		if (streq(members[i].key, key))
			return members[i].member;
	return NULL;
}

static int read_entry(sd_bus_message *reply, const char *key, void *context)
{
	struct disconnect_outcome *outcome = context;
	uint64_t *member = member_of(outcome, key);

	if (streq(key, "left-pids"))
		return sd_bus_message_read(reply, "v", "s", &outcome->left_pids);
	return member ? sd_bus_message_read(reply, "v", "t", member)
		      : sd_bus_message_skip(reply, "v");
}

/* "1 session", "2 sessions" */
#define COUNT_MAX 48
static const char *counted(
	uint64_t count, const char *singular, const char *plural, char buffer[static COUNT_MAX])
{
	(void)snprintf(buffer, COUNT_MAX, "%" PRIu64 " %s", count, count == 1 ? singular : plural);
	return buffer;
}

/* Who was found, and what with. */
static void print_found(const struct disconnect_outcome *outcome)
{
	char sessions[COUNT_MAX], processes[COUNT_MAX], registrants[COUNT_MAX];
	bool one = outcome->sessions == 1;

	(void)printf("%s (%s) ", counted(outcome->sessions, "session", "sessions", sessions),
		counted(outcome->processes, "process", "processes", processes));
	if (outcome->holders == 0) {
		(void)printf("%s still registered for notification on these queues: %s told once "
			     "that a message has come, but not what is in it",
			one ? "is" : "are", one ? "it is" : "they are");
		return;
	}
	(void)printf("still %s descriptors of these queues, and can use them until they are closed",
		one ? "holds" : "hold");
	if (outcome->registrants > 0)
		(void)printf("; %s of them %s registered for notification",
			counted(outcome->registrants, "process", "processes", registrants),
			outcome->registrants == 1 ? "is" : "are");
}

static void print_unknown(const struct disconnect_outcome *outcome)
{
	bool more = outcome->sessions > 0, one = outcome->unknown == 1;
	char unknown[COUNT_MAX];

	(void)printf("%s%s may%s: %s traced, or could not be examined", more ? "; " : "",
		counted(outcome->unknown, more ? "more process" : "process",
			more ? "more processes" : "processes", unknown),
		more ? "" : " still hold descriptors of these queues, or be registered on them",
		one ? "it is" : "they are");
}

static void print_holders(
	const struct arguments *arguments, const struct disconnect_outcome *outcome)
{
	if (outcome->sessions > 0)
		print_found(outcome);
	if (outcome->unknown > 0)
		print_unknown(outcome);
	(void)printf("; to end them: mqctl disconnect --kill %s%s%s\n", arguments->words[0],
		between(arguments), second(arguments));
}

static void print_killed(const struct disconnect_outcome *outcome)
{
	char processes[COUNT_MAX];

	(void)printf("%s killed\n", counted(outcome->killed, "process", "processes", processes));
}

static void print_left(const struct disconnect_outcome *outcome)
{
	bool one = outcome->left == 1, named = !isempty(outcome->left_pids);
	char count[COUNT_MAX];

	print_error(
		"disconnected, but at least %s still %s%s%s%s: the kernel holds %s, or %s traced, "
		"or could not be examined; run the command again",
		counted(outcome->left, "process", "processes", count), one ? "runs" : "run",
		named ? " (" : "", named ? outcome->left_pids : "", named ? ")" : "",
		one ? "it" : "them", one ? "it is" : "they are");
}

/* What was cut stays cut, whatever became of the rest. */
static int print_outcome(
	const struct arguments *arguments, const struct disconnect_outcome *outcome)
{
	char count[COUNT_MAX];

	if (outcome->disconnected == 0 && outcome->sessions + outcome->unknown == 0 &&
		outcome->killed == 0)
		(void)puts("No connections to disconnect");
	if (arguments->kill && outcome->killed > 0)
		print_killed(outcome);
	else if (!arguments->kill && outcome->sessions + outcome->unknown > 0)
		print_holders(arguments, outcome);
	if (outcome->left > 0)
		print_left(outcome);
	if (outcome->failed > 0)
		print_error("disconnected, but %s could not be examined for open queues and "
			    "registrations; to try again: mqctl disconnect %s %s%s%s",
			counted(outcome->failed, "session", "sessions", count),
			arguments->kill ? "--kill" : "--wait 1", arguments->words[0],
			between(arguments), second(arguments));
	return outcome->left + outcome->failed > 0 ? REFUSED : DONE;
}

static int read_wait(const char *text, uint64_t *ret_seconds)
{
	char *end;

	errno = 0;
	*ret_seconds = strtoull(text, &end, 10);
	if (errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' &&
		*ret_seconds <= DISCONNECT_WAIT_MAX)
		return 0;
	print_error("--wait %s: not a number of seconds from 0 to %d", text, DISCONNECT_WAIT_MAX);
	return -EINVAL;
}

int verb_disconnect(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct disconnect_outcome outcome = {0};
	uint64_t wait = 0;
	int r;

	if (arguments->wait && read_wait(arguments->wait, &wait) < 0)
		return USAGE;
	/* What was asked for with --wait is told also if nothing is connected any more. */
	r = manager_call(arguments, CONTROL_DEADLINE_USEC + wait * 1000000, &reply, "Disconnect",
		"ssa{sv}", arguments->words[0], second(arguments), arguments->wait ? 3 : 2,
		"forget", "b", (int)arguments->forget, "kill", "b", (int)arguments->kill, "wait",
		"t", wait);
	if (r < 0)
		return r;
	r = reply_read(reply, read_entry, &outcome);
	return r < 0 ? print_bad_answer(r) : print_outcome(arguments, &outcome);
}
