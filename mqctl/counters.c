/* SPDX-License-Identifier: MIT */
#include "counters.h"

#include "include/array.h"

const char *const change_names[CHANGES] = {
	[CHANGES_CONNECT] = "connect",
	[CHANGES_DISCONNECT] = "disconnect",
	[CHANGES_APPLY] = "apply",
	[CHANGES_RELOAD] = "reload",
};

static void tallies_clear(struct tallies *tallies)
{
	for (size_t i = 0; i < tallies->count; i++)
		free(tallies->items[i].ref);
	free(tallies->items);
	*tallies = (struct tallies){0};
}

static void session_clear(struct session_counters *session)
{
	free(session->command);
	free(session->instance);
	tallies_clear(&session->plugs);
}

void counters_clear(struct manager_counters *counters)
{
	for (size_t i = 0; i < counters->session_count; i++)
		session_clear(&counters->sessions[i]);
	free(counters->sessions);
	tallies_clear(&counters->plugs);
	*counters = (struct manager_counters){0};
}

/* --- reading the answer --------------------------------------------------------------------- */

static int read_numbers(sd_bus_message *reply, uint64_t *ret, size_t count)
{
	const void *numbers;
	size_t size;
	int r = sd_bus_message_read_array(reply, 't', &numbers, &size);

	if (r < 0)
		return r;
	memcpy(ret, numbers, MIN(size, count * sizeof(*ret)));
	return 0;
}

static int copy_text(const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int read_tally(sd_bus_message *reply, struct tallies *tallies)
{
	struct tally tally = {0};
	const char *ref;
	int r;

	r = sd_bus_message_enter_container(reply, 'r', "sat");
	if (r <= 0)
		return r;
	r = sd_bus_message_read(reply, "s", &ref);
	r = r < 0 ? r : read_numbers(reply, tally.numbers, COUNTERS);
	r = r < 0 ? r : sd_bus_message_exit_container(reply);
	r = r < 0 ? r : copy_text(ref, &tally.ref);
	r = r < 0 ? r : array_append(&tallies->items, &tallies->count, &tally, sizeof(tally));
	if (r < 0)
		free(tally.ref);
	return r < 0 ? r : 1;
}

static int read_tallies(sd_bus_message *reply, struct tallies *tallies)
{
	int r = sd_bus_message_enter_container(reply, 'a', "(sat)");

	while (r > 0)
		r = read_tally(reply, tallies);
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int read_facts(sd_bus_message *reply, struct session_counters *session)
{
	const char *command, *instance;
	int r;

	r = sd_bus_message_read(reply, "uuss", &session->pid, &session->uid, &command, &instance);
	r = r < 0 ? r : copy_text(command, &session->command);
	r = r < 0 ? r : copy_text(instance, &session->instance);
	r = r < 0 ? r : read_tallies(reply, &session->plugs);
	for (size_t i = 0; i < session->plugs.count; i++)
		for (size_t j = 0; j < COUNTERS; j++)
			session->sum[j] += session->plugs.items[i].numbers[j];
	return r;
}

static int read_session(sd_bus_message *reply, struct manager_counters *counters)
{
	struct session_counters session = {0};
	int r;

	r = sd_bus_message_enter_container(reply, 'r', "uussa(sat)");
	if (r <= 0)
		return r;
	r = read_facts(reply, &session);
	r = r < 0 ? r : sd_bus_message_exit_container(reply);
	r = r < 0 ? r
		  : array_append(&counters->sessions, &counters->session_count, &session,
			    sizeof(session));
	if (r < 0)
		session_clear(&session);
	return r < 0 ? r : 1;
}

static int read_sessions(sd_bus_message *reply, struct manager_counters *counters)
{
	int r = sd_bus_message_enter_container(reply, 'a', "(uussa(sat))");

	while (r > 0)
		r = read_session(reply, counters);
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int read_durations(sd_bus_message *reply, struct durations *durations)
{
	int r;

	r = sd_bus_message_enter_container(reply, 'v', "(tat)");
	r = r < 0 ? r : sd_bus_message_enter_container(reply, 'r', "tat");
	r = r < 0 ? r : sd_bus_message_read(reply, "t", &durations->usec);
	r = r < 0 ? r : read_numbers(reply, durations->counts, DURATION_BOUNDS_COUNT + 1);
	r = r < 0 ? r : sd_bus_message_exit_container(reply);
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int read_total(sd_bus_message *reply, const char *key, void *context)
{
	struct manager_counters *counters = context;
	const struct {
		const char *key;
		uint64_t *ret;
	} numbers[] = {
		{"since", &counters->since},
		{"launches", &counters->launches},
		{"launches-refused", &counters->launches_refused},
		{"processes-replaced", &counters->processes_replaced},
		{"records-suppressed", &counters->records_suppressed},
		{"records-dropped", &counters->records_dropped},
	};

	counters->all = true;
	for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
		if (streq(numbers[i].key, key))
			return sd_bus_message_read(reply, "v", "t", numbers[i].ret);
	for (size_t i = 0; i < CHANGES; i++)
		if (streq(change_names[i], key))
			return read_durations(reply, &counters->changes[i]);
	return sd_bus_message_skip(reply, "v");
}

static int compare_sessions(const void *a, const void *b)
{
	const struct session_counters *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

static int read_answer(sd_bus_message *reply, struct manager_counters *counters)
{
	int r = reply_read(reply, read_total, counters);

	r = r < 0 ? r : read_tallies(reply, &counters->plugs);
	r = r < 0 ? r : read_sessions(reply, counters);
	if (r >= 0 && counters->session_count > 0)
		qsort(counters->sessions, counters->session_count, sizeof(*counters->sessions),
			compare_sessions);
	return r;
}

int counters_get(const struct arguments *arguments, struct manager_counters *ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(counters_clear) struct manager_counters counters = {0};
	int r;

	r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Counters", "");
	if (r < 0)
		return r;
	counters.taken = now_usec();
	r = read_answer(reply, &counters);
	if (r < 0)
		return r == -ENOMEM ? print_no_memory() : print_bad_answer(r);
	*ret = counters;
	counters = (struct manager_counters){0};
	return 0;
}

const struct session_counters *counters_find(const struct manager_counters *counters, uint32_t pid)
{
	const struct session_counters key = {.pid = pid};

	return counters->session_count > 0
		       ? bsearch(&key, counters->sessions, counters->session_count,
				 sizeof(*counters->sessions), compare_sessions)
		       : NULL;
}

int read_interval(const struct arguments *arguments, uint64_t otherwise, uint64_t *ret)
{
	const char *text = arguments->interval;
	char *end;

	*ret = otherwise;
	if (!text)
		return 0;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	if (errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && *ret >= 1 &&
		*ret <= TOP_INTERVAL_MAX)
		return 0;
	print_error("--interval %s: not a number of seconds from 1 to %d", text, TOP_INTERVAL_MAX);
	return -EINVAL;
}
