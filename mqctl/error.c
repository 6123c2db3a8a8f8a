/* SPDX-License-Identifier: MIT */
/* Messages of mqctl: "error: TEXT" on stderr. */
#include <stdarg.h>

#include "mqctl.h"
#include "print.h"

void print_error(const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list values;
	int r;

	va_start(values, format);
	r = vasprintf(&text, format, values);
	va_end(values);
	if (r < 0)
		text = NULL;
	print_lines("error: ", text ? text : "not enough memory", stderr);
}

int print_no_memory(void)
{
	(void)fputs("error: not enough memory\n", stderr);
	return -ENOMEM;
}

int print_bad_answer(int r)
{
	print_error(
		"cannot read the answer of mqgated (%s); it may be another version: restart mqgated",
		strerror(-r));
	return r;
}
