/* SPDX-License-Identifier: MIT */
/* Which sessions a change is about. */
#pragma once

#include "include/policy.h"

struct session;

/* Whether it may have other names, or mean others by them, under another policy. */
bool session_is_concerned(
	const struct session *session, const struct policy *old, const struct policy *new);
