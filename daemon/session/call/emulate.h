/* SPDX-License-Identifier: MIT */
/* Calls on a descriptor that this process carries out itself, in a session that has lost something.
 */
#pragma once

#include <mqueue.h>
#include <time.h>

#include "daemon/session/target/done.h"
#include <linux/seccomp.h>

#include "daemon/session/target/held.h"
#include "daemon/session/target/target.h"
#include "include/request.h"

/* What a send, receive or getsetattr says besides the descriptor. Copied from registers; memory is
 * looked at when it is due. */
struct data_call {
	enum mq_call call;
	bool compat;       /* 32-bit caller */
	uint64_t buffer;   /* message; getsetattr: the new attributes */
	uint64_t size;     /* getsetattr: where the old attributes go */
	uint64_t priority; /* send: the number; receive: where it goes */
	uint64_t timeout;  /* address, 0: none */
	bool long_time;    /* struct timespec is the 64-bit one */
};

struct data_call data_call_decode(const struct seccomp_notif *notification, enum mq_call call);

/* One call under way. */
struct emulated {
	struct data_call call;
	int queue; /* the very file that was checked; a waiter's own, else held (held.h) */
	struct mq_attr attributes; /* getsetattr: the new ones, copied once */
	char *message;             /* send: copied once; call.size bytes */
	bool has_deadline;
	struct timespec deadline; /* CLOCK_REALTIME, the caller's */
};
#define EMULATED_NONE ((struct emulated){.queue = -EBADF})

/* Frees the message. */
void emulated_clear(struct emulated *emulated);

/* Copies what the call needs out of the app. queue may be NULL, for the errors that come before
 * there is none. 0, or the negative errno that the app gets, as the kernel would find them, or
 * -EPERM if we could not look. */
int emulate_prepare(struct target *target, const struct data_call *call,
	const struct queue_file *queue, struct emulated *ret);

/* Tries once, without waiting, and notes what is tried and what was done. The result of the call
 * (≥ 0), or the negative errno that the app gets; -EINPROGRESS: it would have to wait. A receive
 * that could not write to the app has taken its message all the same, as in the kernel. */
long emulate_try(
	struct target *target, struct emulated *emulated, uint64_t id, struct done_call *done);

/* What has become of a call that an earlier session process had noted: its result; -EINPROGRESS: it
 * has done nothing; -EIO: that cannot be told. */
long emulate_outcome(struct done_call *done, enum mq_call call);

/* Gives the app what a call that is done has for it. The result, or -EFAULT. */
long emulate_hand_out(
	struct target *target, const struct data_call *call, const struct done_call *done);

/* Microseconds to the caller's own deadline; 0: it has passed; UINT64_MAX: it has none. */
uint64_t emulated_time_left(const struct emulated *emulated);
