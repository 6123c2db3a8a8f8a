/* SPDX-License-Identifier: MIT */
/* A policy that is one document. */
#pragma once

#include "include/documents.h"

/* As policy_from_documents(), of the text that a file has. */
int policy_from_text(
	const char *file, const char *text, struct diagnostics *diagnostics, struct policy *ret);
