/* SPDX-License-Identifier: MIT */
/* Another machine for mqctl doctor: OTHER_ABI is what its Landlock says, OTHER_SECCOMP=none that it
 * has no seccomp(2); files in OTHER_FILES stand for those of /proc and /sys that have their base
 * names. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__attribute__((visibility("default"))) long syscall(long number, ...)
{
	static long (*real)(long number, ...);
	const char *abi = getenv("OTHER_ABI"), *seccomp = getenv("OTHER_SECCOMP");
	long a[6];
	va_list list;

	va_start(list, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_landlock_create_ruleset && abi && a[2] == LANDLOCK_CREATE_RULESET_VERSION)
		return atol(abi);
	if (number == SYS_seccomp && seccomp) {
		errno = ENOSYS;
		return -1;
	}
	if (!real)
		real = (long (*)(long number, ...))dlsym(RTLD_NEXT, "syscall");
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

__attribute__((visibility("default"))) int openat64(int directory, const char *path, int flags, ...)
{
	static int (*real)(int directory, const char *path, int flags, ...);
	const char *files = getenv("OTHER_FILES");
	char other[4096];

	if (!real)
		real = (int (*)(int directory, const char *path, int flags, ...))dlsym(
			RTLD_NEXT, "openat64");
	if (files &&
		(strncmp(path, "/proc/self/attr/", 16) == 0 || strncmp(path, "/sys/", 5) == 0)) {
		(void)snprintf(other, sizeof(other), "%s/%s", files, strrchr(path, '/') + 1);
		return real(directory, other, flags, 0);
	}
	return real(directory, path, flags, 0);
}
