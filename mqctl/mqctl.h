/* SPDX-License-Identifier: MIT */
/* What the verbs of mqctl share: the command line, and the way to the manager. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "include/util.h"

/* Exit codes. */
enum {
	DONE = 0,
	REFUSED = 1, /* by the manager, or a thing that failed: one message on stderr */
	USAGE = 2,
};

struct diagnostics;

struct arguments {
	const char *runtime_dir;
	int json, no_legend, all, forget, dry_run, any_id, kill, once, live,
		last;    /* true or false; getopt_long() sets them */
	bool quiet;      /* no failure of a call to the manager is reported */
	char **packages; /* of --packages, in order; NULL-terminated */
	size_t package_count;
	char **plugs; /* of --plug, in order */
	size_t plug_count;
	const char *base;     /* of --base; NULL: none */
	const char *state;    /* of --state; NULL: none */
	const char *span;     /* of --for; NULL: none */
	const char *wait;     /* of --wait; NULL: none */
	const char *interval; /* of --interval; NULL: none */
	const char *format;   /* of --format; NULL: none */
	char **words;         /* after the verb; NULL-terminated */
	int word_count;
};

/* A verb returns an exit code, or a negative errno whose message has already been printed. */
typedef int verb_function(const struct arguments *arguments);

verb_function verb_connect, verb_disconnect, verb_apply;
verb_function verb_connections, verb_plugs, verb_slots, verb_sessions;
verb_function verb_top, verb_monitor, verb_queues, verb_graph, verb_metrics;
verb_function verb_learn, verb_explain, verb_oci_profile, verb_check, verb_reload, verb_status,
	verb_doctor;

/* Of --interval, or otherwise, in seconds. Reports its failures: 0, or -EINVAL. */
int read_interval(const struct arguments *arguments, uint64_t otherwise, uint64_t *ret);

/* "error: TEXT" on stderr, control characters escaped, lines kept. */
void print_error(const char *format, ...) _printf_(1, 2);

/* "error: not enough memory", and -ENOMEM. */
int print_no_memory(void);

/* Each on a line of stderr. REFUSED if there is any but notes, else DONE; or -ENOMEM, reported. */
int print_diagnostics(const struct diagnostics *diagnostics);

/* "error: cannot read the answer of mqgated", and r. */
int print_bad_answer(int r);
