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

/* Filters of containers and units usually choose one of the first three. Those of a unit that kill
 * instead leave nobody to say anything. */
const char *remedy_of(int error)
{
	switch (error) {
	case -EPERM:
	case -EACCES:
	case -ENOSYS:
		return "; if a sandbox forbids this system call, allow it (SystemCallFilter= of "
		       "the unit, or the seccomp profile of the container)";
	case -EAGAIN:
		return "; allow more processes (ulimit -u; LimitNPROC= or TasksMax= of the unit)";
	case -EMFILE:
		return "; allow more descriptors (ulimit -n; LimitNOFILE= of the unit)";
	case -EFBIG:
		return "; allow larger files (ulimit -f; LimitFSIZE= of the unit)";
	default:
		return "";
	}
}

const char *in_unit(const char *text)
{
	return getenv("INVOCATION_ID") ? text : "";
}
