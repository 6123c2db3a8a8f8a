/* SPDX-License-Identifier: MIT */
/* What type a YAML scalar has. */
#pragma once

#include <yaml.h>

#include "include/tree.h"

/* Quoted: a string. Plain: as YAML 1.1 and snapd's reader resolve it (null, boolean, number, else a
 * string). A tag decides alone. */
enum value_kind scalar_kind(const yaml_event_t *event);
