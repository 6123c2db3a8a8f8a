/* SPDX-License-Identifier: MIT */
/* Names of packages, plugs and slots. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "include/limits.h"

/* 2 to 40 of a-z, 0-9 and single inner "-", at least one letter; possibly followed by "_" and an
 * instance key. */
bool package_name_is_valid(const char *name);

/* The part after "_", if there is one: 1 to 10 of a-z and 0-9. */
bool instance_key_is_valid(const char *key);

/* For plugs and slots: a letter, then a-z, 0-9 and single inner "-". At most PLUG_NAME_MAX. */
bool plug_name_is_valid(const char *name);

/* Letters, digits and single inner "-". */
bool app_name_is_valid(const char *name);

/* "package:name", taken apart. */
struct ref {
	char package[PACKAGE_NAME_MAX + 1];
	char name[PLUG_NAME_MAX + 1];
};

/* Returns 0 or -EINVAL. */
int ref_parse(const char *text, struct ref *ret);

/* "package:name" in buffer, which is returned. */
char *ref_format(const char *package, const char *name, char buffer[static REF_MAX + 1]);
