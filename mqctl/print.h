/* SPDX-License-Identifier: MIT */
/* Tables, for people and as JSON. All text may come from an app: it is escaped here, in full. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "include/util.h"

enum column_kind {
	COLUMN_TEXT,
	COLUMN_NUMBER, /* decimal digits */
	COLUMN_LIST,
};

struct column {
	const char *title; /* in lower case it is the key, in JSON and on the control bus */
	enum column_kind kind;
	bool optional; /* not shown to people at the end of a table without a value in it */
};

/* NULL-terminated and owned; NULL or empty: no value. Text and numbers have one item. */
struct cell {
	char **items;
};

struct table {
	const struct column *columns;
	size_t column_count;
	struct cell **rows; /* column_count cells each */
	size_t row_count;
};

int table_new(const struct column *columns, size_t column_count, struct table **ret);
struct table *table_free(struct table *table);
DEFINE_CLEANUP(struct table *, table_free);

/* A new row at the end, all its cells without a value. */
int table_add_row(struct table *table, struct cell **ret_cells);

/* Of at least one. */
void table_drop_last(struct table *table);

/* Replaces the value of a cell by one item. */
int cell_set(struct cell *cell, const char *text);

/* The only or first item, "" if there is no value. */
const char *cell_text(const struct cell *cell);

/* By the first column, then the second, and so on; numbers as numbers. */
void table_sort(struct table *table);

/* Removes the rows that are not wanted. */
void table_keep(struct table *table, bool (*wanted)(const struct cell *cells, const void *userdata),
	const void *userdata);

struct table_form {
	bool no_legend; /* no line with the titles */
	size_t width;   /* columns of the terminal; 0: not one */
};

/* Columns two spaces apart, aligned by display width, "-" for no value, lists joined by commas,
 * nothing at the end of a line. If a line would be wider than the terminal, each item of a list
 * gets its own. No rows: no output at all. Returns 0 or -ENOMEM. */
int table_print(const struct table *table, const struct table_form *form, FILE *file);

/* One array of objects: text as string, list as array, number as number (null without value). */
void table_print_json(const struct table *table, FILE *file);

/* A JSON string with its quotes. Control characters (also DEL and the C1 set) become \u00XX; each
 * byte that is not UTF-8 becomes U+FFFD. */
void json_print_string(const char *text, FILE *file);

/* Columns that a terminal uses for the text; what cannot be decoded counts as one each. Wide
 * characters are known if LC_CTYPE is a UTF-8 locale. */
size_t display_width(const char *text);

/* How many bytes of the text, which has length of them, fit into so many columns. */
size_t display_cut(const char *text, size_t length, size_t width);

/* The text as one line for a terminal, malloc'd; NULL on lack of memory. As escape(), except that
 * backslashes stay: what comes from an app has been through escape() in the manager. */
char *escape_all(const char *text);

/* Each line of the text escaped, with prefix before the first, and a final newline. */
void print_lines(const char *prefix, const char *text, FILE *file);
