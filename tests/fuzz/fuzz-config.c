/* SPDX-License-Identifier: MIT */
/* mqgated.yaml. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	struct config config = {0};
	int r = config_load(fuzz_file(data, size), &diagnostics, &config);

	check_diagnostics(r, &diagnostics);
	if (r == 0) {
		REQUIRE(config.audit_rate >= 1 && config.audit_rate <= RECORD_RATE_MAX);
		REQUIRE(!config.admin_group || *config.admin_group);
		REQUIRE(!config.launch_group || *config.launch_group);
	} else {
		REQUIRE(!config.admin_group && !config.launch_group);
	}
	config_clear(&config);
	return 0;
}
