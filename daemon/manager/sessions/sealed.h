/* SPDX-License-Identifier: MIT */
/* Grants, as they are handed to session processes. */
#pragma once

#include "bindings.h"
#include "include/grants.h"

/* A sealed memfd of a sealed set. */
int sealed_memfd(const struct grants *grants, int *ret_fd, size_t *ret_size);

/* What these plugs and slots have under this policy, sealed. 0 or negative errno. */
int grants_of(const struct policy *policy, const struct bindings *bindings, uint64_t generation,
	struct grants **ret);
