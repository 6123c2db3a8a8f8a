/* SPDX-License-Identifier: MIT */
/* mqctl explain: may a plug do this, by what, or what is missing and what would grant it. */
#include "list.h"

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

/* --- without the manager -------------------------------------------------------------------- */

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

/* --- the last records ----------------------------------------------------------------------- */

#define LAST_SHOWN 10 /* without a process */

enum {
	LAST_TIME,
	LAST_PID,
	LAST_TEXT,
	LAST_PLUG,
	LAST_QUEUE,
	LAST_MISSING,
	LAST_CALL,
	LAST_REASON,
	LAST_UID,
	LAST_COMMAND,
	LAST_CONTAINER,
	LAST_SUGGESTION,
	LAST_COLUMNS,
};

/* Whether what was denied is allowed by now. The record names one plug then, and what it lacks
 * first. */
static void print_present(const struct arguments *arguments, const struct cell *row)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *plug = cell_text(&row[LAST_PLUG]), *missing = cell_text(&row[LAST_MISSING]);
	_cleanup_free_ char *permission = strndup(missing, strcspn(missing, ","));
	struct explained answer = {.allowed = -1, .command = ""};
	struct arguments quietly = *arguments;

	/* The plug may be gone. */
	quietly.quiet = true;
	if (!permission || !*permission || !strchr(plug, ':') || strchr(plug, ','))
		return;
	if (manager_call(&quietly, CONTROL_DEADLINE_USEC, &reply, "Explain", "sss", plug,
		    permission, cell_text(&row[LAST_QUEUE])) == 0 &&
		read_answer(reply, &answer) == 0 && answer.allowed)
		print_lines("  by now: ", answer.text, stdout);
}

static int print_last(const struct arguments *arguments, const struct table *table)
{
	const size_t shown = arguments->word_count > 0 ? table->row_count
						       : MIN(table->row_count, (size_t)LAST_SHOWN);

	for (size_t i = table->row_count - shown; i < table->row_count; i++) {
		const struct cell *row = table->rows[i];
		char time[UTC_STRING_MAX];

		(void)printf("%s ",
			utc_format(strtoull(cell_text(&row[LAST_TIME]), NULL, 10) / 1000000, time));
		print_lines("", cell_text(&row[LAST_TEXT]), stdout);
		print_present(arguments, row);
	}
	if (table->row_count == 0)
		(void)puts("Nothing was denied or refused that is remembered");
	return DONE;
}

static int read_pid(const char *text, uint32_t *ret)
{
	unsigned long long pid;
	char *end;

	*ret = 0;
	if (!text)
		return 0;
	errno = 0;
	pid = strtoull(text, &end, 10);
	if (errno != 0 || *text < '1' || *text > '9' || *end != '\0' || pid > INT32_MAX) {
		print_error("%s is not the number of a process", text);
		return -EINVAL;
	}
	*ret = (uint32_t)pid;
	return 0;
}

static int explain_last(const struct arguments *arguments)
{
	static const struct column columns[LAST_COLUMNS] = {[LAST_TIME] = {"Time", COLUMN_NUMBER},
		[LAST_PID] = {"Pid", COLUMN_NUMBER},
		[LAST_TEXT] = {"Text"},
		[LAST_PLUG] = {"Plug"},
		[LAST_QUEUE] = {"Queue"},
		[LAST_MISSING] = {"Missing"},
		[LAST_CALL] = {"Call"},
		[LAST_REASON] = {"Reason"},
		[LAST_UID] = {"Uid", COLUMN_NUMBER},
		[LAST_COMMAND] = {"Command"},
		[LAST_CONTAINER] = {"Container"},
		[LAST_SUGGESTION] = {"Suggestion"}};
	_cleanup_(table_freep) struct table *table = NULL;
	uint32_t pid;
	int r;

	if (arguments->word_count > 1) {
		print_error("too many arguments for explain --last: \"%s\"", arguments->words[1]);
		return USAGE;
	}
	if (*arguments->packages || arguments->state) {
		print_error(
			"explain --last asks the daemon; it does not take --packages and --state");
		return USAGE;
	}
	if (read_pid(arguments->words[0], &pid) < 0)
		return USAGE;
	r = manager_last(arguments, pid, columns, LAST_COLUMNS, &table);
	if (r < 0)
		return r;
	table_sort(table); /* by time */
	if (arguments->json) {
		table_print_json(table, stdout);
		return DONE;
	}
	return print_last(arguments, table);
}

int verb_explain(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct explained answer = {.allowed = -1, .command = ""};
	int r;

	if (arguments->last)
		return explain_last(arguments);
	if (arguments->json) {
		print_error("--json works only with --last");
		return USAGE;
	}
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
