/* SPDX-License-Identifier: MIT */
/* What was counted (include/counters.h): of each session, by plug, and of the manager itself. */
#include <stdlib.h>

#include "daemon/manager/sessions/state.h"
#include "daemon/manager/sessions/totals.h"
#include "include/array.h"
#include "include/inflight.h"
#include "messages.h"

/* --- one set of counters -------------------------------------------------------------------- */

static int append_counted(sd_bus_message *message, const char *ref, const struct counters *counters)
{
	const uint64_t numbers[] = {counters->calls, counters->denied, counters->refused,
		counters->sent, counters->received, counters->bytes, counters->waits};
	int r;

	r = sd_bus_message_open_container(message, 'r', "sat");
	r = r < 0 ? r : sd_bus_message_append(message, "s", ref);
	r = r < 0 ? r : sd_bus_message_append_array(message, 't', numbers, sizeof(numbers));
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* --- by plug -------------------------------------------------------------------------------- */

struct sums {
	struct counted *items;
	size_t count;
};

static int add(struct sums *sums, const char *ref, const struct counters *counters)
{
	struct counted counted = {0};

	(void)strcpy(counted.ref, ref);
	counters_add(&counted.counters, counters);
	return array_append(&sums->items, &sums->count, &counted, sizeof(counted));
}

static int add_session(struct sums *sums, const struct session *session)
{
	const uint32_t count = inflight_counted_count(session->head);
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++) {
		char ref[REF_MAX + 1];

		if (inflight_counted_ref(session->head, i, ref))
			r = add(sums, ref, &session->head->counted[i].counters);
	}
	return r;
}

static int add_ended(struct sums *sums, const struct totals *totals)
{
	int r = 0;

	for (uint32_t i = 0; i < totals->ended_count && r == 0; i++)
		r = add(sums, totals->ended[i].ref, &totals->ended[i].counters);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct counted *x = a, *y = b;

	return strcmp(x->ref, y->ref);
}

static void fold(struct sums *sums)
{
	size_t kept = 0;

	if (sums->count == 0)
		return;
	qsort(sums->items, sums->count, sizeof(*sums->items), compare);
	for (size_t i = 1; i < sums->count; i++)
		if (compare(&sums->items[i], &sums->items[kept]) == 0)
			counters_add(&sums->items[kept].counters, &sums->items[i].counters);
		else
			sums->items[++kept] = sums->items[i];
	sums->count = kept + 1;
}

static int append_sums(
	sd_bus_message *message, const struct manager *manager, const struct bus_viewer *viewer)
{
	struct sums sums = {0};
	int r = viewer->all ? add_ended(&sums, manager->totals) : 0;

	FOREACH (session, manager->sessions)
		if (r == 0 && bus_may_see(viewer, session->launcher.uid))
			r = add_session(&sums, session);
	fold(&sums);
	r = r < 0 ? r : sd_bus_message_open_container(message, 'a', "(sat)");
	for (size_t i = 0; r >= 0 && i < sums.count; i++)
		r = append_counted(message, sums.items[i].ref, &sums.items[i].counters);
	free(sums.items);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* --- sessions ------------------------------------------------------------------------------- */

static int append_plugs(sd_bus_message *message, const struct session *session)
{
	const uint32_t count = inflight_counted_count(session->head);
	int r = sd_bus_message_open_container(message, 'a', "(sat)");

	for (uint32_t i = 0; r >= 0 && i < count; i++) {
		struct counters counters = {0};
		char ref[REF_MAX + 1];

		if (!inflight_counted_ref(session->head, i, ref))
			continue;
		counters_add(&counters, &session->head->counted[i].counters);
		if (*ref || counters.calls > 0)
			r = append_counted(message, ref, &counters);
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_session(sd_bus_message *message, const struct session *session)
{
	const char *instance = session->bindings.instance;
	char command[COMMAND_STRING_MAX];
	int r;

	r = sd_bus_message_open_container(message, 'r', "uussa(sat)");
	r = r < 0 ? r
		  : sd_bus_message_append(message, "uuss", (uint32_t)session->launcher.pid,
			    session->launcher.uid, identity_command(&session->launcher, command),
			    instance ? instance : "");
	r = r < 0 ? r : append_plugs(message, session);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_sessions(
	sd_bus_message *message, const struct manager *manager, const struct bus_viewer *viewer)
{
	int r = sd_bus_message_open_container(message, 'a', "(uussa(sat))");

	FOREACH (session, manager->sessions)
		if (r >= 0 && bus_may_see(viewer, session->launcher.uid))
			r = append_session(message, session);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

/* --- the manager itself --------------------------------------------------------------------- */

static int append_durations(
	sd_bus_message *message, const char *key, const struct durations *durations)
{
	int r;

	r = sd_bus_message_open_container(message, 'e', "sv");
	r = r < 0 ? r : sd_bus_message_append(message, "s", key);
	r = r < 0 ? r : sd_bus_message_open_container(message, 'v', "(tat)");
	r = r < 0 ? r : sd_bus_message_open_container(message, 'r', "tat");
	r = r < 0 ? r : sd_bus_message_append(message, "t", durations->usec);
	r = r < 0 ? r
		  : sd_bus_message_append_array(
			    message, 't', durations->counts, sizeof(durations->counts));
	r = r < 0 ? r : sd_bus_message_close_container(message);
	r = r < 0 ? r : sd_bus_message_close_container(message);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_number(sd_bus_message *message, const char *key, uint64_t number)
{
	return sd_bus_message_append(message, "{sv}", key, "t", number);
}

static int append_totals(sd_bus_message *message, const struct manager *manager)
{
	const struct totals *totals = manager->totals;
	int r;

	r = append_number(message, "since", totals->since);
	r = r < 0 ? r : append_number(message, "launches", totals->launches);
	r = r < 0 ? r : append_number(message, "launches-refused", totals->launches_refused);
	r = r < 0 ? r : append_number(message, "processes-replaced", totals->processes_replaced);
	r = r < 0 ? r : append_number(message, "records-suppressed", totals->records_suppressed);
	r = r < 0 ? r : append_number(message, "records-dropped", totals->records_dropped);
	for (int i = 0; r >= 0 && i < CHANGE_KINDS; i++)
		r = append_durations(message, change_kind_to_string(i), &totals->changes[i]);
	return r;
}

int bus_append_counters(
	const struct manager *manager, const struct bus_viewer *viewer, sd_bus_message *message)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	r = r >= 0 && viewer->all ? append_totals(message, manager) : r;
	r = r < 0 ? r : sd_bus_message_close_container(message);
	r = r < 0 ? r : append_sums(message, manager, viewer);
	return r < 0 ? r : append_sessions(message, manager, viewer);
}
