/* SPDX-License-Identifier: MIT */
/* Names that would mean two queues: refused before anything changes. */
#pragma once

#include "daemon/manager/core/manager.h"

/* 0 unless a plug, through all its connections, or a running session would have names that clash
 * (see policy_check_names()) and has none yet; what takes away only is never refused. -EEXIST or
 * -EXDEV with a fault, or -ENOMEM. */
int names_check(const struct manager *manager, const struct policy *policy, struct fault *fault);

/* Logs those that there are: nothing can be refused when the manager starts. */
void names_log_clashes(const struct manager *manager);
