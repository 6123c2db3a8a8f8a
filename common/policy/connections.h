/* SPDX-License-Identifier: MIT */
/* Building sets of connections; for state.c and connect.c. */
#pragma once

#include "include/policy.h"

/* An empty set with room for so many. */
int connections_new_sized(size_t allocated, struct connections **ret);

/* Makes a connection with texts of its own. 0 or -ENOMEM. */
int connection_init(struct connection *connection, const char *plug, const char *slot,
	enum connection_state state);

/* Frees its texts if nobody else has them. */
void connection_clear(struct connection *connection);

/* Appends one that shares its texts with item; there must be room. */
void connections_append(struct connections *connections, const struct connection *item);

/* By plug, then slot. */
int connection_compare(const void *a, const void *b);

/* The connections of a document's "connections", of which no other key is looked at: as
 * policy_apply(), starting from what is connected by the policy. */
struct value;
int apply_list(const struct policy *policy, const char *file, const struct value *root,
	struct diagnostics *diagnostics, struct connections **ret_connections);
