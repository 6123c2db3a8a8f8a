/* SPDX-License-Identifier: MIT */
/* Why the launcher refuses. */
#include "refuse.h"

#include <stdarg.h>

int refuse(char **ret_message, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(ret_message, format, arguments) < 0)
		*ret_message = NULL;
	va_end(arguments);
	return error;
}
