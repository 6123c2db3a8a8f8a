/* SPDX-License-Identifier: MIT */
/* What this kernel can do; each feature is tried, none is guessed from a version. */
#pragma once

#include <stdbool.h>

struct kernel_features {
	int landlock_abi;                           /* 0: none */
	bool listener, wait_killable, sync_wake_up; /* of seccomp */
	bool confined; /* there is a listener above already, and no other is taken */
	bool peer_pidfd;
};

void kernel_features_probe(struct kernel_features *ret);
