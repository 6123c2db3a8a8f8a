/* SPDX-License-Identifier: MIT */
/* Stopping a thread of an app for a moment, and having it make one call of ours meanwhile. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/request.h"
#include "machine.h"
#include "target.h"

struct seccomp_data;

/* What the door does meanwhile. */
struct force_hooks {
	void *context;
	/* Serves what has arrived at the listener, the thread's call among it, and does not wait.
	 * Negative errno: fatal. */
	int (*serve)(void *context);
	/* If the thread, which was asked to stop, waits inside the door: answers it so that it
	 * makes its call again. */
	void (*release)(void *context, pid_t tid);
};

enum force_result {
	FORCE_DONE,   /* the call was made, and succeeded */
	FORCE_FAILED, /* it was made, and failed; the thread goes on as if nothing had been */
	FORCE_GONE,   /* there is no such thread any more */
	FORCE_LATER,  /* nothing was done: it is in the midst of something; try again */
	FORCE_NEVER,  /* nothing was done: it is traced, or of an architecture unknown here */
	FORCE_BROKEN, /* it cannot be put back: its process must be killed */
};

struct forced_call {
	enum mq_call call;
	uint64_t arguments[6];
};

struct detour {
	pid_t tid;
	struct target target;
	const struct force_hooks *hooks;
	uint64_t deadline;         /* of what is waited for now */
	struct machine_call noted; /* for machine_was_broken_off() */
	struct machine saved;
	uint64_t mask;
	uint64_t instruction; /* where to enter the kernel */
	int64_t restart; /* what the call that it was stopped in returned; 0: the registers tell */
	int signal;      /* it is stopped to be given this */
	bool compat;     /* by int 0x80 */
	bool in_call;    /* it was stopped in a call, or before one (machine_call_place()) */
	bool moved;      /* its registers and its mask are not its own */
	bool running;    /* it was to stop again, and has not */
	bool held_stop;  /* a SIGSTOP came meanwhile */
};

/* Asks a thread to stop. 0: then it must be let go of, once it has stopped. -ESRCH: there is none.
 * -EPERM: it is traced. */
int detour_ask(pid_t tid, const struct force_hooks *hooks, struct detour *ret);

/* 0: it is stopped. -EINPROGRESS: not by the deadline (CLOCK_MONOTONIC, microseconds). -ESRCH. */
int detour_await(struct detour *detour, uint64_t deadline);

/* FORCE_DONE: it can make our call. FORCE_LATER, FORCE_NEVER, FORCE_GONE: it cannot. It may run for
 * that; if it has not stopped again by the deadline, that is FORCE_LATER, and detour->running. */
enum force_result detour_prepare(struct detour *detour, uint64_t deadline);

/* The call as the thread's filters would see it. */
void detour_describe(
	const struct detour *detour, const struct forced_call *call, struct seccomp_data *ret);

/* After detour_prepare(): has it make the call. It is stopped again afterwards. FORCE_DONE if the
 * call returned 0, FORCE_FAILED, FORCE_BROKEN, after the deadline, too; or FORCE_LATER, which is as
 * in detour_prepare(): it did not get to run within patience microseconds. */
enum force_result detour_make(struct detour *detour, const struct forced_call *call,
	uint64_t patience, uint64_t deadline);

/* Puts it back to where it was, and lets go of it. Negative errno: if detour->moved, it is broken;
 * otherwise it is not stopped, and must be let go of when it is. */
int detour_let_go(struct detour *detour);

/* In any other stop of a thread that PTRACE_INTERRUPT has led to: if its call failed because of
 * that, it will make it again. Without a note (all zero) that may not be known. */
void detour_undo(pid_t tid, const struct machine_call *noted);

/* Without letting go of it: it is gone, or will be let go of when it stops. */
void detour_forget(struct detour *detour);
