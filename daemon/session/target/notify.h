/* SPDX-License-Identifier: MIT */
/* The seccomp notification ioctls; nothing else in mqgate calls them. */
#pragma once

#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdint.h>

enum answer_kind {
	ANSWER_ERROR,    /* the call fails with answer.error */
	ANSWER_VALUE,    /* the call returns answer.value */
	ANSWER_CONTINUE, /* the kernel carries the call out, with the registers it was made with */
};

struct answer {
	enum answer_kind kind;
	int error; /* errno, positive */
	int value;
};

/* What a call comes back with that returned this: a value or a negative errno. */
static inline struct answer answer_of(long result)
{
	return result < 0 ? (struct answer){.kind = ANSWER_ERROR, .error = (int)-result}
			  : (struct answer){.kind = ANSWER_VALUE, .value = (int)result};
}

/* Once for each listener and process: has the waking of a caller keep it on this processor. Kernels
 * that do not know the flag work without. */
void notify_prepare(int listener);

/* Takes the next notification into *ret, which must be all zero. 0; -ENOENT if it is gone; another
 * negative errno is fatal. Blocks if there is none: poll first. */
int notify_receive(int listener, struct seccomp_notif *ret);

/* True while the caller is still blocked in that very call. */
bool notify_is_valid(int listener, uint64_t id);

/* Puts a copy of fd (O_CLOEXEC) into the caller, which stays blocked and unanswered. Returns its
 * number there; -ENOENT if the caller is gone; -EMFILE if its table is full; another negative
 * errno. */
int notify_inject(int listener, uint64_t id, int fd);

/* The one place that answers. 0: answered. -ENOENT: gone, nothing was delivered. */
int notify_reply(int listener, uint64_t id, const struct answer *answer);
