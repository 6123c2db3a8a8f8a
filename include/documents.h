/* SPDX-License-Identifier: MIT */
/* A policy that is nothing but some documents. */
#pragma once

#include "include/policy.h"

/* Reads packages, one of each file. A file may hold "connections" as for policy_apply(), beside a
 * package or alone; then these are connected, without any of them each plug is to every slot of its
 * id. 0 (look for warnings in diagnostics), -EBADMSG with at least one error in diagnostics, or
 * -ENOMEM. */
int policy_from_documents(
	char *const *files, size_t count, struct diagnostics *diagnostics, struct policy *ret);
