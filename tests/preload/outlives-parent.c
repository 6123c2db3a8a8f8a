/* SPDX-License-Identifier: MIT */
/* Preloaded into a session process: it does not ask to be killed with its manager. */
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) int prctl(int option, ...)
{
	va_list arguments;
	long values[4];

	if (option == PR_SET_PDEATHSIG)
		return 0;
	va_start(arguments, option);
	for (int i = 0; i < 4; i++)
		values[i] = va_arg(arguments, long);
	va_end(arguments);
	return (int)syscall(SYS_prctl, option, values[0], values[1], values[2], values[3]);
}
