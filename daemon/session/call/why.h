/* SPDX-License-Identifier: MIT */
/* Why the kernel has refused what was granted. */
#pragma once

#include "call.h"
#include "include/kernel-refusal.h"

/* True if a person can do something about it, and has not been told before: a program that tries
 * again and again is told of once, until it succeeds. */
bool why_is_news(struct told *told, const struct call *call);
/* It has succeeded. */
void why_forget(struct told *told, const struct call *call);

/* The numbers. After the caller was answered: it does not wait for them. */
void find_why(
	const struct supervisor *supervisor, const struct call *call, struct kernel_refusal *ret);
