/* SPDX-License-Identifier: MIT */
/* The door's filter, by libseccomp. */
#pragma once

#include "proof.h"

/* Builds the filter for these architectures, whichever this machine has, with a filter id of 0 in
 * front (include/filter-id.h). The caller frees *ret_program. Returns 0 or a negative errno;
 * -ENOMEM also if libseccomp has left something out (proof.h). */
int filter_make(const struct architectures *architectures, enum mediation mediation,
	struct sock_filter **ret_program, unsigned short *ret_length);
