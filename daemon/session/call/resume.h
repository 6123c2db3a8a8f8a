/* SPDX-License-Identifier: MIT */
/* Calls that were taken up before. */
#pragma once

#include "supervisor.h"

/* Carries on what an earlier session process had in hand. */
void resume_all(struct supervisor *supervisor);

/* Carries out those that have waited long enough. */
void resume_due(struct supervisor *supervisor);
