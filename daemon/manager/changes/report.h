/* SPDX-License-Identifier: MIT */
/* How changes and what is wrong with documents are told. */
#pragma once

#include "include/policy.h"

void log_diagnostics(const struct diagnostics *diagnostics);
/* All of them and a closing line, malloc'd; NULL on lack of memory. */
char *diagnostics_text(const struct diagnostics *diagnostics, const char *closing);
/* One line for each connection that differs: "connect PLUG SLOT: WHO". */
void log_changes(const struct connections *old, const struct connections *new, const char *who);
