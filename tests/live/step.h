/* SPDX-License-Identifier: MIT */
/* A session process that goes one step at a time.
 *
 * A step is a system call: what is between two of them nobody outside can notice. The session
 * process is traced, and held where it is about to make the next call, so the test can do there
 * whatever it likes: no list of functions is kept, and a call that is added to the way of a request
 * is a step by itself. Calls that only manage its own memory are none.
 *
 * Between two requests it is held where it is about to poll(). While a caller waits inside, that is
 * a step, too. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define STEP_NAME_MAX 64
#define STEP_PATH_MAX 40 /* of it the beginning of a path */

struct stepper {
	pid_t session;            /* or a child of its, while that does something */
	pid_t parent;             /* the session process then; else 0 */
	bool idle;                /* held at the loop's poll(), and nothing is in hand */
	int timeout_ms;           /* of that poll(); -1: none */
	bool waits;               /* the same, which is a step: some caller waits inside */
	unsigned count;           /* the step that it is about to make; 1: the first after poll() */
	char name[STEP_NAME_MAX]; /* of that step: the call, and what it is about */
	unsigned acted; /* the last step that does something to a queue's contents or flags */
	bool replied;   /* the step that answers has been made */
};

/* Takes hold of the session process, which must be a child of ours, and runs it to its poll(). It
 * dies with us. */
void step_attach(struct stepper *stepper, pid_t session);

/* Lets it make the step, and holds it before the next. From a poll() for which nothing is there it
 * does not come back: the test fails at its deadline. */
void step_next(struct stepper *stepper);

/* The next step is the first of a request. */
void step_restart(struct stepper *stepper);

/* Lets it go on by itself. */
void step_detach(struct stepper *stepper);
