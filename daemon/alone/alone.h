/* SPDX-License-Identifier: MIT */
/* One run without a daemon. */
#pragma once

#include <signal.h>

#include "daemon/session/session.h"
#include "include/bindings.h"
#include "include/limits.h"
#include "learner.h"

#define FILE_SHOWN_SIZE 512 /* bytes of a file's name, escaped, in what is told */

/* A denial that was told. */
struct told_denial {
	uint32_t reason, missing;
	char name[QUEUE_NAME_MAX + 1];
};

/* A signal that mq-run was sent, and that may still come to us. */
struct front_signal {
	int number, code;
	uint64_t value;
	uint64_t due; /* when it is passed on, microseconds of CLOCK_MONOTONIC */
};

struct alone {
	char *const *files; /* the policy's; none: everything is allowed, and learned */
	size_t file_count;
	struct learner learner;
	struct policy policy;
	struct bindings bindings;
	pid_t command; /* our child */
	int status;    /* of wait(2), once it has ended */
	bool has_ended, was_told;
	int stopped_by; /* the signal, if mq-run has not told of it; 0: none */
	int front;      /* to mq-run; -EBADF: it is gone */
	int signals;    /* a signalfd; all are blocked */
	struct {
		uint64_t last; /* microseconds of CLOCK_MONOTONIC */
		unsigned count;
	} came[NSIG]; /* to us, and not yet to mq-run */
	struct front_signal waiting[FRONT_SIGNALS_MAX];
	size_t waiting_count;
	int reports; /* what the session says to its manager, which is us */
	struct supervisor session;
	struct told_denial told[DENIALS_TOLD_MAX];
	size_t told_count;
};

/* launch.c: from the hello of the process that becomes the command to the word. 0; or a negative
 * errno: it has been told why it is not served, or is gone. */
int alone_launch(struct alone *alone);

/* Whether this run learns. */
static inline bool alone_learns(const struct alone *alone)
{
	return alone->file_count == 0;
}

/* loop.c: writes what was learned; with told, says so. */
void finish_lesson(struct alone *alone, bool told);

/* loop.c: serves until the last process of the session is gone. 0 or negative errno. */
int alone_serve(struct alone *alone);

/* command.c: takes note of what came to us, and of what became of the command. */
void take_signals(struct alone *alone);
/* A signal that mq-run was sent; to be called after take_signals(). */
struct alone_message;
void take_front_signal(struct alone *alone, const struct alone_message *message);
/* Passes on those of them that did not come to us meanwhile. For how long the next one may still,
 * in milliseconds; -1: there is none. */
int pass_signals_on(struct alone *alone);
/* Waits until the command has ended, which it does without anything more being done. */
void wait_for_command(struct alone *alone);

/* tell.c: a line for the person who has started it; a pidfd of the command; what became of it. */
void tell_text(struct alone *alone, const char *format, ...) _printf_(2, 3);
int tell_started(struct alone *alone);
void tell_stopped(struct alone *alone, int number);
void tell_ended(struct alone *alone);
/* What was denied, once. */
struct call;
void tell_denial(struct alone *alone, const struct call *call);
/* What is wrong with the documents. */
void tell_diagnostics(struct alone *alone, const struct diagnostics *diagnostics);
