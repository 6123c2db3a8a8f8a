/* SPDX-License-Identifier: MIT */
/* A document of mqctl apply: all of it or nothing, and a second time it changes nothing. */
#include "fuzz.h"

static void check_applied(struct connections *connections, const uint8_t *data, size_t size)
{
	const struct policy changed = {fuzz_policy()->packages, connections};
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *again = NULL;

	check_connections(connections);
	REQUIRE(policy_apply(&changed, "input.yaml", (const char *)data, size, &diagnostics,
			&again) == 0);
	REQUIRE(again == connections);
	for (size_t i = 0; i < connections->count; i++)
		REQUIRE(connections->items[i].state != CONNECTION_AUTO &&
			connections->items[i].until == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	int r = policy_apply(
		fuzz_policy(), "input.yaml", (const char *)data, size, &diagnostics, &connections);

	check_diagnostics(r, &diagnostics);
	if (r == 0)
		check_applied(connections, data, size);
	else
		REQUIRE(!connections);
	return 0;
}
