/* SPDX-License-Identifier: MIT */
/* What mqgated has counted, as Counters() answers it. */
#pragma once

#include "client.h"

#include "include/counters.h"

/* The members of struct counters, in their order. */
enum counter {
	COUNTER_CALLS,
	COUNTER_DENIED,
	COUNTER_REFUSED,
	COUNTER_SENT,
	COUNTER_RECEIVED,
	COUNTER_BYTES,
	COUNTER_WAITS,
	COUNTERS,
};

struct tally {
	char *ref; /* "" : not known which */
	uint64_t numbers[COUNTERS];
};

struct tallies {
	struct tally *items;
	size_t count;
};

struct session_counters {
	uint32_t pid, uid;
	char *command, *instance; /* "": none */
	struct tallies plugs;
	uint64_t sum[COUNTERS];
};

enum {
	CHANGES_CONNECT,
	CHANGES_DISCONNECT,
	CHANGES_APPLY,
	CHANGES_RELOAD,
	CHANGES,
};
extern const char *const change_names[CHANGES];

struct manager_counters {
	bool all; /* the next are known: whoever asks may see everything */
	uint64_t since, launches, launches_refused, processes_replaced, records_suppressed,
		records_dropped;
	struct durations changes[CHANGES];
	struct tallies plugs;              /* by ref */
	struct session_counters *sessions; /* by pid */
	size_t session_count;
	uint64_t taken; /* CLOCK_MONOTONIC, microseconds */
};

/* Reports its failures: 0, or a negative errno. */
int counters_get(const struct arguments *arguments, struct manager_counters *ret);
void counters_clear(struct manager_counters *counters);

/* NULL: there is none. */
const struct session_counters *counters_find(const struct manager_counters *counters, uint32_t pid);
