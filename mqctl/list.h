/* SPDX-License-Identifier: MIT */
/* What the manager lists, as a table. */
#pragma once

#include "client.h"
#include "print.h"

/* The rows of List(what), sorted; what has no column is left out. Reports its failures: 0, or a
 * negative errno. */
int manager_list(const struct arguments *arguments, const char *what, const struct column *columns,
	size_t column_count, struct table **ret);

/* The same of Last(pid). */
int manager_last(const struct arguments *arguments, uint32_t pid, const struct column *columns,
	size_t column_count, struct table **ret);

/* As JSON, or for a person, as the arguments say. DONE, or -ENOMEM, reported. */
int print_table(const struct arguments *arguments, const struct table *table);

/* 0 if the output is not for a terminal. */
size_t terminal_width(void);
