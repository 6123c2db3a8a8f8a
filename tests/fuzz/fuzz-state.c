/* SPDX-License-Identifier: MIT */
/* The state file: what is accepted can be written, and reads again the same. */
#include "fuzz.h"

static void check_written(const struct connections *connections)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *again = NULL;

	REQUIRE(connections_save(fuzz_directory(), connections) == 0);
	REQUIRE(connections_load(fuzz_directory(), &diagnostics, &again) == 0);
	REQUIRE(diagnostics.count == 0);
	REQUIRE(connections_same(connections, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	int r = connections_load_file(fuzz_file(data, size), &diagnostics, &connections);

	check_diagnostics(r, &diagnostics);
	if (r == 0) {
		check_connections(connections);
		check_written(connections);
	}
	return 0;
}
