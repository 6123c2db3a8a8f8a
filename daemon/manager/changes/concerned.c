/* SPDX-License-Identifier: MIT */
#include "concerned.h"

#include "daemon/manager/sessions/state.h"

static bool differs_for_plug(
	const struct connections *a, const struct connections *b, const char *plug)
{
	size_t i = connections_lower_bound(a, plug, ""), j = connections_lower_bound(b, plug, "");

	for (;; i++, j++) {
		bool in_a = i < a->count && streq(a->items[i].plug, plug);
		bool in_b = j < b->count && streq(b->items[j].plug, plug);

		if (!in_a || !in_b)
			return in_a != in_b;
		if (!streq(a->items[i].slot, b->items[j].slot) ||
			a->items[i].state != b->items[j].state)
			return true;
	}
}

bool session_is_concerned(
	const struct session *session, const struct policy *old, const struct policy *new)
{
	if (old->packages != new->packages)
		return true;
	for (size_t i = 0; i < session->bindings.plug_count; i++)
		if (differs_for_plug(
			    old->connections, new->connections, session->bindings.plugs[i]))
			return true;
	return false;
}
