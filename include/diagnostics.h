/* SPDX-License-Identifier: MIT */
/* What is wrong with a file. */
#pragma once

#include <stddef.h>

#include "include/util.h"

enum severity {
	SEVERITY_NOTE,    /* nothing is dropped; somebody may have meant something else */
	SEVERITY_WARNING, /* something was dropped, the rest of the document works */
	SEVERITY_ERROR,   /* the document as a whole is refused */
};

struct diagnostic {
	enum severity severity;
	char *file;
	unsigned line, column; /* from 1; 0: the file as a whole */
	char *text;            /* fault; remedy. One line, no control characters */
};

struct diagnostics {
	struct diagnostic *items;
	size_t count;      /* at most DIAGNOSTICS_MAX are kept */
	size_t suppressed; /* further ones */
	size_t errors;     /* all of SEVERITY_ERROR, kept or not */
	size_t notes;      /* all of SEVERITY_NOTE, kept or not */
};

/* Appends one; on lack of memory only counts it. */
void diagnostics_add(struct diagnostics *diagnostics, enum severity severity, const char *file,
	unsigned line, unsigned column, const char *format, ...) _printf_(6, 7);
void diagnostics_clear(struct diagnostics *diagnostics);

/* "FILE:LINE:COL: error: TEXT", or warning or note, malloc'd; NULL on lack of memory. */
char *diagnostic_format(const struct diagnostic *diagnostic);
