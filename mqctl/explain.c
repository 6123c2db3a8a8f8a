/* SPDX-License-Identifier: MIT */
/* mqctl explain: may a plug do this, by what, or what is missing and what would grant it. */
#include "client.h"
#include "print.h"

#include "include/bus.h"
#include "include/limits.h"
#include "include/policy.h"

struct explained {
	int allowed;
	const char *text, *command; /* of the reply */
};

static int read_entry(sd_bus_message *reply, const char *key, void *context)
{
	struct explained *answer = context;

	if (streq(key, "allowed"))
		return sd_bus_message_read(reply, "v", "b", &answer->allowed);
	if (streq(key, "text"))
		return sd_bus_message_read(reply, "v", "s", &answer->text);
	if (streq(key, "command"))
		return sd_bus_message_read(reply, "v", "s", &answer->command);
	return sd_bus_message_skip(reply, "v");
}

static int read_answer(sd_bus_message *reply, struct explained *answer)
{
	int r = reply_read(reply, read_entry, answer);

	if (r < 0)
		return r;
	return answer->allowed >= 0 && answer->text ? 0 : -EBADMSG;
}

static int print_answer(bool allowed, const char *text, const char *command)
{
	print_lines("", text, stdout);
	if (command && *command)
		print_lines("To allow it: ", command, stdout);
	return allowed ? DONE : REFUSED;
}

/* --- without the manager -----------------------------------------------------------------------
 */

static void offline_clear(struct policy *policy)
{
	(void)packages_unref(policy->packages);
	(void)connections_unref(policy->connections);
}

/* The connections of the file that have not run out. Reports its failures. */
static int load_state(const char *file, struct diagnostics *diagnostics, struct connections **ret)
{
	_cleanup_(connections_unrefp) struct connections *loaded = NULL;
	int r;

	r = file ? connections_load_file(file, diagnostics, &loaded) : connections_new(&loaded);
	if (r == -ENOENT)
		print_error(
			"%s: no such file; the daemon keeps connections.yaml in its --state-dir",
			file);
	else if (r == 0)
		r = connections_expire(loaded, (uint64_t)time(NULL), ret);
	if (r == -ENOMEM)
		return print_no_memory();
	(void)print_diagnostics(diagnostics);
	return r;
}

/* What the manager would have in force if it started now. Reports its failures; documents that the
 * manager would leave out are reported and left out. */
static int load_policy(const struct arguments *arguments, struct policy *policy)
{
	_cleanup_(diagnostics_clear) struct diagnostics of_packages = {0}, of_state = {0};
	struct connections *connected;
	size_t left_out, count = 0;
	int r;

	while (arguments->packages[count])
		count++;
	r = packages_load(
		(const char *const *)arguments->packages, count, &of_packages, &policy->packages);
	if (r == -ENOMEM)
		return print_no_memory();
	(void)print_diagnostics(&of_packages);
	if (r < 0)
		return r;
	r = load_state(arguments->state, &of_state, &policy->connections);
	if (r < 0)
		return r;
	r = policy_auto_connect(policy, &connected, &left_out);
	if (r < 0)
		return print_no_memory();
	(void)connections_unref(policy->connections);
	policy->connections = connected;
	return 0;
}

static int explain_offline(const struct arguments *arguments)
{
	_cleanup_(offline_clear) struct policy policy = {0};
	_cleanup_(explanation_clear) struct explanation explanation = {0};
	_cleanup_(fault_clear) struct fault fault = {0};
	int r;

	r = load_policy(arguments, &policy);
	if (r < 0)
		return r;
	r = policy_explain(&policy, arguments->words[0], arguments->words[1], arguments->words[2],
		&explanation, &fault);
	if (r < 0) {
		print_error("%s", fault.message ? fault.message : strerror(-r));
		return r;
	}
	return print_answer(explanation.allowed, explanation.text, explanation.command);
}

int verb_explain(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct explained answer = {.allowed = -1, .command = ""};
	int r;

	if (*arguments->packages)
		return explain_offline(arguments);
	if (arguments->state) {
		print_error("--state works only without the daemon; add --packages DIR");
		return USAGE;
	}
	r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Explain", "sss",
		arguments->words[0], arguments->words[1], arguments->words[2]);
	if (r < 0)
		return r;
	r = read_answer(reply, &answer);
	if (r < 0)
		return print_bad_answer(r);
	return print_answer(answer.allowed, answer.text, answer.command);
}
