/* SPDX-License-Identifier: MIT */
/* What a session has: the plugs and slots that its hello named, and those bound to its apps. */
#pragma once

#include "include/policy.h"
#include "include/protocol.h"

struct bindings {
	char **plugs, **slots; /* canonical, "package:name", each once; the hello's own first */
	size_t plug_count, slot_count;
	size_t own_plug_count, own_slot_count;
	char **apps; /* "package.app" */
	size_t app_count;
	char *instance; /* NULL: none */
};

void bindings_clear(struct bindings *bindings);

/* 0; or -ENOENT, -EINVAL, -ENOTUNIQ or -E2BIG (SESSION_PLUGS_MAX) with a fault; or -ENOMEM. */
int bindings_from_hello(const struct policy *policy, const struct launch_hello *hello,
	struct bindings *ret, struct fault *fault);

/* For what follows from them. */
struct bound bindings_bound(const struct bindings *bindings);

/* MEDIATION_OPEN if there is a plug and all of them ask for it. Slots do not count: nothing that
 * they have can be disconnected. */
enum mediation bindings_mediation(const struct bindings *bindings, const struct policy *policy);

/* The same under another policy: what was named stays, also if it no longer exists; what is bound
 * to the apps is looked up again. 0, -E2BIG or -ENOMEM. */
int bindings_again(
	const struct bindings *bindings, const struct policy *policy, struct bindings *ret);

/* What these plugs and slots have under this policy, sealed. 0 or negative errno. */
int bindings_grants(const struct bindings *bindings, const struct policy *policy,
	uint64_t generation, struct grants **ret);

/* What the person who has started it is told that names need which they have not; NULL: nothing. */
const char *bindings_lack(const struct bindings *bindings, const struct policy *policy);
