/* SPDX-License-Identifier: MIT */
/* The kernel's refusals, for people. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "include/kernel-refusal.h"

/* What was refused, to whom. */
struct refused_call {
	const struct kernel_refusal *why;
	int error;         /* errno, positive */
	const char *queue; /* without slash */
	pid_t pid;
	uid_t uid;
};

/* False if no session process of ours would have sent it. */
bool kernel_refusal_is_valid(const struct kernel_refusal *why);

/* "it wants room for 100 messages, and fs.mqueue.msg_max is 10", malloc'd; NULL on lack of memory.
 */
char *kernel_refusal_text(const struct refused_call *call);

/* A command that would help; *ret is NULL if there is none. 0 or -ENOMEM. */
int kernel_refusal_remedy(const struct refused_call *call, char **ret);
