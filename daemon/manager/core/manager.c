/* SPDX-License-Identifier: MIT */
#include "manager.h"

#include <systemd/sd-daemon.h>

void manager_update_status(const struct manager *manager)
{
	(void)sd_notifyf(false, "STATUS=%zu packages, %zu connections, %zu sessions",
		manager->policy.packages->count, manager->policy.connections->count,
		manager->session_count);
}
