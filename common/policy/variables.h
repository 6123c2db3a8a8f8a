/* SPDX-License-Identifier: MIT */
/* Names with variables: {pid} and {uid} of who asks, {instance} of the session. */
#pragma once

#include "include/grants.h"
#include "include/limits.h"

enum variable_kind {
	VARIABLE_PID,
	VARIABLE_UID,
	VARIABLE_INSTANCE,
	VARIABLE_COUNT,
};

struct variable {
	enum variable_kind kind;
	const char *text; /* with its braces */
};

/* The variable that a text begins with, or NULL. */
const struct variable *variable_at(const char *text);
bool has_variable(const char *name, enum variable_kind kind);

/* Puts values in the place of variables; one without a value (NULL) stays. False if that is longer
 * than PATTERN_MAX. */
bool fill_in(const char *name, const char *const values[static VARIABLE_COUNT],
	char ret[static PATTERN_MAX + 1]);

/* What the variables are; "" is not known. */
struct values {
	char texts[VARIABLE_COUNT][INSTANCE_MAX + 1];
};

/* True if the name can be one that the pattern means, for the values that are known, which then are
 * those that make it so. Values are missed only in a pattern with one variable twice, past
 * VALUES_STEPS_MAX. */
bool values_find(const char *pattern, const char *name, struct values *values);

struct subject values_subject(const struct values *values);
/* NULL: not known. */
const char *values_instance(const struct values *values);
