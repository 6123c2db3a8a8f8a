/* SPDX-License-Identifier: MIT */
/* mqctl metrics: what was counted, for Prometheus and whatever reads the same.
 *
 * Both forms are the same but for the name of a counter's family, which OpenMetrics has without
 * "_total", and for the last line. */
#include <inttypes.h>

#include "counters.h"
#include "print.h"

#include "include/bus.h"
#include "include/limits.h"

#define UNKNOWN "unknown" /* no plug: theirs have a colon */

static bool open_metrics;

static void print_family(const char *name, const char *type, const char *help)
{
	const char *suffix = streq(type, "counter") && !open_metrics ? "_total" : "";

	(void)printf("# HELP mqgate_%s%s %s\n# TYPE mqgate_%s%s %s\n", name, suffix, help, name,
		suffix, type);
}

static void print_label(const char *key, const char *value)
{
	(void)printf("{%s=\"", key);
	for (const char *p = value; *p; p++)
		if (*p == '\n')
			(void)fputs("\\n", stdout);
		else
			(void)printf("%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
	(void)fputs("\"}", stdout);
}

static void print_counter(const char *name, const char *help, uint64_t value)
{
	print_family(name, "counter", help);
	(void)printf("mqgate_%s_total %" PRIu64 "\n", name, value);
}

static void print_gauge(const char *name, const char *help, uint64_t value)
{
	print_family(name, "gauge", help);
	(void)printf("mqgate_%s %" PRIu64 "\n", name, value);
}

/* --- by plug -------------------------------------------------------------------------------- */

static const char *plug_label(const struct tally *tally)
{
	return *tally->ref ? tally->ref : UNKNOWN;
}

static void print_by_plug(const struct tallies *plugs)
{
	static const struct {
		const char *name, *help;
	} families[COUNTERS] = {
		[COUNTER_CALLS] = {"calls", "Message-queue calls that mqgate has answered."},
		[COUNTER_DENIED] = {"calls_denied", "Calls that the policy does not allow."},
		[COUNTER_REFUSED] = {"calls_refused",
			"Calls that the policy allows and the kernel has refused."},
		[COUNTER_SENT] = {"messages_sent",
			"Sends that were carried out or given back to the kernel."},
		[COUNTER_RECEIVED] = {"messages_received",
			"Receives that were carried out or given back to the kernel."},
		[COUNTER_BYTES] = {"sent_bytes", "Bytes of the messages sent."},
		[COUNTER_WAITS] = {"calls_waited",
			"Calls that had to wait in the session process."},
	};

	for (size_t i = 0; i < COUNTERS; i++) {
		print_family(families[i].name, "counter", families[i].help);
		for (size_t j = 0; j < plugs->count; j++) {
			(void)printf("mqgate_%s_total", families[i].name);
			print_label("plug", plug_label(&plugs->items[j]));
			(void)printf(" %" PRIu64 "\n", plugs->items[j].numbers[i]);
		}
	}
}

static size_t count_sessions(const struct manager_counters *counters, const char *ref)
{
	size_t count = 0;

	for (size_t i = 0; i < counters->session_count; i++)
		for (size_t j = 0; j < counters->sessions[i].plugs.count; j++)
			count += streq(counters->sessions[i].plugs.items[j].ref, ref);
	return count;
}

static void print_sessions(const struct manager_counters *counters)
{
	print_gauge("sessions", "Running sessions.", counters->session_count);
	print_family("plug_sessions", "gauge", "Running sessions that have a plug.");
	for (size_t i = 0; i < counters->plugs.count; i++) {
		const struct tally *plug = &counters->plugs.items[i];

		if (!*plug->ref)
			continue;
		(void)fputs("mqgate_plug_sessions", stdout);
		print_label("plug", plug->ref);
		(void)printf(" %zu\n", count_sessions(counters, plug->ref));
	}
}

/* --- of the manager ------------------------------------------------------------------------- */

static void print_duration(const char *change, const struct durations *durations)
{
	static const uint64_t bounds[DURATION_BOUNDS_COUNT] = {DURATION_BOUNDS};
	uint64_t sum = 0;

	for (size_t i = 0; i < DURATION_BOUNDS_COUNT; i++) {
		sum += durations->counts[i];
		(void)printf("mqgate_change_duration_seconds_bucket{change=\"%s\",le=\"%g\"} "
			     "%" PRIu64 "\n",
			change, (double)bounds[i] / 1e6, sum);
	}
	sum += durations->counts[DURATION_BOUNDS_COUNT];
	(void)printf("mqgate_change_duration_seconds_bucket{change=\"%s\",le=\"+Inf\"} %" PRIu64
		     "\n"
		     "mqgate_change_duration_seconds_sum{change=\"%s\"} %.6f\n"
		     "mqgate_change_duration_seconds_count{change=\"%s\"} %" PRIu64 "\n",
		change, sum, change, (double)durations->usec / 1e6, change, sum);
}

static void print_manager(const struct manager_counters *counters)
{
	print_gauge("counters_start_time_seconds",
		"When counting began, in seconds since 1970; it outlives mqgated.",
		counters->since);
	print_counter("launches", "Programs that were started.", counters->launches);
	print_counter(
		"launches_refused", "Launches that were refused.", counters->launches_refused);
	print_counter("session_processes_replaced",
		"Session processes that died and were replaced.", counters->processes_replaced);
	print_counter("records_suppressed", "Records that were not made: there were too many.",
		counters->records_suppressed);
	print_counter("records_dropped", "Records that a reader of the control bus was not sent.",
		counters->records_dropped);
	print_family("change_duration_seconds", "histogram",
		"Time until a change of connections was in force in every session.");
	for (size_t i = 0; i < CHANGES; i++)
		print_duration(change_names[i], &counters->changes[i]);
}

/* --- status --------------------------------------------------------------------------------- */

static int print_fact(sd_bus_message *reply, const char *key, void *context)
{
	const char *value;
	int r = sd_bus_message_read(reply, "v", "s", &value);

	if (r < 0)
		return r;
	if (streq(key, "version")) {
		print_family("build_info", "gauge", "The version of mqgated that runs.");
		(void)fputs("mqgate_build_info", stdout);
		print_label("version", value);
		(void)puts(" 1");
	} else if (streq(key, "packages")) {
		print_gauge("packages", "Packages in the policy.", strtoull(value, NULL, 10));
	} else if (streq(key, "connections")) {
		print_gauge("connections", "Connections in the policy.", strtoull(value, NULL, 10));
	}
	return r;
}

/* Reports its failures. */
static int print_status(const struct arguments *arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = manager_call(arguments, STATUS_DEADLINE_USEC, &reply, "Status", "");

	if (r < 0)
		return r;
	r = reply_read(reply, print_fact, NULL);
	return r < 0 ? print_bad_answer(r) : 0;
}

int verb_metrics(const struct arguments *arguments)
{
	_cleanup_(counters_clear) struct manager_counters counters = {0};
	const char *format = arguments->format ? arguments->format : "prometheus";
	int r;

	open_metrics = streq(format, "openmetrics");
	if (!open_metrics && !streq(format, "prometheus")) {
		print_error("--format %s: use prometheus or openmetrics", format);
		return USAGE;
	}
	r = counters_get(arguments, &counters);
	r = r < 0 ? r : print_status(arguments);
	if (r < 0)
		return r;
	print_sessions(&counters);
	print_by_plug(&counters.plugs);
	if (counters.all)
		print_manager(&counters);
	if (open_metrics)
		(void)puts("# EOF");
	return DONE;
}
